package command

import (
	"time"

	"kvd/keyspace"
)

// readers run long reads on threads of lower priority than the event loops have:
// where all processors are taken, the system lets who comes wait for the end of
// a slice, some milliseconds, unless it outweighs who runs. They must lock
// nothing, because who waits for their lock would wait with them.
//
// There are as many as have something to do, and a thread's priority cannot be
// raised again, so that those who have nothing wait a while for more.
type readers struct {
	jobs chan func() // unbuffered: somebody idle takes it, or nobody
}

// readerIdle is how long a reader waits for more.
const readerIdle = 5 * time.Second

func newReaders() readers { return readers{jobs: make(chan func())} }

// run has f run.
func (r readers) run(f func()) {
	select {
	case r.jobs <- f:
	default:
		go r.work(f)
	}
}

func (r readers) work(f func()) {
	keyspace.LowPriority(keyspace.NiceReader)
	idle := time.NewTimer(readerIdle)
	defer idle.Stop()
	for {
		f()
		idle.Reset(readerIdle)
		select {
		case f = <-r.jobs:
		case <-idle.C:
			return
		}
	}
}
