package command

import (
	"syscall"
	"testing"
	"time"

	"kvd/keyspace"
)

// TestReaders: long reads run beside each other, on threads of lower priority, which are used again.
func TestReaders(t *testing.T) {
	r := newReaders()
	type place struct{ tid, nice int }
	seen := make(chan place)
	run := func() {
		r.run(func() {
			level, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
			if err != nil {
				t.Error(err)
			}
			seen <- place{syscall.Gettid(), 20 - level} // as the system call has it
		})
	}
	run()
	run() // both wait for a receiver
	first, second := <-seen, <-seen
	if first.tid == second.tid {
		t.Errorf("two at once on thread %d", first.tid)
	}
	own, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := max(20-own, keyspace.NiceReader); first.nice != want || second.nice != want {
		t.Errorf("nice %d and %d, want %d", first.nice, second.nice, want)
	}
	for range 100 {
		time.Sleep(time.Millisecond)
		run()
		if p := <-seen; p.tid == first.tid || p.tid == second.tid {
			return
		}
	}
	t.Error("no thread was used again")
}
