package persist_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// stamped is a long string of which every MiB begins with a number.
type stamped struct {
	size   int // MiB
	stamps []int
	calm   bool // no FLUSHALL now
}

const stampDigits = 12

// TestAbortedSnapshots gives up snapshots at any moment, each followed by one
// that is not, and expects that to hold its instant, while clients make keys
// grow, rename and move them, empty and exchange databases, let keys expire and
// write into a long string. KVD_LONG=100 does it 100 times
// with 512 MiB.
func TestAbortedSnapshots(t *testing.T) {
	rounds, long := 6, &stamped{size: 8}
	if often, err := strconv.Atoi(os.Getenv("KVD_LONG")); err == nil {
		rounds, long.size = often, 512
	}
	long.stamps = make([]int, long.size)
	rng := aofRand(t)
	t.Chdir(t.TempDir())
	n := mustStart(t, nil, "save", "", "rdbcompression", "no")
	// gate makes the instant known: a change and the start of a snapshot exclude
	// each other, a change and its writing do not.
	var gate sync.Mutex
	n.do("setrange", "long", strconv.Itoa(long.size<<20-1), "x")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 2 {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(w)))
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				gate.Lock()
				n.disturb(own, long)
				gate.Unlock()
				if i%50 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	defer func() {
		close(stop)
		wg.Wait()
	}()
	aborted := 0
	for round := range rounds {
		gate.Lock()
		busy := n.aof.Background()
		gate.Unlock()
		if busy {
			t.Fatal("busy")
		}
		time.Sleep(time.Duration(rng.IntN(1+5000*long.size)) * time.Microsecond)
		before, _ := os.Stat("dump.rdb")
		if n.aof.Saving() {
			n.aof.Abort()
			n.aof.Wait()
			if strings.Contains(n.text(), "was given up") {
				aborted++
			}
			after, _ := os.Stat("dump.rdb")
			if before != nil && (after == nil || after.ModTime() != before.ModTime()) && strings.Count(n.text(), "DB saved on disk") < round {
				t.Fatal("an aborted snapshot has touched the file")
			}
		}
		var want map[string]string
		var stamps []int
		for tries := 0; ; tries++ {
			gate.Lock()
			long.calm = tries > 0
			want, stamps = n.all(t), append([]int(nil), long.stamps...)
			saved := strings.Count(n.text(), "DB saved on disk")
			busy = n.aof.Background()
			gate.Unlock()
			if busy {
				t.Fatal("busy")
			}
			n.aof.Wait()
			if strings.Count(n.text(), "DB saved on disk") > saved {
				break
			}
			// FLUSHALL gives a snapshot up, too.
			if tries == 20 || n.aof.Failing() {
				t.Fatal(n.text())
			}
		}
		m := mustStart(t, nil, "save", "")
		got := m.all(t)
		if !maps.Equal(got, want) {
			for k, v := range want {
				if got[k] != v {
					t.Fatalf("round %d: %s is %q, was %q", round, k, got[k], v)
				}
			}
			for k := range got {
				if want[k] == "" {
					t.Fatalf("round %d: %s was not there", round, k)
				}
			}
		}
		m.do("select", "15")
		for i, s := range stamps {
			off := i << 20
			text := m.do("getrange", "long", strconv.Itoa(off), strconv.Itoa(off+stampDigits-1))
			if s > 0 && !strings.Contains(text, fmt.Sprintf("%0*d", stampDigits, s)) {
				t.Fatalf("round %d: the MiB %d of the long string begins with %q, not %d", round, i, text, s)
			}
		}
		m.stop()
		if round%10 == 9 {
			t.Logf("%d rounds", round+1)
		}
	}
	t.Logf("%d rounds, at least %d aborted", rounds, aborted)
}

// disturb changes something.
func (n *node) disturb(rng *rand.Rand, long *stamped) {
	key := func() string { return "k" + strconv.Itoa(rng.IntN(400)) }
	db := func() string { return strconv.Itoa(rng.IntN(3)) }
	of := func() string { return []string{"", "l", "s", "h", "z"}[rng.IntN(5)] } // the type, by a key's first letter
	n.do("select", db())
	switch rng.IntN(14) {
	case 0, 1:
		n.do("del", key())
	case 2:
		n.do("rename", of()+key(), of()+key())
	case 3:
		n.do("move", of()+key(), db())
	case 4:
		n.do("set", "soon"+key(), "x", "px", strconv.Itoa(1+rng.IntN(30)))
	case 5:
		n.do("copy", key(), key(), "replace")
	case 6:
		// Growth: a list, a set, a hash and a sorted set become big ones.
		k := key()
		for i := range 1 + rng.IntN(200) {
			n.do("hset", "h"+k, strconv.Itoa(i), strings.Repeat("v", rng.IntN(80)))
			n.do("zadd", "z"+k, strconv.Itoa(rng.IntN(1000)), strconv.Itoa(i))
		}
	case 7:
		k := key()
		for i := range 1 + rng.IntN(200) {
			n.do("rpush", "l"+k, strings.Repeat("v", rng.IntN(80)))
			n.do("sadd", "s"+k, strconv.Itoa(i*rng.IntN(9)))
		}
	case 8:
		if rng.IntN(60) == 0 {
			n.do("flushdb")
		}
	case 9:
		if rng.IntN(20) == 0 {
			n.do("swapdb", "0", "2")
		}
	case 10:
		n.do("select", "15")
		i := rng.IntN(long.size)
		long.stamps[i]++
		n.do("setrange", "long", strconv.Itoa(i<<20), fmt.Sprintf("%0*d", stampDigits, long.stamps[i]))
	case 11:
		if rng.IntN(300) == 0 && !long.calm { // with the long string, which comes back
			n.do("flushall")
			clear(long.stamps)
			n.do("select", "15")
			n.do("setrange", "long", strconv.Itoa(long.size<<20-1), "x")
		}
	case 12:
		n.do("spop", "s"+key(), "3")
		n.do("lpop", "l"+key(), "3")
		n.do("zpopmin", "z"+key(), "3")
	default:
		n.do("set", key(), strings.Repeat("x", rng.IntN(1<<rng.IntN(16))))
	}
}

// all are the values of all keys that do not expire.
func (n *node) all(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, db := range []string{"0", "1", "2"} {
		n.do("select", db)
		words := strings.Split(n.do("keys", "*"), "\r\n")
		for i := 2; i < len(words); i += 2 {
			if k := words[i]; !strings.HasPrefix(k, "soon") {
				out[db+" "+k] = n.do("debug", "digest-value", k)
			}
		}
	}
	n.do("select", "15")
	out["long"] = n.do("strlen", "long")
	return out
}
