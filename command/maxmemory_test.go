package command

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kvd/keyspace"
)

// fillTo writes n keys of 1000 bytes, with the words after the value.
func (s *testServer) fillTo(prefix string, n int, words func(i int) []string) {
	s.t.Helper()
	for i := range n {
		args := []string{"SET", fmt.Sprint(prefix, i), strings.Repeat("x", 1000)}
		if words != nil {
			args = append(args, words(i)...)
		}
		if got := s.do(args...); got != "+OK\r\n" {
			s.t.Fatalf("SET %s%d: %q", prefix, i, got)
		}
	}
}

// keysWith are the keys with a prefix.
func (s *testServer) keysWith(prefix string) (keys []string) {
	for _, w := range strings.Split(s.do("KEYS", prefix+"*"), "\r\n") {
		if strings.HasPrefix(w, prefix) {
			keys = append(keys, w)
		}
	}
	return keys
}

func (s *testServer) infoField(section, name string) string {
	for _, l := range strings.Split(s.do("INFO", section), "\r\n") {
		if v, ok := strings.CutPrefix(l, name+":"); ok {
			return v
		}
	}
	return ""
}

// within waits until the memory is within its limit.
func (s *testServer) within() {
	s.t.Helper()
	for range 3000 {
		if !s.Keyspace.Over() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("%d bytes are in use after thirty seconds", s.Keyspace.Used())
}

const oomReply = "-" + errOOM + "\r\n"

func TestMaxMemoryRefuses(t *testing.T) {
	s := newTestServer(t)
	s.fillTo("k", 100, nil)
	s.want("CONFIG SET maxmemory 50kb", "+OK\n")
	for _, l := range []string{"SET a 1", "LPUSH l 1", "SORT k1 STORE x", "INCR n"} {
		if got := s.run(l); got != oomReply {
			t.Errorf("%s gives %q", l, got)
		}
	}
	for _, l := range []string{"STRLEN k1", "DEL k2", "EXPIRE k3 100", "GETDEL k4", "PING", "RENAME k5 k6", "PUBLISH c m", "MULTI", "DISCARD", "EVAL return(1) 0"} {
		if got := s.run(l); strings.HasPrefix(got, "-") {
			t.Errorf("%s gives %q", l, got)
		}
	}
	if got := s.infoField("stats", "evicted_keys"); got != "0" {
		t.Errorf("evicted_keys is %s", got)
	}
	if got := s.infoField("stats", "current_eviction_exceeded_time"); got == "" {
		t.Error("INFO does not say how long the limit has been passed")
	}
	s.want("CONFIG SET maxmemory 0", "+OK\n")
	s.want("SET a 1", "+OK\n")
}

func TestMaxMemoryInTransactions(t *testing.T) {
	s := newTestServer(t)
	s.fillTo("k", 10, nil)
	s.want("MULTI", "+OK\n")
	s.want("SET a 1", "+QUEUED\n")
	other := s.c
	s.c = s.NewClient(nil, "127.0.0.1:3", "127.0.0.1:2", 4)
	s.want("CONFIG SET maxmemory 1kb", "+OK\n")
	s.c = other
	s.want("EXEC", "-EXECABORT Transaction discarded because of: "+errOOM+"\n")
	// In Redis what is queued is refused whatever it is.
	s.want("MULTI", "+OK\n")
	s.want("GET a", "-"+errOOM+"\n")
	s.want("EXEC", "-EXECABORT Transaction discarded because of previous errors.\n")
	s.want("MULTI", "+OK\n")
	s.want("UNWATCH", "+QUEUED\n")
	s.want("EXEC", "*1\n+OK\n")
	// A limit that EXEC itself sets holds from then on.
	s.want("CONFIG SET maxmemory 0", "+OK\n")
	s.want("MULTI", "+OK\n")
	s.want("CONFIG SET maxmemory 1kb", "+QUEUED\n")
	s.want("SET a 1", "+QUEUED\n")
	s.want("EXEC", "*2\n+OK\n+OK\n")
	s.want("SET a 1", "-"+errOOM+"\n")
}

func TestMaxMemoryInScripts(t *testing.T) {
	s := newTestServer(t)
	s.fillTo("k", 10, nil)
	s.want("CONFIG SET maxmemory 1kb", "+OK\n")
	for _, test := range []struct{ script, want string }{
		{"return redis.call('set','x',1)", "-OOM command not allowed when used memory > 'maxmemory'. script: "},
		{"redis.call('del','k1') return redis.call('set','x',1)", "+OK"}, // it has written
		{"return redis.call('strlen','k2')", ":1000"},
		{"return redis.call('del','k3')", ":1"},
		{"#!lua\nreturn 1", oomReply},
		{"#!lua flags=no-writes\nreturn 1", ":1"},
		{"#!lua flags=allow-oom\nreturn redis.call('set','x',1)", "+OK"},
	} {
		if got := s.do("EVAL", test.script, "0"); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s\n gives %q\n want %q", test.script, got, test.want)
		}
	}
}

func TestEvictionSparesWhatItShould(t *testing.T) {
	for _, policy := range []string{"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "volatile-lrm"} {
		t.Run(policy, func(t *testing.T) {
			s := newTestServer(t)
			s.want("CONFIG SET maxmemory-policy "+policy, "+OK\n")
			s.fillTo("keep", 100, nil)
			s.fillTo("v", 100, func(i int) []string { return []string{"EX", fmt.Sprint(10000 - 50*i)} })
			s.want("CONFIG SET maxmemory 150kb", "+OK\n")
			s.within()
			s.want("SET new 1 EX 20000", "+OK\n")
			if n := len(s.keysWith("keep")); n != 100 {
				t.Errorf("%d of 100 keys without a deadline are left", n)
			}
			left := s.keysWith("v")
			if len(left) < 10 || len(left) > 60 {
				t.Errorf("%d of 100 keys with a deadline are left", len(left))
			}
			if policy == "volatile-ttl" { // v99 has the nearest deadline
				for i := range len(left) {
					if !slices.Contains(left, fmt.Sprint("v", i)) {
						t.Errorf("v%d is gone, but there are %d that have nearer deadlines", i, len(left)-i)
					}
				}
			}
			// Where none of them is left, there is no room.
			s.want("CONFIG SET maxmemory 50kb", "+OK\n")
			for range 100 { // a command waits for eviction for a moment only
				if s.run("SET new 1") == oomReply {
					break
				}
			}
			s.want("SET new 1", "-"+errOOM+"\n")
			if n := len(s.keysWith("keep")); n != 100 {
				t.Errorf("%d keys are left", n)
			}
			s.want("EXPIRE keep0 1000", ":1\n")
			s.want("EXPIRE keep1 1000", ":1\n")
		})
	}
}

func TestEvictionOfAllKeys(t *testing.T) {
	for _, policy := range []string{"allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-lrm"} {
		t.Run(policy, func(t *testing.T) {
			s := newTestServer(t)
			s.want("CONFIG SET maxmemory-policy "+policy+" maxmemory 200kb", "+OK\n")
			s.fillTo("k", 1000, nil)
			s.within()
			if n := len(s.keysWith("k")); n < 120 || n > 200 {
				t.Errorf("%d keys of 1000 bytes are left in 200 KiB", n)
			}
			if used := s.Keyspace.Memory(false).Used(); used > 200<<10 {
				t.Errorf("%d bytes are in use", used)
			}
		})
	}
}

// TestEvictionChooses has keys that were used, or written, stay. Keys are drawn at
// random, so some of those go too; of keys taken without a choice 310 would stay.
func TestEvictionChooses(t *testing.T) {
	const keys, used = 2000, 500
	for _, test := range []struct{ policy, use string }{
		{"allkeys-lru", "GET"}, {"allkeys-lfu", "GET"}, {"allkeys-lrm", "PERSIST"},
	} {
		t.Run(test.policy, func(t *testing.T) {
			s := newTestServer(t)
			s.want("CONFIG SET maxmemory 1gb maxmemory-samples 10 maxmemory-policy "+test.policy, "+OK\n")
			s.now = s.now.Add(-200 * time.Second) // eviction goes by the time that it is
			s.fillTo("k", keys, nil)
			for range 20 {
				s.now = s.now.Add(10 * time.Second)
				for i := range used {
					s.run(fmt.Sprint(test.use, " k", i))
				}
				if test.policy == "allkeys-lrm" { // which reads do not count for
					for i := range keys - used {
						s.run(fmt.Sprint("GET k", used+i))
					}
				}
			}
			s.want("CONFIG SET maxmemory 1300kb", "+OK\n")
			s.run("SET new 1")
			s.within()
			stayed := 0
			for i := range used {
				if s.run(fmt.Sprint("EXISTS k", i)) == ":1\r\n" {
					stayed++
				}
			}
			if stayed < used*85/100 {
				t.Errorf("%d of the %d keys that were used are left", stayed, used)
			}
		})
	}
}

func TestEvictionIsToldAndJournaled(t *testing.T) {
	for _, unlink := range []bool{false, true} {
		s := newTestServer(t)
		var events []string
		s.Publisher = func(channel, message []byte) { events = append(events, string(channel)+" "+string(message)) }
		s.want("CONFIG SET notify-keyspace-events KEA maxmemory-policy allkeys-random lazyfree-lazy-eviction "+map[bool]string{false: "no", true: "yes"}[unlink], "+OK\n")
		s.fillTo("k", 100, nil)
		before := s.keysWith("k")
		s.want("WATCH "+strings.Join(before, " "), "+OK\n")
		h := s.Keyspace.LockAll()
		events, s.effects = nil, nil
		s.Keyspace.Unlock(&h)
		s.want("CONFIG SET maxmemory 50kb", "+OK\n")
		s.within()
		after := s.keysWith("k")
		gone := len(before) - len(after)
		if gone < 50 || gone > 90 {
			t.Errorf("%d of 100 keys are gone", gone)
		}
		h = s.Keyspace.LockAll()
		word := map[bool]string{false: "DEL ", true: "UNLINK "}[unlink]
		if len(s.effects) != gone || len(events) != 2*gone {
			t.Errorf("%d keys are gone, %d effects and %d events say so", gone, len(s.effects), len(events))
		}
		for _, e := range s.effects {
			if k, ok := strings.CutPrefix(e, word); !ok || slices.Contains(after, k) {
				t.Errorf("journaled: %q", e)
			}
		}
		for i, e := range events {
			if ok := i%2 == 0 && strings.HasSuffix(e, " evicted") || i%2 == 1 && strings.HasPrefix(e, "__keyevent@0__:evicted k"); !ok {
				t.Errorf("event %q", e)
			}
		}
		s.Keyspace.Unlock(&h)
		if got := s.infoField("stats", "evicted_keys"); got != fmt.Sprint(gone) {
			t.Errorf("evicted_keys is %s of %d", got, gone)
		}
		if got := s.infoField("stats", "expired_keys"); got != "0" {
			t.Errorf("expired_keys is %s", got)
		}
		s.want("MULTI", "+OK\n")
		s.want("EXEC", "*-1\n") // a watched key is gone
		s.want("CONFIG RESETSTAT", "+OK\n")
		if got := s.infoField("stats", "evicted_keys"); got != "0" {
			t.Errorf("evicted_keys is %s after CONFIG RESETSTAT", got)
		}
	}
}

// TestNothingGoesWhileItStandsStill is about pauses, loading and followers.
func TestNothingGoesWhileItStandsStill(t *testing.T) {
	s := newTestServer(t)
	s.want("CONFIG SET maxmemory-policy allkeys-lru", "+OK\n")
	s.fillTo("k", 100, nil)
	for _, test := range []struct {
		name     string
		on, over func()
	}{
		{"pause", func() { s.HoldWrites(true) }, func() { s.HoldWrites(false) }},
		{"loading", func() { s.setGate(gateLoading, true); s.updateMemoryGate() }, func() { s.setGate(gateLoading, false); s.updateMemoryGate() }},
		{"following", func() { s.following.Store(true); s.updateMemoryGate() }, func() { s.following.Store(false); s.updateMemoryGate() }},
	} {
		test.on()
		s.Keyspace.SetLimits(1000, nil)
		time.Sleep(20 * time.Millisecond)
		if n, _ := s.Keyspace.Size(0, false); n != 100 {
			t.Errorf("%s: %d of 100 keys are left", test.name, n)
		}
		if s.gate.Load()&gateMemory != 0 {
			t.Errorf("%s: commands are refused", test.name)
		}
		s.Keyspace.SetLimits(keyspace.NoLimit, nil)
		test.over()
	}
	s.want("CONFIG SET replica-ignore-maxmemory no", "+OK\n")
	s.following.Store(true)
	if !s.mayEvict() {
		t.Error("a follower does not evict although it is told to")
	}
	s.following.Store(false)
}

func TestDBMaxMemory(t *testing.T) {
	s := newTestServer(t)
	s.fillTo("a", 100, nil)
	s.want("SELECT 1", "+OK\n")
	s.fillTo("b", 100, nil)
	// Without a policy that database refuses alone.
	s.want("CONFIG SET db-maxmemory", "-ERR wrong number of arguments for 'config|set' command\n")
	if got := s.do("CONFIG", "SET", "db-maxmemory", "1 50kb"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	s.want("SET x 1", "-"+errOOM+"\n")
	s.want("STRLEN b1", ":1000\n")
	s.want("SELECT 0", "+OK\n")
	s.want("SET x 1", "+OK\n")
	// With one it evicts alone.
	s.want("CONFIG SET maxmemory-policy allkeys-lru", "+OK\n")
	s.within()
	if a, b := len(s.keysWith("a")), 0; a != 100 {
		t.Errorf("%d keys of the other database are left", a)
	} else if b, _ = s.Keyspace.Size(1, false); b < 30 || b > 50 {
		t.Errorf("%d keys of 1000 bytes are left in 50 KiB", b)
	}
	s.want("SELECT 1", "+OK\n")
	s.fillTo("c", 100, nil)
	s.within()
	if n, _ := s.Keyspace.Size(1, false); n > 50 {
		t.Errorf("%d keys are in the database after more was written", n)
	}
	if got := s.do("CONFIG", "SET", "db-maxmemory", "99 50kb"); !strings.HasSuffix(got, "DB index is out of range\r\n") {
		t.Errorf("a database that is not there: %q", got)
	}
	if got := s.do("CONFIG", "SET", "db-maxmemory", "1 0"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	s.fillTo("d", 100, nil)
	if n, _ := s.Keyspace.Size(1, false); n < 100 {
		t.Errorf("%d keys are in the database without a limit", n)
	}
}

func TestIdleTimeAndFreqUnderLimits(t *testing.T) {
	s := newTestServer(t)
	s.want("CONFIG SET maxmemory 1gb maxmemory-policy allkeys-lrm", "+OK\n")
	s.want("SET k 1", "+OK\n")
	s.now = s.now.Add(100 * time.Second)
	s.want("GET k", "$1\n1\n")
	s.want("OBJECT IDLETIME k", ":100\n")
	s.want("APPEND k 1", ":2\n")
	s.want("OBJECT IDLETIME k", ":0\n")
	s.want("CONFIG SET maxmemory-policy allkeys-lru", "+OK\n")
	s.now = s.now.Add(100 * time.Second)
	s.want("OBJECT IDLETIME k", ":100\n")
	s.want("GET k", "$2\n11\n")
	s.want("OBJECT IDLETIME k", ":0\n")
	s.want("CONFIG SET maxmemory-policy allkeys-lfu", "+OK\n")
	s.want("SET f 1", "+OK\n")
	s.want("OBJECT FREQ f", ":5\n")
}

func TestFlushedMemoryIsFreeAtOnce(t *testing.T) {
	s := newTestServer(t)
	s.fillTo("k", 2000, func(i int) []string { return []string{"EX", "100"} })
	s.want("CONFIG SET maxmemory 100kb", "+OK\n")
	s.want("SET a 1", "-"+errOOM+"\n")
	s.want("FLUSHALL", "+OK\n")
	s.want("SET a 1", "+OK\n")
}

func TestPatience(t *testing.T) {
	for tenacity, want := range map[int64]time.Duration{0: 0, 10: 500 * time.Microsecond, 20: 2022778 * time.Nanosecond, 100: 1<<63 - 1} {
		if got := patienceOf(tenacity); got != want {
			t.Errorf("maxmemory-eviction-tenacity %d is %v, want %v", tenacity, got, want)
		}
	}
	var l memoryLimit
	l.patience.Store(int64(500 * time.Microsecond))
	if a, b, c := l.wait(1000, 1<<30), l.wait(100<<20, 1<<32), l.wait(1<<30, 1<<30); a != 500*time.Microsecond || b != 8*a || c != 40*a {
		t.Errorf("commands wait for %v, %v and %v", a, b, c)
	}
}

// TestSmallestLimit: with a limit of 1 an empty server refuses what wants memory, at once.
func TestSmallestLimit(t *testing.T) {
	s := newTestServer(t)
	if got := s.do("CONFIG", "SET", "maxmemory", "1"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	if got := s.do("set", "k", "v"); !strings.HasPrefix(got, "-OOM ") {
		t.Errorf("SET answered %q", got)
	}
	if got := s.do("get", "k"); got != "$-1\r\n" {
		t.Errorf("GET answered %q", got)
	}
}
