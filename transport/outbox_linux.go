package transport

import (
	"net"
	"syscall"
	"unsafe"

	"kvd/resp/wire"
)

// outbox is output that a socket did not take yet, in blocks, so that what
// waits is never copied when more comes: clients that get the same messages
// would all have to be copied at the same moment.
type outbox struct {
	blocks []block // only the last one has room
	done   int     // bytes of the first block that were sent
	n      int     // bytes that wait
	mem    int     // what the blocks take; those that are shared count like others
}

// block is a piece of what waits.
type block struct {
	b    []byte
	part bool // one of wire's parts, which may be used again once it was sent
}

const (
	minBlock = 4 << 10  // least size of a block
	maxBlock = 64 << 10 // of a block that grows with the box
	// shareFrom is the least length of a push that is not copied but referred to.
	shareFrom = 2 << 10
	// maxVectors is how many blocks one write takes.
	maxVectors = 64
)

// add appends a copy of b.
func (o *outbox) add(b []byte) {
	o.n += len(b)
	if k := len(o.blocks); k > 0 {
		last := &o.blocks[k-1].b
		fits := min(len(b), cap(*last)-len(*last))
		*last = append(*last, b[:fits]...)
		b = b[fits:]
	}
	if len(b) > 0 {
		own := make([]byte, 0, max(len(b), min(max(o.mem, minBlock), maxBlock)))
		o.own(block{b: append(own, b...)})
	}
}

// keep appends b itself, which from now on belongs to the box.
func (o *outbox) keep(b []byte) {
	o.n += len(b)
	o.own(block{b: b})
}

// keepPart is keep for one of wire's parts.
func (o *outbox) keepPart(b []byte) {
	o.n += len(b)
	o.own(block{b, true})
}

func (o *outbox) own(b block) {
	o.blocks = append(o.blocks, b)
	o.mem += cap(b.b)
}

// share appends b without copying it; nobody may change it.
func (o *outbox) share(b []byte) {
	o.keep(b[:len(b):len(b)])
}

// addPush appends a push in the form of the client's protocol.
func (o *outbox) addPush(b []byte, proto int) {
	switch array := proto < 3 && b[0] == '>'; {
	case array && len(b) < shareFrom:
		o.add(star)
		o.add(b[1:])
	case array:
		o.share(star)
		o.share(b[1:])
	case len(b) < shareFrom:
		o.add(b)
	default:
		o.share(b)
	}
}

// star begins a push to a client of RESP2.
var star = []byte("*")

// sent takes the first n bytes out.
func (o *outbox) sent(n int) {
	o.n -= n
	o.done += n
	for len(o.blocks) > 0 && o.done >= len(o.blocks[0].b) {
		first := o.blocks[0]
		o.done -= len(first.b)
		o.mem -= cap(first.b)
		if first.part {
			wire.Reuse(first.b)
		}
		o.blocks[0] = block{}
		o.blocks = o.blocks[1:]
	}
	if o.n == 0 {
		*o = outbox{}
	}
}

// rest is what of block i was not sent.
func (o *outbox) rest(i int) []byte {
	if i == 0 {
		return o.blocks[0].b[o.done:]
	}
	return o.blocks[i].b
}

// buffers are the bytes that wait, for who sends them in the box's place.
func (o *outbox) buffers() (all net.Buffers) {
	for i := range o.blocks {
		all = append(all, o.rest(i))
	}
	return all
}

// peek appends to dst what waits, at most so many bytes.
func (o *outbox) peek(dst []byte, most int) []byte {
	for i := 0; i < len(o.blocks) && most > 0; i++ {
		b := o.rest(i)
		b = b[:min(len(b), most)]
		dst = append(dst, b...)
		most -= len(b)
	}
	return dst
}

// write gives the socket what it takes, but no more than most bytes, and returns
// how much, or a negative errno.
func (o *outbox) write(fd, most int) int {
	if first := o.rest(0); len(o.blocks) == 1 || len(first) >= most {
		return rawWrite(fd, first[:min(len(first), most)])
	}
	var vec [maxVectors]syscall.Iovec
	k := 0
	for i := range min(len(o.blocks), maxVectors) {
		b := o.rest(i)
		b = b[:min(len(b), most)]
		most -= len(b)
		vec[k].Base = unsafe.SliceData(b)
		vec[k].SetLen(len(b))
		if k++; most == 0 {
			break
		}
	}
	// The runtime ignores the SIGPIPE of a peer that has gone.
	r, _, e := syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&vec[0])), uintptr(k))
	if e != 0 {
		return -int(e)
	}
	return int(r)
}
