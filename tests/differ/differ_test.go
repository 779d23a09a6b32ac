package differ

import (
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// seed is KVD_SEED, or a new one. Where CI judges a change it is the same every
// time: there a failure is to speak of the change, not of the dice.
func seed(t *testing.T) uint64 {
	n := rand.Uint64N(1_000_000_000) + 1
	if os.Getenv("CI") != "" {
		n = 20260
	}
	if s := os.Getenv("KVD_SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d (KVD_SEED=%d repeats it)", n, n)
	return n
}

func endpoints(t *testing.T) (kvd, redis Endpoint) {
	redisServer := harness.StartRedis(t) // first: it skips where there is none
	kvdServer := harness.StartKVD(t)
	deaths := 0
	kvd = Endpoint{Addr: kvdServer.Addr, Revive: func() error {
		if deaths++; deaths == 1 { // the shorter scripts kill it again
			t.Errorf("kvd has died; its log ends:\n%s", kvdServer.LogTail())
		}
		return kvdServer.Restart()
	}}
	return kvd, Endpoint{Addr: redisServer.Addr, Revive: redisServer.Restart}
}

// TestLanded runs random scripts of the families that landed.txt lists, shorter than the full run
// (go run ./tests/differ/cmd -full), but with every command and option in it.
func TestLanded(t *testing.T) {
	kvd, redis := endpoints(t)
	names, skip := Landed()
	res, err := Run(kvd, redis, Config{Families: names, Skip: skip, Seed: seed(t), MinUses: 400, MaxTime: 40 * time.Second, EnoughUses: 5, MaxDiffs: 5, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range res.Diffs {
		t.Error(d)
	}
	t.Logf("%d steps; %d commands and options, each at least %d times (the rarest: %s)", res.Steps, len(res.Uses), res.LeastUses, res.Least)
	if len(res.Diffs) == 0 && res.LeastUses < 5 {
		t.Errorf("%s occurred only %d times", res.Least, res.LeastUses)
	}
}

// TestRaw sends malformed and odd bytes.
func TestRaw(t *testing.T) {
	kvd, redis := endpoints(t)
	s := seed(t)
	cases := RawCases()
	diffs, err := PlayRaw(kvd, redis, append(cases, Mutate(cases, s, 600)...), s)
	if err != nil {
		t.Error(err)
	}
	for i, d := range diffs {
		if i == 10 {
			t.Errorf("and %d more", len(diffs)-i)
			break
		}
		t.Error(d)
	}
}

// foundWithin is how many steps may pass before a planted fault shows.
const foundWithin = 40_000

// TestPlanted puts a proxy with one fault before a real Redis and compares that with another: all faults have to be
// found, and shown by a short script.
func TestPlanted(t *testing.T) {
	redis := harness.StartRedis(t)
	behind := harness.StartRedis(t)
	s := seed(t)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			p, err := newProxy(behind.Addr, f)
			if err != nil {
				t.Fatal(err)
			}
			defer p.wg.Wait()
			defer p.Close()
			var res *Result
			var d *Diff
			for try := s; d == nil || is(d.Step().Args, "RANDOMKEY"); try++ { // whether that shows it again is chance
				res, err = Run(p.endpoint(), Endpoint{Addr: redis.Addr}, Config{
					Families: []string{"strings", "generic"}, Seed: try, MinUses: 1 << 30, MaxSteps: foundWithin, MaxDiffs: 1})
				if err != nil {
					t.Fatal(err)
				}
				if len(res.Diffs) == 0 {
					t.Fatalf("not found in %d steps: %s", res.Steps, f.why)
				}
				d = res.Diffs[0]
			}
			if len(d.Shrunk) == 0 || len(d.Shrunk) > 12 {
				t.Errorf("the shortest script has %d steps\n%s", len(d.Shrunk), d)
			}
			t.Logf("found after %d steps, shown in %d: %s", res.Steps, len(d.Shrunk), d.Note)
		})
	}
}

// TestPlantedNone is the other half: the proxy without a fault shows no difference.
func TestPlantedNone(t *testing.T) {
	redis := harness.StartRedis(t)
	behind := harness.StartRedis(t)
	p, err := newProxy(behind.Addr, fault{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.wg.Wait()
	defer p.Close()
	res, err := Run(p.endpoint(), Endpoint{Addr: redis.Addr}, Config{Families: Families(), Seed: seed(t), MinUses: 1 << 30, MaxSteps: 4000})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range res.Diffs {
		t.Error(d)
	}
}

// TestCrash has the server die of one command: the run starts it again and finds the shortest way to kill it.
func TestCrash(t *testing.T) {
	redis := harness.StartRedis(t)
	behind := harness.StartRedis(t)
	p, err := newProxy(behind.Addr, fault{ask: func(args []string) []string {
		if is(args, "GETDEL") {
			return []string{"SHUTDOWN", "NOSAVE"}
		}
		return args
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.wg.Wait()
	defer p.Close()
	// The proxy accepts while its server is down, so that FLUSHALL fails, not the dialling.
	kvd := Endpoint{Addr: p.Addr().String(), Revive: behind.Restart}
	res, err := Run(kvd, Endpoint{Addr: redis.Addr}, Config{Families: []string{"strings"}, Seed: seed(t), MinUses: 1 << 30, MaxSteps: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Diffs) != 1 || res.Diffs[0].Err == nil || len(res.Diffs[0].Shrunk) != 1 || !is(res.Diffs[0].Shrunk[0].Args, "GETDEL") {
		t.Errorf("%v", res.Diffs)
	}
	if !behind.Running() { // it died in the last of the shorter scripts
		if err := behind.Restart(); err != nil {
			t.Error(err)
		}
	}
}

// TestRawFinds compares Redis with a server that answers PONG to everything.
func TestRawFinds(t *testing.T) {
	redis := harness.StartRedis(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for b := make([]byte, 1024); ; {
					if _, err := c.Read(b); err != nil {
						return
					}
					if _, err := c.Write([]byte("+PONG\r\n")); err != nil {
						return
					}
				}
			}()
		}
	}()
	for in, differs := range map[string]bool{"PING\r\n": false, "PING": true, "*1\r\n$-1\r\n": true, "ECHO a\r\n": true, "QUIT\r\n": true} {
		diffs, err := PlayRaw(Endpoint{Addr: l.Addr().String()}, Endpoint{Addr: redis.Addr}, [][]byte{[]byte(in)}, 1)
		if err != nil {
			t.Error(err)
		}
		whole := slices.ContainsFunc(diffs, func(d RawDiff) bool { return d.Split == 0 })
		if whole != differs {
			t.Errorf("%q: differs is %v, want %v: %v", in, whole, differs, diffs)
		}
	}
}

func TestGrammarErrors(t *testing.T) {
	for _, line := range []string{"GET <nosuch>", "GET [", "GET (a | )", "GET {", "@nosuch GET", "GET ]", "GET (a", "GET {}"} {
		if f, err := parseForm("x", line); err == nil {
			t.Errorf("%q was read as %+v", line, f)
		}
	}
}

// TestSpell checks that a forced option is there, and counted.
func TestSpell(t *testing.T) {
	g := &gen{Rand: rand.New(rand.NewPCG(1, 1)), pools: []string{"s", "n"}, payloads: []string{"p"}}
	for _, f := range forms {
		for _, l := range f.labels {
			if _, used := g.spell(f, l); !slices.Contains(used, l) {
				t.Errorf("%s: %s was not spelled: %q", f.name, l, used)
			}
		}
	}
}

func TestStepText(t *testing.T) {
	for _, s := range []Step{
		{Args: []string{"SET", "", "a b", "\x00\xff\r\n", "caf\xc3\xa9", `"\`, "@x"}},
		{Args: []string{"TTL", "k"}, Cmp: "seconds"},
		{Args: []string{"@", "\""}},
	} {
		back, err := ParseStep(s.String())
		if err != nil || back.Cmp != s.Cmp || !slices.Equal(back.Args, s.Args) {
			t.Errorf("%q came back from %s as %q: %v", s, s.String(), back, err)
		}
	}
}

func TestKeepFew(t *testing.T) {
	for _, v := range [][2]string{
		{"ZRANDMEMBER k -9223372036854775807", "ZRANDMEMBER k -9223372036854775808"},
		{"srandmember k -100001", "srandmember k -9223372036854775808"},
		{"HRANDFIELD k -100001 WITHVALUES", "HRANDFIELD k -9223372036854775808 WITHVALUES"},
		{"SRANDMEMBER k -100000", "SRANDMEMBER k -100000"},
		{"SRANDMEMBER k 9223372036854775807", "SRANDMEMBER k 9223372036854775807"}, // at most the set
		{"SRANDMEMBER k", "SRANDMEMBER k"},
		{"LPOP k -100001", "LPOP k -100001"},
	} {
		args := strings.Fields(v[0])
		if keepFew(args); strings.Join(args, " ") != v[1] {
			t.Errorf("%s became %q, want %s", v[0], args, v[1])
		}
	}
}
