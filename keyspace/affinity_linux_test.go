package keyspace

import (
	"math/bits"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestAffinityOfAll binds a process that starts threads all the time: the runtime ends the
// thread of a goroutine that ends locked to it, and starts another when it wants one.
func TestAffinityOfAll(t *testing.T) {
	before, err := Affinity(0)
	if err != nil {
		t.Skip(err)
	}
	for name, bind := range map[string]func([cpuWords]uint64) error{"all": SetAffinityOfAll, "listed": setAffinityOfListed} {
		for range 40 {
			stop := make(chan struct{})
			var starters sync.WaitGroup
			for range 4 {
				starters.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						var ended sync.WaitGroup
						ended.Go(runtime.LockOSThread)
						ended.Wait()
					}
				})
			}
			one := [cpuWords]uint64{1 << bits.TrailingZeros64(before[0])}
			err := bind(one)
			close(stop)
			starters.Wait()
			if err != nil {
				t.Fatal(err)
			}
			// A thread that is about to end is known to the system alone.
			n := 0
			for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
				if n = threadsElsewhere(t, one); n == 0 {
					break
				}
			}
			if n > 0 {
				t.Errorf("%s: %d threads run elsewhere", name, n)
			}
			if err := bind(before); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// threadsElsewhere counts the process's threads that run on others than these processors.
func threadsElsewhere(t *testing.T, mask [cpuWords]uint64) (n int) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, th := range threads {
		id, _ := strconv.Atoi(th.Name())
		if now, err := Affinity(id); err == nil && now != mask {
			n++
		}
	}
	return n
}
