package stream

import (
	"encoding/binary"
	"errors"

	"kvd/types"
)

// The coding of a node, in a leaf's buffer:
//
//	count of the master fields, the master fields
//	entries
//
// and of an entry:
//
//	size    the bytes that follow
//	head    milliseconds since the master ID << 4 | flags
//	[ms]    the milliseconds, with flagBig: there is no room for them in head
//	[seq]   the entry's number minus the master ID's, zigzag; with flagSeq
//	fields  with flagSame the values alone, else a count and pairs
//
// Counts, size and head are varints of encoding/binary. A field or value is
// coded as types.AppendBare does.
const (
	flagDeleted = 1 << iota
	flagSame
	flagSeq
	flagBig
	flagBits = 4

	// headMs is the most milliseconds after the master ID that a head holds.
	headMs = 1<<(64-flagBits) - 1
)

// node is where a node stands in its leaf and what it holds.
type node struct {
	master    ID
	off, size uint32
	live      uint32
	dead      uint32 // entries that are marked as deleted
	packed    uint32 // size as a listpack, but for what counts above 127 take more
}

func (n *node) end() int { return int(n.off + n.size) }

// uvarint reads a varint of one byte at once.
func uvarint(b []byte) (uint64, int) {
	if b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return binary.Uvarint(b)
}

// view is a node being read: its bytes in the leaf's buffer.
type view struct {
	b      []byte
	master ID
	fields int // master fields
	first  int // offset of the first of them
	start  int // offset of the first entry
}

func (l *leaf) view(ni int) (v view) {
	n := &l.nodes[ni]
	v.b, v.master = l.buf[n.off:n.end():n.end()], n.master
	c, k := uvarint(v.b)
	v.fields, v.first = int(c), k
	for range v.fields {
		k += types.BareLen(v.b[k:])
	}
	v.start = k
	return v
}

// item is an entry being read.
type item struct {
	id    ID
	flags byte
	head  int // offset of the head
	data  int // offset of what follows head and seq
	end   int // offset of the next entry
}

func (it *item) deleted() bool { return it.flags&flagDeleted != 0 }

// item reads the entry at off.
func (v *view) item(off int) (it item) {
	size, k := uvarint(v.b[off:])
	off += k
	it.head, it.end = off, off+int(size)
	head, k := uvarint(v.b[off:])
	off += k
	it.flags = byte(head) & (1<<flagBits - 1)
	it.id = ID{v.master.Ms + head>>flagBits, v.master.Seq}
	if it.flags&flagBig != 0 {
		ms, k := binary.Uvarint(v.b[off:])
		off += k
		it.id.Ms += ms
	}
	if it.flags&flagSeq != 0 {
		d, k := binary.Varint(v.b[off:])
		off += k
		it.id.Seq += uint64(d)
	}
	it.data = off
	return it
}

// packedSize is the size of a listpack's element whose coding takes n bytes.
func packedSize(n int) int {
	switch {
	case n <= 127:
		return n + 1
	case n < 1<<14-1:
		return n + 2
	case n < 1<<21-1:
		return n + 3
	case n < 1<<28-1:
		return n + 4
	}
	return n + 5
}

// packedInt is the size of an integer as a listpack's element.
func packedInt(v int64) int {
	switch {
	case v >= 0 && v <= 127:
		return 2
	case v >= -1<<12 && v < 1<<12:
		return 3
	case v >= -1<<15 && v < 1<<15:
		return 4
	case v >= -1<<23 && v < 1<<23:
		return 5
	case v >= -1<<31 && v < 1<<31:
		return 6
	}
	return 10
}

// appendItem adds an entry; fields are names and values in turn. same: the
// names are the master's. It also returns the size in a listpack.
func appendItem(dst []byte, master, id ID, same bool, fields [][]byte) ([]byte, int) {
	var flags uint64
	if same {
		flags |= flagSame
	}
	d := id.Seq - master.Seq
	if d != 0 {
		flags |= flagSeq
	}
	ms := id.Ms - master.Ms
	at := len(dst)
	dst = appendHead(append(dst, 0), ms, d, flags)           // 0: the size, if it is short
	packed := 2 + packedInt(int64(ms)) + packedInt(int64(d)) // with Redis's flags
	pairs := len(fields) / 2
	count := pairs + 3
	if !same {
		count += pairs + 1
		packed += packedInt(int64(pairs))
		dst = binary.AppendUvarint(dst, uint64(pairs))
	}
	packed += packedInt(int64(count))
	for i, f := range fields {
		if same && i&1 == 0 {
			continue
		}
		before := len(dst)
		dst = types.AppendBare(dst, f)
		packed += packedSize(len(dst) - before)
	}
	return closeItem(dst, at), packed
}

// appendHead adds what stands before an entry's fields, but for the size.
func appendHead(dst []byte, ms, seq, flags uint64) []byte {
	if ms > headMs {
		dst = binary.AppendUvarint(dst, flags|flagBig)
		dst = binary.AppendUvarint(dst, ms)
	} else {
		dst = binary.AppendUvarint(dst, ms<<flagBits|flags)
	}
	if seq != 0 {
		dst = binary.AppendVarint(dst, int64(seq))
	}
	return dst
}

// appendMaster adds the master fields, and returns their size in a listpack
// with all that stands before the entries.
func appendMaster(dst []byte, fields [][]byte) ([]byte, int) {
	n := len(fields) / 2
	packed := 7 + 2 + 2 + packedInt(int64(n)) + 2
	dst = binary.AppendUvarint(dst, uint64(n))
	for i := 0; i < len(fields); i += 2 {
		before := len(dst)
		dst = types.AppendBare(dst, fields[i])
		packed += packedSize(len(dst) - before)
	}
	return dst, packed
}

// closeItem writes the size of the entry that begins at at, for which one byte
// was left.
func closeItem(dst []byte, at int) []byte {
	size := len(dst) - at - 1
	if size < 0x80 {
		dst[at] = byte(size)
		return dst
	}
	var buf [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(buf[:], uint64(size))
	dst = append(dst, buf[1:k]...) // as much room as it takes
	copy(dst[at+k:], dst[at+1:at+1+size])
	copy(dst[at:], buf[:k])
	return dst
}

// sameFields tells whether the names of an entry are the master's.
func (v *view) sameFields(fields [][]byte) bool {
	if len(fields) != 2*v.fields {
		return false
	}
	off := v.first
	for i := 0; i < len(fields); i += 2 {
		e, k := types.BareElem(v.b[off:])
		if e.IsInt() && !e.Equal(fields[i]) || !e.IsInt() && string(e.S) != string(fields[i]) {
			return false
		}
		off += k
	}
	return true
}

var errNode = errors.New("stream: damaged node")

// check verifies a node: that everything ends where it should, that IDs rise
// and come after last, and that the counts are right. It returns the last ID.
func (l *leaf) check(ni int, last ID) (ID, error) {
	n := &l.nodes[ni]
	if n.off > n.off+n.size || n.end() > len(l.buf) || n.live == 0 {
		return last, errNode
	}
	v := l.view(ni)
	var live, dead uint32
	for off := v.start; off < len(v.b); {
		it := v.item(off)
		if it.end > len(v.b) || !last.Less(it.id) {
			return last, errNode
		}
		last = it.id
		if it.deleted() {
			dead++
		} else {
			live++
		}
		k, count := it.data, v.fields
		if it.flags&flagSame == 0 {
			c, m := uvarint(v.b[k:])
			count, k = 2*int(c), k+m
		}
		for range count {
			k += types.BareLen(v.b[k:])
		}
		if k != it.end {
			return last, errNode
		}
		off = it.end
	}
	if live != n.live || dead != n.dead {
		return last, errNode
	}
	return last, nil
}
