package stream_test

import (
	"fmt"
	"strings"
	"testing"

	"kvd/command/commandtest"
)

// TestInParts: commands that name many entries go in parts where somebody can wait, and
// do and say what they do at once; what they journal leads to the same.
func TestInParts(t *testing.T) {
	const n = 5000
	fill := func(s *commandtest.Server) {
		for i := 1; i <= n; i++ {
			s.Run(fmt.Sprintf("XADD s %d-1 f %d", i, i))
		}
		for i := 1; i <= 700; i++ {
			s.Run(fmt.Sprintf("XADD t %d-1 f %d", i, i))
		}
		s.Run("XGROUP CREATE t h 0")
		s.Run("SET string x")
		s.Run("XGROUP CREATE s g 0")
		s.Run("XGROUP CREATE s h 0")
		s.Run("XREADGROUP GROUP g a COUNT 3600 STREAMS s >")
		s.Run("XREADGROUP GROUP h b COUNT 1000 STREAMS s >")
	}
	ids := func(from, to int) string {
		var b strings.Builder
		for i := from; i <= to; i++ {
			fmt.Fprintf(&b, " %d-1", i)
		}
		return b.String()
	}
	lines := []string{
		"XREADGROUP GROUP h c COUNT 701 STREAMS s >",
		"XREADGROUP GROUP h c COUNT 512 STREAMS s >", // a number of whole portions
		"XREADGROUP GROUP h b STREAMS s t 100-1 0",
		"XREADGROUP GROUP h c COUNT 900 STREAMS s 1200-1",
		"XREADGROUP GROUP h c MAXCOUNT 800 MAXSIZE 9000 STREAMS s t > >",
		"XREADGROUP GROUP h c STREAMS s t > >",
		"XREADGROUP GROUP h c MAXCOUNT 800 COUNT 600 STREAMS t s 0 0",
		"XREADGROUP GROUP g z NOACK STREAMS s >",
		"XCLAIM s g c 0" + ids(1, 1500) + " JUSTID",
		"XCLAIM s g d 0" + ids(1400, 3900) + " TIME 5 RETRYCOUNT 3 FORCE",
		"XNACK s g FAIL IDS 1200" + ids(1, 1200) + " RETRYCOUNT 2 FORCE",
		"XACKDEL s g KEEPREF IDS 1000" + ids(900, 1899),
		"XACKDEL s h ACKED IDS 1100" + ids(1, 1100),
		"XDELEX s ACKED IDS 1300" + ids(1, 1300),
		"XDELEX s DELREF IDS 1300" + ids(1500, 2799),
		"XDEL s" + ids(2500, 3300),
		"XACK s g" + ids(3000, 3990),
		"XDEL s" + ids(1, 4900), // more arguments than those of commands that run beside the loops
		"XACKDEL s none KEEPREF IDS 600" + ids(1, 600),
		"XACKDEL string none KEEPREF IDS 600" + ids(1, 600),
		"XDELEX s KEEPREF IDS 601" + ids(1, 600) + " x",
		"XDELEX string KEEPREF IDS 601" + ids(1, 600) + " x",
		"XDELEX none KEEPREF IDS 600" + ids(1, 600),
		"XNACK s none FAIL IDS 600" + ids(1, 600),
		"XNACK s g FAIL IDS 600" + ids(1, 600) + " RETRYCOUNT -1",
		"XACK s g" + ids(1, 600) + " x",
		"XCLAIM s g c 0" + ids(1, 600) + " RETRYCOUNT",
	}
	// The key is looked at first, and that is replied at once.
	atOnce := []string{
		"XDEL string" + ids(1, 600) + " x",
		"XDEL none" + ids(1, 600) + " x",
		"XACK s none" + ids(1, 600) + " x",
		"XCLAIM s none c 0" + ids(1, 600),
	}
	state := func(s *commandtest.Server) string {
		s.C.Conn = nil
		return s.Run("XRANGE s - +") + s.Run("XPENDING s g") + s.Run("XPENDING s h") + s.Run("XPENDING s g - + 100000 d") + s.Run("DEBUG DIGEST-VALUE s")
	}
	whole, parts, again := commandtest.New(t), commandtest.New(t), commandtest.New(t)
	fill(whole)
	fill(parts)
	conn := commandtest.NewConn()
	parts.C.Conn = conn
	for _, line := range lines {
		want := whole.Run(line)
		got := parts.Run(line)
		if got != "" {
			t.Errorf("%.40s replied %.100q at once", line, got)
		} else if got = conn.Wait(t); got != want {
			t.Errorf("%.40s: %.100q, not %.100q", line, got, want)
		}
		parts.C.Working = false
	}
	for _, line := range atOnce {
		if got, want := parts.Run(line), whole.Run(line); got != want {
			t.Errorf("%.40s: %.100q, not %.100q", line, got, want)
		}
	}
	for _, e := range parts.Effects {
		if n := strings.Count(e, " "); n > 520 {
			t.Errorf("%.40s has %d arguments: the stripe was held for so long", e, n)
		}
		if e != "MULTI" && e != "EXEC" {
			if got := again.Run(e); strings.HasPrefix(got, "-") {
				t.Fatalf("%.100s: %s", e, got)
			}
		}
	}
	// The pending entries' times are of two clocks.
	if a, b := state(whole), state(parts); len(a) != len(b) {
		t.Errorf("in parts it became\n%.300q\nat once\n%.300q", b, a)
	}
	if a, b := state(parts), state(again); len(a) != len(b) {
		t.Errorf("the effects make\n%.300q\nof\n%.300q", b, a)
	}
	for _, s := range []*commandtest.Server{whole, parts, again} {
		if err := s.Keyspace.Check(); err != nil {
			t.Error(err)
		}
	}
}

// TestDelConsumerInParts: a consumer with many pending entries goes bit by bit, and each bit
// is journaled: who leads next, or has this server follow, has the same entries pending.
func TestDelConsumerInParts(t *testing.T) {
	const n = 45_000
	filled := func() *commandtest.Server {
		s := commandtest.New(t)
		for i := 1; i <= n; i++ {
			s.Do("XADD", "s", fmt.Sprintf("%d-1", i), "f", "v")
		}
		s.Run("XGROUP CREATE s g 0")
		s.Run(fmt.Sprintf("XREADGROUP GROUP g a COUNT %d STREAMS s >", n-10))
		s.Run("XREADGROUP GROUP g b COUNT 3 STREAMS s >")
		s.Run("XCLAIM s g b 0 7-1 30000-1 JUSTID")
		return s
	}
	s := filled()
	s.Effects = nil
	conn := commandtest.NewConn()
	s.C.Conn = conn
	if got := s.Run("XGROUP DELCONSUMER s g a"); got != "" {
		t.Errorf("replied %q at once", got)
	} else if got = conn.Wait(t); got != fmt.Sprintf(":%d\r\n", n-12) {
		t.Errorf("replied %q", got)
	}
	s.C.Conn, s.C.Working = nil, false
	again := filled()
	left := n - 12
	for i, e := range s.Effects {
		words := strings.Fields(e)
		if i == len(s.Effects)-1 {
			if e != "XGROUP DELCONSUMER s g a" || left > 1100 {
				t.Errorf("with %d entries left the end was %.80q", left, e)
			}
			again.Do(words...)
			break
		}
		acked := len(words) - 3
		if words[0] != "XACK" || acked > 1100 {
			t.Fatalf("%.80q of %d entries: the stripe was held for so long", e, acked)
		}
		if left -= acked; again.Do(words...) != fmt.Sprintf(":%d\r\n", acked) {
			t.Errorf("%.80q: not all of them were pending", e)
		}
	}
	if got, want := again.Run("XPENDING s g"), s.Run("XPENDING s g"); got != want {
		t.Errorf("the effects make %q of %q", got, want)
	}
	s.Want("XPENDING s g", fmt.Sprintf("*4\n:5\n$3\n7-1\n$7\n%d-1\n*1\n*2\n$1\nb\n$1\n5\n", n-7))
	s.Want("XINFO CONSUMERS s none", "-NOGROUP No such consumer group 'none' for key name 's'\n")
	if err := s.Keyspace.Check(); err != nil {
		t.Error(err)
	}
}

// TestLagAsStated: a group that was told what it has read goes by that, as in Redis 8, but for
// more than was ever added.
func TestLagAsStated(t *testing.T) {
	s := commandtest.New(t)
	s.Run("XADD s 1-0 f v")
	s.Run("XADD s 2-0 f v")
	s.Run("XGROUP CREATE s g 0")
	for _, c := range []struct {
		read       string
		read1, lag int
	}{{"5", 2, 0}, {"2", 2, 0}, {"1", 1, 1}, {"-1", -1, 1}} {
		s.Run("XGROUP SETID s g 1-0 ENTRIESREAD " + c.read)
		reply := s.Run("XINFO GROUPS s")
		if c.read1 >= 0 && !strings.Contains(reply, fmt.Sprintf("entries-read\r\n:%d\r\n", c.read1)) || !strings.Contains(reply, fmt.Sprintf("lag\r\n:%d\r\n", c.lag)) {
			t.Errorf("ENTRIESREAD %s: %q", c.read, reply)
		}
	}
}

// TestHighestIDIsNew: where a consumer reads from the highest ID there is, that is >, as in Redis.
func TestHighestIDIsNew(t *testing.T) {
	s := commandtest.New(t)
	s.Run("XADD s 1-1 f v")
	s.Run("XGROUP CREATE s g 0")
	s.Want("XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551614", "*1\n*2\n$1\ns\n*0\n")
	s.Want("XREADGROUP GROUP g c STREAMS s 18446744073709551615", "*1\n*2\n$1\ns\n*0\n")
	s.Want("XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551615", "*1\n*2\n$1\ns\n*1\n*2\n$3\n1-1\n*2\n$1\nf\n$1\nv\n")
	s.Want("XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551615", "*-1\n")
}

// TestClaimTwice: an entry that is claimed twice in one command is replied twice, all of it.
func TestClaimTwice(t *testing.T) {
	s := commandtest.New(t)
	s.Run("XADD s 1-1 f v")
	s.Run("XADD s 2-1 other fields in it")
	s.Run("XADD s 3-1 f v")
	s.Run("XGROUP CREATE s g 0")
	const (
		one = "*2\n$3\n1-1\n*2\n$1\nf\n$1\nv\n"
		two = "*2\n$3\n2-1\n*4\n$5\nother\n$6\nfields\n$2\nin\n$2\nit\n"
		end = "*2\n$3\n3-1\n*2\n$1\nf\n$1\nv\n"
	)
	s.Want("XCLAIM s g c 0 1-1 1-1 2-1 2-1 1-1 3-1 3-1 3-1 FORCE", "*8\n"+one+one+two+two+one+end+end+end)
	s.Want("XCLAIM s g c 0 3-1 3-1 2-1 9-9 2-1", "*4\n"+end+end+two+two)
	if err := s.Keyspace.Check(); err != nil {
		t.Error(err)
	}
}
