package persist_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/persist"
)

// numbers are writes each of which leaves its number: what is there afterwards
// must be what the first n of them lead to, for some n.
const numberKinds = 4

func (n *node) number(i int) {
	v := strconv.Itoa(i)
	switch i % numberKinds {
	case 0:
		n.do("set", "string", v)
	case 1:
		n.do("rpush", "list", v)
	case 2:
		n.do("multi")
		n.do("select", "3")
		n.do("set", "a", v)
		n.do("select", "0")
		n.do("hset", "b", "f", v)
		n.do("exec")
	case 3:
		n.do("set", "long", strings.Repeat(v+" ", 3000))
	}
}

// numbered is how many of the writes are there.
func (n *node) numbered(t testing.TB) int {
	t.Helper()
	get := func(words ...string) int {
		text := n.do(words...)
		if text == "$-1\r\n" || text == "*0\r\n" {
			return 0
		}
		lines := strings.Split(strings.TrimSpace(text), "\r\n")
		word, _, _ := strings.Cut(lines[len(lines)-1], " ")
		v, err := strconv.Atoi(word)
		if err != nil {
			t.Fatalf("%q: %q", words, text)
		}
		return v
	}
	n.do("select", "0")
	got := [numberKinds]int{get("get", "string"), get("lrange", "list", "-1", "-1"), get("hget", "b", "f"), get("get", "long")}
	n.do("select", "3")
	if a := get("get", "a"); a != got[2] {
		t.Fatalf("half a transaction: %d, %d", a, got[2])
	}
	n.do("select", "0")
	if length := n.do("llen", "list"); length != fmt.Sprintf(":%d\r\n", (got[1]+numberKinds-1)/numberKinds) {
		t.Fatalf("the list ends with %d and has a length of %s", got[1], length)
	}
	most := 0
	for _, g := range got {
		most = max(most, g)
	}
	for kind, g := range got {
		if want := most - (most-kind+numberKinds)%numberKinds; g != max(want, 0) {
			t.Fatalf("write %d is there, but of kind %d the last one is %d, not %d", most, kind, g, max(want, 0))
		}
	}
	return most
}

// TestPowerCutWhileLogging cuts the power at every step of a server that logs
// and rewrites its log. The next start finds under always every acknowledged
// write, and under everysec a prefix of all; and goes on from there.
func TestPowerCutWhileLogging(t *testing.T) {
	rng := aofRand(t)
	t.Chdir(t.TempDir())
	stride := 7 // each run takes others; KVD_LONG takes all
	if os.Getenv("KVD_LONG") != "" {
		stride = 1
	}
	cuts := 0
	for _, policy := range []string{"always", "everysec"} {
		for cut, cutting := 1+rng.IntN(stride), true; cutting; cut += stride {
			for luck := range 4 {
				if stride > 1 && luck != cuts%4 {
					continue
				}
				t.Run(fmt.Sprint(policy, " ", cut, " ", luck), func(t *testing.T) {
					cutting = cutWhileLogging(t, rng, policy, cut, luck) && cutting
				})
			}
			cuts++
			if cut > 2000 {
				t.Fatal("no end")
			}
		}
	}
	t.Logf("%d cuts", cuts)
}

// cutWhileLogging cuts at one step, and tells whether it came to that.
func cutWhileLogging(t *testing.T, rng *rand.Rand, policy string, cut, luck int) bool {
	d := persist.NewTestDisk()
	d.CutIn(cut)
	set := []string{"appendonly", "yes", "appendfsync", policy, "save", "", "aof-use-rdb-preamble", []string{"yes", "no"}[rng.IntN(2)]}
	acked, sent := 0, 0
	const most = 70
	if n, err := start(t, d, set...); err == nil {
		for sent < most && !d.Off() {
			sent++
			n.number(sent)
			if policy == "always" && rng.IntN(3) > 0 {
				at, _ := n.aof.Pending()
				n.aof.Kick()
				for end := time.Now().Add(10 * time.Second); n.aof.Synced() < at && !d.Off(); time.Sleep(20 * time.Microsecond) {
					if time.Now().After(end) {
						t.Fatal("no sync")
					}
				}
				// A log that has failed lets everybody go; its failure comes after the power's.
				if n.aof.Synced() >= at && !d.Off() {
					acked = sent
				}
			}
			if sent%25 == 10 {
				n.aof.Rewrite()
			}
			if sent%25 == 20 || policy == "everysec" && sent%5 == 0 {
				poll(t, "the rewrite", func() bool { return !n.aof.Rewriting() || d.Off() })
				if n.aof.Flush() == nil && !d.Off() {
					acked = sent
				}
			}
		}
		n.stop()
	}
	now := d.AfterCut(luck, rng)
	m, err := start(t, now, set...)
	if err != nil {
		t.Fatalf("%v\n%s", err, d.History())
	}
	got := m.numbered(t)
	if got < acked || got > sent {
		t.Fatalf("%d writes are there, %d were acknowledged and %d sent\n%s", got, acked, sent, d.History())
	}
	for i := got + 1; i <= got+5; i++ {
		m.number(i)
	}
	if err := m.aof.Flush(); err != nil {
		t.Fatal(err)
	}
	m.stop()
	last, err := start(t, now.AfterCut(0, rng), set...)
	if err != nil {
		t.Fatal(err)
	}
	if n := last.numbered(t); n != got+5 {
		t.Fatalf("after going on %d writes are there, not %d", n, got+5)
	}
	last.stop()
	return d.Off()
}
