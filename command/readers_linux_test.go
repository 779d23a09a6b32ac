package command

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"kvd/keyspace"
)

// TestReaders: long reads run beside each other, on threads of lower priority, which are used again.
func TestReaders(t *testing.T) {
	r := newReaders("")
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

// TestReadersBound: however many reads come at once, few of them have threads of their own, and all are done.
func TestReadersBound(t *testing.T) {
	r := newReaders("")
	threads := func() int {
		all, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := threads()
	var begun, done sync.WaitGroup
	hold := make(chan struct{})
	for range 10 * maxReaders {
		begun.Add(1)
		done.Add(1)
		r.run(func() { defer done.Done(); begun.Done(); <-hold })
	}
	begun.Wait()
	if n := threads() - before; n > maxReaders+8 {
		t.Errorf("%d threads more", n)
	}
	close(hold)
	done.Wait()
}
