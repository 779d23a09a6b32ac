package command

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kvd/keyspace"
	"kvd/script/lua"
)

// besideLong stands for a script that has been running beside the loops for long and has
// the stripe of a key.
func besideLong(s *testServer, key string) (ended func()) {
	h := s.Keyspace.LockKeys([]keyspace.Key{keyspace.MakeKey([]byte(key))})
	reserved := s.Keyspace.Reserve(&h)
	b := &s.scripts.beside
	b.mu.Lock()
	b.runs = append(b.runs, &scriptRun{reserved: reserved, began: clock() - int64(time.Hour)})
	b.mu.Unlock()
	return func() {
		b.mu.Lock()
		b.runs = nil
		b.mu.Unlock()
		var h keyspace.Held
		reserved.End(&h)
		s.Keyspace.Unlock(&h)
	}
}

// elsewhere is a name whose stripe is none of these keys'.
func elsewhere(s *testServer, keys ...string) string {
	for i := 0; ; i++ {
		name := fmt.Sprint("elsewhere", i)
		k, same := keyspace.MakeKey([]byte(name)), false
		for _, o := range keys {
			o := keyspace.MakeKey([]byte(o))
			same = same || s.watches.at(o.Slot) == s.watches.at(k.Slot)
		}
		if !same {
			return name
		}
	}
}

// TestBusyExec: an EXEC that is refused because of a script waits for the stripes of what it
// watches while nothing else is locked: who has them may want to know of scripts.
func TestBusyExec(t *testing.T) {
	s := newTestServer(t)
	s.c.Conn = newFakeConn()
	defer besideLong(s, "k")()
	watched := elsewhere(s, "k")
	s.want("watch "+watched, "+OK\n")
	s.want("multi", "+OK\n")
	s.want("set k v", "+QUEUED\n")
	keys := []keyspace.Key{keyspace.MakeKey([]byte(watched))}
	h := s.Keyspace.LockKeys(keys)
	reply := make(chan string)
	before := s.Keyspace.Stats.Contended.Load()
	go func() { reply <- s.run("exec") }()
	within(t, "EXEC does not wait for the stripe", func() bool { return s.Keyspace.Stats.Contended.Load() > before })
	waits := time.AfterFunc(20*time.Second, func() { panic("what is known of scripts is locked by who waits for a stripe") })
	s.scripts.beside.mu.Lock()
	waits.Stop()
	s.scripts.beside.mu.Unlock()
	s.Keyspace.Unlock(&h)
	if got := <-reply; !strings.HasPrefix(got, "-EXECABORT Transaction discarded because of: BUSY Redis is busy running a script.") {
		t.Errorf("exec: %q", got)
	}
	s.want("get "+watched, "$-1\n")
}

// TestBusyExecOfOtherNeeds: an EXEC is refused also where only what it watches, its condition
// or all keys are behind the script.
func TestBusyExecOfOtherNeeds(t *testing.T) {
	for _, lines := range []string{"watch k;multi;set FREE v;exec", "multi;set FREE v;exec nx k", "multi;flushall;set FREE v;exec"} {
		s := newTestServer(t)
		s.c.Conn = newFakeConn()
		free := elsewhere(s, "k")
		all := strings.Split(strings.ReplaceAll(lines, "FREE", free), ";")
		begin := func() (ended func()) { return besideLong(s, "k") }
		if all[0] == "watch k" {
			s.want(all[0], "+OK\n")
			all = all[1:]
		}
		ended := begin()
		for _, line := range all[:len(all)-1] {
			s.run(line)
		}
		if got := s.run(all[len(all)-1]); !strings.HasPrefix(got, "-EXECABORT Transaction discarded because of: BUSY") {
			t.Errorf("%s: %q", lines, got)
		}
		ended()
	}
}

// TestNewScriptsInExec: scripts that are first seen in a transaction need the keys that they
// declare, no others, and are known once they have run.
func TestNewScriptsInExec(t *testing.T) {
	s := newTestServer(t)
	s.want("multi", "+OK\n")
	for _, text := range []string{"return{KEYS[1],1}", "return{KEYS[1],2}", "return{KEYS[1],1}"} {
		s.want("eval "+text+" 1 k", "+QUEUED\n")
	}
	other := elsewhere(s, "k")
	h := s.Keyspace.LockKeys([]keyspace.Key{keyspace.MakeKey([]byte(other))})
	r := s.Keyspace.Reserve(&h)
	waits := time.AfterFunc(20*time.Second, func() { panic("EXEC wants the stripes of keys that it does not name") })
	one, two := "*2\n$1\nk\n:1\n", "*2\n$1\nk\n:2\n"
	s.want("exec", "*3\n"+one+two+one)
	waits.Stop()
	r.End(&h)
	s.Keyspace.Unlock(&h)
	s.want("script exists "+shaOf([]byte("return{KEYS[1],1}"))+" "+shaOf([]byte("return{KEYS[1],2}")), "*2\n:1\n:1\n")
	if s.x.fresh != nil || len(s.x.queued) != 0 {
		t.Error("scripts are kept that have run")
	}
	s.want("multi", "+OK\n")
	s.want("eval return{KEYS[1],3} 1 k", "+QUEUED\n")
	if n := s.c.queuedMem.Load(); n < scriptMemory {
		t.Errorf("a transaction with a script takes %d bytes", n)
	}
	s.want("discard", "+OK\n")
	s.want("script exists "+shaOf([]byte("return{KEYS[1],3}")), "*1\n:0\n")
	// What is forgotten in the middle is kept anew for log and followers.
	four := shaOf([]byte("return{KEYS[1],4}"))
	s.effects = nil
	for _, line := range []string{"multi", "eval return{KEYS[1],4} 1 k", "evalsha " + four + " 1 k", "script flush", "eval return{KEYS[1],4} 1 k", "evalsha " + four + " 1 k", "exec"} {
		s.run(line)
	}
	if n := strings.Count(strings.ToLower(strings.Join(s.effects, ";")), "script load"); n != 2 {
		t.Errorf("a script that came again after SCRIPT FLUSH was kept %d times: %q", n, s.effects)
	}
}

// TestOvertimeIsAskedFor: a script that may leave its loop is asked to, be busy-reply-threshold over at the
// first look: the process may have stood still. It is ended where it does not leave.
func TestOvertimeIsAskedFor(t *testing.T) {
	s := newTestServer(t)
	s.c.Conn = newFakeConn()
	s.x.Running.C = s.c
	r := &scriptRun{x: s.x, listed: true, began: clock() - int64(time.Hour)}
	m := &machine{run: r}
	for i := range suspendLeast + 1 {
		if got := m.tick(nil); got != lua.Suspend || r.overtime {
			t.Fatalf("look %d: %v", i+1, got)
		}
	}
	if got := m.tick(nil); got != lua.Kill || !r.overtime {
		t.Errorf("it was asked %d times and goes on: %v", r.asked, got)
	}
}
