package persist

const (
	// logBlock is the size of a block of what waits to be written, in bytes.
	logBlock = 256 << 10
	// keepBlocks is how many blocks that were written are kept for use again.
	keepBlocks = 4
)

// pile is what waits to be written, in blocks. It is appended to with a stripe
// locked, so nothing in it is ever moved: one buffer that grows would be, 50 ms
// for 40 MB, when a slow disk lets much wait.
type pile struct {
	full [][]byte // in their order
	size int      // bytes in full
	last []byte   // behind them
}

func (p *pile) len() int { return p.size + len(p.last) }

// room makes room for n bytes in last. Free are blocks to use again; it returns
// what is left of them.
func (p *pile) room(n int, free [][]byte) [][]byte {
	if cap(p.last)-len(p.last) >= n {
		return free
	}
	if len(p.last) > 0 {
		p.full = append(p.full, p.last)
		p.size += len(p.last)
	}
	if last := len(free) - 1; last >= 0 && n <= logBlock {
		p.last = free[last]
		free[last] = nil
		return free[:last]
	}
	p.last = make([]byte, 0, max(n, logBlock))
	return free
}

// each calls f for the pieces that lie between two offsets.
func (p *pile) each(from, to int, f func(b []byte)) {
	at := 0
	piece := func(b []byte) {
		if lo, hi := max(from, at), min(to, at+len(b)); lo < hi {
			f(b[lo-at : hi-at])
		}
		at += len(b)
	}
	for _, b := range p.full {
		piece(b)
	}
	piece(p.last)
}

// blocks adds the blocks, all of which were written, to free, for use again.
func (p *pile) blocks(free [][]byte) [][]byte {
	for _, b := range append(p.full, p.last) {
		if cap(b) == logBlock && len(free) < keepBlocks {
			free = append(free, b[:0])
		}
	}
	return free
}
