package command

import (
	"encoding/hex"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/keyspace"
	"kvd/persist/rdb"
	"kvd/types"
)

// ms is a moment of the test's clock, moved by d, in Unix milliseconds.
func (s *testServer) ms(d time.Duration) string {
	return strconv.FormatInt(s.now.Add(d).UnixMilli(), 10)
}

// notices makes the server tell its keyspace events.
func (s *testServer) notices() *[]string {
	var got []string
	s.run("CONFIG SET notify-keyspace-events EA")
	s.publish = func(channel, key []byte) {
		var db int
		var event string
		if _, err := fmt.Sscanf(string(channel), "__keyevent@%d__:%s", &db, &event); err != nil {
			s.t.Errorf("an event on channel %q", channel)
		}
		got = append(got, fmt.Sprintf("%s %d %s", event, db, key))
	}
	return &got
}

func wantNotices(t testing.TB, got *[]string, want ...string) {
	t.Helper()
	if strings.Join(*got, "\n") != strings.Join(want, "\n") {
		t.Errorf("notices %q, want %q", *got, want)
	}
	*got = nil
}

func TestDelExistsTouchType(t *testing.T) {
	s := newTestServer(t)
	s.want("mset a 1 b 2", "+OK\n")
	s.wantEffects("mset a 1 b 2")
	got := s.notices()
	s.want("exists a b a c", ":3\n")
	s.want("touch a b a c", ":3\n")
	s.want("type a", "+string\n")
	s.want("type c", "+none\n")
	s.want("del a a c", ":1\n")
	s.wantEffects("del a a c")
	s.want("unlink b c", ":1\n")
	s.wantEffects("unlink b c")
	s.want("del a", ":0\n")
	s.wantEffects()
	wantNotices(t, got, "del 0 a", "del 0 b")
}

func TestExpire(t *testing.T) {
	s := newTestServer(t)
	got := s.notices()
	s.run("set a 1")
	s.effects, *got = nil, nil
	s.want("ttl a", ":-1\n")
	s.want("expiretime a", ":-1\n")
	s.want("ttl b", ":-2\n")
	s.want("expire a 10", ":1\n")
	s.wantEffects("PEXPIREAT a " + s.ms(10*time.Second))
	wantNotices(t, got, "expire 0 a")
	s.want("ttl a", ":10\n")
	s.want("pttl a", ":10000\n")
	s.want("pexpiretime a", ":"+s.ms(10*time.Second)+"\n")
	s.want("expire a 20 nx", ":0\n")
	s.want("expire a 5 gt", ":0\n")
	s.want("expire a 10 gt", ":0\n")
	s.want("expire a 11 lt", ":0\n")
	s.want("expire a 12 xx gt", ":1\n")
	s.want("pexpire a 1499 LT", ":1\n")
	s.want("ttl a", ":1\n")
	s.want("pexpire a 1500", ":1\n")
	s.want("ttl a", ":2\n")
	s.effects, *got = nil, nil
	s.want("persist a", ":1\n")
	s.want("persist a", ":0\n")
	s.wantEffects("persist a")
	wantNotices(t, got, "persist 0 a")
	s.want("expire a 10 xx", ":0\n")
	s.want("expire a 10 gt", ":0\n")
	s.want("expire a 10 lt", ":1\n")
	s.want("pexpireat a "+s.ms(time.Hour), ":1\n")
	s.want("expireat b 1", ":0\n")
	s.effects, *got = nil, nil
	s.want("expire a -1", ":1\n")
	s.wantEffects("DEL a")
	wantNotices(t, got, "del 0 a")
	s.want("exists a", ":0\n")

	s.run("set a 1")
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
		s.want(c.line, "-"+c.err+"\n")
	}
	s.want("pexpireat a 9223372036854775807", ":1\n")
	s.want("pexpiretime a", ":9223372036854775807\n")
	s.want("pexpire a -9223372036854775808", ":1\n")
	s.want("exists a", ":0\n")

	// What is replayed stays until its deletion is replayed, too.
	s.run("set a 1")
	s.Keyspace.SetActiveExpire(false)
	s.x.ctx.Replaying = true
	s.want("pexpireat a 1", ":1\n")
	s.want("pexpireat a -5", ":1\n")
	s.want("get a", "$1\n1\n")
	s.want("pttl a", ":0\n")
	s.x.ctx.Replaying = false
	s.want("get a", "$-1\n")
}

func TestRenameMoveCopy(t *testing.T) {
	s := newTestServer(t)
	got := s.notices()
	big := strings.Repeat("x", 100_000)
	s.do("set", "a", "1", "PX", "100000")
	s.do("set", "b", big)
	s.effects, *got = nil, nil
	s.want("rename a a", "+OK\n")
	s.want("renamenx a a", ":0\n")
	s.want("renamenx a b", ":0\n")
	s.want("rename x y", "-ERR no such key\n")
	s.want("renamenx x x", "-ERR no such key\n")
	s.wantEffects()
	wantNotices(t, got)
	s.want("rename a c", "+OK\n")
	s.wantEffects("rename a c")
	wantNotices(t, got, "rename_from 0 a", "rename_to 0 c")
	s.want("pttl c", ":100000\n")
	s.want("exists a", ":0\n")
	s.want("renamenx b d", ":1\n")
	s.want("strlen d", ":100000\n")
	s.want("rename d c", "+OK\n") // replaces, and the deadline goes
	s.want("pttl c", ":-1\n")
	s.run("pexpire c 5000")
	s.effects, *got = nil, nil

	s.want("move c 0", "-ERR source and destination objects are the same\n")
	s.want("move c 16", "-ERR DB index is out of range\n")
	s.want("move c x", "-ERR value is not an integer or out of range\n")
	s.want("move c 3000000000", "-ERR value is out of range, value must between -2147483648 and 2147483647\n")
	s.want("move x 1", ":0\n")
	s.want("move c 9", ":1\n")
	s.wantEffects("move c 9")
	wantNotices(t, got, "move_from 0 c", "move_to 9 c")
	s.want("exists c", ":0\n")
	s.run("set c 2")
	s.want("move c 9", ":0\n")
	s.effects, *got = nil, nil

	s.want("copy c c", "-ERR source and destination objects are the same\n")
	s.want("copy c e foo", "-ERR syntax error\n")
	s.want("copy c e db", "-ERR syntax error\n")
	s.want("copy c e db 77", "-ERR DB index is out of range\n")
	s.want("copy x e", ":0\n")
	s.want("copy c c db 9", ":0\n")
	s.wantEffects()
	s.want("copy c e", ":1\n")
	s.want("copy c e", ":0\n")
	s.want("copy c c db 9 replace", ":1\n")
	s.wantEffects("copy c e", "copy c c db 9 replace")
	wantNotices(t, got, "copy_to 0 e", "copy_to 9 c")
	s.want("get e", "$1\n2\n")
	s.do("set", "b", big, "PX", "7000")
	s.want("copy b e replace", ":1\n")
	s.want("append b y", ":100001\n")
	s.want("strlen e", ":100000\n")
	s.want("pttl e", ":7000\n")

	// An expired key is none, here or in the other database.
	s.Keyspace.SetActiveExpire(false) // only those that are looked at go
	s.want("copy b b db 5", ":1\n")
	s.now = s.now.Add(8 * time.Second)
	s.run("set b 3")
	s.effects = nil
	s.want("move b 5", ":1\n")
	s.wantEffects("DEL b", "move b 5")
}

func TestKeysScan(t *testing.T) {
	s := newTestServer(t)
	if got := s.run("keys *"); got != "*0\r\n" {
		t.Errorf("%q", got)
	}
	s.want("randomkey", "$-1\n")
	want := map[string]bool{}
	for i := range 3000 {
		k := "key" + strconv.Itoa(i)
		s.do("set", k, "1")
		want[k] = true
	}
	s.do("set", "", "1")
	s.do("set", "gone", "1", "PX", "1")
	s.now = s.now.Add(time.Second)
	if got := s.run("keys *"); !strings.HasPrefix(got, "*3001\r\n") {
		t.Errorf("%.20q", got)
	}
	if got := s.run("keys key123?"); !strings.HasPrefix(got, "*10\r\n") {
		t.Errorf("%q", got)
	}
	s.want("keys key77", "*1\n$5\nkey77\n")
	for _, count := range []string{"1", "10", "513", "100000"} {
		seen := map[string]bool{}
		cursor := "0"
		for range 4000 {
			lines := strings.Split(s.run("scan "+cursor+" match key* count "+count+" type STRING"), "\r\n")
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
	s.want("scan 0 type zset count 10000", "*2\n$1\n0\n*0\n")
	for _, c := range []struct{ line, err string }{
		{"scan x", "ERR invalid cursor"},
		{"scan 18446744073709551616", "ERR invalid cursor"},
		{"scan 0 count 0", "ERR syntax error"},
		{"scan 0 count x", "ERR value is not an integer or out of range"},
		{"scan 0 match", "ERR syntax error"},
		{"scan 0 foo 1", "ERR syntax error"},
		{"scan 0 type nosuchtype", "ERR unknown type name 'nosuchtype'"},
	} {
		s.want(c.line, "-"+c.err+"\n")
	}
	// A key that has expired, and that nobody has removed yet, goes.
	s.Keyspace.SetActiveExpire(false)
	s.do("set", "late", "1", "PX", "1")
	s.now = s.now.Add(time.Second)
	s.effects = nil
	s.want("scan 0 match late count 10000", "*2\n$1\n0\n*0\n")
	s.wantEffects("DEL late")
	s.want("scan -1", "*2\n$1\n0\n*0\n")
	if k := s.run("randomkey"); !strings.HasPrefix(k, "$") || k == "$-1\r\n" {
		t.Errorf("%q", k)
	}
}

// A key that lives is found among as many dead ones as there may be, whether these are
// removed when they are met or, as on a follower, only hidden.
func TestRandomKeyAmongDeadOnes(t *testing.T) {
	for _, paused := range []bool{false, true} {
		for _, living := range [][]string{{"set", "living", "1"}, {"set", "living", "1", "px", "1000000"}, nil} {
			s := newTestServer(t)
			s.Keyspace.SetActiveExpire(false)
			for i := range 2000 {
				s.do("set", "dead"+strconv.Itoa(i), "1", "px", "1")
			}
			want := "$-1\r\n"
			if living != nil {
				s.do(living...)
				want = "$6\r\nliving\r\n"
			}
			s.now = s.now.Add(time.Second)
			if paused {
				s.do("client", "pause", "100000", "write")
			}
			for range 3 {
				if got := s.run("randomkey"); got != want {
					t.Errorf("paused %t, %q: %q", paused, living, got)
				}
			}
		}
	}
}

func TestObject(t *testing.T) {
	s := newTestServer(t)
	s.run("mset a 1 b abc c 10000")
	s.do("set", "d", strings.Repeat("x", 100))
	s.want("object encoding a", "$3\nint\n")
	s.want("object encoding b", "$6\nembstr\n")
	s.want("object encoding d", "$3\nraw\n")
	s.want("object encoding x", "$-1\n")
	s.want("object refcount a", ":2147483647\n")
	s.want("object refcount b", ":1\n")
	s.want("object refcount c", ":1\n")
	s.want("object freq x", "$-1\n")
	if got := s.run("object freq a"); !strings.HasPrefix(got, "-ERR An LFU maxmemory policy is not selected") {
		t.Errorf("%q", got)
	}
	s.now = s.now.Add(100 * time.Second)
	s.want("object idletime a", ":100\n")
	s.run("exists a")
	s.run("ttl a")
	s.want("object idletime a", ":100\n")
	s.run("touch a")
	s.want("object idletime a", ":0\n")
	s.now = s.now.Add(10 * time.Second)
	s.run("rename b e")
	s.want("object idletime e", ":0\n")
	s.want("object foo a", "-ERR unknown subcommand 'foo'. Try OBJECT HELP.\n")
	if got := s.run("object help"); !strings.HasPrefix(got, "*11\r\n") {
		t.Errorf("%q", got)
	}
}

func TestLFU(t *testing.T) {
	s := newTestServer(t)
	if got := s.run("config set maxmemory-policy allkeys-lfu lfu-log-factor 0"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	s.run("set a 1")
	s.want("object freq a", ":5\n")
	s.run("get a")
	s.run("get a")
	s.want("object freq a", ":7\n")
	if got := s.run("object idletime a"); !strings.HasPrefix(got, "-ERR An LFU maxmemory policy is selected") {
		t.Errorf("%q", got)
	}
	s.now = s.now.Add(3 * time.Minute)
	s.want("object freq a", ":4\n")
	s.run("rename a b")
	s.want("object freq b", ":5\n")
	s.run("config set maxmemory-policy noeviction")
	if got := s.run("object idletime b"); !strings.HasPrefix(got, ":") {
		t.Errorf("%q", got)
	}

	now := int64(70_000) * 60_000 // past the 16 bits of minutes
	if c := lfuClock(now, 9); lfuDecayed(c, now+5*60_000, 1) != 4 || lfuDecayed(c, now+5*60_000, 2) != 7 || lfuDecayed(c, now+99*60_000, 1) != 0 || lfuDecayed(c, now+99*60_000, 0) != 9 {
		t.Error("decay")
	}
	if lfuRaised(255, 0, 0) != 255 || lfuRaised(3, 10, 0.999) != 4 || lfuRaised(15, 10, 0.009) != 16 || lfuRaised(15, 10, 0.01) != 15 {
		t.Error("raise")
	}
}

func TestDumpRestore(t *testing.T) {
	s := newTestServer(t)
	got := s.notices()
	s.run("mset a 10 b abc")
	reply := s.run("dump a")
	payload := reply[strings.Index(reply, "\n")+1 : len(reply)-2]
	// As redis-server 7.0 answers.
	if want := "00c00a0a"; !strings.HasPrefix(hex.EncodeToString([]byte(payload)), want) {
		t.Errorf("%x", payload)
	}
	s.want("dump x", "$-1\n")
	s.effects, *got = nil, nil
	want := func(reply string, args ...string) {
		t.Helper()
		if got := s.do(args...); got != reply+"\r\n" {
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
	s.wantEffects()
	wantNotices(t, got)

	want("+OK", "restore", "c", "0", payload)
	s.wantEffects("RESTORE c 0 " + payload + " ABSTTL")
	wantNotices(t, got, "restore 0 c")
	want("+OK", "restore", "c", "5000", payload, "REPLACE", "IDLETIME", "1000")
	s.wantEffects("RESTORE c " + s.ms(5*time.Second) + " " + payload + " REPLACE ABSTTL")
	s.want("pttl c", ":5000\n")
	s.want("object idletime c", ":1000\n")
	s.want("get c", "$2\n10\n")
	want("+OK", "restore", "d", strconv.FormatInt(math.MaxInt64, 10), payload)
	s.want("exists d", ":0\n")
	s.effects, *got = nil, nil
	want("+OK", "restore", "c", "1", payload, "ABSTTL", "REPLACE") // long over
	s.wantEffects("DEL c")
	wantNotices(t, got, "del 0 c")
	want("+OK", "restore", "c", "1", payload, "ABSTTL")
	s.wantEffects()
	s.want("exists c", ":0\n")
	s.Keyspace.SetActiveExpire(false)
	s.x.ctx.Replaying = true
	want("+OK", "restore", "c", "1", payload, "ABSTTL")
	s.want("get c", "$2\n10\n")
	s.x.ctx.Replaying = false

	s.run("config set maxmemory-policy allkeys-lfu")
	want("+OK", "restore", "c", "0", payload, "REPLACE", "FREQ", "77")
	s.want("object freq c", ":77\n")
}

// TestDumpRestoreTypes dumps every type and encoding, as Objects long enough
// for the background, too.
func TestDumpRestoreTypes(t *testing.T) {
	s := newTestServer(t)
	contents := func(k string) string {
		held := s.Keyspace.LockAll()
		defer s.Keyspace.Unlock(&held)
		key := keyspace.MakeKey([]byte(k))
		e := s.x.ctx.Peek(&key)
		var out []string
		add := func(v types.Elem) { out = append(out, string(v.Append(nil))) }
		switch e.Type() {
		case types.TList:
			var v types.List
			s.x.ctx.load(&e, &v)
			v.Each(func(m types.Elem) bool { add(m); return true })
			return strings.Join(out, " ") + e.Encoding().String()
		case types.TSet:
			var v types.Set
			s.x.ctx.load(&e, &v)
			v.Each(func(m types.Elem) bool { add(m); return true })
		case types.THash:
			var v types.Hash
			s.x.ctx.load(&e, &v)
			v.Each(0, func(f, m types.Elem, d int64) bool {
				out = append(out, fmt.Sprintf("%s=%s@%d", f.Append(nil), m.Append(nil), d))
				return true
			})
		case types.TZSet:
			var v types.SortedSet
			s.x.ctx.load(&e, &v)
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
		s.x.SetTime(s.now)
		for name, v := range map[string]struct {
			collection
			t types.Type
		}{"l": {&l, types.TList}, "s": {&set, types.TSet}, "i": {&ints, types.TSet}, "h": {&h, types.THash}, "t": {&ttl, types.THash}, "z": {&z, types.TZSet}} {
			k := keyspace.MakeKey([]byte(name))
			held := s.Keyspace.LockAll()
			s.x.ctx.Tx.Use(0)
			s.x.ctx.replace(&k, v, v.t)
			s.Keyspace.Unlock(&held)
			want := contents(name)
			reply := s.do("dump", name)
			payload := reply[strings.Index(reply, "\n")+1 : len(reply)-2]
			s.effects = nil
			if got := s.do("restore", name, "0", payload, "REPLACE"); got != "+OK\r\n" {
				t.Fatalf("%s of %d: %s", name, n, got)
			}
			if got := contents(name); got != want && !(name == "s" || name == "i") {
				t.Errorf("%s of %d: %.200q, want %.200q", name, n, got, want)
			}
			if len(s.effects) != 1 || !strings.HasPrefix(s.effects[0], "RESTORE "+name+" 0 ") {
				t.Errorf("effects %.100q", s.effects)
			}
			if got := s.do("copy", name, "copy", "REPLACE"); got != ":1\r\n" || contents("copy") != contents(name) {
				t.Errorf("%s of %d: COPY %q", name, n, got)
			}
			s.do("del", name)
		}
	}
}
