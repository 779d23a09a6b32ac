package command

import (
	"runtime"
	"runtime/debug"
	"time"
)

// The Go runtime collects when the heap has grown by a part of what was alive, and
// gives back what is free little by little. After a few large requests, or when
// large values are gone, that may be hundreds of megabytes that nobody uses, for
// minutes, as nothing is allocated any more. So somebody looks.

const (
	tendEvery = time.Second
	// tendRest is the least time between two collections that are asked for here.
	tendRest = 2500 * time.Millisecond
	// Where much lives that is in no book, it is looked for again after tendSoon, and
	// as long as it is still there, after twice as long each time, up to tendAgain.
	tendSoon  = 3 * time.Second
	tendAgain = 2 * time.Minute
	// tendSlack is how much garbage, and how much idle memory, is left alone, in
	// bytes, besides an eighth of what is in use.
	tendSlack = 32 << 20
)

// TendMemory has large garbage collected, and gives back large idle memory, until
// stop is closed.
func (s *Server) TendMemory(stop <-chan struct{}) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	var last time.Time
	idleBefore, again := false, tendSoon
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		m := s.memoryUse(false)
		most := tendSlack + m.used/8
		if time.Since(last) < tendRest {
			continue
		}
		idle, known := m.idle > most, s.memory.known()
		switch {
		case idle && idleBefore:
			// It is idle for a while, so no load needs it. This collects, too.
			debug.FreeOSMemory()
			idle = false
		case m.suspect > most, known > most && time.Since(last) > again:
			// The latter: what lived without being in the books may have gone since.
			runtime.GC()
		default:
			idleBefore = idle
			continue
		}
		last = time.Now()
		s.collected()
		if again = min(2*again, tendAgain); known-s.memory.known() > most/2 {
			again = tendSoon
		}
		idleBefore = idle
	}
}
