package keyspace

import (
	"sync/atomic"

	"kvd/lockrank"
)

// Journal is the one ordered stream of effects: what changed, as commands that
// lead to the same contents wherever they are replayed. Effects are appended
// with the stripes of their keys locked, so the order of two effects on one
// key is the order in which they happened.
//
// With no reader an effect costs one load and a branch.
type Journal struct {
	on atomic.Bool
	// mu orders effects of different stripes and protects readers. Readers
	// are called under it: they copy what they need and return.
	mu      lockrank.Mutex[lockrank.Journal]
	readers []JournalReader
	// suspended: see Suspend.
	suspended bool
}

// JournalReader receives effects. The arguments alias memory of the caller.
type JournalReader interface {
	// Effect is one command. Several effects of one atomic unit come between
	// Begin and End.
	Effect(e Effect)
	Begin()
	End()
}

// Active tells whether anyone reads.
func (j *Journal) Active() bool { return j.on.Load() }

// Attach adds a reader. The caller holds all stripes, so the reader starts at
// one instant of the whole keyspace.
func (j *Journal) Attach(r JournalReader) {
	j.mu.Lock()
	j.readers = append(j.readers, r)
	j.on.Store(!j.suspended)
	j.mu.Unlock()
}

// Suspend has effects dropped, or no longer: while the contents are being
// replaced by what a file says. All stripes are locked.
func (j *Journal) Suspend(on bool) {
	j.mu.Lock()
	j.suspended = on
	j.on.Store(!on && len(j.readers) > 0)
	j.mu.Unlock()
}

// Detach removes a reader.
func (j *Journal) Detach(r JournalReader) {
	j.mu.Lock()
	for i, v := range j.readers {
		if v == r {
			j.readers = append(j.readers[:i:i], j.readers[i+1:]...)
			break
		}
	}
	j.on.Store(len(j.readers) > 0 && !j.suspended)
	j.mu.Unlock()
}

// Append records one effect.
func (j *Journal) Append(db int, args ...[]byte) {
	if !j.on.Load() {
		return
	}
	j.mu.Lock()
	for _, r := range j.readers {
		r.Effect(Effect{DB: db, Args: args})
	}
	j.mu.Unlock()
}

// Effect is one command that leads to what has changed, in database DB.
type Effect struct {
	DB   int
	Args [][]byte
	// Volatile: it changes nothing that lasts (a published message), so followers
	// get it and the log does not.
	Volatile bool
	// Local: the log gets it and followers do not, because a script wants it so.
	Local bool
}

// AppendAll records several effects as one unit.
func (j *Journal) AppendAll(effects []Effect) {
	if !j.on.Load() || len(effects) == 0 {
		return
	}
	j.mu.Lock()
	for _, r := range j.readers {
		if len(effects) > 1 {
			r.Begin()
		}
		for i := range effects {
			r.Effect(effects[i])
		}
		if len(effects) > 1 {
			r.End()
		}
	}
	j.mu.Unlock()
}
