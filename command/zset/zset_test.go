package zset_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"kvd/command"
	"kvd/command/commandtest"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// putSet puts a plain set at a key.
func putSet(s *commandtest.Server, key string, members ...string) {
	s.T.Helper()
	set := types.Set{Limits: types.DefaultSetLimits}
	for _, m := range members {
		set.Add([]byte(m))
	}
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	tx := s.Keyspace.TxOn(0)
	k := keyspace.MakeKey([]byte(key))
	enc, packed, obj := set.Stored()
	if obj != nil {
		tx.PutObject(&k, types.TSet, enc, obj, 0)
	} else {
		tx.Put(&k, types.TSet, enc, packed, 0)
	}
}

func TestZAdd(t *testing.T) {
	s := commandtest.New(t)
	s.Want("zadd z 1 a 2 b", ":2\n")
	s.Want("zadd z 1 a 3 b 4 c", ":1\n")
	s.Want("zadd z ch 1 a 4 b 5 d", ":2\n")
	s.Want("zrange z 0 -1 withscores", "*8\n$1\na\n$1\n1\n$1\nb\n$1\n4\n$1\nc\n$1\n4\n$1\nd\n$1\n5\n")
	s.WantEffects("zadd z 1 a 2 b", "zadd z 1 a 3 b 4 c", "zadd z ch 1 a 4 b 5 d")

	s.Want("zadd z nx 9 a 9 e", ":1\n")
	s.Want("zadd z xx ch 0 a 9 f", ":1\n")
	s.Want("zadd z gt ch -1 a 0.1 a 10 g", ":2\n")
	s.Want("zadd z lt xx 5 a", ":0\n")
	s.Want("zadd z incr 0.2 a", "$19\n0.30000000000000004\n")
	s.Want("zincrby z 0 a", "$19\n0.30000000000000004\n")
	s.Want("zadd z nx incr 1 a", "$-1\n")
	s.Want("zadd z gt incr 0 a", "$-1\n")
	s.Want("zadd z lt incr 1 a", "$-1\n")
	s.Want("zadd none xx 1 a", ":0\n")
	s.Want("zadd none xx incr 1 a", "$-1\n")
	s.Want("zincrby fresh 2.5 m", "$3\n2.5\n")
	s.Want("exists none", ":0\n")
	s.WantEffects("ZADD z 9 e", "ZADD z 0 a", "ZADD z 0.1 a 10 g", "ZADD z 0.30000000000000004 a", "ZADD fresh 2.5 m")

	s.Want("zadd z inf i", ":1\n")
	s.Effects = nil
	s.Run("set str x")
	s.Effects = nil
	for line, text := range map[string]string{
		"zadd z 1 a 2":           "ERR syntax error",
		"zadd z nx ch":           "ERR syntax error",
		"zadd z nx xx 1 a":       "ERR XX and NX options at the same time are not compatible",
		"zadd z gt lt 1 a":       "ERR GT, LT, and/or NX options at the same time are not compatible",
		"zadd z incr 1 a 2 b":    "ERR INCR option supports a single increment-element pair",
		"zadd z 1 a nan b":       "ERR value is not a valid float",
		"zadd str x a":           "ERR value is not a valid float",
		"zadd str 1 a":           command.ErrWrongType,
		"zincrby z -inf i":       "ERR resulting score is not a number (NaN)",
		"zpopmin z -1":           command.ErrNotPositive,
		"zrank z a junk":         "ERR syntax error",
		"zmpop 0 z min":          "ERR numkeys should be greater than 0",
		"zmpop 1 z min count 0":  "ERR count should be greater than 0",
		"zunion 0 z":             "ERR at least 1 input key is needed for 'zunion' command",
		"zunion 2 z":             "ERR syntax error",
		"zunion 1 str foo":       command.ErrWrongType,
		"zunion 1 z weights x":   "ERR weight value is not a float",
		"zintercard 1 z limit x": "ERR LIMIT can't be negative",
	} {
		s.Want(line, "-"+text+"\n")
	}
	s.WantEffects()
}

func TestZSetReads(t *testing.T) {
	s := commandtest.New(t)
	s.Run("zadd z 1 a 2 b 3.5 c")
	s.Want("zscore z c", "$3\n3.5\n")
	s.Want("zmscore z a no", "*2\n$1\n1\n$-1\n")
	s.Want("zmscore no a", "*1\n$-1\n")
	s.Want("zrank z b", ":1\n")
	s.Want("zrevrank z a withscore", "*2\n:2\n$1\n1\n")
	s.Want("zrank z no", "$-1\n")
	s.Want("zrank z no withscore", "*-1\n")
	s.Want("zcard z", ":3\n")
	s.Want("zrandmember no", "$-1\n")
	s.Want("zrandmember z 0", "*0\n")
	s.Want("zscan z 0 match [ac]", "*2\n$1\n0\n*4\n$1\na\n$1\n1\n$1\nc\n$3\n3.5\n")
	s.Want("zrange z (1 inf byscore limit 1 5", "*1\n$1\nc\n")
	s.Want("zrangebyscore z 0x1 1e400 withscores limit 0 1", "*2\n$1\na\n$1\n1\n")
	s.Want("zrange z 0 0 limit 0 1", "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX\n")
	s.Want("zcount z (1 3", ":1\n")
	s.Want("zcount z -1e5000 1e5000", ":3\n")
	s.Want("zcount z (0x1p99999 1e99999999999", ":0\n")
	s.Want("zcount z 1e x", "-ERR min or max is not a float\n")
	s.Want("zlexcount z [b +", ":2\n")
	s.Run("hello 3")
	s.Want("zrange z 0 0 withscores", "*1\n*2\n$1\na\n,1\n")
	s.Want("zrandmember z 3 withscores", "*3\n*2\n$1\na\n,1\n*2\n$1\nb\n,2\n*2\n$1\nc\n,3.5\n")
	s.Want("zunion 1 z withscores", "*3\n*2\n$1\na\n,1\n*2\n$1\nb\n,2\n*2\n$1\nc\n,3.5\n")
	s.Want("zpopmin z", "*2\n$1\na\n,1\n")
	s.Want("zpopmin z 1", "*1\n*2\n$1\nb\n,2\n")
	s.Want("bzpopmin z 0", "*3\n$1\nz\n$1\nc\n,3.5\n")
	s.Want("zscore z a", "_\n")
	s.Want("bzpopmin z 0", "_\n") // as in EXEC, since there is no connection
}

func TestZSetRemovals(t *testing.T) {
	s := commandtest.New(t)
	s.Run("zadd z 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h")
	s.Effects = nil
	s.Want("zrem z no", ":0\n")
	s.Want("zrem z a no b", ":2\n")
	s.Want("zremrangebyscore z (3 (5", ":1\n")
	s.Want("zremrangebyscore z 30 50", ":0\n")
	s.Want("zremrangebyrank z -1 -1", ":1\n")
	s.Want("zremrangebylex z [c [c", ":1\n")
	s.Want("zpopmax z", "*2\n$1\ng\n$1\n7\n")
	s.Want("zpopmin z 0", "*0\n")
	s.Want("zmpop 2 no z max count 5", "*2\n$1\nz\n*2\n*2\n$1\nf\n$1\n6\n*2\n$1\ne\n$1\n5\n")
	s.Want("zmpop 2 no z max", "*-1\n")
	s.Want("exists z", ":0\n")
	s.WantEffects("zrem z a no b", "zremrangebyscore z (3 (5", "zremrangebyrank z -1 -1", "zremrangebylex z [c [c", "zpopmax z", "ZPOPMAX z 2")
}

func TestZSetStores(t *testing.T) {
	s := commandtest.New(t)
	s.Run("zadd x 1 a 2 b 3 c")
	s.Run("zadd y 10 b 20 c 30 d")
	putSet(s, "s", "c", "d", "7")
	s.Run("set dst text px 100000")
	s.Effects = nil
	s.Want("zunionstore dst 3 x y s weights 1 2 3 aggregate max", ":5\n")
	s.Want("zrange dst 0 -1 withscores", "*10\n$1\na\n$1\n1\n$1\n7\n$1\n3\n$1\nb\n$2\n20\n$1\nc\n$2\n40\n$1\nd\n$2\n60\n")
	s.Want("pttl dst", ":-1\n")
	s.Want("zinterstore x 3 x y s", ":1\n") // a source is the destination
	s.Want("zrange x 0 -1 withscores", "*2\n$1\nc\n$2\n24\n")
	s.Want("zdiffstore y 2 y s", ":1\n")
	s.Want("zrange y 0 -1 withscores", "*2\n$1\nb\n$2\n10\n")
	s.Want("zdiffstore y 2 y y", ":0\n")
	s.Want("exists y", ":0\n")
	s.Want("zdiffstore y 2 y y", ":0\n")
	s.Want("zrangestore dst dst 1 2", ":2\n")
	s.Want("zrangestore dst dst -inf 5 byscore limit 0 1", ":1\n")
	s.Want("zrangestore y no 0 -1", ":0\n")
	s.WantEffects("zunionstore dst 3 x y s weights 1 2 3 aggregate max", "zinterstore x 3 x y s", "zdiffstore y 2 y s", "zdiffstore y 2 y y",
		"zrangestore dst dst 1 2", "zrangestore dst dst -inf 5 byscore limit 0 1")

	// What Redis 7.0 does not know is journaled as what came of it.
	s.Want("zunionstore dst 2 x s weights 2 3 aggregate count", ":3\n")
	s.Want("zinterstore x 2 dst no aggregate count", ":0\n")
	s.WantEffects("MULTI", "DEL dst", "ZADD dst 3 7 3 d 5 c", "EXEC", "DEL x")
}

// TestZSetEncoding: the limits decide, and so does what an entry holds.
func TestZSetEncoding(t *testing.T) {
	s := commandtest.New(t)
	s.Run("config set zset-max-listpack-entries 3")
	s.Run("config set zset-max-listpack-value 5")
	s.Run("zadd z 1 a 2 b 3 c")
	s.Want("object encoding z", "$8\nlistpack\n")
	s.Want("zunionstore u 2 z z", ":3\n")
	s.Want("object encoding u", "$8\nlistpack\n")
	s.Run("zadd z 4 d")
	s.Want("object encoding z", "$8\nskiplist\n")
	s.Run("zadd y 1 abcdef")
	s.Want("object encoding y", "$8\nskiplist\n")
	s.Want("zrangestore u z 0 2", ":3\n")
	s.Want("object encoding u", "$8\nlistpack\n")

	s.Run("config set zset-max-listpack-entries 1000000")
	s.Run("config set zset-max-listpack-value 1000000")
	long := strings.Repeat("x", 70_000)
	if got := s.Do("zadd", "one", "1", long); got != ":1\r\n" {
		t.Error(got)
	}
	for i := range 3000 {
		s.Do("zadd", "many", "1", fmt.Sprintf("member-number-%d", i))
	}
	s.Want("object encoding many", "$8\nskiplist\n")
	s.Want("zcard many", ":3000\n")
	s.Run("zrangestore u many 0 -1")
	s.Want("object encoding u", "$8\nskiplist\n")
	// Scores alone make it grow, too.
	for i := range 4500 {
		s.Do("zadd", "grow", "1", fmt.Sprintf("%d", i+1_000_000))
	}
	s.Want("object encoding grow", "$8\nlistpack\n")
	for i := range 4500 {
		s.Do("zadd", "grow", fmt.Sprintf("%d.0123456789123", i), fmt.Sprintf("%d", i+1_000_000))
	}
	s.Want("object encoding grow", "$8\nskiplist\n")
	s.Want("zcard grow", ":4500\n")
	s.Want("zscore grow 1004000", "$18\n4000.0123456789124\n")
}

// TestZSetWatch: what changes nothing is no change to those who watch.
func TestZSetWatch(t *testing.T) {
	s := commandtest.New(t)
	s.Run("zadd z 1 a 2 b")
	other := s.NewClient(nil, "", "", 0)
	mine := s.C
	for _, test := range []struct {
		line    string
		changes bool
	}{
		{"zadd z 1 a", false}, {"zadd z nx 5 a", false}, {"zadd z gt 0 a", false}, {"zrem z no", false},
		{"zremrangebyscore z 7 9", false}, {"zremrangebylex z (x +", false}, {"zpopmin z 0", false}, {"zincrby z 0 a", false},
		{"zadd z 1 no 3 a", true}, {"zadd z xx 4 a", true}, {"zrem z x a", true}, {"zpopmin z", true}, {"zrangestore z no 0 1", true},
	} {
		s.Run("watch z")
		s.C = other
		s.Run(test.line)
		s.C = mine
		s.Run("multi")
		want := "*0\r\n"
		if test.changes {
			want = "*-1\r\n"
		}
		if got := s.Run("exec"); got != want {
			t.Errorf("after %s EXEC says %q", test.line, got)
		}
	}
}

// TestZSetLongReads: what takes long is read from a copy.
func TestZSetLongReads(t *testing.T) {
	s := commandtest.New(t)
	args := []string{"zadd", "big"}
	for i := range 30_000 {
		args = append(args, strconv.Itoa(i%7_000), fmt.Sprintf("m%d", i))
	}
	s.Do(args...)
	s.Run("zadd small 1 m5 2 m6 3 m7")
	members := []string{}
	for i := range 12_000 {
		members = append(members, strconv.Itoa(i*1000))
	}
	putSet(s, "set", append(members, "m5", "m6")...)
	direct := s.C
	conn := commandtest.NewConn()
	parked := s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 5)
	for line, background := range map[string]bool{
		"zrange big 0 -1 withscores":                  true,
		"zrange big 100 200":                          false,
		"zrange big (100 6000 byscore":                true,
		"zrange big (100 6000 byscore limit 20000 9":  false,
		"zrevrangebyscore big 500 400":                false,
		"zunion 2 small big":                          true,
		"zinter 3 small big set weights 2 3 4":        true,
		"zintercard 2 big set":                        true,
		"zintercard 2 big big limit 9":                false,
		"zintercard 2 big set limit 9":                true, // two in common
		"zdiff 2 small set withscores":                true,
		"zscan big 0 count 20000":                     true,
		"zscan big 0 count 20":                        false,
		"zrange small 0 -1":                           false,
		"zrandmember big 30000 withscores":            true,
		"zrangebyscore big 1e9 inf withscores":        false,
		"zrevrangebylex big + - limit 5 12000":        true,
		"zrangebyscore big -inf inf limit 29999 9999": false,
	} {
		s.C = direct
		want := s.Run(line)
		s.C = parked
		got := s.Run(line)
		if background != (got == "") {
			t.Errorf("%s: in the background? %v", line, got == "")
			continue
		}
		if background {
			got = conn.Wait(t)
		}
		if got != want {
			t.Errorf("%s: %.60q parked, %.60q at once", line, got, want)
		}
	}
	s.C = parked
	if got := s.Run("zrandmember small -20000"); got != "" || !strings.HasPrefix(conn.Wait(t), "*20000\r\n$2\r\nm") {
		t.Errorf("20000 of a few members: %.40q", got)
	}
}

// TestZSetReplay: what is journaled leads to the same contents.
func TestZSetReplay(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s, follower := commandtest.New(t), commandtest.New(t)
	keys := []string{"a", "b", "c"}
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	score := func() string {
		return pick(strconv.Itoa(r.IntN(9)), fmt.Sprint(r.Float64()), "inf", "-inf", "-0", "1e18")
	}
	member := func() string { return "m" + strconv.Itoa(r.IntN(200)) }
	for _, x := range []*commandtest.Server{s, follower} {
		putSet(x, "set", "m1", "m2", "m3", "77")
		x.Run("config set zset-max-listpack-entries 40")
	}
	s.Effects = nil
	for range 4000 {
		k := pick(keys...)
		switch r.IntN(12) {
		case 0, 1, 2, 3:
			line := "zadd " + k + pick("", "", " nx", " xx", " gt", " lt", " ch", " xx gt")
			for range 1 + r.IntN(6) {
				line += " " + score() + " " + member()
			}
			s.Run(line)
		case 4:
			s.Run("zincrby " + k + " " + score() + " " + member())
		case 5:
			s.Run("zmpop 2 " + k + " " + pick(keys...) + pick(" min", " max") + " count " + strconv.Itoa(1+r.IntN(8)))
		case 6:
			s.Run(pick("zpopmin ", "zpopmax ", "bzpopmin ", "bzpopmax ") + k + " 0.5")
		case 7:
			s.Run("zrem " + k + " " + member() + " " + member())
		case 8:
			s.Run("zremrangebyrank " + k + " 0 " + strconv.Itoa(r.IntN(4)))
		case 9:
			s.Run("zrangestore " + k + " " + pick(keys...) + " -inf " + score() + " byscore")
		default:
			s.Run(pick("zunionstore ", "zinterstore ") + k + " 3 " + pick(keys...) + " " + pick(keys...) + " " + pick("set", "a", "none") +
				" weights 1 2 " + score() + " aggregate " + pick("sum", "min", "max", "count"))
		}
	}
	if len(s.Effects) < 500 {
		t.Fatalf("only %d effects", len(s.Effects))
	}
	for _, e := range s.Effects {
		if reply := follower.Run(e); strings.HasPrefix(reply, "-") {
			t.Fatalf("%s: %s", e, reply)
		}
	}
	for _, k := range keys {
		for _, line := range []string{"zrange " + k + " 0 -1 withscores", "object encoding " + k} {
			if a, b := s.Run(line), follower.Run(line); a != b {
				t.Errorf("%s:\n%q\nreplayed:\n%q", line, a, b)
			}
		}
	}
}

func TestZSetBlocking(t *testing.T) {
	s := commandtest.New(t)
	first := s.Block("bzpopmin a b 0")
	second := s.Block("bzmpop 0 2 b a max count 2")
	third := s.Block("bzpopmax a 0")
	s.Run("set a text")
	s.Run("del a")
	first.WantNothing()
	s.Effects = nil
	s.Want("zadd a 1 x 2 y 3 z 4 w", ":4\n")
	first.Want("*3\n$1\na\n$1\nx\n$1\n1\n")
	second.Want("*2\n$1\na\n*2\n*2\n$1\nw\n$1\n4\n*2\n$1\nz\n$1\n3\n")
	third.Want("*3\n$1\na\n$1\ny\n$1\n2\n")
	s.Want("exists a", ":0\n")
	s.WantEffects("zadd a 1 x 2 y 3 z 4 w", "ZPOPMIN a", "ZPOPMAX a 2", "ZPOPMAX a")

	// A destination becomes ready, too; a list does not.
	b := s.Block("bzpopmin d 0")
	s.Run("rpush d x")
	b.WantNothing()
	s.Run("zadd src 5 m 6 n")
	s.Effects = nil
	s.Want("zrangestore d src 0 0", ":1\n")
	b.Want("*3\n$1\nd\n$1\nm\n$1\n5\n")
	b = s.Block("bzmpop 0 1 d min")
	s.Want("zunionstore d 1 src", ":2\n")
	b.Want("*2\n$1\nd\n*1\n*2\n$1\nm\n$1\n5\n")
	s.WantEffects("zrangestore d src 0 0", "ZPOPMIN d", "zunionstore d 1 src", "ZPOPMIN d 1")

	// At once, where there is something; the effect is the same.
	s.Want("bzpopmax none src 0", "*3\n$3\nsrc\n$1\nn\n$1\n6\n")
	s.Want("bzmpop 0 2 none src min count 9", "*2\n$3\nsrc\n*1\n*2\n$1\nm\n$1\n5\n")
	s.WantEffects("ZPOPMAX src", "ZPOPMIN src 1")

	mine, late := s.C, commandtest.NewConn()
	s.C = s.NewClient(late, "127.0.0.1:1", "127.0.0.1:2", 4)
	s.Want("bzpopmin none 0.01", "")
	if got := late.Wait(t); got != "*-1\r\n" {
		t.Errorf("after its time it got %q", got)
	}
	s.C = mine
	s.Want("bzpopmin d -1", "-ERR timeout is negative\n")
	s.Want("bzmpop x 0 d min", "-ERR numkeys should be greater than 0\n")
}

// TestZSetAllocations: what is done all the time leaves no garbage.
func TestZSetAllocations(t *testing.T) {
	s := commandtest.New(t)
	h := s.Keyspace.LockAll()
	s.Keyspace.Journal.Detach(s)
	s.Keyspace.Unlock(&h)
	args := func(line, key string) (out [][]byte) {
		for _, w := range strings.Fields(strings.ReplaceAll(line, "KEY", key)) {
			out = append(out, []byte(w))
		}
		return out
	}
	for _, size := range []int{20, 5000} {
		key := "z" + strconv.Itoa(size)
		for i := range size {
			s.Do("zadd", key, strconv.Itoa(i), "member:"+strconv.Itoa(i))
		}
		for _, test := range []struct{ line, back string }{
			{"zadd KEY 3 member:3", ""}, {"zadd KEY 0.25 member:7", "zadd KEY 9 member:7"}, {"zincrby KEY 1.5 member:5", ""},
			{"zadd KEY 8 member:more", "zrem KEY member:more"}, {"zpopmin KEY", "zadd KEY 0 member:0"},
			{"zscore KEY member:5", ""}, {"zrank KEY member:5", ""}, {"zcard KEY", ""}, {"zcount KEY 2 9", ""},
			{"zrange KEY 3 8", ""}, {"zrange KEY 3 8 withscores", ""}, {"zrangebyscore KEY 3 8", ""}, {"zrevrange KEY 0 5", ""},
			{"zrem KEY no", ""}, {"zscan KEY 0", ""},
		} {
			there, back := args(test.line, key), args(test.back, key)
			s.X.SetTime(s.Now)
			var w wire.Writer
			n := testing.AllocsPerRun(200, func() {
				w.Buf = w.Buf[:0]
				s.X.Run(s.C, there, &w)
				if len(back) > 0 {
					s.X.Run(s.C, back, &w)
				}
			})
			if n > 0 || len(w.Buf) == 0 || w.Buf[0] == '-' {
				t.Errorf("%d members: %s, %s: %v allocations, reply %.40q", size, test.line, test.back, n, w.Buf)
			}
		}
	}
}
