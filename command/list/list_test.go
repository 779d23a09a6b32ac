package list_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"kvd/command"
	"kvd/command/commandtest"
	"kvd/resp/wire"
)

func TestListReplies(t *testing.T) {
	s := commandtest.New(t)
	s.Want("RPUSH l a b c", ":3\n")
	s.Want("LPUSH l 1 2", ":5\n")
	s.WantList("l", "2", "1", "a", "b", "c")
	s.Want("LPUSHX none a", ":0\n")
	s.Want("RPUSHX l d", ":6\n")
	s.Want("LLEN l", ":6\n")
	s.Want("LLEN none", ":0\n")
	s.Want("LINDEX l -1", "$1\nd\n")
	s.Want("LINDEX l 0", "$1\n2\n")
	s.Want("LINDEX l 6", "$-1\n")
	s.Want("LINDEX l x", "-ERR value is not an integer or out of range\n")
	s.Want("LINDEX none x", "$-1\n")
	s.Want("LSET none x y", "-ERR no such key\n")
	s.Want("LSET l x y", "-ERR value is not an integer or out of range\n")
	s.Want("LSET l 9 y", "-ERR index out of range\n")
	s.Want("LSET l -2 yy", "+OK\n")
	s.Want("LINSERT l x a b", "-ERR syntax error\n")
	s.Want("LINSERT none BEFORE a b", ":0\n")
	s.Want("LINSERT l before zz b", ":-1\n")
	s.Want("LINSERT l AFTER a A", ":7\n")
	s.Want("LINSERT l BEFORE 2 0", ":8\n")
	s.WantList("l", "0", "2", "1", "a", "A", "b", "yy", "d")
	s.Want("LTRIM l 1 -2", "+OK\n")
	s.WantList("l", "2", "1", "a", "A", "b", "yy")
	s.Want("LPOP l", "$1\n2\n")
	s.Want("RPOP l 2", "*2\n$2\nyy\n$1\nb\n")
	s.Want("LPOP l 0", "*0\n")
	s.Want("LPOP l -1", "-ERR value is out of range, must be positive\n")
	s.Want("LPOP l x", "-ERR value is out of range, must be positive\n")
	s.Want("LPOP l 1 1", "-ERR wrong number of arguments for 'lpop' command\n")
	s.Want("LPOP none", "$-1\n")
	s.Want("LPOP none 0", "*-1\n")
	s.Want("LPOP l 10", "*3\n$1\n1\n$1\na\n$1\nA\n")
	s.Want("LLEN l", ":0\n")
	s.Want("RPUSH l a b a c a", ":5\n")
	s.Want("LREM l x a", "-ERR value is not an integer or out of range\n")
	s.Want("LREM l -2 a", ":2\n")
	s.WantList("l", "a", "b", "c")
	s.Want("LREM l 0 a", ":1\n")
	s.Want("LREM none 0 a", ":0\n")
	s.Want("LMOVE l m LEFT up", "-ERR syntax error\n")
	s.Want("LMOVE l m LEFT RIGHT", "$1\nb\n")
	s.Want("RPOPLPUSH l m", "$1\nc\n")
	s.Want("RPOPLPUSH l m", "$-1\n")
	s.WantList("m", "c", "b")
	s.Want("RPOPLPUSH m m", "$1\nb\n")
	s.WantList("m", "b", "c")
	s.Want("SET str 1", "+OK\n")
	const wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\n"
	for _, line := range []string{
		"LPUSH str a", "RPUSHX str a", "LPOP str", "LPOP str 1", "LLEN str", "LINDEX str 0", "LSET str 0 a", "LRANGE str 0 1", "LTRIM str 0 1",
		"LREM str 1 a", "LINSERT str AFTER a b", "LPOS str a", "RPOPLPUSH m str", "LMOVE str m LEFT LEFT", "LMPOP 2 none str LEFT", "BLPOP str 0", "BLMOVE m str LEFT LEFT 0",
	} {
		s.Want(line, wrong)
	}
	s.WantList("m", "b", "c")
	s.Want("LMPOP 0 m LEFT", "-ERR numkeys should be greater than 0\n")
	s.Want("LMPOP 2 m LEFT", "-ERR syntax error\n")
	s.Want("LMPOP 1 m LEFT COUNT", "-ERR syntax error\n")
	s.Want("LMPOP 1 m LEFT COUNT 0", "-ERR count should be greater than 0\n")
	s.Want("LMPOP 1 m LEFT COUNT 1 COUNT 2", "-ERR syntax error\n")
	s.Want("LMPOP 2 none m RIGHT COUNT 5", "*2\n$1\nm\n*2\n$1\nc\n$1\nb\n")
	s.Want("LMPOP 1 m LEFT", "*-1\n")
	s.C.SetProto(3)
	s.Want("LMPOP 1 m LEFT", "_\n")
	s.Want("LPOP m", "_\n")
	s.Want("LPOP m 1", "_\n")
}

func TestListPositions(t *testing.T) {
	s := commandtest.New(t)
	s.Run("RPUSH l a b c 1 2 3 c c")
	s.Want("LPOS l c", ":2\n")
	s.Want("LPOS l 3", ":5\n")
	s.Want("LPOS l d", "$-1\n")
	s.Want("LPOS l d COUNT 0", "*0\n")
	s.Want("LPOS l c COUNT 2", "*2\n:2\n:6\n")
	s.Want("LPOS l c COUNT 0 RANK -1 MAXLEN 2", "*2\n:7\n:6\n")
	s.Want("LPOS l c RANK 2", ":6\n")
	s.Want("LPOS none c", "$-1\n")
	s.Want("LPOS none c COUNT 1", "*0\n")
	s.Want("LPOS l c RANK 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list\n")
	s.Want("LPOS l c COUNT -1", "-ERR COUNT can't be negative\n")
	s.Want("LPOS l c MAXLEN x", "-ERR MAXLEN can't be negative\n")
	s.Want("LPOS l c MAXLEN", "-ERR syntax error\n")
}

func TestListEffects(t *testing.T) {
	s := commandtest.New(t)
	s.Run("RPUSH l a b c d a")
	s.Run("LPUSHX l x y")
	s.Run("LPUSHX none x")
	s.Run("LPOP l")
	s.Run("RPOP l 2")
	s.Run("LTRIM l 0 100")
	s.Run("LTRIM l 1 100")
	s.Run("LREM l 0 zz")
	s.Run("LREM l 0 a")
	s.Run("LSET l 0 q")
	s.Run("LINSERT l BEFORE zz q")
	s.Run("LINSERT l BEFORE q p")
	s.Run("LMOVE l m LEFT RIGHT")
	s.Run("RPOPLPUSH l m")
	s.WantEffects("RPUSH l a b c d a", "LPUSHX l x y", "LPOP l", "RPOP l 2", "LTRIM l 1 100", "LREM l 0 a", "LSET l 0 q", "LINSERT l BEFORE q p",
		"LMOVE l m LEFT RIGHT", "RPOPLPUSH l m")
	s.Run("DEL l m")
	s.Run("RPUSH l a b c d e f g")
	s.Effects = nil
	s.Run("LMPOP 2 none l LEFT COUNT 2")
	s.Run("LMPOP 1 l RIGHT")
	s.Run("BLPOP none l 1")
	s.Run("BRPOP l 0")
	s.Run("BLMOVE l m LEFT RIGHT 0")
	s.Run("BRPOPLPUSH l m 0")
	s.Run("BLMPOP 0 2 l m RIGHT COUNT 9")
	s.Run("BLMPOP 0 1 none LEFT")
	s.WantEffects("LPOP l 2", "RPOP l 1", "LPOP l", "RPOP l", "LMOVE l m LEFT RIGHT", "RPOPLPUSH l m", "RPOP m 2")
	s.Run("RPUSH l 3 1 2")
	s.Run("SORT l")
	s.Run("SORT l STORE l")
	s.Run("SORT none STORE none")
	s.Run("SORT none STORE l")
	s.WantEffects("RPUSH l 3 1 2", "SORT l STORE l", "SORT none STORE l")
}

// A list of either form does what a slice does.
func TestListRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	s := commandtest.New(t)
	s.Run("CONFIG SET list-max-listpack-size 8")
	model := map[string][]string{}
	keys := []string{"a", "b", "c"}
	elem := func() string {
		if r.IntN(3) == 0 {
			return strconv.Itoa(r.IntN(5))
		}
		return strings.Repeat(string(rune('a'+r.IntN(3))), 1+r.IntN(40))
	}
	steps := 10_000
	if testing.Short() {
		steps = 2000
	}
	for i := range steps {
		k := keys[r.IntN(len(keys))]
		l := model[k]
		switch r.IntN(8) {
		case 0, 1:
			e := elem()
			s.Do("RPUSH", k, e, "x")
			model[k] = append(l, e, "x")
		case 2:
			e := elem()
			s.Do("LPUSH", k, e)
			model[k] = append([]string{e}, l...)
		case 3:
			n := r.IntN(9)
			s.Do("LPOP", k, strconv.Itoa(n))
			model[k] = l[min(n, len(l)):]
		case 4:
			n := r.IntN(4)
			s.Do("RPOP", k, strconv.Itoa(n))
			model[k] = l[:max(0, len(l)-n)]
		case 5:
			to := keys[r.IntN(len(keys))]
			s.Do("LMOVE", k, to, "LEFT", "RIGHT")
			if len(l) > 0 {
				model[k] = l[1:]
				model[to] = append(model[to][:len(model[to]):len(model[to])], l[0])
			}
		case 6:
			if len(l) > 0 {
				at, e := r.IntN(len(l)), elem()
				s.Do("LSET", k, strconv.Itoa(at), e)
				model[k] = append(append(append([]string{}, l[:at]...), e), l[at+1:]...)
			}
		case 7:
			e, n := elem(), 0
			var out []string
			for _, v := range l {
				if v == e && n < 2 {
					n++
				} else {
					out = append(out, v)
				}
			}
			s.Do("LREM", k, "2", e)
			model[k] = out
		}
		if got := s.Do("LRANGE", k, "0", "-1"); got != commandtest.Bulks(model[k]...) {
			t.Fatalf("step %d: %s is %q, want %q", i, k, got, model[k])
		}
		s.Effects = nil
	}
	if err := s.Keyspace.Check(); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		s.Run("DEL " + k)
	}
	if m := s.Keyspace.Memory(false); m.Objects != 0 {
		t.Errorf("%d bytes of Objects are left of no lists", m.Objects)
	}
}

// Long replies come from the background, and say the same.
func TestListLong(t *testing.T) {
	s := commandtest.New(t)
	var all []string
	for i := range 4 * command.LongRead {
		all = append(all, strconv.Itoa(i))
	}
	s.Do(append([]string{"RPUSH", "l"}, all...)...)
	s.C.Conn = commandtest.NewConn()
	s.Effects = nil
	for _, c := range []struct{ line, want string }{
		{"LRANGE l 0 -1", commandtest.Bulks(all...)},
		{"LPOS l 29999", ":29999\r\n"},
		{"SORT l LIMIT 5 1", commandtest.Bulks("5")},
		{"LPOP l 20000", commandtest.Bulks(all[:2*command.LongRead]...)},
		{"LMPOP 1 l LEFT COUNT 100000", "*2\r\n$1\r\nl\r\n" + commandtest.Bulks(all[2*command.LongRead:]...)},
	} {
		if got := s.Run(c.line); got != "" {
			t.Errorf("%s replied %d bytes at once", c.line, len(got))
		}
		if got := s.C.Conn.(*commandtest.Conn).Wait(t); got != c.want {
			t.Errorf("%s replied %d bytes, want %d", c.line, len(got), len(c.want))
		}
	}
	s.Want("LLEN l", ":0\n")
	s.WantEffects("LPOP l 20000", "LPOP l 20000")
	s.C.Conn = nil
	s.Do(append([]string{"RPUSH", "l"}, all...)...)
	s.Run("MULTI")
	s.Run("LPOP l 20000")
	if got, want := s.Run("EXEC"), "*1\r\n"+commandtest.Bulks(all[:2*command.LongRead]...); got != want {
		t.Errorf("LPOP inside EXEC replied %d bytes, want %d", len(got), len(want))
	}
}

func TestListAllocations(t *testing.T) {
	s := commandtest.New(t)
	s.Keyspace.Journal.Detach(s)
	s.X.SetTime(s.Now)
	args := func(line string) (out [][]byte) {
		for _, w := range strings.Fields(line) {
			out = append(out, []byte(w))
		}
		return
	}
	var w wire.Writer
	for _, size := range []int{20, 5000} {
		s.Run("DEL l")
		for range size {
			s.Run("RPUSH l abcdefghij")
		}
		for _, line := range []string{"LPUSH l abcdefghij", "RPOP l", "LRANGE l 0 10", "LINDEX l 5", "LMOVE l l LEFT RIGHT", "LPOP l 1"} {
			a, back := args(line), args("RPUSH l abcdefghij")
			n := testing.AllocsPerRun(1000, func() {
				w.Buf = w.Buf[:0]
				s.X.Run(s.C, a, &w)
				s.X.Run(s.C, back, &w)
			})
			if n >= 1 {
				t.Errorf("%s on %d elements allocates %v times", line, size, n)
			}
		}
	}
}
