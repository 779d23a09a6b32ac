package tests

import (
	"strings"
	"testing"

	"kvd/tests/harness"
)

// TestLongStrings: what is copied aside is what the command would have replied, and
// a change that comes meanwhile does not touch it.
func TestLongStrings(t *testing.T) {
	s := harness.StartKVD(t, "--save", "")
	c, other := s.MustDial(t), s.MustDial(t)
	long := strings.Repeat("0123456789abcdef!", 3<<20/17)
	c.MustDo(t, "SET", "long", long)
	c.MustDo(t, "SET", "short", "x")
	c.MustDo(t, "SET", "number", "17")
	c.MustDo(t, "RPUSH", "list", "x")
	want := func(r harness.Reply, strs ...string) {
		t.Helper()
		if len(strs) == 1 && r.Str != strs[0] {
			t.Errorf("a reply of %d bytes, want %d", len(r.Str), len(strs[0]))
		} else if len(strs) > 1 && strings.Join(r.Strings(), "|") != strings.Join(strs, "|") {
			t.Errorf("%d replies differ from those wanted", len(r.Elems))
		}
	}
	for range 3 {
		// One behind the other: the second comes when the first has been replied.
		c.Send("GET", "long")
		c.Send("GETRANGE", "long", "5", "-3")
		c.Send("MGET", "short", "long", "list", "number", "none", "long")
		c.Send("GET", "short")
		c.Flush()
		other.MustDo(t, "SETRANGE", "unrelated", "0", "y")
		for _, strs := range [][]string{{long}, {long[5 : len(long)-2]}, {"x", long, "", "17", "", long}, {"x"}} {
			r, err := c.Receive()
			if err != nil {
				t.Fatal(err)
			}
			want(r, strs...)
		}
	}
	c.MustDo(t, "MULTI")
	c.MustDo(t, "GET", "long")
	c.MustDo(t, "MGET", "long", "short")
	r := c.MustDo(t, "EXEC")
	want(r.Elems[0], long)
	want(r.Elems[1], long, "x")
	want(c.MustDo(t, "EVAL", "return redis.call('get',KEYS[1])", "1", "long"), long)
	// A change right after the GET leaves the reply alone.
	for range 20 {
		c.Send("GET", "long")
		c.Flush()
		other.MustDo(t, "SETRANGE", "long", "0", strings.Repeat("z", 2<<20))
		r, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(r.Str, "z"); n != 0 && n != 2<<20 || len(r.Str) != len(long) {
			t.Errorf("a reply of %d bytes, %d of them new", len(r.Str), n)
		}
		other.MustDo(t, "SET", "long", long)
	}
	want(c.MustDo(t, "GET", "long"), long)
}
