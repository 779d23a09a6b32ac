package hash_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/command/commandtest"
	"kvd/keyspace"
	"kvd/types"
)

func TestRange(t *testing.T) {
	s := commandtest.New(t)
	s.Run("HSET h c 3 a 1 b 2 10 x d 4")
	for _, c := range [][2]string{
		{"HRANGEBYLEX h - +", "10 x a 1 b 2 c 3 d 4"},
		{"HRANGEBYLEX h - + NOVALUES", "10 a b c d"},
		{"HRANGEBYLEX h - + NOVALUES WITHVALUES LIMIT 1 1", "a 1"},
		{"HRANGEBYLEX h [a (c", "a 1 b 2"},
		{"HRANGEBYLEX h (c [a REV", "b 2 a 1"},
		{"HRANGEBYLEX h [c (a REV", "c 3 b 2"},
		{"HRANGEBYLEX h [c - REV LIMIT 1 2 NOVALUES", "b a"},
		{"HREVRANGEBYLEX h + - LIMIT 0 2", "d 4 c 3"},
		{"HREVRANGEBYLEX h + - LIMIT 4 -1", "10 x"},
		{"HRANGEBYLEX h - + LIMIT 2 0", ""},
		{"HRANGEBYLEX h - + LIMIT -1 5", ""},
		{"HRANGEBYLEX h + -", ""},
		{"HRANGEBYLEX none - +", ""},
	} {
		var want []string
		if c[1] != "" {
			want = strings.Fields(c[1])
		}
		s.Want(c[0], strings.ReplaceAll(commandtest.Bulks(want...), "\r\n", "\n"))
	}
	s.Want("HCOUNTBYLEX h [a [c", ":3\n")
	s.Want("HCOUNTBYLEX none - +", ":0\n")
	for line, err := range map[string]string{
		"HRANGEBYLEX h a +":            "ERR min or max not valid string range item",
		"HCOUNTBYLEX h - x":            "ERR min or max not valid string range item",
		"HRANGEBYLEX h - + LIMIT 1":    "ERR syntax error",
		"HRANGEBYLEX h - + LIMIT x 1":  "ERR value is not an integer or out of range",
		"HREVRANGEBYLEX h + - REV":     "ERR syntax error",
		"HRANGEBYLEX h - + WITHSCORES": "ERR syntax error",
	} {
		s.Want(line, "-"+err+"\n")
	}
	s.Run("SET str 1")
	for _, line := range []string{"HRANGEBYLEX str - +", "HCOUNTBYLEX str - +", "HREMRANGEBYLEX str - +"} {
		s.Want(line, "-WRONGTYPE Operation against a key holding the wrong kind of value\n")
	}
	got := s.Notices()
	s.Effects = nil
	s.Want("HREMRANGEBYLEX h [a (c", ":2\n")
	s.WantEffects("HDEL h a b")
	s.Effects = nil
	s.Want("HREMRANGEBYLEX h [x [y", ":0\n")
	s.WantEffects()
	s.Want("HREMRANGEBYLEX h - +", ":3\n")
	s.WantEffects("HDEL h 10 c d")
	commandtest.WantNotices(t, got, "hdel 0 h", "hdel 0 h", "del 0 h")
}

// rangeOnWorker runs a range for a client that can wait, until it has its reply.
func rangeOnWorker(t *testing.T, s *commandtest.Server, line string) string {
	t.Helper()
	conn := commandtest.NewConn()
	mine := s.C
	s.C = s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 5)
	defer func() { s.C = mine }()
	for range 5 {
		if got := s.Run(line); got != "" {
			return got
		}
		if got := conn.Wait(t); got != "" {
			return got
		}
	}
	t.Fatalf("%s comes again and again", line)
	return ""
}

// TestRangeModel: ranges of a big hash are those of a sorted copy, whatever happens to the
// hash. What is journaled makes the same hash.
func TestRangeModel(t *testing.T) {
	s := commandtest.New(t)
	r := rand.New(rand.NewPCG(1, 9))
	want := map[string]string{}
	key := "h"
	name := func() string { return fmt.Sprintf("f%05d", r.IntN(20_000)) }
	for range 3 {
		args := []string{"HSET", key}
		for range 2000 {
			f := name()
			want[f] = "v" + f
			args = append(args, f, "v"+f)
		}
		s.Do(args...)
	}
	check := func(worker bool) {
		t.Helper()
		lo, hi := name(), name()
		if lo > hi {
			lo, hi = hi, lo
		}
		var in []string
		for f := range want {
			if f >= lo && f < hi {
				in = append(in, f)
			}
		}
		slices.Sort(in)
		line := "HRANGEBYLEX " + key + " [" + lo + " (" + hi
		if r.IntN(2) == 0 {
			slices.Reverse(in)
			line = "HREVRANGEBYLEX " + key + " (" + hi + " [" + lo
		}
		line += " LIMIT 3 200"
		var out []string
		for _, f := range in[min(3, len(in)):min(203, len(in))] {
			out = append(out, f, want[f])
		}
		var got string
		if worker {
			got = rangeOnWorker(t, s, line)
		} else {
			got = s.Run(line)
		}
		if got != commandtest.Bulks(out...) {
			t.Fatalf("%s: %.200q, wanted %.200q", line, got, commandtest.Bulks(out...))
		}
		if got, want := s.Run("HCOUNTBYLEX "+key+" ["+lo+" ("+hi), fmt.Sprintf(":%d\r\n", len(in)); got != want {
			t.Fatalf("HCOUNTBYLEX %s %s: %q, wanted %q", lo, hi, got, want)
		}
	}
	check(true)
	for i := range 3000 {
		f := name()
		switch r.IntN(9) {
		case 0, 1, 2:
			want[f] = "v" + f
			s.Do("HSET", key, f, want[f])
		case 3, 4:
			delete(want, f)
			s.Do("HDEL", key, f)
		case 5: // it expires
			delete(want, f)
			s.Do("HPEXPIRE", key, "1", "FIELDS", "1", f)
			s.Now = s.Now.Add(2 * time.Millisecond)
		case 6:
			if i%10 == 0 {
				hi := f + "\xff"
				f = f[:5]
				for g := range want {
					if g >= f && g <= hi {
						delete(want, g)
					}
				}
				s.Do("HREMRANGEBYLEX", key, "["+f, "["+hi)
			}
		case 7: // a transaction that fails in the middle
			if i%10 == 0 {
				s.Run("MULTI")
				s.Do("HSET", key, "x"+f, "1")
				s.Do("HDEL", key, "x"+f)
				s.Run("EXEC")
			}
		case 8:
			switch i % 50 {
			case 0:
				to := fmt.Sprint("h", i)
				s.Want("RENAME "+key+" "+to, "+OK\n")
				key = to
			case 1:
				to := fmt.Sprint("c", i)
				s.Want("COPY "+key+" "+to, ":1\n")
				s.Want("DEL "+key, ":1\n")
				key = to
			case 2:
				s.Want("SWAPDB 0 1", "+OK\n")
				s.Want("SELECT 1", "+OK\n")
				check(false)
				s.Want("SELECT 0", "+OK\n")
				s.Want("SWAPDB 0 1", "+OK\n")
			}
		}
		if i%20 == 0 {
			check(r.IntN(2) == 0)
			if err := s.Keyspace.Check(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// hashAt is the hash at a key.
func hashAt(s *commandtest.Server, key string, f func(h *types.Hash)) {
	k := keyspace.MakeKey([]byte(key))
	held := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&held)
	e := s.Keyspace.TxOn(0).Peek(&k)
	var h types.Hash
	h.Load(e.Encoding(), nil, e.Object())
	f(&h)
}

// TestRangeIdle: a hash loses its index when nobody asks for ranges for a while.
func TestRangeIdle(t *testing.T) {
	s := commandtest.New(t)
	for i := range 2000 {
		s.Do("HSET", "h", strconv.Itoa(i), "v")
	}
	usage := func() int64 {
		n, err := strconv.ParseInt(strings.TrimSpace(s.Run("MEMORY USAGE h")[1:]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	without := usage()
	if got := rangeOnWorker(t, s, "HRANGEBYLEX h [5 [50 NOVALUES"); got != commandtest.Bulks("5", "50") && !strings.Contains(got, "$2\r\n50\r\n") {
		t.Fatal(got)
	}
	with := usage()
	if with < without+2000*5 {
		t.Errorf("%d bytes without an index, %d with it", without, with)
	}
	has := func() (ok bool) {
		hashAt(s, "h", func(h *types.Hash) { _, ok = h.OrderUsed() })
		return ok
	}
	if !has() {
		t.Fatal("no index")
	}
	for end := time.Now().Add(30 * time.Second); s.HashOrders.Count.Load() != 1 || s.HashOrders.Bytes.Load() != with-without; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d indexes of %d bytes are told, there is one of %d", s.HashOrders.Count.Load(), s.HashOrders.Bytes.Load(), with-without)
		}
	}
	if info := s.Run("INFO memory"); !strings.Contains(info, "hash_orders:1\r\n") {
		t.Error(info)
	}
	s.Run("CONFIG SET hash-order-idle-time 100")
	s.Keyspace.Advance(101 * time.Second)
	for end := time.Now().Add(30 * time.Second); has(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the index stays")
		}
	}
	if n := usage(); n != without {
		t.Errorf("%d bytes, %d after the index was dropped", without, n)
	}
}
