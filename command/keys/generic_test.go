package keys_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/commandtest"
	"kvd/keyspace"
	"kvd/persist/rdb"
	"kvd/types"
)

// ms is a moment of the test's clock, moved by d, in Unix milliseconds.
func ms(s *commandtest.Server, d time.Duration) string {
	return strconv.FormatInt(s.Now.Add(d).UnixMilli(), 10)
}

func TestDelExistsTouchType(t *testing.T) {
	s := commandtest.New(t)
	s.Want("mset a 1 b 2", "+OK\n")
	s.WantEffects("mset a 1 b 2")
	got := s.Notices()
	s.Want("exists a b a c", ":3\n")
	s.Want("touch a b a c", ":3\n")
	s.Want("type a", "+string\n")
	s.Want("type c", "+none\n")
	s.Want("del a a c", ":1\n")
	s.WantEffects("del a a c")
	s.Want("unlink b c", ":1\n")
	s.WantEffects("unlink b c")
	s.Want("del a", ":0\n")
	s.WantEffects()
	commandtest.WantNotices(t, got, "del 0 a", "del 0 b")
}

func TestExpire(t *testing.T) {
	s := commandtest.New(t)
	got := s.Notices()
	s.Run("set a 1")
	s.Effects, *got = nil, nil
	s.Want("ttl a", ":-1\n")
	s.Want("expiretime a", ":-1\n")
	s.Want("ttl b", ":-2\n")
	s.Want("expire a 10", ":1\n")
	s.WantEffects("PEXPIREAT a " + ms(s, 10*time.Second))
	commandtest.WantNotices(t, got, "expire 0 a")
	s.Want("ttl a", ":10\n")
	s.Want("pttl a", ":10000\n")
	s.Want("pexpiretime a", ":"+ms(s, 10*time.Second)+"\n")
	s.Want("expire a 20 nx", ":0\n")
	s.Want("expire a 5 gt", ":0\n")
	s.Want("expire a 10 gt", ":0\n")
	s.Want("expire a 11 lt", ":0\n")
	s.Want("expire a 12 xx gt", ":1\n")
	s.Want("pexpire a 1499 LT", ":1\n")
	s.Want("ttl a", ":1\n")
	s.Want("pexpire a 1500", ":1\n")
	s.Want("ttl a", ":2\n")
	s.Effects, *got = nil, nil
	s.Want("persist a", ":1\n")
	s.Want("persist a", ":0\n")
	s.WantEffects("persist a")
	commandtest.WantNotices(t, got, "persist 0 a")
	s.Want("expire a 10 xx", ":0\n")
	s.Want("expire a 10 gt", ":0\n")
	s.Want("expire a 10 lt", ":1\n")
	s.Want("pexpireat a "+ms(s, time.Hour), ":1\n")
	s.Want("expireat b 1", ":0\n")
	s.Effects, *got = nil, nil
	s.Want("expire a -1", ":1\n")
	s.WantEffects("DEL a")
	commandtest.WantNotices(t, got, "del 0 a")
	s.Want("exists a", ":0\n")

	s.Run("set a 1")
	for _, c := range []struct{ line, err string }{
		{"expire a x", "ERR value is not an integer or out of range"},
		{"expire a 1 foo", "ERR Unsupported option foo"},
		{"expire a x nx xx", "ERR NX and XX, GT or LT options at the same time are not compatible"},
		{"expire a 1 gt lt", "ERR GT and LT options at the same time are not compatible"},
		{"expire a 9223372036854775807", "ERR invalid expire time in 'expire' command"},
		{"expire a -9223372036854775808", "ERR invalid expire time in 'expire' command"},
		{"pexpire a 9223372036854775807", "ERR invalid expire time in 'pexpire' command"},
		{"expireat a 9223372036854776", "ERR invalid expire time in 'expireat' command"},
	} {
		s.Want(c.line, "-"+c.err+"\n")
	}
	s.Want("pexpireat a 9223372036854775807", ":1\n")
	s.Want("pexpiretime a", ":9223372036854775807\n")
	s.Want("pexpire a -9223372036854775808", ":1\n")
	s.Want("exists a", ":0\n")

	// What is replayed stays until its deletion is replayed, too.
	s.Run("set a 1")
	s.Keyspace.SetActiveExpire(false)
	s.X.Replay(true)
	s.Want("pexpireat a 1", ":1\n")
	s.Want("pexpireat a -5", ":1\n")
	s.Want("get a", "$1\n1\n")
	s.Want("pttl a", ":0\n")
	s.X.Replay(false)
	s.Want("get a", "$-1\n")
}

func TestRenameMoveCopy(t *testing.T) {
	s := commandtest.New(t)
	got := s.Notices()
	big := strings.Repeat("x", 100_000)
	s.Do("set", "a", "1", "PX", "100000")
	s.Do("set", "b", big)
	s.Effects, *got = nil, nil
	s.Want("rename a a", "+OK\n")
	s.Want("renamenx a a", ":0\n")
	s.Want("renamenx a b", ":0\n")
	s.Want("rename x y", "-ERR no such key\n")
	s.Want("renamenx x x", "-ERR no such key\n")
	s.WantEffects()
	commandtest.WantNotices(t, got)
	s.Want("rename a c", "+OK\n")
	s.WantEffects("rename a c")
	commandtest.WantNotices(t, got, "rename_from 0 a", "rename_to 0 c")
	s.Want("pttl c", ":100000\n")
	s.Want("exists a", ":0\n")
	s.Want("renamenx b d", ":1\n")
	s.Want("strlen d", ":100000\n")
	s.Want("rename d c", "+OK\n") // replaces, and the deadline goes
	s.Want("pttl c", ":-1\n")
	s.Run("pexpire c 5000")
	s.Effects, *got = nil, nil

	s.Want("move c 0", "-ERR source and destination objects are the same\n")
	s.Want("move c 16", "-ERR DB index is out of range\n")
	s.Want("move c x", "-ERR value is not an integer or out of range\n")
	s.Want("move c 3000000000", "-ERR value is out of range, value must between -2147483648 and 2147483647\n")
	s.Want("move x 1", ":0\n")
	s.Want("move c 9", ":1\n")
	s.WantEffects("move c 9")
	commandtest.WantNotices(t, got, "move_from 0 c", "move_to 9 c")
	s.Want("exists c", ":0\n")
	s.Run("set c 2")
	s.Want("move c 9", ":0\n")
	s.Effects, *got = nil, nil

	s.Want("copy c c", "-ERR source and destination objects are the same\n")
	s.Want("copy c e foo", "-ERR syntax error\n")
	s.Want("copy c e db", "-ERR syntax error\n")
	s.Want("copy c e db 77", "-ERR DB index is out of range\n")
	s.Want("copy x e", ":0\n")
	s.Want("copy c c db 9", ":0\n")
	s.WantEffects()
	s.Want("copy c e", ":1\n")
	s.Want("copy c e", ":0\n")
	s.Want("copy c c db 9 replace", ":1\n")
	s.WantEffects("copy c e", "copy c c db 9 replace")
	commandtest.WantNotices(t, got, "copy_to 0 e", "copy_to 9 c")
	s.Want("get e", "$1\n2\n")
	s.Do("set", "b", big, "PX", "7000")
	s.Want("copy b e replace", ":1\n")
	s.Want("append b y", ":100001\n")
	s.Want("strlen e", ":100000\n")
	s.Want("pttl e", ":7000\n")

	// An expired key is none, here or in the other database.
	s.Keyspace.SetActiveExpire(false) // only those that are looked at go
	s.Want("copy b b db 5", ":1\n")
	s.Now = s.Now.Add(8 * time.Second)
	s.Run("set b 3")
	s.Effects = nil
	s.Want("move b 5", ":1\n")
	s.WantEffects("DEL b", "move b 5")
}

func TestKeysScan(t *testing.T) {
	s := commandtest.New(t)
	if got := s.Run("keys *"); got != "*0\r\n" {
		t.Errorf("%q", got)
	}
	s.Want("randomkey", "$-1\n")
	want := map[string]bool{}
	for i := range 3000 {
		k := "key" + strconv.Itoa(i)
		s.Do("set", k, "1")
		want[k] = true
	}
	s.Do("set", "", "1")
	s.Do("set", "gone", "1", "PX", "1")
	s.Now = s.Now.Add(time.Second)
	if got := s.Run("keys *"); !strings.HasPrefix(got, "*3001\r\n") {
		t.Errorf("%.20q", got)
	}
	if got := s.Run("keys key123?"); !strings.HasPrefix(got, "*10\r\n") {
		t.Errorf("%q", got)
	}
	s.Want("keys key77", "*1\n$5\nkey77\n")
	for _, count := range []string{"1", "10", "513", "100000"} {
		seen := map[string]bool{}
		cursor := "0"
		for range 4000 {
			lines := strings.Split(s.Run("scan "+cursor+" match key* count "+count+" type STRING"), "\r\n")
			cursor = lines[2]
			for i := 5; i < len(lines); i += 2 {
				if seen[lines[i]] {
					t.Fatalf("%s comes twice", lines[i])
				}
				seen[lines[i]] = true
			}
			if cursor == "0" {
				break
			}
		}
		if len(seen) != len(want) {
			t.Errorf("COUNT %s: %d keys of %d", count, len(seen), len(want))
		}
	}
	s.Want("scan 0 type zset count 10000", "*2\n$1\n0\n*0\n")
	for _, c := range []struct{ line, err string }{
		{"scan x", "ERR invalid cursor"},
		{"scan 18446744073709551616", "ERR invalid cursor"},
		{"scan 0 count 0", "ERR syntax error"},
		{"scan 0 count x", "ERR value is not an integer or out of range"},
		{"scan 0 match", "ERR syntax error"},
		{"scan 0 foo 1", "ERR syntax error"},
		{"scan 0 type nosuchtype", "ERR unknown type name 'nosuchtype'"},
	} {
		s.Want(c.line, "-"+c.err+"\n")
	}
	// A key that has expired, and that nobody has removed yet, goes.
	s.Keyspace.SetActiveExpire(false)
	s.Do("set", "late", "1", "PX", "1")
	s.Now = s.Now.Add(time.Second)
	s.Effects = nil
	s.Want("scan 0 match late count 10000", "*2\n$1\n0\n*0\n")
	s.WantEffects("DEL late")
	s.Want("scan -1", "*2\n$1\n0\n*0\n")
	if k := s.Run("randomkey"); !strings.HasPrefix(k, "$") || k == "$-1\r\n" {
		t.Errorf("%q", k)
	}
}

// A key that lives is found among as many dead ones as there may be, whether these are
// removed when they are met or, as on a follower, only hidden.
func TestRandomKeyAmongDeadOnes(t *testing.T) {
	for _, paused := range []bool{false, true} {
		for _, living := range [][]string{{"set", "living", "1"}, {"set", "living", "1", "px", "1000000"}, nil} {
			s := commandtest.New(t)
			s.Keyspace.SetActiveExpire(false)
			for i := range 2000 {
				s.Do("set", "dead"+strconv.Itoa(i), "1", "px", "1")
			}
			want := "$-1\r\n"
			if living != nil {
				s.Do(living...)
				want = "$6\r\nliving\r\n"
			}
			s.Now = s.Now.Add(time.Second)
			if paused {
				s.Do("client", "pause", "100000", "write")
			}
			for range 3 {
				if got := s.Run("randomkey"); got != want {
					t.Errorf("paused %t, %q: %q", paused, living, got)
				}
			}
		}
	}
}

func TestObject(t *testing.T) {
	s := commandtest.New(t)
	s.Run("mset a 1 b abc c 10000")
	s.Do("set", "d", strings.Repeat("x", 100))
	s.Want("object encoding a", "$3\nint\n")
	s.Want("object encoding b", "$6\nembstr\n")
	s.Want("object encoding d", "$3\nraw\n")
	s.Want("object encoding x", "$-1\n")
	s.Want("object refcount a", ":2147483647\n")
	s.Want("object refcount b", ":1\n")
	s.Want("object refcount c", ":1\n")
	s.Want("object freq x", "$-1\n")
	if got := s.Run("object freq a"); !strings.HasPrefix(got, "-ERR An LFU maxmemory policy is not selected") {
		t.Errorf("%q", got)
	}
	s.Now = s.Now.Add(100 * time.Second)
	s.Want("object idletime a", ":100\n")
	s.Run("exists a")
	s.Run("ttl a")
	s.Want("object idletime a", ":100\n")
	s.Run("touch a")
	s.Want("object idletime a", ":0\n")
	s.Now = s.Now.Add(10 * time.Second)
	s.Run("rename b e")
	s.Want("object idletime e", ":0\n")
	s.Want("object foo a", "-ERR unknown subcommand 'foo'. Try OBJECT HELP.\n")
	if got := s.Run("object help"); !strings.HasPrefix(got, "*11\r\n") {
		t.Errorf("%q", got)
	}
}

func TestDumpRestore(t *testing.T) {
	s := commandtest.New(t)
	got := s.Notices()
	s.Run("mset a 10 b abc")
	reply := s.Run("dump a")
	payload := reply[strings.Index(reply, "\n")+1 : len(reply)-2]
	// As redis-server 7.0 answers.
	if want := "00c00a0a"; !strings.HasPrefix(hex.EncodeToString([]byte(payload)), want) {
		t.Errorf("%x", payload)
	}
	s.Want("dump x", "$-1\n")
	s.Effects, *got = nil, nil
	want := func(reply string, args ...string) {
		t.Helper()
		if got := s.Do(args...); got != reply+"\r\n" {
			t.Errorf("%q: %q, want %q", args, got, reply)
		}
	}
	want("-BUSYKEY Target key name already exists.", "restore", "a", "0", "x")
	want("-BUSYKEY Target key name already exists.", "restore", "a", "-1", "x")
	want("-ERR Invalid TTL value, must be >= 0", "restore", "c", "-1", payload)
	want("-ERR value is not an integer or out of range", "restore", "c", "x", payload)
	want("-ERR DUMP payload version or checksum are wrong", "restore", "c", "0", "x")
	want("-ERR DUMP payload version or checksum are wrong", "restore", "c", "0", payload[:len(payload)-1]+"x")
	want("-ERR syntax error", "restore", "c", "0", payload, "foo")
	want("-ERR syntax error", "restore", "c", "0", payload, "freq", "1", "idletime", "1")
	want("-ERR Invalid FREQ value, must be >= 0 and <= 255", "restore", "c", "0", payload, "freq", "256")
	want("-ERR Invalid IDLETIME value, must be >= 0", "restore", "c", "0", payload, "idletime", "-1")
	bad := append([]byte{rdb.TypeSet, 2, 1, 'a', 1, 'a', 10, 0}, 0, 0, 0, 0, 0, 0, 0, 0)
	sum := rdb.Checksum(0, bad[:8])
	for i := range 8 {
		bad[8+i] = byte(sum >> (8 * i))
	}
	want("-ERR Bad data format", "restore", "c", "0", string(bad))
	s.WantEffects()
	commandtest.WantNotices(t, got)

	want("+OK", "restore", "c", "0", payload)
	s.WantEffects("RESTORE c 0 " + payload + " ABSTTL")
	commandtest.WantNotices(t, got, "restore 0 c")
	want("+OK", "restore", "c", "5000", payload, "REPLACE", "IDLETIME", "1000")
	s.WantEffects("RESTORE c " + ms(s, 5*time.Second) + " " + payload + " REPLACE ABSTTL")
	s.Want("pttl c", ":5000\n")
	s.Want("object idletime c", ":1000\n")
	s.Want("get c", "$2\n10\n")
	want("+OK", "restore", "d", strconv.FormatInt(math.MaxInt64, 10), payload)
	s.Want("exists d", ":0\n")
	s.Effects, *got = nil, nil
	want("+OK", "restore", "c", "1", payload, "ABSTTL", "REPLACE") // long over
	s.WantEffects("DEL c")
	commandtest.WantNotices(t, got, "del 0 c")
	want("+OK", "restore", "c", "1", payload, "ABSTTL")
	s.WantEffects()
	s.Want("exists c", ":0\n")
	s.Keyspace.SetActiveExpire(false)
	s.X.Replay(true)
	want("+OK", "restore", "c", "1", payload, "ABSTTL")
	s.Want("get c", "$2\n10\n")
	s.X.Replay(false)

	s.Run("config set maxmemory-policy allkeys-lfu")
	want("+OK", "restore", "c", "0", payload, "REPLACE", "FREQ", "77")
	s.Want("object freq c", ":77\n")
}

// TestDumpRestoreTypes dumps every type and encoding, as Objects long enough
// for the background, too.
func TestDumpRestoreTypes(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	s := commandtest.New(t)
	contents := func(k string) string {
		held := s.Keyspace.LockAll()
		defer s.Keyspace.Unlock(&held)
		key := keyspace.MakeKey([]byte(k))
		e := s.X.Running.Peek(&key)
		var out []string
		add := func(v types.Elem) { out = append(out, string(v.Append(nil))) }
		switch e.Type() {
		case types.TList:
			var v types.List
			s.X.Running.Load(&e, &v)
			v.Each(func(m types.Elem) bool { add(m); return true })
			return strings.Join(out, " ") + e.Encoding().String()
		case types.TSet:
			var v types.Set
			s.X.Running.Load(&e, &v)
			v.Each(func(m types.Elem) bool { add(m); return true })
		case types.THash:
			var v types.Hash
			s.X.Running.Load(&e, &v)
			v.Each(0, func(f, m types.Elem, d int64) bool {
				out = append(out, fmt.Sprintf("%s=%s@%d", f.Append(nil), m.Append(nil), d))
				return true
			})
		case types.TZSet:
			var v types.SortedSet
			s.X.Running.Load(&e, &v)
			v.Each(func(m []byte, f float64) bool { out = append(out, fmt.Sprint(string(m), f)); return true })
		}
		sort.Strings(out)
		return strings.Join(out, " ") + e.Encoding().String()
	}
	for _, n := range []int{1, 5, 200, 20000} {
		var l types.List
		set, ints := types.Set{Limits: types.DefaultSetLimits}, types.Set{Limits: types.DefaultSetLimits}
		h, ttl := types.Hash{Limits: types.DefaultHashLimits}, types.Hash{Limits: types.DefaultHashLimits}
		z := types.SortedSet{Limits: types.DefaultZSetLimits}
		l.Limits.MaxSize = -2
		for i := range n {
			m := []byte("member" + strconv.Itoa(i))
			l.PushBack(m)
			set.Add(m)
			ints.Add([]byte(strconv.Itoa(i * 7)))
			h.Set(m, m, 0)
			ttl.Put(m, m, int64(i%3)<<41)
			z.Set(m, float64(i)/3)
		}
		s.X.SetTime(s.Now)
		for name, v := range map[string]struct {
			command.Collection
			t types.Type
		}{"l": {&l, types.TList}, "s": {&set, types.TSet}, "i": {&ints, types.TSet}, "h": {&h, types.THash}, "t": {&ttl, types.THash}, "z": {&z, types.TZSet}} {
			k := keyspace.MakeKey([]byte(name))
			held := s.Keyspace.LockAll()
			s.X.Running.Tx.Use(0)
			s.X.Running.Replace(&k, v, v.t)
			s.Keyspace.Unlock(&held)
			want := contents(name)
			reply := s.Do("dump", name)
			payload := reply[strings.Index(reply, "\n")+1 : len(reply)-2]
			s.Effects = nil
			if got := s.Do("restore", name, "0", payload, "REPLACE"); got != "+OK\r\n" {
				t.Fatalf("%s of %d: %s", name, n, got)
			}
			if got := contents(name); got != want && !(name == "s" || name == "i") {
				t.Errorf("%s of %d: %.200q, want %.200q", name, n, got, want)
			}
			if len(s.Effects) != 1 || !strings.HasPrefix(s.Effects[0], "RESTORE "+name+" 0 ") {
				t.Errorf("effects %.100q", s.Effects)
			}
			if got := s.Do("copy", name, "copy", "REPLACE"); got != ":1\r\n" || contents("copy") != contents(name) {
				t.Errorf("%s of %d: COPY %q", name, n, got)
			}
			s.Do("del", name)
		}
	}
}
