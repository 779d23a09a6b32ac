package command

import (
	"time"

	"kvd/keyspace"
)

// readers run long reads on threads of lower priority than the event loops have.
// Where all processors are taken, a thread that becomes ready waits until the running
// one has used up its time slice, some milliseconds, unless it has a higher priority. The
// readers must lock no stripe, because a command that waits for it would wait with them.
//
// A thread's priority cannot be raised again, so each reader has a thread for good. A
// reader with nothing to do waits a while for more.
type readers struct {
	jobs chan func()   // unbuffered: somebody idle takes it, or nobody
	room chan struct{} // has an element for each reader
	// processors is the list of those on which they run; see keyspace.RunOn.
	processors string
}

const (
	// maxReaders is the most readers there are, since each is a thread: what
	// comes beyond them runs at the usual priority, in a goroutine like any other.
	maxReaders = 32
	// readerIdle is how long a reader waits for more.
	readerIdle = 5 * time.Second
)

func newReaders(processors string) readers {
	return readers{jobs: make(chan func()), room: make(chan struct{}, maxReaders), processors: processors}
}

// run has f run.
func (r readers) run(f func()) {
	select {
	case r.jobs <- f:
		return
	default:
	}
	select {
	case r.room <- struct{}{}:
		go r.work(f)
	default:
		go f()
	}
}

func (r readers) work(f func()) {
	defer func() { <-r.room }()
	keyspace.LowPriority(keyspace.NiceReader)
	keyspace.RunOn(r.processors) // for good, as the thread is
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
