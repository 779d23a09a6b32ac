package command

import (
	"strings"
	"testing"
)

// distrusted counts who is told that something has changed in silence.
type distrusted struct{ stream, log int }

type distrustedStream struct {
	noReplication
	d *distrusted
}

func (r distrustedStream) Distrust() { r.d.stream++ }

type distrustedLog struct {
	Persistence
	d *distrusted
}

func (l distrustedLog) Distrust(error) { l.d.log++ }

// TestPanicInWrite: after a panic inside a command that writes neither the log nor the
// followers are trusted; after one inside a reader they are, and have all that the
// commands of its EXEC before it did.
func TestPanicInWrite(t *testing.T) {
	s := newTestServer(t)
	d := &distrusted{}
	s.replication.Replication = distrustedStream{d: d}
	s.persist = distrustedLog{s.persist, d}
	for _, name := range []string{"set", "get"} {
		r := s.Table.Lookup([]byte(name))
		was := r.Fn
		r.Fn = func(c *Ctx) {
			if string(c.Args[1]) == "bad" {
				panic("for the test")
			}
			was(c)
		}
		defer func() { r.Fn = was }()
	}
	fails := func(lines ...string) {
		t.Helper()
		for _, line := range lines[:len(lines)-1] {
			s.run(line)
		}
		if got := s.run(lines[len(lines)-1]); !strings.Contains(got, "internal error") {
			t.Errorf("%s: %q", lines, got)
		}
	}
	s.effects = nil
	fails("MULTI", "SET a 1", "INCR n", "GET bad", "SET b 1", "EXEC")
	s.want("GET n", "$1\n1\n")
	s.want("GET b", "$-1\n")
	if got := strings.Join(s.effects, "; "); !strings.Contains(got, "SET a 1") || !strings.Contains(got, "INCR n") {
		t.Errorf("the journal has %q", got)
	}
	if d.stream != 0 || d.log != 0 {
		t.Errorf("a reader's panic: %+v", d)
	}
	s.effects = nil
	fails("MULTI", "INCR n", "SET bad 1", "EXEC")
	if got := strings.Join(s.effects, "; "); !strings.Contains(got, "INCR n") || d.stream != 1 || d.log != 1 {
		t.Errorf("the journal has %q, %+v", got, d)
	}
	fails("SET bad 1")
	if d.stream != 2 || d.log != 2 {
		t.Errorf("%+v", d)
	}
	a := s.NewApplier() // a log being loaded has no one to tell
	if err := a.Apply(words("SET bad 1")); err == nil || d.stream != 2 || d.log != 2 {
		t.Errorf("%v, %+v", err, d)
	}
	if err := s.NewStreamApplier().Apply(words("SET bad 1")); err == nil || d.stream != 2 || d.log != 3 {
		t.Errorf("%v, %+v", err, d)
	}
	s.want("SET good 1", "+OK\n")
	was := *d
	if got := s.do("EVAL", "redis.call('SET', 'good', 2) redis.call('SET', 'bad', 1)", "0"); !strings.Contains(got, "internal error") || d.stream != was.stream+1 || d.log != was.log+1 {
		t.Errorf("in a script: %q, %+v after %+v", got, d, was)
	}
	s.want("SET good 1", "+OK\n")
}

// TestPanicUnderRollback: a panic in a command of a script takes back what the script has done.
func TestPanicUnderRollback(t *testing.T) {
	s := newTestServer(t)
	r := s.Table.Lookup([]byte("lpush"))
	was := r.Fn
	r.Fn = func(c *Ctx) {
		was(c)
		panic("for the test")
	}
	defer func() { r.Fn = was }()
	s.run("SET a old")
	for _, rollback := range []string{"yes", "no"} {
		s.run("CONFIG SET script-rollback " + rollback)
		s.effects = nil
		if got := s.do("EVAL", "redis.call('SET', 'a', 'new') redis.pcall('LPUSH', 'b', 1) return 'ended'", "0"); !strings.Contains(got, "internal error") {
			t.Errorf("rollback %s: %q", rollback, got)
		}
		if rollback == "yes" {
			s.want("GET a", "$3\nold\n")
			s.want("EXISTS b", ":0\n")
			if len(s.effects) > 0 {
				t.Errorf("the journal has %q", s.effects)
			}
		} else {
			s.want("GET a", "$3\nnew\n")
		}
	}
	if err := s.Keyspace.Check(); err != nil {
		t.Error(err)
	}
}
