package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kvd/tests/harness"
)

// TestFilesOfStreamsAndHLL: streams with groups, pending and deleted entries, and
// HyperLogLogs sparse and dense, go both ways in a snapshot: redis-server loads kvd's, kvd
// loads redis-server's, with equal digests, groups, pending entries and counts.
func TestFilesOfStreamsAndHLL(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	redis := func(t *testing.T, args ...string) *harness.Server { return harness.StartRedis(t, args...) }
	kvd := func(t *testing.T, args ...string) *harness.Server { return harness.StartKVD(t, args...) }
	for _, way := range []struct {
		name     string
		from, to func(t *testing.T, args ...string) *harness.Server
	}{{"kvd to Redis", kvd, redis}, {"Redis to kvd", redis, kvd}} {
		t.Run(way.name, func(t *testing.T) {
			from := way.from(t)
			c := from.MustDial(t)
			fillStreamsAndHLL(t, c, rand.New(rand.NewPCG(seed, 1)))
			c.MustDo(t, "SAVE")
			file, err := os.ReadFile(filepath.Join(from.Dir, "dump.rdb"))
			if err != nil {
				t.Fatal(err)
			}
			to := way.to(t)
			if err := to.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to.Dir, "dump.rdb"), file, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := to.Restart(); err != nil {
				t.Fatal(err)
			}
			o := to.MustDial(t)
			if want, got := c.MustDo(t, "DEBUG", "DIGEST").Str, o.MustDo(t, "DEBUG", "DIGEST").Str; got != want {
				t.Errorf("digests %s and %s", want, got)
			}
			want, got := describeStreamsAndHLL(t, c), describeStreamsAndHLL(t, o)
			if len(want) < 100 {
				t.Errorf("only %d lines to compare", len(want))
			}
			for i := range want {
				if i >= len(got) || want[i] != got[i] {
					t.Fatalf("line %d: wanted %s", i, want[i])
				}
			}
		})
	}
}

const streamsInFile = 20

// fillStreamsAndHLL makes what is to be in the file.
func fillStreamsAndHLL(t *testing.T, c *harness.Conn, r *rand.Rand) {
	for i := range streamsInFile {
		key := fmt.Sprint("s", i)
		n := 1 + r.IntN(400)
		for e := range n {
			args := []string{"XADD", key, fmt.Sprintf("%d-%d", 1000+e, r.IntN(3))}
			for f := range 1 + r.IntN(3) {
				args = append(args, fmt.Sprint("f", f+r.IntN(2)), strings.Repeat("v", r.IntN(60))+fmt.Sprint(r.IntN(1000)))
			}
			c.MustDo(t, args...)
		}
		for g := range r.IntN(4) {
			group := fmt.Sprint("g", g)
			c.MustDo(t, "XGROUP", "CREATE", key, group, []string{"0", "$", "1050-0"}[r.IntN(3)])
			for m := range r.IntN(4) {
				c.Do("XREADGROUP", "GROUP", group, fmt.Sprint("m", m), "COUNT", fmt.Sprint(1+r.IntN(60)), "STREAMS", key, ">")
			}
			for range r.IntN(40) {
				at := fmt.Sprintf("%d-%d", 1000+r.IntN(n), r.IntN(3))
				c.MustDo(t, "XACK", key, group, at)
			}
		}
		for range r.IntN(60) {
			c.MustDo(t, "XDEL", key, fmt.Sprintf("%d-%d", 1000+r.IntN(n), r.IntN(3)))
		}
		if r.IntN(4) == 0 {
			c.MustDo(t, "XTRIM", key, "MAXLEN", fmt.Sprint(r.IntN(n)))
		}
	}
	for i, n := range []int{0, 1, 50, 1000, 100_000} {
		key := fmt.Sprint("h", i)
		c.MustDo(t, "PFADD", key)
		for e := 0; e < n; {
			args := []string{"PFADD", key}
			for range min(500, n-e) {
				args = append(args, fmt.Sprint("e", r.IntN(1<<30)))
				e++
			}
			c.MustDo(t, args...)
		}
	}
}

// describeStreamsAndHLL asks for all of it that Redis 7.0 tells, without times, and without
// the lag, of which 7.0 says too much where entries were trimmed.
func describeStreamsAndHLL(t *testing.T, c *harness.Conn) (lines []string) {
	say := func(args ...string) { lines = append(lines, fmt.Sprintf("%v: %s", args, c.MustDo(t, args...))) }
	field := func(r harness.Reply, name string) string {
		for i := 0; i+1 < len(r.Elems); i += 2 {
			if r.Elems[i].Str == name {
				return r.Elems[i+1].String()
			}
		}
		return "none"
	}
	for i := range streamsInFile {
		key := fmt.Sprint("s", i)
		say("XRANGE", key, "-", "+")
		info := c.MustDo(t, "XINFO", "STREAM", key)
		for _, f := range []string{"length", "last-generated-id", "max-deleted-entry-id", "entries-added", "recorded-first-entry-id", "groups"} {
			lines = append(lines, key+" "+f+" "+field(info, f))
		}
		for _, g := range c.MustDo(t, "XINFO", "GROUPS", key).Elems {
			group := field(g, "name")
			for _, f := range []string{"name", "consumers", "pending", "last-delivered-id", "entries-read"} {
				lines = append(lines, key+" "+group+" "+f+" "+field(g, f))
			}
			name := strings.Trim(group, `"`)
			say("XPENDING", key, name)
			for _, p := range c.MustDo(t, "XPENDING", key, name, "-", "+", "10000").Elems {
				lines = append(lines, fmt.Sprint(key, group, p.Elems[0], p.Elems[1], p.Elems[3]))
			}
		}
	}
	for i := range 5 {
		say("PFCOUNT", fmt.Sprint("h", i))
		say("STRLEN", fmt.Sprint("h", i))
	}
	return lines
}
