package set_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kvd/command/commandtest"
	"kvd/command/set"
	"kvd/resp/wire"
)

// membersOf are the bulks of an array or set, sorted.
func membersOf(t testing.TB, reply string) []string {
	t.Helper()
	parts := strings.Split(strings.TrimSuffix(reply, "\r\n"), "\r\n")
	if len(reply) == 0 || !strings.ContainsRune("*~", rune(reply[0])) || parts[0][1:] != strconv.Itoa((len(parts)-1)/2) {
		t.Fatalf("not a plain array: %.60q", reply)
	}
	var out []string
	for i := 2; i < len(parts); i += 2 {
		out = append(out, parts[i])
	}
	slices.Sort(out)
	return out
}

// wantMembers compares the members that a command line replies with.
func wantMembers(s *commandtest.Server, line string, want ...string) {
	s.T.Helper()
	if got := membersOf(s.T, s.Run(line)); !slices.Equal(got, want) {
		s.T.Errorf("%s: %q, want %q", line, got, want)
	}
}

func TestSetReplies(t *testing.T) {
	s := commandtest.New(t)
	s.Want("SADD s a b a 1", ":3\n")
	s.Want("SADD s a", ":0\n")
	s.Want("SCARD s", ":3\n")
	s.Want("SCARD none", ":0\n")
	s.Want("SISMEMBER s 1", ":1\n")
	s.Want("SISMEMBER s 01", ":0\n")
	s.Want("SISMEMBER none 1", ":0\n")
	s.Want("SMISMEMBER s a x 1", "*3\n:1\n:0\n:1\n")
	s.Want("SMISMEMBER none a", "*1\n:0\n")
	wantMembers(s, "SMEMBERS s", "1", "a", "b")
	s.Want("SMEMBERS none", "*0\n")
	s.Want("SREM s x a a", ":1\n")
	s.Want("SREM none x", ":0\n")
	s.Want("SREM s b 1 2", ":2\n")
	s.Want("EXISTS s", ":0\n")

	s.Run("SADD s a b 1")
	s.Run("SADD ints 1 2 3")
	s.Want("OBJECT ENCODING ints", "$6\nintset\n")
	s.Want("SMOVE s ints x", ":0\n")
	s.Want("SMOVE none ints 1", ":0\n")
	s.Want("SMOVE s s a", ":1\n")
	s.Want("SMOVE s s x", ":0\n")
	s.Want("SMOVE s ints 1", ":1\n")
	s.Want("OBJECT ENCODING ints", "$6\nintset\n")
	s.Want("SMOVE s ints a", ":1\n")
	s.Want("OBJECT ENCODING ints", "$8\nlistpack\n")
	s.Want("SMOVE s new b", ":1\n")
	s.Want("EXISTS s", ":0\n")
	wantMembers(s, "SMEMBERS ints", "1", "2", "3", "a")

	s.Want("SPOP none", "$-1\n")
	s.Want("SPOP none 1", "*0\n")
	s.Want("SPOP new 0", "*0\n")
	s.Want("SPOP new -1", "-ERR value is out of range, must be positive\n")
	s.Want("SPOP new x", "-ERR value is out of range, must be positive\n")
	s.Want("SPOP new x y", "-ERR syntax error\n")
	s.Want("SPOP new", "$1\nb\n")
	s.Want("EXISTS new", ":0\n")
	wantMembers(s, "SPOP ints 9", "1", "2", "3", "a")
	s.Want("EXISTS ints", ":0\n")

	s.Run("SADD one m")
	s.Want("SRANDMEMBER one", "$1\nm\n")
	s.Want("SRANDMEMBER one 9", "*1\n$1\nm\n")
	s.Want("SRANDMEMBER one -2", "*2\n$1\nm\n$1\nm\n")
	s.Want("SRANDMEMBER one 0", "*0\n")
	s.Want("SRANDMEMBER none", "$-1\n")
	s.Want("SRANDMEMBER none -2", "*0\n")
	s.Want("SRANDMEMBER one x", "-ERR value is not an integer or out of range\n")
	s.Want("SRANDMEMBER one 1 1", "-ERR syntax error\n")
	s.Want("SRANDMEMBER none -9223372036854775808", "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\n")
	s.Want("SRANDMEMBER one 9223372036854775807", "*1\n$1\nm\n")
	s.Want("SRANDMEMBER one -9223372036854775807", "-ERR value is out of range\n")

	s.Want("SSCAN one x", "-ERR invalid cursor\n")
	s.Want("SSCAN none 0 BAD", "*2\n$1\n0\n*0\n")
	s.Want("SSCAN one 0 BAD", "-ERR syntax error\n")
	s.Want("SSCAN one 0 COUNT 0", "-ERR syntax error\n")
	s.Want("SSCAN one 0 COUNT x", "-ERR value is not an integer or out of range\n")
	s.Want("SSCAN one 0 MATCH m* COUNT 1", "*2\n$1\n0\n*1\n$1\nm\n")
	s.Want("SSCAN one 0 MATCH x", "*2\n$1\n0\n*0\n")
	s.Run("SADD nums 1 -2 33")
	s.Want("SSCAN nums 0 MATCH 3*", "*2\n$1\n0\n*1\n$2\n33\n")

	s.Run("SET str 1")
	const wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\n"
	for _, line := range []string{
		"SADD str a", "SREM str a", "SCARD str", "SISMEMBER str a", "SMISMEMBER str a", "SMEMBERS str", "SMOVE str one a", "SMOVE one str x", "SPOP str", "SPOP str 0",
		"SRANDMEMBER str", "SRANDMEMBER str 1", "SSCAN str 0 BAD", "SINTER none str", "SUNION one str", "SDIFF none one str", "SINTERSTORE d none str",
		"SUNIONSTORE d str", "SDIFFSTORE d none str", "SINTERCARD 2 none str", "SUNIONCARD 1 str", "SDIFFCARD 2 none str",
	} {
		s.Want(line, wrong)
	}
	s.Want("SMOVE none str x", ":0\n")

	s.C.SetProto(3)
	s.Want("SMEMBERS one", "~1\n$1\nm\n")
	s.Want("SMEMBERS none", "~0\n")
	s.Want("SINTER one one", "~1\n$1\nm\n")
	s.Want("SUNION none", "~0\n")
	s.Want("SPOP none", "_\n")
	s.Want("SPOP none 1", "~0\n")
	s.Want("SRANDMEMBER none", "_\n")
	s.Want("SRANDMEMBER one 1", "*1\n$1\nm\n")
	s.Want("SPOP one 1", "~1\n$1\nm\n")
}

func TestSetAlgebra(t *testing.T) {
	s := commandtest.New(t)
	s.Run("SADD a 1 2 3 x y")
	s.Run("SADD b 2 3 4 y z")
	s.Run("SADD c 3 y")
	wantMembers(s, "SUNION a b none", "1", "2", "3", "4", "x", "y", "z")
	wantMembers(s, "SINTER a b", "2", "3", "y")
	wantMembers(s, "SINTER a b c", "3", "y")
	wantMembers(s, "SINTER a none b")
	wantMembers(s, "SDIFF a b none", "1", "x")
	wantMembers(s, "SDIFF a b a")
	wantMembers(s, "SDIFF none a")
	s.Want("SINTERCARD 2 a b", ":3\n")
	s.Want("SINTERCARD 2 a b LIMIT 2", ":2\n")
	s.Want("SINTERCARD 2 a b limit 0", ":3\n")
	s.Want("SINTERCARD 2 a b LIMIT 1 LIMIT 9", ":3\n")
	s.Want("SINTERCARD 1 a LIMIT 4", ":4\n")
	s.Want("SUNIONCARD 2 a b", ":7\n")
	s.Want("SUNIONCARD 2 a b LIMIT 6", ":6\n")
	s.Want("SUNIONCARD 2 a b APPROX", ":7\n")
	s.Want("SUNIONCARD 2 a b LIMIT 2 APPROX", ":2\n")
	s.Want("SUNIONCARD 2 a b LIMIT 9223372036854775807", ":7\n")
	s.Want("SUNIONCARD 1 none", ":0\n")
	s.Want("SDIFFCARD 2 a b", ":2\n")
	s.Want("SDIFFCARD 2 a b LIMIT 1", ":1\n")
	s.Want("SDIFFCARD 2 a b APPROX", "-ERR syntax error\n")
	for _, name := range []string{"SINTERCARD", "SUNIONCARD", "SDIFFCARD"} {
		s.Want(name+" a", "-ERR wrong number of arguments for '"+strings.ToLower(name)+"' command\n")
		s.Want(name+" a b", "-ERR numkeys should be greater than 0\n")
		s.Want(name+" 0 b", "-ERR numkeys should be greater than 0\n")
		s.Want(name+" 2 b", "-ERR Number of keys can't be greater than number of args\n")
		s.Want(name+" 1 a LIMIT", "-ERR syntax error\n")
		s.Want(name+" 1 a LIMIT -1", "-ERR LIMIT can't be negative\n")
		s.Want(name+" 1 a LIMIT x", "-ERR LIMIT can't be negative\n")
		s.Want(name+" 1 a b", "-ERR syntax error\n")
	}

	s.Run("SET d string EX 100")
	s.Effects = nil
	s.Want("SUNIONSTORE d a b", ":7\n")
	s.Want("TTL d", ":-1\n")
	s.Want("SINTERSTORE d d a c", ":2\n")
	wantMembers(s, "SMEMBERS d", "3", "y")
	s.Want("SDIFFSTORE d d none", ":2\n")
	s.Want("SDIFFSTORE d c d", ":0\n")
	s.Want("EXISTS d", ":0\n")
	s.Want("SINTERSTORE d none a", ":0\n")
	s.WantEffects("SUNIONSTORE d a b", "SINTERSTORE d d a c", "SDIFFSTORE d d none", "SDIFFSTORE d c d")
}

func TestSetEffects(t *testing.T) {
	s := commandtest.New(t)
	s.Run("SADD s a b")
	s.Run("SADD s a")
	s.Run("SADD s a c")
	s.Run("SREM s x")
	s.Run("SREM s a x")
	s.Run("SMOVE s t x")
	s.Run("SMOVE s s b")
	s.Run("SMOVE s t b")
	s.WantEffects("SADD s a b", "SADD s a c", "SREM s a x", "SMOVE s t b")
	s.Run("SPOP s")
	s.Run("SPOP s")
	s.Run("SPOP t 0")
	s.Run("SPOP t 5")
	s.Run("SPOP t 5")
	s.WantEffects("SREM s c", "DEL t")

	for _, entries := range []string{"512", "0"} {
		s.Run("CONFIG SET set-max-intset-entries " + entries)
		s.Run("DEL s")
		s.Run("SADD s 1 2 3 4 5 6 7 8 9")
		s.Effects = nil
		popped := membersOf(t, s.Run("SPOP s 3"))
		if len(s.Effects) != 1 || !strings.HasPrefix(s.Effects[0], "SREM s ") {
			t.Fatalf("effects of SPOP: %q", s.Effects)
		}
		removed := strings.Fields(s.Effects[0])[2:]
		slices.Sort(removed)
		if !slices.Equal(removed, popped) {
			t.Errorf("popped %q, journaled %q", popped, s.Effects)
		}
		for _, m := range popped {
			s.Want("SISMEMBER s "+m, ":0\n")
		}
		s.Want("SCARD s", ":6\n")
	}

	// Many members go in several effects, which are one unit.
	add := []string{"SADD", "many"}
	for i := range 5000 {
		add = append(add, "m"+strconv.Itoa(i))
	}
	for _, n := range []int{2500, 400} {
		s.Run("DEL many")
		s.Do(add...)
		s.Effects = nil
		popped := membersOf(t, s.Run("SPOP many "+strconv.Itoa(n)))
		var removed []string
		for _, e := range s.Effects {
			if strings.HasPrefix(e, "SREM many ") {
				removed = append(removed, strings.Fields(e)[2:]...)
			}
		}
		slices.Sort(removed)
		if len(popped) != n || !slices.Equal(removed, popped) {
			t.Errorf("popped %d, journaled %d", len(popped), len(removed))
		}
		if n > set.SremMembers && (len(s.Effects) != 5 || s.Effects[0] != "MULTI" || s.Effects[4] != "EXEC") {
			t.Errorf("%d effects, of which the first is %.20q", len(s.Effects), s.Effects[0])
		}
	}
}

// TestSetEvents: what happens is told in the order of Redis.
func TestSetEvents(t *testing.T) {
	s := commandtest.New(t)
	events := s.Notices()
	for _, test := range []struct{ line, events string }{
		{"SADD s 1 2", "sadd 0 s"}, {"SADD s 1", ""}, {"SREM s 7", ""}, {"SREM s 1", "srem 0 s"}, {"SREM s 2", "srem 0 s, del 0 s"},
		{"SADD s 1", "sadd 0 s"}, {"SMOVE s t 1", "srem 0 s, del 0 s, sadd 0 t"}, {"SADD s 1 2 3 4", "sadd 0 s"}, {"SMOVE s t 1", "srem 0 s"},
		{"SPOP t", "spop 0 t, del 0 t"}, {"SPOP s 1", "spop 0 s"}, {"SPOP s 9", "spop 0 s, del 0 s"}, {"SADD s 1", "sadd 0 s"},
		{"SUNIONSTORE d s", "sunionstore 0 d"}, {"SINTERSTORE d s", "sinterstore 0 d"}, {"SDIFFSTORE d s", "sdiffstore 0 d"}, {"SDIFFSTORE d s s", "del 0 d"}, {"SDIFFSTORE d s s", ""},
	} {
		*events = nil
		s.Run(test.line)
		if got := strings.Join(*events, ", "); got != test.events {
			t.Errorf("%s: %s, want %s", test.line, got, test.events)
		}
	}
}

// TestSetDigest: the sums are what Redis 7.0.15 answers.
func TestSetDigest(t *testing.T) {
	s := commandtest.New(t)
	s.Run("SADD a 1 2 3")
	s.Run("SADD b x y 1")
	s.Run("SADD c 1")
	s.Run("CONFIG SET set-max-intset-entries 0 set-max-listpack-entries 0")
	s.Run("SADD d x y 1")
	s.Want("OBJECT ENCODING d", "$9\nhashtable\n")
	s.Want("DEBUG DIGEST-VALUE a b c d", "*4\n+2a462a3f51a1db89738ebbeef0c47ce1bbc85246\n+03ee76a1ebe8db27d61b3ea784011d5acc537675\n"+
		"+87d3d0d207b535c2543c55ff5be4ac9e9e36c14d\n+03ee76a1ebe8db27d61b3ea784011d5acc537675\n")
}

// TestSetRandom: sets of every form do what maps do, and what they journal
// leads to the same contents.
func TestSetRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	s, follower := commandtest.New(t), commandtest.New(t)
	for _, x := range []*commandtest.Server{s, follower} {
		x.Run("CONFIG SET set-max-intset-entries 12 set-max-listpack-entries 20 set-max-listpack-value 10")
	}
	model := map[string]map[string]bool{}
	keys := []string{"a", "b", "c", "d"}
	pick := func() string { return keys[r.IntN(len(keys))] }
	member := func() string {
		switch r.IntN(30) {
		case 0:
			return strings.Repeat("long", 4) + strconv.Itoa(r.IntN(4))
		case 1, 2:
			return "m" + strconv.Itoa(r.IntN(40))
		case 3:
			return strconv.Itoa(r.IntN(9) * 1_000_000_007)
		}
		return strconv.Itoa(r.IntN(60) - 5)
	}
	sorted := func(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
	combine := func(op, a, b string) map[string]bool {
		out := map[string]bool{}
		for m := range model[a] {
			if op == "SUNION" || model[b][m] == (op == "SINTER") {
				out[m] = true
			}
		}
		if op == "SUNION" {
			maps.Copy(out, model[b])
		}
		return out
	}
	set := func(k string) map[string]bool {
		if model[k] == nil {
			model[k] = map[string]bool{}
		}
		return model[k]
	}
	replayed, forms := 0, map[string]bool{}
	for step := range 30_000 {
		k := pick()
		m := set(k)
		want, line := "", ""
		switch r.IntN(12) {
		case 0, 1, 2:
			x, y := member(), member()
			before := len(m)
			m[x], m[y] = true, true
			line, want = "SADD "+k+" "+x+" "+y, fmt.Sprintf(":%d\r\n", len(m)-before)
		case 3, 4:
			x, y := member(), member()
			before := len(m)
			delete(m, x)
			delete(m, y)
			line, want = "SREM "+k+" "+x+" "+y, fmt.Sprintf(":%d\r\n", before-len(m))
		case 5:
			x, to := member(), pick()
			line, want = "SMOVE "+k+" "+to+" "+x, ":0\r\n"
			if m[x] {
				want = ":1\r\n"
				delete(m, x)
				set(to)[x] = true
			}
		case 6:
			n := r.IntN(12)
			line = fmt.Sprintf("SPOP %s %d", k, n)
			reply := s.Run(line)
			got := membersOf(t, reply)
			if len(got) != min(n, len(m)) {
				t.Fatalf("step %d: %s of %d: %q", step, line, len(m), got)
			}
			for _, x := range got {
				if !m[x] {
					t.Fatalf("step %d: %s gave %q", step, line, x)
				}
				delete(m, x)
			}
			line = ""
		case 7:
			if len(m) > 0 {
				x := strings.Split(s.Run("SPOP "+k), "\r\n")[1]
				if !m[x] {
					t.Fatalf("step %d: SPOP gave %q", step, x)
				}
				delete(m, x)
			}
		case 8:
			if r.IntN(20) == 0 {
				line, want = "DEL "+k, ":0\r\n"
				if len(m) > 0 {
					want = ":1\r\n"
				}
				model[k] = nil
			}
		case 9:
			op, a, b := []string{"SUNION", "SINTER", "SDIFF"}[r.IntN(3)], pick(), pick()
			out := combine(op, a, b)
			if got := membersOf(t, s.Run(op+" "+a+" "+b)); !slices.Equal(got, sorted(out)) {
				t.Fatalf("step %d: %s %s %s: %q, want %q", step, op, a, b, got, sorted(out))
			}
			line, want = op+"CARD 2 "+a+" "+b+" LIMIT 7", fmt.Sprintf(":%d\r\n", min(7, len(out)))
		case 10:
			op, a, b := []string{"SUNION", "SINTER", "SDIFF"}[r.IntN(3)], pick(), pick()
			out := combine(op, a, b)
			line, want = op+"STORE "+k+" "+a+" "+b, fmt.Sprintf(":%d\r\n", len(out))
			model[k] = out
		case 11:
			n := r.IntN(30) - 10
			got := membersOf(t, s.Run(fmt.Sprintf("SRANDMEMBER %s %d", k, n)))
			for _, x := range got {
				if !m[x] {
					t.Fatalf("step %d: SRANDMEMBER gave %q", step, x)
				}
			}
			if n < 0 && len(m) > 0 && len(got) != -n || n >= 0 && len(slices.Compact(got)) != min(n, len(m)) {
				t.Fatalf("step %d: SRANDMEMBER %d of %d gave %q", step, n, len(m), got)
			}
		}
		if line != "" {
			if got := s.Run(line); got != want {
				t.Fatalf("step %d: %s: %q, want %q", step, line, got, want)
			}
		}
		for _, e := range s.Effects {
			replayed++
			if reply := follower.Run(e); reply[0] == '-' {
				t.Fatalf("%s: %s", e, reply)
			}
		}
		s.Effects, follower.Effects = nil, nil
		for _, x := range []*commandtest.Server{s, follower} {
			if got := membersOf(t, x.Run("SMEMBERS "+k)); !slices.Equal(got, sorted(model[k])) {
				t.Fatalf("step %d: %s %s is %q, want %q", step, line, k, got, sorted(model[k]))
			}
		}
		if got := s.Run("SCARD " + k); got != fmt.Sprintf(":%d\r\n", len(model[k])) {
			t.Fatalf("step %d: SCARD %q, want %d", step, got, len(model[k]))
		}
		if len(model[k]) > 0 {
			forms[s.Run("OBJECT ENCODING "+k)] = true
		} else if s.Run("EXISTS "+k) != ":0\r\n" {
			t.Fatalf("step %d: %s is empty but there", step, k)
		}
	}
	if replayed < 1000 || len(forms) != 3 {
		t.Errorf("%d effects, forms %v", replayed, forms)
	}
	for _, k := range keys {
		s.Run("DEL " + k)
	}
	if m := s.Keyspace.Memory(false); m.Objects != 0 {
		t.Errorf("%d bytes of Objects are left of no sets", m.Objects)
	}
}

// TestSetWatch: what changes nothing is no change to those who watch.
func TestSetWatch(t *testing.T) {
	s := commandtest.New(t)
	other, mine := s.NewClient(nil, "", "", 0), s.C
	for _, test := range []struct {
		line    string
		changes bool
	}{
		{"SADD s a", false}, {"SADD s a 1", false}, {"SREM s x", false}, {"SMOVE s s a", false}, {"SMOVE t s x", false}, {"SPOP s 0", false}, {"SMOVE t s a", false},
		{"SADD s a x", true}, {"SREM s y a", true}, {"SMOVE s t a", true}, {"SMOVE t s q", true}, {"SPOP s", true}, {"SPOP s 2", true}, {"SPOP s 9", true}, {"SUNIONSTORE s s", true},
		{"SDIFFSTORE s s s", true},
	} {
		s.Run("DEL s t")
		s.Run("SADD s a 1 c d")
		s.Run("SADD t a q")
		s.Run("WATCH s")
		s.C = other
		s.Run(test.line)
		s.C = mine
		s.Run("MULTI")
		want := "*0\r\n"
		if test.changes {
			want = "*-1\r\n"
		}
		if got := s.Run("EXEC"); got != want {
			t.Errorf("after %s EXEC says %q", test.line, got)
		}
	}
}

// TestSetLongReads: what takes long is read from a copy, whatever happens to
// the set meanwhile.
func TestSetLongReads(t *testing.T) {
	s := commandtest.New(t)
	big, half, fat := []string{"SADD", "big"}, []string{"SADD", "half"}, []string{"SADD", "fat"}
	odd := []string{"SADD", "odd"}
	for i := range 30_000 {
		big = append(big, "m"+strconv.Itoa(i))
		if i%2 == 0 {
			half = append(half, "m"+strconv.Itoa(i))
		} else {
			odd = append(odd, "m"+strconv.Itoa(i))
		}
	}
	s.Do(odd...)
	for i := range 2000 {
		fat = append(fat, strings.Repeat("x", 1000)+strconv.Itoa(i))
	}
	s.Do(big...)
	s.Do(half...)
	s.Do(fat...)
	s.Run("SADD small m1 m2 m3 7")
	direct := s.C
	conn := commandtest.NewConn()
	parked := s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 5)
	for line, background := range map[string]bool{
		"SMEMBERS big":                  true,
		"SMEMBERS fat":                  true,
		"SMEMBERS small":                false,
		"SUNION small big":              true,
		"SUNIONCARD 2 small big":        true,
		"SUNIONCARD 2 half big LIMIT 9": false,
		"SUNIONCARD 1 big":              false,
		"SINTER big half":               true,
		"SINTER big half small":         false,
		"SINTERCARD 2 big half":         true,
		"SDIFF big half":                true,
		"SDIFF small big":               false,
		"SDIFF big half small":          true,
		"SDIFFCARD 2 big half":          true,
		"SINTERCARD 2 big half LIMIT 9": false,
		"SDIFFCARD 2 big half LIMIT 9":  false,
		"SDIFFCARD 2 big big LIMIT 9":   true, // nothing is found, however long it looks
		"SINTERCARD 2 odd half LIMIT 9": true,
		"SSCAN big 0 COUNT 20000":       true,
		"SSCAN big 0 COUNT 20":          false,
		"SSCAN fat 0 COUNT 1500":        true,
		"SRANDMEMBER big 30000":         true,
		"SRANDMEMBER small 30000":       false,
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
	if got := s.Run("SRANDMEMBER small -20000"); got != "" || !strings.HasPrefix(conn.Wait(t), "*20000\r\n$") {
		t.Errorf("20000 of a few members: %.40q", got)
	}
	if got := s.Run("SPOP big 50000"); got != "" {
		t.Errorf("SPOP of everything is not done beside the loops: %.40q", got)
	}
	if got := membersOf(t, conn.Wait(t)); len(got) != 30_000 {
		t.Errorf("SPOP of everything gave %d members", len(got))
	}
	s.C.Working = false
	s.Run("SADD big other")
	s.Want("SCARD big", ":1\n")
	if got := s.Run("SMEMBERS half"); got != "" {
		t.Errorf("SMEMBERS is not done in the background: %.40q", got)
	}
	half[0] = "SREM"
	s.C = direct
	s.Do(half...)
	s.C = parked
	if got := membersOf(t, conn.Wait(t)); len(got) != 15_000 {
		t.Errorf("SMEMBERS gave %d members", len(got))
	}
	s.Want("EXISTS half", ":0\n")
	// Inside EXEC nothing parks.
	s.Run("MULTI")
	s.Run("SMEMBERS fat")
	if got := s.Run("EXEC"); !strings.HasPrefix(got, "*1\r\n*2000\r\n$1") {
		t.Errorf("in EXEC: %.40q", got)
	}
}

// TestSetScan: SSCAN visits what is there all the time, whatever comes and goes.
func TestSetScan(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	s := commandtest.New(t)
	for range 20 {
		s.Run("DEL s")
		stay := 200 + r.IntN(3000)
		for i := range stay {
			s.Run("SADD s stay" + strconv.Itoa(i))
		}
		seen, cursor := map[string]int{}, "0"
		for calls := 0; ; calls++ {
			reply := s.Run("SSCAN s " + cursor + " COUNT " + strconv.Itoa(1+r.IntN(200)))
			parts := strings.SplitN(reply, "\r\n", 4)
			cursor = parts[2]
			if n, err := strconv.ParseUint(cursor, 10, 64); err != nil || n >= 1<<53 {
				t.Fatalf("cursor %q", cursor)
			}
			for _, m := range membersOf(t, parts[3]) {
				seen[m]++
			}
			if cursor == "0" {
				break
			}
			if calls > 10*stay {
				t.Fatal("the scan does not end")
			}
			// Grow or shrink by a lot at once.
			args := []string{[]string{"SADD", "SREM"}[r.IntN(2)], "s"}
			for range r.IntN(400) {
				args = append(args, "gone"+strconv.Itoa(r.IntN(6000)))
			}
			if len(args) > 2 {
				s.Do(args...)
			}
		}
		for i := range stay {
			if n := seen["stay"+strconv.Itoa(i)]; n != 1 {
				t.Fatalf("stay%d was visited %d times", i, n)
			}
		}
		s.Effects = nil
	}
}

// TestSetAllocations: what is done all the time leaves no garbage.
func TestSetAllocations(t *testing.T) {
	s := commandtest.New(t)
	h := s.Keyspace.LockAll()
	s.Keyspace.Journal.Detach(s)
	s.Keyspace.Unlock(&h)
	for _, prefix := range []string{"", "member:"} {
		for _, size := range []int{20, 100, 5000} {
			key := fmt.Sprintf("s%s%d", prefix, size)
			for i := range size {
				s.Do("SADD", key, prefix+strconv.Itoa(i))
			}
			add := [][]byte{[]byte("sadd"), []byte(key), []byte(prefix + "3")}
			rem := [][]byte{[]byte("srem"), []byte(key), []byte(prefix + "3")}
			for _, line := range []string{
				"SADD KEY M3", "SADD KEY M4", "SREM KEY M3", "SREM KEY no", "SISMEMBER KEY M5", "SISMEMBER KEY no", "SMISMEMBER KEY M1 no", "SCARD KEY",
				"SRANDMEMBER KEY", "SPOP KEY", "SSCAN KEY 0",
			} {
				words := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(line, "KEY", key), "M", prefix))
				words[0] = strings.Fields(line)[0]
				args := make([][]byte, len(words))
				for i, w := range words {
					args[i] = []byte(w)
				}
				s.X.SetTime(s.Now)
				var w wire.Writer
				n := testing.AllocsPerRun(400, func() {
					w.Buf = w.Buf[:0]
					s.X.Run(s.C, args, &w)
					switch {
					case line == "SADD KEY M3":
						s.X.Run(s.C, rem, &w)
					case line == "SREM KEY M3":
						s.X.Run(s.C, add, &w)
					case line == "SPOP KEY":
						// What was popped comes back.
						_, m, _ := strings.Cut(string(w.Buf), "\r\n")
						s.X.Run(s.C, [][]byte{add[0], add[1], []byte(strings.TrimSpace(m))}, &w)
					}
				})
				allowed := 0.0
				if line == "SPOP KEY" {
					allowed = 3 // of this test
				}
				if n > allowed || len(w.Buf) == 0 || w.Buf[0] == '-' {
					t.Errorf("%s of %s: %v allocations, reply %.40q", line, key, n, w.Buf)
				}
			}
		}
	}
}
