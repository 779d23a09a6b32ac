package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

// What a virtual machine's host takes away shows in the delays of every program on it. It is measured and told
// beside the figures, so that nobody looks for it in a server.

// theft watches how much of the processors' time the host takes, as the kernel counts it.
type theft struct {
	stop chan struct{}
	done sync.WaitGroup

	total, worst time.Duration // of the whole time, and of the worst second
	err          error
}

// watchTheft begins to watch; end must follow.
func watchTheft() *theft {
	t := &theft{stop: make(chan struct{})}
	_, last, err := readCPU()
	if err != nil {
		t.err = err
		return t
	}
	t.done.Go(func() {
		for more := true; more; {
			select {
			case <-t.stop:
				more = false
			case <-time.After(time.Second):
			}
			_, now, err := readCPU()
			if err != nil {
				t.err = err
				return
			}
			t.total += now - last
			t.worst = max(t.worst, now-last)
			last = now
		}
	})
	return t
}

// end returns what was taken, in a sentence.
func (t *theft) end() string {
	close(t.stop)
	t.done.Wait()
	if t.err != nil {
		return fmt.Sprintf("What the machine's host took is not known: %v.", t.err)
	}
	return fmt.Sprintf("The machine's host took %v of the CPUs' time meanwhile (steal), %v in the worst second.", t.total, t.worst)
}

// clockStep reads the clock of a thread's CPU time over and over, alone, for a span, and returns the most that it
// went on between two readings, which are less than a microsecond apart. What exceeds that the kernel or the host
// did in the thread's time: times measured inside a server by that clock contain such steps, too.
func clockStep(span time.Duration) (longest time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	last := threadCPU()
	for end := time.Now().Add(span); time.Now().Before(end); {
		now := threadCPU()
		longest = max(longest, now-last)
		last = now
	}
	return longest
}
