package persist

const (
	// logBlock is the size of a block of what waits to be written, in bytes.
	logBlock = 256 << 10
	// logSlack is the room in a block below which it counts as full.
	logSlack = 4 << 10
	// keepBlocks is how many blocks that were written are kept for use again.
	keepBlocks = 4
)

// pile is what waits to be written, in blocks. It is appended to with a stripe
// locked: a buffer of one piece would be moved as a whole each time that it
// grows, 2 ms for 20 MB, when a slow disk lets much wait.
type pile struct {
	full [][]byte // in their order
	size int      // bytes in full
	last []byte   // behind them
}

func (p *pile) len() int { return p.size + len(p.last) }

// grew takes last with something new in it. Free are blocks to use again; it
// returns what is left of them.
func (p *pile) grew(last []byte, free [][]byte) [][]byte {
	if len(last) <= logBlock-logSlack {
		p.last = last
		return free
	}
	p.full = append(p.full, last)
	p.size += len(last)
	if n := len(free); n > 0 {
		p.last = free[n-1]
		free[n-1] = nil
		return free[:n-1]
	}
	p.last = make([]byte, 0, logBlock)
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
	for _, b := range p.full {
		if len(free) < keepBlocks && cap(b) <= 2*logBlock {
			free = append(free, b[:0])
		}
	}
	return free
}
