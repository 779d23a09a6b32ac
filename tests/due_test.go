package tests

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/tests/harness"
)

var (
	dueJobs    = flag.Int("due-jobs", 2000, "how many jobs TestDueQueue has")
	dueWorkers = flag.Int("due-workers", 100, "and how many clients that wait for them")
	dueSpread  = flag.Duration("due-spread", time.Second, "and over what time they become due")
)

// dueResult is what workers got.
type dueResult struct {
	mu   sync.Mutex // protects the others
	late []time.Duration
	got  map[string]int
}

// work has a worker take jobs of the queue until the server ends or says that it is no leader any more.
func (d *dueResult) work(c *harness.Conn) {
	for {
		r, err := c.Do("BZPOPDUE", "q", "0")
		if err != nil || len(r.Elems) != 2 || len(r.Elems[1].Elems) != 1 {
			return
		}
		now := time.Now()
		job := r.Elems[1].Elems[0].Strings()
		at, _ := strconv.ParseInt(job[1], 10, 64)
		d.mu.Lock()
		d.got[job[0]]++
		d.late = append(d.late, now.Sub(time.UnixMilli(at)))
		d.mu.Unlock()
	}
}

// TestDueQueue: workers that wait for a queue of jobs get each of them once, over a restart and over a failover, and none
// before its time. With -due-jobs 1000000 -due-workers 10000 -due-spread 60s it tells how late they come.
func TestDueQueue(t *testing.T) {
	s := harness.StartKVD(t, "--appendonly", "yes", "--maxclients", "20000")
	c := s.MustDial(t)
	d := &dueResult{got: map[string]int{}}
	begin := time.Now().Add(500*time.Millisecond + time.Duration(*dueJobs)*10*time.Microsecond + time.Duration(*dueWorkers)*500*time.Microsecond)
	score := func(i int) string {
		return strconv.FormatInt(begin.Add(time.Duration(int64(*dueSpread)/int64(*dueJobs)*int64(i))).UnixMilli(), 10)
	}
	for i := 0; i < *dueJobs; {
		args := []string{"ZADD", "q"}
		for range min(500, *dueJobs-i) {
			args = append(args, score(i), "job:"+strconv.Itoa(i))
			i++
		}
		c.MustDo(t, args...)
	}
	var workers sync.WaitGroup
	start := func(s *harness.Server) {
		for range *dueWorkers {
			w := s.MustDial(t)
			workers.Go(func() {
				defer w.Close()
				d.work(w)
			})
		}
	}
	left := func(s *harness.Server) int { return int(s.MustDial(t).MustDo(t, "ZCARD", "q").Int) }
	wait := func(s *harness.Server, until int) {
		for end := time.Now().Add(*dueSpread + 2*time.Minute); left(s) > until; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d jobs are left", left(s))
			}
		}
	}
	start(s)
	time.Sleep(100 * time.Millisecond) // they ask
	idle, cpu := time.Until(begin), cpuTime(s.PID())
	time.Sleep(idle)
	cpu = cpuTime(s.PID()) - cpu
	wait(s, *dueJobs*2/3)
	d.mu.Lock()
	late := slices.Clone(d.late) // those of the restart come later for another reason
	d.mu.Unlock()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	workers.Wait() // their connections have ended
	f := harness.StartKVD(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(s.Port), "--maxclients", "20000")
	fc := f.MustDial(t)
	for end := time.Now().Add(time.Minute); !strings.Contains(fc.MustDo(t, "INFO", "replication").Str, "master_link_status:up"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the follower does not come")
		}
	}
	start(s)
	wait(s, *dueJobs/3)
	s.MustDial(t).MustDo(t, "FAILOVER")
	workers.Wait() // a leader that becomes a follower sends them away
	for end := time.Now().Add(time.Minute); !strings.Contains(fc.MustDo(t, "INFO", "replication").Str, "role:master"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the follower does not lead")
		}
	}
	start(f)
	wait(f, 0)
	if err := f.Restart(); err != nil { // ends the connections of those that still wait
		t.Fatal(err)
	}
	workers.Wait()
	wrong := 0
	for i := range *dueJobs {
		if n := d.got["job:"+strconv.Itoa(i)]; n != 1 {
			if wrong++; wrong < 10 {
				t.Errorf("job %d was given %d times", i, n)
			}
		}
	}
	if early := slices.Min(d.late); early < 0 {
		t.Errorf("a job came %v before its time", -early)
	}
	slices.Sort(late)
	n := len(late)
	t.Logf("%d jobs, %d workers: %v of CPU in %v of waiting; jobs before the restart came %v (median), %v (p95), %v (p99) after their time",
		*dueJobs, *dueWorkers, cpu, idle, late[n/2], late[n*95/100], late[n*99/100])
}

// cpuTime is what a process has used.
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
