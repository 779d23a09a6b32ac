// Package corrupt gives RESTORE payloads that were damaged after the fact and have the
// right checksum, and runs every command of the table on what it takes. What the decoder
// lets through must be a value like any other: no command may panic or hang on it, and its
// invariants must hold afterwards. That is where the real crashes of Redis and its kin
// were: behind RESTORE, not in it.
package corrupt

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"kvd"
	"kvd/command"
	"kvd/command/families"
	"kvd/kvdtest"
	"kvd/persist/rdb"
)

var (
	length = flag.Duration("corrupt", 0, "how long to go on with new payloads; 0 tries some hundreds")
	seed   = flag.Uint64("corruptseed", 1, "seed of the random numbers")
	only   = flag.Int("corruptcase", -1, "the number of the only case to be run, as a failure names it")
)

// few is how many payloads are tried by default, and patience is how long all commands on
// one of them may take: far more than a busy machine makes of the some milliseconds.
const (
	few      = 1500
	patience = 2 * time.Minute
)

// bad is the key of the payload that is on trial.
const bad = "bad"

// trial is what the cases share.
type trial struct {
	t     *testing.T
	s     *kvdtest.Server
	c     *kvd.Client
	rows  []*form
	seeds []payload
	// accepted counts payloads that RESTORE took, by the first byte of their seed.
	accepted map[byte]int
	reached  map[string]bool // rows that were called with the key, and did not complain of their arguments
	calls    int
	doing    string // the last call, for who looks from outside
}

func TestCorrupt(t *testing.T) {
	tr := &trial{t: t, accepted: map[byte]int{}, reached: map[string]bool{}}
	tr.s = kvdtest.New(t, "proto-max-bulk-len 1mb", "rdbcompression no", "dir "+t.TempDir())
	var err error
	if tr.c, err = tr.s.Client(); err != nil {
		t.Fatal(err)
	}
	defer tr.c.Close()
	tr.do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function(k, a) return redis.pcall('DUMP', k[1]) end)\nredis.register_function{function_name='g', callback=function(k, a) return redis.pcall('DUMP', k[1]) end, flags={'no-writes'}}")
	tr.rows = forms(t)
	tr.seeds = tr.makeSeeds()
	end := time.Now().Add(*length)
	tried := 0
	for n := 0; n < few || time.Now().Before(end); n++ {
		if *only >= 0 {
			n = *only
		}
		tr.run(n)
		tried++
		if *only >= 0 || t.Failed() {
			break
		}
	}
	all := 0
	for _, n := range tr.accepted {
		all += n
	}
	t.Logf("seed %d: %d payloads, %d taken, %d calls; by form %v", *seed, tried, all, tr.calls, tr.accepted)
	if *only >= 0 || t.Failed() {
		return
	}
	for _, p := range tr.seeds {
		if tr.accepted[p.body[0]] == 0 {
			t.Errorf("no payload of form %d was taken, so nothing was run on one", p.body[0])
		}
	}
	for _, f := range tr.rows {
		if !tr.reached[f.row.FullName()] {
			t.Errorf("%s was never called on the key with arguments that it took", f.row.FullName())
		}
	}
}

// do runs a call that has nothing to do with what is on trial.
func (tr *trial) do(words ...string) kvd.Reply {
	tr.t.Helper()
	r := tr.c.Do(words...)
	if err := r.Err(); err != nil {
		tr.t.Fatalf("%.100q: %v", words, err)
	}
	return r
}

// run tries one payload with every command. A case is the same whenever it is run alone.
func (tr *trial) run(n int) {
	rng := rand.New(rand.NewPCG(*seed, uint64(n)))
	g := &gen{rng}
	p := g.mutate(tr.seeds)
	sealed := string(seal(p.body, p.version))
	// Time is counted in ticks, of which there are none while this process is stopped.
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		tick := time.NewTicker(patience / 100)
		defer tick.Stop()
		for range 100 {
			select {
			case <-tick.C:
			case <-ended:
				return
			}
		}
		panic(fmt.Sprintf("case %d hangs: %q, payload %q", n, tr.doing, p.body))
	}()
	restore := []string{"RESTORE", bad, "0", sealed, "REPLACE"}
	if r := tr.c.Do(restore...); r.Err() != nil {
		if !strings.Contains(r.Err().Error(), "Bad data format") {
			tr.t.Errorf("case %d: RESTORE of %q answers %v", n, p.body, r.Err())
		}
		return
	}
	if v, _ := tr.c.Do("EXISTS", bad).Int(); v == 0 {
		return // all of its fields have expired already
	}
	tr.accepted[p.form]++
	fail := func(what string, args ...any) {
		tr.t.Errorf("case %d (-corruptseed %d -corruptcase %d): payload %q: %s", n, *seed, n, p.body, fmt.Sprintf(what, args...))
	}
	check := func(after any) bool {
		if err := tr.c.Do("DEBUG", "CHECK").Err(); err != nil {
			fail("after %.300q: %v", after, err)
			return false
		}
		return true
	}
	// What is written again is the same value.
	dump, _ := tr.c.Do("DUMP", bad).Text()
	digest, _ := tr.c.Do("DEBUG", "DIGEST-VALUE", bad).Texts()
	if r := tr.c.Do("RESTORE", "again", "0", dump, "REPLACE"); r.Err() != nil {
		fail("its DUMP %q is refused: %v", dump, r.Err())
	} else if again, _ := tr.c.Do("DEBUG", "DIGEST-VALUE", "again").Texts(); !slices.Equal(again, digest) {
		fail("its DUMP %q has the digest %q, not %q", dump, again, digest)
	}
	if !check("RESTORE") {
		return
	}
	for _, other := range tr.seeds {
		if rng.IntN(4) == 0 {
			tr.c.Do("RESTORE", "k"+fmt.Sprint(other.form), "0", string(seal(other.body, other.version)), "REPLACE")
		}
	}
	var calls [][]string
	for _, i := range rng.Perm(len(tr.rows)) {
		calls = append(calls, g.call(tr.rows[i]))
	}
	calls = append(calls, []string{"DEBUG", "OBJECT", bad}, []string{"DEBUG", "LISTPACK", bad}, []string{"DEBUG", "DIGEST"}, []string{"SCAN", "0", "TYPE", "hash"},
		[]string{"KEYS", "*"}, []string{"EVAL", "return redis.pcall('GET',KEYS[1])", "1", bad})
	if rng.IntN(20) == 0 {
		calls = append(calls, []string{"DEBUG", "RELOAD"})
	}
	for _, call := range calls {
		tr.c.Do(restore...)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Millisecond)
		args := make([][]byte, len(call))
		for i, w := range call {
			args[i] = []byte(w)
		}
		tr.doing = fmt.Sprintf("%.300q", call)
		r := tr.c.Call(ctx, args...)
		cancel()
		tr.calls++
		err := r.Err()
		if err == kvd.ErrClosed {
			fail("%.300q closes the connection", call)
			return
		}
		if err != nil && strings.Contains(err.Error(), "internal error") {
			fail("%.300q panics", call)
		}
		if *only >= 0 && !check(call) {
			return
		}
		if refused := err != nil && (strings.Contains(err.Error(), "syntax error") || strings.Contains(err.Error(), "wrong number") || strings.Contains(err.Error(), "unknown")); !refused {
			tr.reached[nameOf(call)] = true
		}
	}
	check("every command; -corruptcase tells after which")
	tr.c.Do("FLUSHALL", "SYNC")
}

var table = families.Table()

// nameOf is the row's name of a call.
func nameOf(call []string) string {
	args := make([][]byte, len(call))
	for i, w := range call {
		args[i] = []byte(w)
	}
	if r := table.Find(args); r != nil {
		return r.FullName()
	}
	return ""
}

func seal(body []byte, version uint16) []byte {
	b := binary.LittleEndian.AppendUint16(slices.Clone(body), version)
	return binary.LittleEndian.AppendUint64(b, rdb.Checksum(0, b))
}

// forms are the rows that have keys, with the grammar of their arguments.
func forms(t *testing.T) []*form {
	var out []*form
	var walk func(r *command.Row)
	walk = func(r *command.Row) {
		for _, s := range r.Sub {
			walk(s)
		}
		if r.Fn == nil || r.First == 0 && r.KeysFn == nil || leftOut[r.FullName()] != "" {
			return
		}
		f, err := parseForm(r)
		if err != nil {
			t.Errorf("%s: %v", r.FullName(), err)
			return
		}
		out = append(out, f)
	}
	for _, r := range table.Top() {
		walk(r)
	}
	if len(out) < 180 {
		t.Errorf("only %d rows have keys", len(out))
	}
	return out
}

// leftOut are rows with keys that are not run, and why.
var leftOut = map[string]string{
	"migrate": "connects to another server; it sends what DUMP makes, which is tried",
	"restore": "runs before every other call",
	"watch":   "looks at nothing of the value, and is for EXEC, which is no command of a key",
}
