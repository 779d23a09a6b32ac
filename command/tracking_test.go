package command

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"
)

// tracker is a RESP3 client that tracks, with what it is pushed.
func (s *testServer) tracker(options string) (*Client, *pushes) {
	s.t.Helper()
	c, p := s.subscriber(&testOutlet{})
	s.as(c, "HELLO 3")
	s.wantAs(c, strings.TrimSpace("CLIENT TRACKING ON "+options), "+OK\n")
	return c, p
}

// inval is the push that names keys.
func inval(keys ...string) string {
	m := fmt.Sprintf(">2\n$10\ninvalidate\n*%d\n", len(keys))
	for _, k := range keys {
		m += fmt.Sprintf("$%d\n%s\n", len(k), k)
	}
	return m
}

const invalAll = ">2\n$10\ninvalidate\n_\n"

func (s *testServer) wantTracked(keys, items int64) {
	s.t.Helper()
	if k, i := s.tracking.keys.Load(), s.tracking.items.Load(); k != keys || i != items {
		s.t.Errorf("%d keys and %d items are remembered, want %d and %d", k, i, keys, items)
	}
	if keys == 0 && s.tracking.bytes.Load() != 0 {
		s.t.Errorf("%d bytes are held for no keys", s.tracking.bytes.Load())
	}
}

func TestTracking(t *testing.T) {
	s := newTestServer(t)
	a, pa := s.tracker("")
	b, pb := s.tracker("")
	s.as(a, "MGET x y z")
	s.as(b, "GET x")
	s.wantTracked(3, 4)
	s.run("SET x 1")
	pa.want(t, inval("x"))
	pb.want(t, inval("x"))
	s.run("SET x 2") // once is enough
	s.run("DEL y")   // nothing there: no change
	pa.want(t)
	pb.want(t)
	s.wantTracked(2, 2)

	// What has changed is told whatever changed it.
	s.run("MSET y 1 z 1 r 1 v 1")
	pa.want(t, inval("y"), inval("z"))
	for _, line := range []string{"DEL y", "RENAME z y", "EXPIRE r 100", "SETRANGE v 1 x", "MOVE r 3", "COPY v r"} {
		s.as(a, "MGET y z r v")
		pa.got = nil
		s.run(line)
		if len(pa.got) == 0 {
			t.Errorf("%s was not told", line)
		}
		pa.got = nil
	}
	s.as(a, "GET v")
	for _, line := range []string{"FLUSHALL", "FLUSHDB", "SWAPDB 0 1"} {
		s.run(line)
		pa.want(t, invalAll)
		pb.want(t, invalAll)
		s.wantTracked(0, 0)
	}

	// A client is told of its own changes, behind the reply; in EXEC, behind all.
	s.as(a, "GET x")
	s.wantAs(a, "SET x 5", "+OK\n"+inval("x"))
	s.as(a, "GET x")
	s.as(a, "MULTI")
	s.as(a, "INCR x")
	s.as(a, "GET x")
	s.as(a, "SET x 1")
	s.wantAs(a, "EXEC", "*3\n:6\n$1\n6\n+OK\n"+inval("x")+inval("x"))
	s.wantAs(a, "FLUSHDB", "+OK\n"+invalAll)
	pa.want(t)

	// Writers do not read, nor who does not track any more.
	s.as(a, "INCR q")
	s.as(a, "GETEX q")
	s.wantTracked(0, 0)
	s.as(a, "GET q")
	s.wantAs(a, "CLIENT TRACKING OFF", "+OK\n")
	s.as(a, "GET q2")
	s.wantTracked(1, 1)
	s.run("SET q 1")
	pa.want(t)
	s.wantTracked(0, 0)

	s.as(b, "GET q")
	s.DropClient(b)
	s.run("SET q 1")
	pb.got = nil
	s.wantTracked(0, 0)
}

func TestTrackingExpiry(t *testing.T) {
	s := newTestServer(t)
	s.activeExpire(true)
	a, pa := s.tracker("NOLOOP")
	s.now = time.Now()
	s.run("SET k v PX 100000")
	s.as(a, "GET k")
	s.Advance(101 * time.Second)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && s.tracking.keys.Load() > 0; {
		time.Sleep(time.Millisecond)
	}
	pa.want(t, inval("k"))
}

func TestTrackingModes(t *testing.T) {
	s := newTestServer(t)
	in, pin := s.tracker("OPTIN")
	out, pout := s.tracker("OPTOUT")
	loop, ploop := s.tracker("NOLOOP")
	for i, line := range []string{"CLIENT CACHING YES", "CLIENT TRACKINGINFO", "GET a"} {
		if r := s.as(in, line); i == 1 && !strings.Contains(r, "caching-yes") {
			t.Errorf("CLIENT TRACKINGINFO: %q", r)
		}
	}
	s.as(in, "GET b")
	s.as(in, "CLIENT CACHING YES")
	s.as(in, "MULTI")
	s.as(in, "GET c")
	s.as(in, "GET d")
	s.as(in, "EXEC")
	s.as(in, "GET e")
	s.wantTracked(3, 3)
	s.as(out, "GET a")
	s.as(out, "CLIENT CACHING NO")
	s.as(out, "GET b")
	s.as(out, "GET c")
	s.wantTracked(3, 5)
	s.as(loop, "GET a")
	s.wantAs(loop, "MSET a 1 b 1 c 1 d 1 e 1", "+OK\n")
	pin.want(t, inval("a"), inval("c"), inval("d"))
	pout.want(t, inval("a"), inval("c"))
	ploop.want(t)
	s.as(loop, "GET a")
	s.run("SET a 1")
	ploop.want(t, inval("a"))
}

func TestTrackingBroadcast(t *testing.T) {
	s := newTestServer(t)
	_, pall := s.tracker("BCAST")
	pre, ppre := s.tracker("BCAST PREFIX u: PREFIX v: NOLOOP")
	s.as(pre, "GET u:1")
	s.wantTracked(0, 0)
	s.run("MSET u:2 1 v:1 1 u:1 1 w 1")
	pall.want(t, inval("u:1", "u:2", "v:1", "w"))
	ppre.want(t, inval("u:1", "u:2"), inval("v:1"))
	s.run("MULTI")
	s.run("SET u:1 1")
	s.run("INCR u:1")
	s.run("GET u:2")
	s.run("EXEC")
	pall.want(t, inval("u:1"))
	ppre.want(t, inval("u:1"))
	s.wantAs(pre, "SET u:1 1", "+OK\n")
	pall.want(t, inval("u:1"))
	ppre.want(t)
	s.run("FLUSHALL")
	pall.want(t, invalAll)
	ppre.want(t, invalAll)
	s.as(pre, "CLIENT TRACKING ON BCAST PREFIX w")
	s.run("MSET w1 1 u:1 1")
	ppre.want(t, inval("u:1"), inval("w1"))
	if n := s.tracking.broadcasts.Load(); n != 4 {
		t.Errorf("%d prefixes", n)
	}
	s.as(pre, "RESET")
	s.run("SET w1 1")
	ppre.want(t)
	if n := s.tracking.broadcasts.Load(); n != 1 {
		t.Errorf("%d prefixes", n)
	}
}

func TestTrackingRedirect(t *testing.T) {
	s := newTestServer(t)
	to, pto := s.subscriber(&testOutlet{})
	c, p := s.subscriber(&testOutlet{})
	s.wantAs(c, fmt.Sprintf("CLIENT TRACKING ON REDIRECT %d", to.ID), "+OK\n")
	s.wantAs(c, "CLIENT GETREDIR", fmt.Sprintf(":%d\n", to.ID))
	s.as(c, "GET a")
	s.run("SET a 1") // nobody listens
	pto.want(t)
	s.as(to, "SUBSCRIBE __redis__:invalidate")
	s.as(c, "GET a")
	s.run("SET a 1")
	pto.want(t, "*3\n$7\nmessage\n$20\n__redis__:invalidate\n*1\n$1\na\n")
	s.run("FLUSHALL")
	pto.want(t, "*3\n$7\nmessage\n$20\n__redis__:invalidate\n$-1\n")
	s.as(to, "RESET")
	s.as(to, "HELLO 3")
	s.as(c, "GET a")
	s.run("SET a 1")
	pto.want(t, inval("a"))
	p.want(t)
	s.as(c, "GET a")
	s.DropClient(to)
	s.as(c, "HELLO 3")
	s.run("SET a 1")
	p.want(t, fmt.Sprintf(">2\n$21\ntracking-redir-broken\n:%d\n", to.ID))
	if r := s.as(c, "CLIENT TRACKINGINFO"); !strings.Contains(r, "broken_redirect") {
		t.Errorf("CLIENT TRACKINGINFO: %q", r)
	}
	if r := s.as(c, "CLIENT INFO"); !strings.Contains(r, " flags=tR ") {
		t.Errorf("CLIENT INFO: %q", r)
	}
}

func TestTrackingErrors(t *testing.T) {
	s := newTestServer(t)
	c, _ := s.subscriber(&testOutlet{})
	for _, test := range [][2]string{
		{"CLIENT TRACKING", "wrong number of arguments for 'client|tracking' command"},
		{"CLIENT TRACKING maybe", "syntax error"},
		{"CLIENT TRACKING ON REDIRECT", "syntax error"},
		{"CLIENT TRACKING ON REDIRECT x", "value is not an integer or out of range"},
		{"CLIENT TRACKING ON REDIRECT 99", "The client ID you want redirect to does not exist"},
		{"CLIENT TRACKING ON REDIRECT 1 REDIRECT 1", "A client can only redirect to a single other client"},
		{"CLIENT TRACKING ON PREFIX a", "PREFIX option requires BCAST mode to be enabled"},
		{"CLIENT TRACKING ON BCAST OPTIN", "OPTIN and OPTOUT are not compatible with BCAST"},
		{"CLIENT TRACKING ON OPTIN OPTOUT", "You can't specify both OPTIN mode and OPTOUT mode"},
		{"CLIENT TRACKING ON BCAST PREFIX foo PREFIX fo", "Prefix 'foo' overlaps with another provided prefix 'fo'. Prefixes for a single client must not overlap."},
		{"CLIENT TRACKING ON BCAST PREFIX a PREFIX foo PREFIX fo", "Prefix 'foo' overlaps with another provided prefix 'fo'. Prefixes for a single client must not overlap."},
		{"CLIENT CACHING YES", "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"},
		{"CLIENT TRACKING ON BCAST PREFIX foo", ""},
		{"CLIENT TRACKING ON BCAST PREFIX f", "Prefix 'f' overlaps with an existing prefix 'foo'. Prefixes for a single client must not overlap."},
		{"CLIENT TRACKING ON", "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."},
		{"CLIENT TRACKING OFF", ""},
		{"CLIENT TRACKING ON OPTIN", ""},
		{"CLIENT TRACKING ON OPTOUT", "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."},
		{"CLIENT CACHING NO", "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."},
		{"CLIENT CACHING perhaps", "syntax error"},
	} {
		want := "-ERR " + test[1] + "\n"
		if test[1] == "" {
			want = "+OK\n"
		}
		s.wantAs(c, test[0], want)
	}
}

func TestTrackingLimit(t *testing.T) {
	s := newTestServer(t)
	a, pa := s.tracker("")
	for i := range 300 {
		s.as(a, fmt.Sprintf("GET key%d", i))
	}
	s.run("CONFIG SET tracking-table-max-keys 100")
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && s.tracking.items.Load() > 100; {
		time.Sleep(time.Millisecond)
	}
	s.wantTracked(100, 100)
	told := func() int {
		pa.out.mu.Lock()
		defer pa.out.mu.Unlock()
		return len(pa.got)
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && told() < 200; {
		time.Sleep(time.Millisecond)
	}
	if told() != 200 {
		t.Errorf("%d messages about 200 keys", told())
	}
	// Who reads on is told of what is forgotten, behind the reply.
	n := 0
	for i := range 200 {
		n += strings.Count(s.as(a, fmt.Sprintf("GET more%d", i)), "invalidate")
	}
	s.wantTracked(100, 100)
	if n != 200 {
		t.Errorf("%d messages about 200 keys", n)
	}
}

// TestTrackingModel: random reads and writes of many clients against a table
// that is only a map.
func TestTrackingModel(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	s := newTestServer(t)
	var clients []*Client
	var got []*pushes
	for range 70 {
		c, p := s.tracker("")
		clients, got = append(clients, c), append(got, p)
	}
	type item struct {
		client int
		key    string
	}
	model := map[item]bool{}
	name := func() string {
		k := rnd.IntN(40)
		return fmt.Sprintf("%d%s", k, strings.Repeat("x", k*7))
	}
	for i := range 20_000 {
		key := name()
		if rnd.IntN(60) > 0 {
			c := rnd.IntN(len(clients))
			s.as(clients[c], "GET "+key)
			model[item{c, key}] = true
			continue
		}
		s.run("SET " + key + " 1")
		var want, have []string
		for c := range clients {
			if model[item{c, key}] {
				delete(model, item{c, key})
				want = append(want, fmt.Sprint(c))
			}
			for _, m := range got[c].got {
				if m != strings.ReplaceAll(inval(key), "\n", "\r\n") {
					t.Fatalf("seed %d, step %d: a push %q about %s", seed, i, m, key)
				}
				have = append(have, fmt.Sprint(c))
			}
			got[c].got = nil
		}
		sort.Strings(want)
		sort.Strings(have)
		if strings.Join(want, " ") != strings.Join(have, " ") {
			t.Fatalf("seed %d, step %d: %s: told %v, want %v", seed, i, key, have, want)
		}
	}
	keys := map[string]bool{}
	for it := range model {
		keys[it.key] = true
	}
	s.wantTracked(int64(len(keys)), int64(len(model)))
	s.run("FLUSHALL")
	s.wantTracked(0, 0)
}
