package replica

import "kvd/lockrank"

// durable tells up to which offset of the leader's stream the own append-only log
// is on the disk. Places of the stream and of the log are noted in pairs: the
// oldest that waits for the disk, and the newest; so a stream of any length needs
// but two, and what is told is at most one sync of the disk behind.
type durable struct {
	mu          lockrank.Mutex[lockrank.Durable] // protects the rest; held for moments
	early, late *place
	synced      int64 // the offset up to which all lasts; -1: not known
}

// place is one of the stream, and how much the log had been given then.
type place struct{ offset, logged int64 }

// reset begins anew: the contents are others.
func (d *durable) reset() {
	d.mu.Lock()
	d.early, d.late, d.synced = nil, nil, -1
	d.mu.Unlock()
}

// note says that the log was given all up to offset, and how much that was.
func (d *durable) note(offset, logged int64) {
	d.mu.Lock()
	d.late = &place{offset, logged}
	if d.early == nil {
		d.early = d.late
	}
	d.mu.Unlock()
}

// lasts is the offset up to which all lasts where the log does up to logged; -1:
// not known.
func (d *durable) lasts(logged int64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.early != nil && d.early.logged <= logged {
		d.synced = d.early.offset
		if d.early == d.late {
			d.early = nil
			break
		}
		d.early = d.late
	}
	return d.synced
}
