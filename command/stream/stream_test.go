package stream_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/commandtest"
	"kvd/keyspace"
	"kvd/types"
	"kvd/types/stream"
)

// bulkLines writes words as bulks of a raw reply.
func bulkLines(words ...string) string {
	var b strings.Builder
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\n%s\n", len(w), w)
	}
	return b.String()
}

// TestStreamEffects: what is journaled says what has happened, in Redis's words.
func TestStreamEffects(t *testing.T) {
	s := commandtest.New(t)
	now := s.Now.UnixMilli()
	id := fmt.Sprintf("%d-0", now)
	s.Want("XADD s * f v", bulkLines(id))
	s.Want("XADD s 9999999999999-* f v", bulkLines("9999999999999-0"))
	s.Want("XADD s NOMKSTREAM 9999999999999-5 f v", bulkLines("9999999999999-5"))
	s.WantEffects("XADD s "+id+" f v", "XADD s 9999999999999-0 f v", "XADD s NOMKSTREAM 9999999999999-5 f v")
	s.Run("CONFIG SET stream-node-max-entries 2")
	s.Run("XADD t 1 f v")
	s.Run("XADD t 2 f v")
	s.Run("XADD t 3 f v")
	s.Effects = nil
	s.Want("XADD t MAXLEN ~ 1 4 f v", bulkLines("4-0"))
	s.Want("XTRIM t MINID ~ 9", ":2\n")
	s.WantEffects("XADD t MAXLEN = 2 4-0 f v", "XTRIM t MINID = 18446744073709551615-18446744073709551615")

	s.Run("XGROUP CREATE g grp 0 MKSTREAM")
	s.Effects = nil
	s.Want("XREADGROUP GROUP grp a STREAMS g >", "*-1\n") // redis#14963
	s.WantEffects("XGROUP CREATECONSUMER g grp a")
	s.Run("XADD g 1 f v")
	s.Run("XADD g 2 f v")
	s.Effects = nil
	s.Run("XREADGROUP GROUP grp a COUNT 1 STREAMS g >")
	claim := fmt.Sprintf("XCLAIM g grp a 0 1-0 TIME %d RETRYCOUNT 1 FORCE JUSTID LASTID 1-0", now)
	s.WantEffects(claim)
	s.Effects = nil
	s.Run("XREADGROUP GROUP grp a STREAMS g 0") // a read, though it counts deliveries
	s.Want("XPENDING g grp - + 10", "*1\n*4\n"+bulkLines("1-0", "a")+":0\n:2\n")
	s.Run("XREADGROUP GROUP grp new STREAMS g 0")
	s.WantEffects("XGROUP CREATECONSUMER g grp new")
	s.Run("XGROUP DELCONSUMER g grp new")
	s.Effects = nil
	s.Run("XREADGROUP GROUP grp b NOACK STREAMS g >")
	s.WantEffects("MULTI", "XGROUP CREATECONSUMER g grp b", "XGROUP SETID g grp 2-0 ENTRIESREAD 2", "EXEC")
	s.Want("XCLAIM g grp c 100000 1-0", "*0\n")
	s.WantEffects("XGROUP CREATECONSUMER g grp c")
	s.Want("XACK g grp 7-0", ":0\n")
	s.WantEffects()
	s.Run("XDEL g 1-0")
	s.Effects = nil
	s.Want("XAUTOCLAIM g grp c 0 0", "*3\n"+bulkLines("0-0")+"*0\n*1\n"+bulkLines("1-0"))
	s.WantEffects(strings.Replace(strings.Replace(claim, "LASTID 1-0", "LASTID 2-0", 1), "RETRYCOUNT 1", "RETRYCOUNT 2", 1))
	s.Want("XPENDING g grp", "*4\n:0\n$-1\n$-1\n*-1\n")
}

// streamState is all that a server tells of a stream but clocks.
func streamState(s *commandtest.Server, key string) string {
	text := s.Run("XINFO STREAM "+key+" FULL COUNT 0") + s.Run("DEBUG DIGEST")
	return regexp.MustCompile(`(seen|active)-time\r\n:-?\d+`).ReplaceAllString(text, "")
}

// TestStreamReplay does at random what changes streams, and has a second server
// do what was journaled: both are the same then, to the last counter. No consumer
// reads what it has: such deliveries are counted by the leader only.
func TestStreamReplay(t *testing.T) {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for range 6 {
		s, f := commandtest.New(t), commandtest.New(t)
		apply := f.NewApplier()
		for _, x := range []*commandtest.Server{s, f} {
			x.Run("CONFIG SET stream-node-max-entries 4")
		}
		s.Run("XGROUP CREATE s g 0 MKSTREAM")
		s.Run("XGROUP CREATE s h $")
		id := func() string { return fmt.Sprintf("%d-0", 1+rng.IntN(60)) }
		one := func(words ...string) string { return words[rng.IntN(len(words))] }
		var log []string
		for n := range 400 {
			g, c := one("g", "h"), one("a", "b", "c")
			var line string
			switch rng.IntN(16) {
			case 0, 1, 2, 3:
				line = fmt.Sprintf("XADD s %s %d-* f v%d", one("", "", "MAXLEN ~ 10", "MINID ~ "+id(), "MAXLEN 12 DELREF", "MAXLEN ~ 6 ACKED", "MINID = "+id()+" ACKED"), 1+n/7, n)
			case 4:
				line = "XDEL s " + id() + " " + id()
			case 5:
				line = "XDELEX s " + one("KEEPREF", "DELREF", "ACKED") + " IDS 2 " + id() + " " + id()
			case 6, 7, 8:
				line = fmt.Sprintf("XREADGROUP GROUP %s %s COUNT %d %s STREAMS s %s", g, c, 1+rng.IntN(4), one("", "", "NOACK", "CLAIM 0"), ">")
			case 9:
				line = "XACK s " + g + " " + id() + " " + id()
			case 10:
				line = "XACKDEL s " + g + " " + one("KEEPREF", "DELREF", "ACKED") + " IDS 1 " + id()
			case 11:
				line = "XCLAIM s " + g + " " + c + " 0 " + id() + one("", " FORCE", " JUSTID", " LASTID "+id(), " RETRYCOUNT 7")
			case 12:
				line = fmt.Sprintf("XAUTOCLAIM s %s %s 0 %s COUNT %d", g, c, id(), 1+rng.IntN(5))
			case 13:
				line = "XNACK s " + g + " " + one("SILENT", "FAIL", "FATAL") + " IDS 1 " + id() + one("", " FORCE")
			case 14:
				line = one("XGROUP DELCONSUMER s "+g+" "+c, "XTRIM s MAXLEN ~ 8 LIMIT 4", "XTRIM s MINID = "+id(), "XTRIM s MAXLEN ~ 3 DELREF", "XGROUP SETID s "+g+" "+id())
			case 15:
				line = fmt.Sprintf("XADD s IDMP p m%d * f v", rng.IntN(5))
				if n < 390 {
					line = "XLEN s" // the clock is far ahead of the other IDs
				}
			}
			log = append(log, line)
			s.Run(line)
			for _, e := range s.Effects {
				if e == "MULTI" || e == "EXEC" {
					continue
				}
				var args [][]byte
				for _, w := range strings.Split(e, " ") {
					args = append(args, []byte(w))
				}
				apply.SetTime(s.Now)
				if err := apply.Apply(args); err != nil {
					t.Fatalf("%s\n%v", strings.Join(log, "\n"), err)
				}
			}
			s.Effects = nil
			if got, want := streamState(f, "s"), streamState(s, "s"); got != want {
				a, b := strings.Split(got, "\r\n"), strings.Split(want, "\r\n")
				i := 0
				for i < len(a) && i < len(b) && a[i] == b[i] {
					i++
				}
				t.Fatalf("after\n%s\nthe follower has\n%q\nwant\n%q", strings.Join(log, "\n"), a[max(i-12, 0):min(i+4, len(a))], b[max(i-12, 0):min(i+4, len(b))])
			}
		}
	}
}

// TestStreamReadersOfWhatGoes: a consumer that waits is told when its stream or
// group is no longer there, whatever took it away; one that only reads waits on.
func TestStreamReadersOfWhatGoes(t *testing.T) {
	const noGroup, wrong = "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n", "-" + command.ErrWrongType + "\r\n"
	for _, c := range []struct{ do, want string }{
		{"DEL s", noGroup}, {"SET s v", wrong}, {"XGROUP DESTROY s g", noGroup}, {"FLUSHALL", noGroup}, {"FLUSHDB", noGroup},
		{"SWAPDB 0 1", noGroup}, {"RENAME s t", noGroup}, {"RENAME o s", noGroup}, {"MOVE s 1", noGroup}, {"PEXPIREAT s 1", noGroup}, {"GETDEL s", ""},
	} {
		s := commandtest.New(t)
		s.Run("XADD o 1 f v")
		s.Run("XGROUP CREATE s g $ MKSTREAM")
		b := s.Block("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
		r := s.Block("XREAD BLOCK 0 STREAMS s $")
		s.Run(c.do)
		if c.want == "" {
			if len(b.Peer.Replies) != 0 {
				t.Errorf("%s: %q, want nothing", c.do, b.Peer.Wait(t))
			}
		} else if got := b.Peer.Wait(t); got != c.want {
			t.Errorf("%s: %q, want %q", c.do, got, c.want)
		}
		s.Run("DEL s")
		if c.do != "RENAME o s" { // which brings an entry
			s.Want("XADD s 7 f v", bulkLines("7-0"))
		}
		if got := r.Peer.Wait(t); !strings.Contains(got, "-0\r\n") {
			t.Errorf("%s: the reader got %q", c.do, got)
		}
	}
	// A key that expires by itself tells, too.
	s := commandtest.New(t)
	s.Run("debug set-active-expire 1")
	s.Run("XGROUP CREATE s g $ MKSTREAM")
	b := s.Block("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
	s.Run(fmt.Sprintf("PEXPIREAT s %d", time.Now().UnixMilli()+30))
	if got := b.Peer.Wait(t); got != noGroup {
		t.Errorf("expired: %q", got)
	}
}

// TestStreamClaimWakes: a reader with CLAIM is served when the first entry becomes
// idle enough, not before, and also where that is earlier than it was.
func TestStreamClaimWakes(t *testing.T) {
	s := commandtest.New(t)
	s.Now = time.Now()
	s.Run("XADD s 1 f v")
	s.Run("XGROUP CREATE s g 0")
	if got := s.Run("XREADGROUP GROUP g early BLOCK 0 CLAIM 80000 STREAMS s >"); !strings.Contains(got, ":0\r\n:0\r\n") { // a new one, told as CLAIM tells
		t.Fatalf("a new entry: %q", got)
	}
	b := s.Block("XREADGROUP GROUP g late BLOCK 0 CLAIM 80000 STREAMS s >")
	s.Advance(50 * time.Second)
	b.WantNothing()
	s.Advance(31 * time.Second)
	if got := b.Peer.Wait(t); !strings.Contains(got, "1-0") || !strings.Contains(got, ":1\r\n") {
		t.Errorf("idle enough: %q", got)
	}
	b = s.Block("XREADGROUP GROUP g third BLOCK 0 CLAIM 100000 STREAMS s >")
	s.Now = time.Now()
	s.Want("XNACK s g FAIL IDS 1 1-0", ":1\n")
	if got := b.Peer.Wait(t); !strings.Contains(got, "1-0") || !strings.Contains(got, ":0\r\n:2\r\n") {
		t.Errorf("after XNACK: %q", got)
	}
	// One transaction's entries of two streams come in one reply, in the order asked for.
	s.Run("XGROUP CREATE a g $ MKSTREAM")
	s.Run("XGROUP CREATE b g $ MKSTREAM")
	b = s.Block("XREADGROUP GROUP g c BLOCK 0 STREAMS a b > >")
	for _, line := range []string{"MULTI", "XADD b 1 f v", "XADD a 1 f v", "EXEC"} {
		s.Run(line)
	}
	if got := b.Peer.Wait(t); !strings.HasPrefix(got, "*2\r\n*2\r\n$1\r\na\r\n") || !strings.Contains(got, "$1\r\nb\r\n") {
		t.Errorf("two streams: %q", got)
	}
}

// TestStreamNewCommands: replies of what 8.2 to 8.10 have brought.
func TestStreamNewCommands(t *testing.T) {
	s := commandtest.New(t)
	for i := range 6 {
		s.Run(fmt.Sprintf("XADD s %d f v", i+1))
	}
	s.Run("XGROUP CREATE s g 0")
	s.Run("XGROUP CREATE s h 3")
	s.Run("XREADGROUP GROUP g c COUNT 4 STREAMS s >")
	s.Want("XDELEX s ACKED IDS 3 1 5 9", "*3\n:2\n:2\n:-1\n") // pending in g; not read by it; none
	s.Want("XACK s g 1 2", ":2\n")
	s.Want("XDELEX s IDS 2 1 2 ACKED", "*2\n:1\n:1\n")
	s.Want("XACKDEL s g ACKED IDS 2 3 6", "*2\n:1\n:-1\n")
	s.Want("XACKDEL s no IDS 1 4", "*1\n:-1\n")
	s.Want("XDELEX s DELREF IDS 1 4", "*1\n:1\n")
	s.Want("XPENDING s g", "*4\n:0\n$-1\n$-1\n*-1\n")
	s.Want("XDELEX s IDS 2 1", "-ERR The `numids` parameter must match the number of arguments\n")
	s.Want("XDELEX s KEEPREF ACKED IDS 1 1", "-ERR syntax error\n")
	s.Want("XDELEX none IDS 1 1", "*1\n:-1\n")
	s.Want("XREAD MAXCOUNT 1 STREAMS s s 0 5", "*1\n*2\n"+bulkLines("s")+"*1\n*2\n"+bulkLines("5-0")+"*2\n"+bulkLines("f", "v"))
	s.Want("XREAD MAXSIZE 1 STREAMS s 0", "*1\n*2\n"+bulkLines("s")+"*1\n*2\n"+bulkLines("5-0")+"*2\n"+bulkLines("f", "v"))
	s.Want("XREAD COUNT 3 MAXCOUNT 2 STREAMS s 0", "-ERR MAXCOUNT must be greater than or equal to COUNT\n")
	s.Want("XNACK s g FATAL IDS 2 5 6 FORCE", ":2\n")
	s.Want("XPENDING s g - + 10", "*2\n*4\n"+bulkLines("5-0", "")+":-1\n:9223372036854775807\n*4\n"+bulkLines("6-0", "")+":-1\n:9223372036854775807\n")
	s.Want("XNACK s g SILENT IDS 1 6 RETRYCOUNT 3", ":1\n")
	s.Want("XCLAIM s g c 100000 6 JUSTID", "*1\n"+bulkLines("6-0"))
	s.Want("XPENDING s g 6 6 1", "*1\n*4\n"+bulkLines("6-0", "c")+":0\n:3\n")
	if got := s.Run("XINFO GROUPS s"); !strings.Contains(got, "nacked-count\r\n:1\r\n") {
		t.Errorf("XINFO GROUPS: %q", got)
	}

	first := s.Run("XADD i IDMPAUTO p * a 1 b 2")
	if again := s.Run("XADD i IDMPAUTO p * a 1 b 2"); again != first {
		t.Errorf("the same message again: %q, want %q", again, first)
	}
	if other := s.Run("XADD i IDMPAUTO q * a 1 b 2"); other == first {
		t.Error("another producer's message is taken for the same")
	}
	s.Want("XLEN i", ":2\n")
	s.Want("XADD i IDMP p m 5-0 a b", "-ERR IDMP and IDMPAUTO can be used with the ID * only\n")
	if got := s.Run("XINFO STREAM i"); !strings.Contains(got, "pids-tracked\r\n:2\r\n") || !strings.Contains(got, "iids-duplicates\r\n:1\r\n") {
		t.Errorf("XINFO STREAM: %q", got)
	}
	s.Now = s.Now.Add(101 * time.Second) // stream-idmp-duration is over
	if later := s.Run("XADD i IDMPAUTO p * a 1 b 2"); later == first {
		t.Error("a message is known for longer than it should be")
	}
	s.Want("XCFGSET i IDMP-DURATION 86401", "-ERR invalid duration\n")
	s.Want("XCFGSET i IDMP-MAXSIZE 0", "-ERR invalid maxsize\n")
	s.Want("XCFGSET i", "-ERR syntax error\n")
	s.Want("XCFGSET none IDMP-MAXSIZE 5", "-ERR no such key\n")
	s.Want("XCFGSET i IDMP-MAXSIZE 5", "+OK\n")
	if got := s.Run("XINFO STREAM i"); !strings.Contains(got, "pids-tracked\r\n:0\r\n") || !strings.Contains(got, "idmp-maxsize\r\n:5\r\n") {
		t.Errorf("XINFO STREAM: %q", got)
	}
	// redis#13628: the last entry that is left, not the last ID.
	s.Run("XDEL s 6")
	s.Want("XREAD STREAMS s +", "*1\n*2\n"+bulkLines("s")+"*1\n*2\n"+bulkLines("5-0")+"*2\n"+bulkLines("f", "v"))
	// redis#13958 and 14259: lag is what is left to read, whatever was trimmed or claimed to be read.
	for i := range 5 {
		s.Run(fmt.Sprintf("XADD l %d f v", i+1))
	}
	s.Run("XGROUP CREATE l g 0")
	s.Run("XREADGROUP GROUP g c COUNT 1 STREAMS l >")
	s.Run("XTRIM l MAXLEN 1")
	s.Run("XREADGROUP GROUP g c COUNT 1 STREAMS l >")
	s.Run("XGROUP CREATE l h 4 ENTRIESREAD 100")
	if got := s.Run("XINFO GROUPS l"); !strings.Contains(got, "entries-read\r\n:5\r\n$3\r\nlag\r\n:0\r\n") || !strings.Contains(got, "entries-read\r\n:5\r\n$3\r\nlag\r\n:1\r\n") {
		t.Errorf("XINFO GROUPS l: %q", got)
	}
}

// TestStreamClaimInAnyOrder: what is there is found whatever was looked for before.
func TestStreamClaimInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	s := commandtest.New(t)
	there := map[string]bool{}
	for i := range 200 {
		id := fmt.Sprintf("%d-0", i+1)
		s.Run("XADD s " + id + " f v")
		there[id] = true
	}
	for range 100 {
		id := fmt.Sprintf("%d-0", 1+rng.IntN(200))
		s.Run("XDEL s " + id)
		delete(there, id)
	}
	s.Run("XGROUP CREATE s g $")
	for range 200 {
		line, want := "XCLAIM s g c 0", []string(nil)
		for range 1 + rng.IntN(6) {
			id := fmt.Sprintf("%d-0", 1+rng.IntN(201))
			line += " " + id
			if there[id] {
				want = append(want, id)
			}
		}
		s.Want(line+" FORCE JUSTID", fmt.Sprintf("*%d\n", len(want))+bulkLines(want...))
	}
}

// TestStreamTrimBitByBit: where groups have to be asked, XTRIM lets go of the
// stripe in between, and what it journals bit by bit is the whole.
func TestStreamTrimBitByBit(t *testing.T) {
	s, f := commandtest.New(t), commandtest.New(t)
	v := stream.New()
	for i := range 5000 {
		v.Append(stream.ID{Ms: uint64(i + 1)}, [][]byte{[]byte("f"), []byte("v")}, stream.Limits{MaxEntries: 100})
	}
	for _, x := range []*commandtest.Server{s, f} {
		h := x.Keyspace.LockAll()
		k := keyspace.MakeKey([]byte("s"))
		x.Keyspace.TxOn(0).PutObject(&k, types.TStream, types.EncObject, v.Copy(), 0)
		x.Keyspace.Unlock(&h)
		x.Run("XGROUP CREATE s g 4500")
	}
	s.Effects = nil
	conn := commandtest.NewConn()
	s.C = s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 4)
	if got := s.Run("XTRIM s MAXLEN 100 ACKED"); got != "" {
		t.Errorf("answered at once: %q", got)
	}
	if got := conn.Wait(t); got != ":4500\r\n" {
		t.Errorf("%q", got)
	}
	if len(s.Effects) < 4 {
		t.Errorf("journaled as %q, at once", s.Effects)
	}
	apply := f.NewApplier()
	for _, e := range s.Effects {
		var args [][]byte
		for _, w := range strings.Fields(e) {
			args = append(args, []byte(w))
		}
		if err := apply.Apply(args); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := streamState(f, "s"), streamState(s, "s"); got != want {
		t.Errorf("the follower has\n%s\nwant\n%s", got, want)
	}
}

// TestIDsAtATime: XDEL and XACK of many entries, and XADD that trims many after looking at
// each, go bit by bit; what is journaled leads to the same.
func TestIDsAtATime(t *testing.T) {
	const n = 3000
	s := commandtest.New(t)
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf("%d-1", i+1))
		s.Run("XADD s " + ids[i] + " f v")
	}
	s.Run("XGROUP CREATE s g 0")
	for range n / 100 {
		s.Run("XREADGROUP GROUP g c COUNT 100 STREAMS s >")
	}
	later := func(line, want string) {
		t.Helper()
		conn := commandtest.NewConn()
		s.C.Conn = conn
		defer func() { s.C.Conn = nil }()
		before := len(s.Effects)
		if got := s.Run(line); got != "" {
			t.Errorf("%.40s: %q at once", line, got)
			return
		}
		if got := conn.Wait(t); got != want {
			t.Errorf("%.40s: %q, want %q", line, got, want)
		}
		if parts := len(s.Effects) - before; parts < 2 {
			t.Errorf("%.40s: %d parts", line, parts)
		}
	}
	later("XACK s g "+strings.Join(ids[:2000], " "), ":2000\r\n")
	s.Run("XDEL s 7-1")
	later("XDEL s "+strings.Join(ids[:2000], " "), ":1999\r\n")
	s.Want("XLEN s", fmt.Sprintf(":%d\n", n-2000))
	s.Want("XPENDING s g", fmt.Sprintf("*4\n:%d\n$6\n2001-1\n$6\n3000-1\n*1\n*2\n$1\nc\n$4\n1000\n", n-2000))
	// Of those none is acknowledged, so they are looked at and stay, but for some.
	s.Run("XACK s g " + strings.Join(ids[2900:], " "))
	later("XADD s ACKED MAXLEN = 1 9999-1 f v", "$6\r\n9999-1\r\n")
	s.Want("XLEN s", ":901\n") // and the new one
	f := commandtest.New(t)
	apply := f.NewApplier()
	for _, e := range s.Effects {
		var args [][]byte
		for _, w := range strings.Fields(e) {
			args = append(args, []byte(w))
		}
		if err := apply.Apply(args); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := streamState(f, "s"), streamState(s, "s"); got != want {
		t.Errorf("the follower has\n%s\nwant\n%s", got, want)
	}
	// Few, or inside of EXEC: at once, as the command came.
	s.Effects = nil
	s.Want("XDEL s 2001-1 2002-1", ":2\n")
	s.WantEffects("XDEL s 2001-1 2002-1")
}
