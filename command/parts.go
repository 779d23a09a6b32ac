package command

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strconv"
	"time"

	"kvd/resp/wire"
)

// PartsKind says how the replies to parts of a command's keys make up its reply.
type PartsKind uint8

// A command that only reads, and whose arguments are all keys, may be run for some
// of its keys after the other: one with a million keys would hold everybody up.
// Each part is of one moment, the whole is not.
const (
	NoParts  PartsKind = iota
	SumParts           // integers, which are added
	ArrayParts
	CountedParts // a byte, the number of elements (4 bytes, big-endian), and those; numbers are added
)

const (
	partsFrom = 1024 // from so many arguments on a command runs in parts
	partKeys  = 256  // keys of a part
)

// makeLong makes the row that stands for r where it runs in parts: it has no keys of
// its own.
func (r *Row) makeLong() {
	long := *r
	long.Fn, long.First, long.Last, long.Step = runInParts, 0, 0, 0
	r.long = &long
}

// inParts tells whether a command is to be run in parts.
func (x *Exec) inParts(ctx *Ctx) bool {
	return len(ctx.Args) > partsFrom && ctx.Row.long != nil && ctx.C.Conn != nil && !ctx.C.applies && !ctx.C.track.reads
}

// runInParts runs a command on a worker, and locks the stripes of a few keys at a
// time.
func runInParts(c *Ctx) {
	s, client, row := c.S, c.C, c.Row
	keys := &names{len(c.Args) - 1, [][][]byte{c.Args[1:]}}
	if !c.x.Own {
		keys = copyNames(c.Args[1:])
	}
	row = s.Table.rows[row.num] // with its function and keys
	c.Background(func(w *wire.Writer) {
		x := s.scriptWorker()
		keep := false
		defer func() {
			if keep {
				s.scripts.beside.giveBack(x)
			} else {
				x.letGo() // and nothing more is known of its state
			}
		}()
		x.inPartsFor(client, row, keys, w)
		keep = true
	})
}

func (x *Exec) inPartsFor(client *Client, row *Row, keys *names, w *wire.Writer) {
	ctx := &x.Running
	var part wire.Writer
	part.Proto = w.Proto
	x.client, x.foreseen, x.lap = client, nil, clock()
	ctx.C, ctx.Row, ctx.W, ctx.outcome, ctx.script, ctx.inExec = client, row, &part, Done, nil, false
	switch row.Parts {
	case ArrayParts:
		w.Array(keys.n)
	case CountedParts:
		w.Buf = append(w.Buf, 0, 0, 0, 0, 0)
	}
	sum := int64(0)
	args := make([][]byte, 1, 1+partKeys)
	args[0] = []byte(row.Name)
	for keys.n > 0 {
		ctx.Args = keys.take(args[:1], partKeys)
		part.Buf = part.Buf[:0]
		x.SetTime(time.Now())
		x.setKeys(ctx)
		x.s.Keyspace.LockKeysInto(ctx.Keys, &x.held)
		x.start(ctx)
		row.Fn(ctx)
		x.letGo()
		switch head, rest, _ := bytes.Cut(part.Buf, []byte("\r\n")); row.Parts {
		case CountedParts:
			sum += int64(binary.BigEndian.Uint32(part.Buf[1:]))
			w.Raw(part.Buf[5:])
			w.Part()
		case ArrayParts:
			w.Raw(rest)
		default:
			n, _ := strconv.ParseInt(string(head[1:]), 10, 64)
			sum += n
		}
		runtime.Gosched()
	}
	switch row.Parts {
	case SumParts:
		w.Int(sum)
	case CountedParts:
		binary.BigEndian.PutUint32(w.Parts()[0][1:], uint32(sum))
	}
	x.enter()
	ctx.W, ctx.Args, ctx.Keys, ctx.C = nil, nil, nil, nil
}

// names are keys that are taken some at a time.
type names struct {
	n      int
	blocks [][][]byte // arguments
}

const blockNames = 16 << 10

// copyNames has copies of arguments, in blocks that are let go as they are taken.
func copyNames(args [][]byte) *names {
	all := &names{n: len(args)}
	for len(args) > 0 {
		some := args[:min(len(args), blockNames)]
		size := 0
		for _, a := range some {
			size += len(a)
		}
		room, b := make([]byte, 0, size), make([][]byte, 0, len(some))
		for _, a := range some {
			from := len(room)
			room = append(room, a...)
			b = append(b, room[from:len(room):len(room)])
		}
		all.blocks = append(all.blocks, b)
		args = args[len(some):]
	}
	return all
}

// take appends the next names to dst, at most n.
func (all *names) take(dst [][]byte, n int) [][]byte {
	b := all.blocks[0]
	n = min(n, len(b))
	dst = append(dst, b[:n]...)
	all.n -= n
	if n == len(b) {
		all.blocks = all.blocks[1:]
	} else {
		all.blocks[0] = b[n:]
	}
	return dst
}
