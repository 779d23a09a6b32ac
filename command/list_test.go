package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

func bulks(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// wantList compares a whole list.
func (s *testServer) wantList(key string, want ...string) {
	s.t.Helper()
	if got := s.do("LRANGE", key, "0", "-1"); got != bulks(want...) {
		s.t.Errorf("%s is %q, want %q", key, got, want)
	}
}

func TestListReplies(t *testing.T) {
	s := newTestServer(t)
	s.want("RPUSH l a b c", ":3\n")
	s.want("LPUSH l 1 2", ":5\n")
	s.wantList("l", "2", "1", "a", "b", "c")
	s.want("LPUSHX none a", ":0\n")
	s.want("RPUSHX l d", ":6\n")
	s.want("LLEN l", ":6\n")
	s.want("LLEN none", ":0\n")
	s.want("LINDEX l -1", "$1\nd\n")
	s.want("LINDEX l 0", "$1\n2\n")
	s.want("LINDEX l 6", "$-1\n")
	s.want("LINDEX l x", "-ERR value is not an integer or out of range\n")
	s.want("LINDEX none x", "$-1\n")
	s.want("LSET none x y", "-ERR no such key\n")
	s.want("LSET l x y", "-ERR value is not an integer or out of range\n")
	s.want("LSET l 9 y", "-ERR index out of range\n")
	s.want("LSET l -2 yy", "+OK\n")
	s.want("LINSERT l x a b", "-ERR syntax error\n")
	s.want("LINSERT none BEFORE a b", ":0\n")
	s.want("LINSERT l before zz b", ":-1\n")
	s.want("LINSERT l AFTER a A", ":7\n")
	s.want("LINSERT l BEFORE 2 0", ":8\n")
	s.wantList("l", "0", "2", "1", "a", "A", "b", "yy", "d")
	s.want("LTRIM l 1 -2", "+OK\n")
	s.wantList("l", "2", "1", "a", "A", "b", "yy")
	s.want("LPOP l", "$1\n2\n")
	s.want("RPOP l 2", "*2\n$2\nyy\n$1\nb\n")
	s.want("LPOP l 0", "*0\n")
	s.want("LPOP l -1", "-ERR value is out of range, must be positive\n")
	s.want("LPOP l x", "-ERR value is out of range, must be positive\n")
	s.want("LPOP l 1 1", "-ERR wrong number of arguments for 'lpop' command\n")
	s.want("LPOP none", "$-1\n")
	s.want("LPOP none 0", "*-1\n")
	s.want("LPOP l 10", "*3\n$1\n1\n$1\na\n$1\nA\n")
	s.want("LLEN l", ":0\n")
	s.want("RPUSH l a b a c a", ":5\n")
	s.want("LREM l x a", "-ERR value is not an integer or out of range\n")
	s.want("LREM l -2 a", ":2\n")
	s.wantList("l", "a", "b", "c")
	s.want("LREM l 0 a", ":1\n")
	s.want("LREM none 0 a", ":0\n")
	s.want("LMOVE l m LEFT up", "-ERR syntax error\n")
	s.want("LMOVE l m LEFT RIGHT", "$1\nb\n")
	s.want("RPOPLPUSH l m", "$1\nc\n")
	s.want("RPOPLPUSH l m", "$-1\n")
	s.wantList("m", "c", "b")
	s.want("RPOPLPUSH m m", "$1\nb\n")
	s.wantList("m", "b", "c")
	s.want("SET str 1", "+OK\n")
	const wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\n"
	for _, line := range []string{
		"LPUSH str a", "RPUSHX str a", "LPOP str", "LPOP str 1", "LLEN str", "LINDEX str 0", "LSET str 0 a", "LRANGE str 0 1", "LTRIM str 0 1",
		"LREM str 1 a", "LINSERT str AFTER a b", "LPOS str a", "RPOPLPUSH m str", "LMOVE str m LEFT LEFT", "LMPOP 2 none str LEFT", "BLPOP str 0", "BLMOVE m str LEFT LEFT 0",
	} {
		s.want(line, wrong)
	}
	s.wantList("m", "b", "c")
	s.want("LMPOP 0 m LEFT", "-ERR numkeys should be greater than 0\n")
	s.want("LMPOP 2 m LEFT", "-ERR syntax error\n")
	s.want("LMPOP 1 m LEFT COUNT", "-ERR syntax error\n")
	s.want("LMPOP 1 m LEFT COUNT 0", "-ERR count should be greater than 0\n")
	s.want("LMPOP 1 m LEFT COUNT 1 COUNT 2", "-ERR syntax error\n")
	s.want("LMPOP 2 none m RIGHT COUNT 5", "*2\n$1\nm\n*2\n$1\nc\n$1\nb\n")
	s.want("LMPOP 1 m LEFT", "*-1\n")
	s.c.SetProto(3)
	s.want("LMPOP 1 m LEFT", "_\n")
	s.want("LPOP m", "_\n")
	s.want("LPOP m 1", "_\n")
}

func TestListPositions(t *testing.T) {
	s := newTestServer(t)
	s.run("RPUSH l a b c 1 2 3 c c")
	s.want("LPOS l c", ":2\n")
	s.want("LPOS l 3", ":5\n")
	s.want("LPOS l d", "$-1\n")
	s.want("LPOS l d COUNT 0", "*0\n")
	s.want("LPOS l c COUNT 2", "*2\n:2\n:6\n")
	s.want("LPOS l c COUNT 0 RANK -1 MAXLEN 2", "*2\n:7\n:6\n")
	s.want("LPOS l c RANK 2", ":6\n")
	s.want("LPOS none c", "$-1\n")
	s.want("LPOS none c COUNT 1", "*0\n")
	s.want("LPOS l c RANK 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list\n")
	s.want("LPOS l c COUNT -1", "-ERR COUNT can't be negative\n")
	s.want("LPOS l c MAXLEN x", "-ERR MAXLEN can't be negative\n")
	s.want("LPOS l c MAXLEN", "-ERR syntax error\n")
}

func TestListEffects(t *testing.T) {
	s := newTestServer(t)
	s.run("RPUSH l a b c d a")
	s.run("LPUSHX l x y")
	s.run("LPUSHX none x")
	s.run("LPOP l")
	s.run("RPOP l 2")
	s.run("LTRIM l 0 100")
	s.run("LTRIM l 1 100")
	s.run("LREM l 0 zz")
	s.run("LREM l 0 a")
	s.run("LSET l 0 q")
	s.run("LINSERT l BEFORE zz q")
	s.run("LINSERT l BEFORE q p")
	s.run("LMOVE l m LEFT RIGHT")
	s.run("RPOPLPUSH l m")
	s.wantEffects("RPUSH l a b c d a", "LPUSHX l x y", "LPOP l", "RPOP l 2", "LTRIM l 1 100", "LREM l 0 a", "LSET l 0 q", "LINSERT l BEFORE q p",
		"LMOVE l m LEFT RIGHT", "RPOPLPUSH l m")
	s.run("DEL l m")
	s.run("RPUSH l a b c d e f g")
	s.effects = nil
	s.run("LMPOP 2 none l LEFT COUNT 2")
	s.run("LMPOP 1 l RIGHT")
	s.run("BLPOP none l 1")
	s.run("BRPOP l 0")
	s.run("BLMOVE l m LEFT RIGHT 0")
	s.run("BRPOPLPUSH l m 0")
	s.run("BLMPOP 0 2 l m RIGHT COUNT 9")
	s.run("BLMPOP 0 1 none LEFT")
	s.wantEffects("LPOP l 2", "RPOP l 1", "LPOP l", "RPOP l", "LMOVE l m LEFT RIGHT", "RPOPLPUSH l m", "RPOP m 2")
	s.run("RPUSH l 3 1 2")
	s.run("SORT l")
	s.run("SORT l STORE l")
	s.run("SORT none STORE none")
	s.run("SORT none STORE l")
	s.wantEffects("RPUSH l 3 1 2", "SORT l STORE l", "SORT none STORE l")
}

// A list of either form does what a slice does.
func TestListRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	s := newTestServer(t)
	s.run("CONFIG SET list-max-listpack-size 8")
	model := map[string][]string{}
	keys := []string{"a", "b", "c"}
	elem := func() string {
		if r.IntN(3) == 0 {
			return strconv.Itoa(r.IntN(5))
		}
		return strings.Repeat(string(rune('a'+r.IntN(3))), 1+r.IntN(40))
	}
	for i := range 10_000 {
		k := keys[r.IntN(len(keys))]
		l := model[k]
		switch r.IntN(8) {
		case 0, 1:
			e := elem()
			s.do("RPUSH", k, e, "x")
			model[k] = append(l, e, "x")
		case 2:
			e := elem()
			s.do("LPUSH", k, e)
			model[k] = append([]string{e}, l...)
		case 3:
			n := r.IntN(9)
			s.do("LPOP", k, strconv.Itoa(n))
			model[k] = l[min(n, len(l)):]
		case 4:
			n := r.IntN(4)
			s.do("RPOP", k, strconv.Itoa(n))
			model[k] = l[:max(0, len(l)-n)]
		case 5:
			to := keys[r.IntN(len(keys))]
			s.do("LMOVE", k, to, "LEFT", "RIGHT")
			if len(l) > 0 {
				model[k] = l[1:]
				model[to] = append(model[to][:len(model[to]):len(model[to])], l[0])
			}
		case 6:
			if len(l) > 0 {
				at, e := r.IntN(len(l)), elem()
				s.do("LSET", k, strconv.Itoa(at), e)
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
			s.do("LREM", k, "2", e)
			model[k] = out
		}
		if got := s.do("LRANGE", k, "0", "-1"); got != bulks(model[k]...) {
			t.Fatalf("step %d: %s is %q, want %q", i, k, got, model[k])
		}
		s.effects = nil
	}
	if err := s.Keyspace.Check(); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		s.run("DEL " + k)
	}
	if m := s.Keyspace.Memory(false); m.Objects != 0 {
		t.Errorf("%d bytes of Objects are left of no lists", m.Objects)
	}
}

// putHash sets a key to a hash of fields and values.
func (s *testServer) putHash(key string, pairs ...string) {
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	v := types.Hash{Limits: types.DefaultHashLimits}
	for i := 0; i < len(pairs); i += 2 {
		v.Set([]byte(pairs[i]), []byte(pairs[i+1]), 0)
	}
	k := keyspace.MakeKey([]byte(key))
	(&Ctx{Tx: *s.Keyspace.TxOn(0), S: s.Server}).replace(&k, &v, types.THash)
}

func TestSort(t *testing.T) {
	s := newTestServer(t)
	s.run("RPUSH l 3 1 2 10")
	s.want("SORT l", strings.ReplaceAll(bulks("1", "2", "3", "10"), "\r\n", "\n"))
	s.want("SORT l DESC LIMIT 1 2", "*2\n$1\n3\n$1\n2\n")
	s.want("SORT l LIMIT 9 2", "*0\n")
	s.want("SORT l LIMIT -5 1", "*1\n$1\n1\n")
	s.want("SORT l LIMIT 0 0", "*0\n")
	s.want("SORT l ALPHA", "*4\n$1\n1\n$2\n10\n$1\n2\n$1\n3\n")
	s.want("SORT l BY nosort", "*4\n$1\n3\n$1\n1\n$1\n2\n$2\n10\n")
	s.want("SORT l BY nosort DESC LIMIT 1 2", "*2\n$1\n2\n$1\n1\n")
	s.run("SET w3 0")
	s.run("SET w1 5.5")
	s.putHash("h1", "f", "7", "g", "8")
	s.want("SORT l BY w* GET # GET h*->f GET none", "*12\n$2\n10\n$-1\n$-1\n$1\n2\n$-1\n$-1\n$1\n3\n$-1\n$-1\n$1\n1\n$1\n7\n$-1\n")
	s.want("SORT l BY h*->f DESC", "*4\n$1\n1\n$1\n3\n$1\n2\n$2\n10\n")
	s.want("SORT l BY h*->f GET h*->g STORE d", ":4\n")
	s.wantList("d", "", "", "", "8")
	s.want("SORT none STORE d", ":0\n")
	s.want("LLEN d", ":0\n")
	s.run("RPUSH l x")
	s.want("SORT l", "-ERR One or more scores can't be converted into double\n")
	s.want("SORT l STORE d", "-ERR One or more scores can't be converted into double\n")
	s.want("SORT l LIMIT x 1", "-ERR value is not an integer or out of range\n")
	s.want("SORT l BY", "-ERR syntax error\n")
	s.want("SORT_RO l STORE d", "-ERR syntax error\n")
	s.want("SORT w1", "-WRONGTYPE Operation against a key holding the wrong kind of value\n")
	s.want("SORT none", "*0\n")
	s.run("SADD s 3 1 2")
	s.want("SORT_RO s DESC", "*3\n$1\n3\n$1\n2\n$1\n1\n")
	s.want("SORT s BY nosort STORE d", ":3\n")
	s.wantList("d", "1", "2", "3")
	s.run("SADD t c a b")
	s.want("SORT t BY none* ALPHA STORE d", ":3\n")
	s.wantList("d", "a", "b", "c")
	s.run("ZADD z 5 a 4 b 3 c")
	s.want("SORT z ALPHA DESC", "*3\n$1\nc\n$1\nb\n$1\na\n")
	s.want("SORT z BY nosort", "*3\n$1\nc\n$1\nb\n$1\na\n")
	s.want("SORT z BY nosort DESC LIMIT 1 1", "*1\n$1\nb\n")
	for text, want := range map[string]bool{" 1": true, "": true, " ": false, "1 ": false, "0x10": true, "inf": true, "nan": false, "1e400": false, "1e-320": false, "1\x00x": true} {
		if _, ok := sortScore([]byte(text)); ok != want {
			t.Errorf("a score of %q: %v", text, ok)
		}
	}
}

// Long replies come from the background, and say the same.
func TestListLong(t *testing.T) {
	s := newTestServer(t)
	s.c.Conn = newFakeConn()
	var all []string
	for i := range 4 * longRead {
		all = append(all, strconv.Itoa(i))
	}
	s.do(append([]string{"RPUSH", "l"}, all...)...)
	s.effects = nil
	for _, c := range []struct{ line, want string }{
		{"LRANGE l 0 -1", bulks(all...)},
		{"LPOS l 29999", ":29999\r\n"},
		{"SORT l LIMIT 5 1", bulks("5")},
		{"LPOP l 20000", bulks(all[:2*longRead]...)},
		{"LMPOP 1 l LEFT COUNT 100000", "*2\r\n$1\r\nl\r\n" + bulks(all[2*longRead:]...)},
	} {
		if got := s.run(c.line); got != "" {
			t.Errorf("%s replied %d bytes at once", c.line, len(got))
		}
		if got := s.c.Conn.(*fakeConn).wait(t); got != c.want {
			t.Errorf("%s replied %d bytes, want %d", c.line, len(got), len(c.want))
		}
	}
	s.want("LLEN l", ":0\n")
	s.wantEffects("LPOP l 20000", "LPOP l 20000")
	s.do(append([]string{"RPUSH", "l"}, all...)...)
	s.run("MULTI")
	s.run("LPOP l 20000")
	if got, want := s.run("EXEC"), "*1\r\n"+bulks(all[:2*longRead]...); got != want {
		t.Errorf("LPOP inside EXEC replied %d bytes, want %d", len(got), len(want))
	}
}

func TestListAllocations(t *testing.T) {
	s := newTestServer(t)
	s.Keyspace.Journal.Detach(s)
	s.x.SetTime(s.now)
	args := func(line string) (out [][]byte) {
		for _, w := range strings.Fields(line) {
			out = append(out, []byte(w))
		}
		return
	}
	var w wire.Writer
	for _, size := range []int{20, 5000} {
		s.run("DEL l")
		for range size {
			s.run("RPUSH l abcdefghij")
		}
		for _, line := range []string{"LPUSH l abcdefghij", "RPOP l", "LRANGE l 0 10", "LINDEX l 5", "LMOVE l l LEFT RIGHT", "LPOP l 1"} {
			a, back := args(line), args("RPUSH l abcdefghij")
			n := testing.AllocsPerRun(1000, func() {
				w.Buf = w.Buf[:0]
				s.x.Run(s.c, a, &w)
				s.x.Run(s.c, back, &w)
			})
			if n >= 1 {
				t.Errorf("%s on %d elements allocates %v times", line, size, n)
			}
		}
	}
}
