package command

import (
	"testing"
)

// TestHeld: inside EXEC a command cannot wait, but holds the stripes of the
// transaction's keys only; alone, some hold all.
func TestHeld(t *testing.T) {
	s := newTestServer(t)
	var inExec, all, can bool
	for _, name := range []string{"get", "dbsize", "flushall"} {
		r := s.Table.Lookup([]byte(name))
		r.Fn = func(c *Ctx) {
			inExec, all, can = c.InExec(), c.HoldsAll(), c.CanBlock()
			c.W.OK()
		}
	}
	s.c.Conn = newFakeConn()
	look := func(line string, wantExec, wantAll bool) {
		t.Helper()
		s.run(line)
		if inExec != wantExec || all != wantAll || can == inExec {
			t.Errorf("%s: in EXEC %t, all stripes %t, can wait %t", line, inExec, all, can)
		}
	}
	look("get k", false, false)
	look("dbsize", false, false)
	look("flushall", false, true)
	for _, v := range []struct {
		line string
		all  bool
	}{{"get k", false}, {"dbsize", true}, {"flushall", true}} {
		s.run("multi")
		s.run(v.line)
		look("exec", true, v.all)
	}
	look("eval redis.call('get',KEYS[1]) 1 k", true, false)
	look("eval redis.call('dbsize') 0", true, true)
}
