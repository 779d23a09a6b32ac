package array_test

import (
	"fmt"
	"strings"
	"testing"

	"kvd/command/commandtest"
	"kvd/keyspace"
	"kvd/types/array"
)

// TestArray goes through the commands.
func TestArray(t *testing.T) {
	s := commandtest.New(t)
	for _, l := range [][2]string{
		{"ARSET a 0 x y 12", ":3\n"},
		{"ARSET a 2 z w", ":1\n"},
		{"ARGET a 2", "$1\nz\n"},
		{"ARGET a 9", "$-1\n"},
		{"ARGET none 9", "$-1\n"},
		{"ARMGET a 3 0 9", "*3\n$1\nw\n$1\nx\n$-1\n"},
		{"ARMGET none 3 0", "*2\n$-1\n$-1\n"},
		{"ARMSET a 7 p 100 q 7 r", ":2\n"},
		{"ARLEN a", ":101\n"},
		{"ARCOUNT a", ":6\n"},
		{"ARLEN none", ":0\n"},
		{"ARCOUNT none", ":0\n"},
		{"ARGETRANGE a 5 8", "*4\n$-1\n$-1\n$1\nr\n$-1\n"},
		{"ARGETRANGE a 8 5", "*4\n$-1\n$1\nr\n$-1\n$-1\n"},
		{"ARGETRANGE a 3 3", "*1\n$1\nw\n"},
		{"ARGETRANGE none 3 4", "*2\n$-1\n$-1\n"},
		{"ARGETRANGE none 0 1000000", "-ERR range exceeds maximum of 1000000 items\n"},
		{"ARSCAN a 3 200", "*3\n*2\n:3\n$1\nw\n*2\n:7\n$1\nr\n*2\n:100\n$1\nq\n"},
		{"ARSCAN a 200 3 LIMIT 1", "*1\n*2\n:100\n$1\nq\n"},
		{"ARSCAN a 3 9 LIMIT 0", "-ERR LIMIT must be positive\n"},
		{"ARSCAN a 3 9 COUNT 1", "-ERR syntax error\n"},
		{"ARSCAN none 3 9", "*0\n"},
		{"ARDEL a 7 8 7", ":1\n"},
		{"ARDELRANGE a 3 1 2 90", ":3\n"},
		{"ARDELRANGE none 3 1", ":0\n"},
		{"ARDELRANGE a 3 1 2", "-ERR wrong number of arguments for 'ardelrange' command\n"},
		{"ARMSET a 3 1 2", "-ERR wrong number of arguments for 'armset' command\n"},
		{"ARCOUNT a", ":2\n"},
		{"TYPE a", "+array\n"},
		{"OBJECT ENCODING a", "$12\nsliced-array\n"},
		{"ARDEL a 0 100", ":2\n"},
		{"EXISTS a", ":0\n"},
		{"ARGET none nine", "-ERR invalid array index\n"},
		{"ARSET a -1 x", "-ERR invalid array index\n"},
		{"ARSET a +1 x", "-ERR invalid array index\n"},
		{"ARSET a 18446744073709551615 x", "-ERR invalid array index\n"},
		{"ARSET a 18446744073709551614 x y", "-ERR invalid array index\n"},
		{"EXISTS a", ":0\n"},
		{"ARSET big 18446744073709551614 x", ":1\n"},
		{"ARLEN big", "$20\n18446744073709551615\n"},
		{"ARSCAN big 0 18446744073709551614", "*1\n*2\n$20\n18446744073709551614\n$1\nx\n"},
		{"ARGETRANGE big 18446744073709551614 18446744073709551613", "*2\n$1\nx\n$-1\n"},
		{"SET str x", "+OK\n"},
		{"ARGET str 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\n"},
		{"ARSET str 1 x", "-WRONGTYPE Operation against a key holding the wrong kind of value\n"},
		{"ARRING str 1 x", "-WRONGTYPE Operation against a key holding the wrong kind of value\n"},
	} {
		s.Want(l[0], l[1])
	}
}

// TestInsert: where values go without an index, and which ones were the last.
func TestInsert(t *testing.T) {
	s := commandtest.New(t)
	for _, l := range [][2]string{
		{"ARNEXT i", ":0\n"},
		{"ARSEEK i 5", ":0\n"},
		{"EXISTS i", ":0\n"},
		{"ARINSERT i a b", ":1\n"},
		{"ARINSERT i c", ":2\n"},
		{"ARNEXT i", ":3\n"},
		{"ARDEL i 1", ":1\n"},
		{"ARNEXT i", ":3\n"},
		{"ARLASTITEMS i 2", "*2\n$-1\n$1\nc\n"},
		{"ARLASTITEMS i 9 REV", "*2\n$1\nc\n$-1\n"},
		{"ARLASTITEMS i 0", "*0\n"},
		{"ARLASTITEMS none 9", "*0\n"},
		{"ARLASTITEMS i 9 x", "-ERR syntax error\n"},
		{"ARSEEK i 10", ":1\n"},
		{"ARINSERT i d", ":10\n"},
		{"ARSEEK i 0", ":1\n"},
		{"ARNEXT i", ":0\n"},
		{"ARLASTITEMS i 1", "*1\n$1\nd\n"},
		{"ARSEEK i 18446744073709551616", "-ERR invalid array index\n"},
		{"ARSEEK i 18446744073709551615", ":1\n"},
		{"ARNEXT i", "$-1\n"},
		{"ARINSERT i e", "-ERR insert index overflow\n"},
		{"ARSEEK i 18446744073709551614", ":1\n"},
		{"ARINSERT i e f", "-ERR insert index overflow\n"},
		{"ARINSERT i e", "$20\n18446744073709551614\n"},
		{"ARNEXT i", "$-1\n"},
		{"ARINFO i FULL", "*24\n$5\ncount\n:4\n$3\nlen\n$20\n18446744073709551615\n$17\nnext-insert-index\n:0\n$6\nslices\n:2\n$14\ndirectory-size\n:1\n" +
			"$17\nsuper-dir-entries\n:0\n$10\nslice-size\n:4096\n$12\ndense-slices\n:0\n$13\nsparse-slices\n:2\n$14\navg-dense-size\n$1\n0\n$14\navg-dense-fill\n$1\n0\n$15\navg-sparse-size\n$1\n2\n"},
		{"ARINFO none", "-ERR no such key\n"},
	} {
		s.Want(l[0], l[1])
	}
}

// scan is what an array holds: index=value.
func scan(s *commandtest.Server, key string) string {
	words := strings.Fields(s.Run("ARSCAN " + key + " 0 99999"))
	var all []string
	for i := 1; i < len(words); i += 4 { // *2 :index $length value
		all = append(all, words[i+1][1:]+"="+words[i+3])
	}
	return strings.Join(all, " ")
}

// TestRing: a ring is laid out anew where its size is another one, and what was inserted
// last stays.
func TestRing(t *testing.T) {
	s := commandtest.New(t)
	fill := func(key string, size, n int) {
		for i := range n {
			s.Want(fmt.Sprintf("ARRING %s %d v%d", key, size, i), fmt.Sprintf(":%d\n", i%size))
		}
	}
	want := func(line, reply, after string) {
		t.Helper()
		s.Want(line, reply)
		if got := scan(s, strings.Fields(line)[1]); got != after {
			t.Errorf("%s: %s, not %s", line, got, after)
		}
	}
	fill("a", 5, 8)
	s.Want("ARNEXT a", ":3\n")
	s.Want("ARLASTITEMS a 3", "*3\n$2\nv5\n$2\nv6\n$2\nv7\n")
	s.Want("ARLASTITEMS a 10 REV", "*5\n$2\nv7\n$2\nv6\n$2\nv5\n$2\nv4\n$2\nv3\n")
	s.Run("EXPIRE a 1000")
	want("ARRING a 8 w", ":5\n", "0=v3 1=v4 2=v5 3=v6 4=v7 5=w")
	s.Want("TTL a", ":1000\n")
	fill("b", 10, 15)
	want("ARRING b 5 w", ":0\n", "0=w 1=v11 2=v12 3=v13 4=v14")
	fill("c", 5, 5)
	s.Run("ARDEL c 3")
	want("ARRING c 3 w", ":1\n", "0=v4 1=w")
	fill("d", 5, 8)
	s.Run("ARDEL d 1")
	want("ARRING d 8 w", ":1\n", "0=v7 1=w")
	fill("e", 3, 5)
	s.Run("ARSET e 100 out")
	want("ARRING e 3 w", ":0\n", "0=w 1=v3 2=v4")
	fill("f", 3, 5)
	s.Run("ARSEEK f 0")
	want("ARRING f 8 w", ":0\n", "0=w 1=v4 2=v2")
	fill("g", 3, 2)
	s.Run("ARSEEK g 10")
	want("ARRING g 5 w", ":0\n", "0=w 1=v1")
	want("ARRING h 2 a b c d e", ":0\n", "0=e 1=d")
	s.Want("ARRING h 0 a", "-ERR size must be positive\n")
	s.Want("ARRING new 0 a", "-ERR size must be positive\n")
	s.Want("EXISTS new", ":0\n")
}

// TestGrep: the predicates, and how they are put together.
func TestGrep(t *testing.T) {
	s := commandtest.New(t)
	s.Run("ARMSET a 0 RedisArray 1 redis-match 2 array-only 3 plain 5 123")
	for _, l := range [][2]string{
		{"- + MATCH redis", "*1\n:1\n"},
		{"- + MATCH REDIS NOCASE", "*2\n:0\n:1\n"},
		{"+ - MATCH REDIS NOCASE", "*2\n:1\n:0\n"},
		{"- + MATCH redis GLOB *array* AND NOCASE", "*1\n:0\n"},
		{"- + OR MATCH redis LIMIT 3 GLOB *array* AND LIMIT 1 NOCASE", "*1\n:0\n"},
		{"0 2 EXACT plain", "*0\n"},
		{"0 9 EXACT plain EXACT 123", "*2\n:3\n:5\n"},
		{"- + MATCH array MATCH plain LIMIT 1 WITHVALUES", "*1\n*2\n:2\n$10\narray-only\n"},
		{"- + RE ^[a-z-]+$", "*3\n:1\n:2\n:3\n"},
		{"- + RE ^[0-9]{3}$", "*1\n:5\n"},
		{"- + RE ^redis NOCASE", "*2\n:0\n:1\n"},
		{"- + RE (a)\\1", "-ERR backreferences are not supported in regular expressions\n"},
		{"- + RE (", "-ERR invalid regular expression\n"},
		{"- + RE " + strings.Repeat("a", 2048), "*0\n"},
		{"- + RE " + strings.Repeat("a", 2049), "-ERR regular expression is too long, the maximum is 2048 bytes\n"},
		{"- +" + strings.Repeat(" MATCH plain", 250), "*1\n:3\n"},
		{"- +" + strings.Repeat(" MATCH plain", 251), "-ERR too many predicates, the maximum is 250\n"},
		{"- + LIMIT 1", "-ERR syntax error\n"},
		{"- + MATCH", "-ERR wrong number of arguments for 'argrep' command\n"},
		{"- + AND MATCH", "-ERR syntax error\n"},
		{"- + MATCH a LIMIT 0", "-ERR LIMIT must be positive\n"},
		{"x + MATCH a", "-ERR invalid array index\n"},
	} {
		s.Want("ARGREP a "+l[0], l[1])
	}
	s.Want("ARGREP none - + MATCH a", "*0\n")
	if got := s.Do("ARGREP", "a", "-", "+", "RE", ""); got != "-ERR regular expression is empty\r\n" {
		t.Error(got)
	}
}

// TestOp: sums over what is a number.
func TestOp(t *testing.T) {
	s := commandtest.New(t)
	s.Run("ARSET n 0 10 x 7.9 -3 10")
	s.Run("ARSET i 0 9223372036854775807 1 -9223372036854775808")
	s.Run("ARSET o 0 9223372036854775807 1")
	s.Run("ARSET w 0 x y")
	for _, l := range [][2]string{
		{"n 0 9 SUM", "$4\n24.9\n"},
		{"n 9 0 MIN", "$2\n-3\n"},
		{"n 0 3 MAX", "$2\n10\n"},
		{"n 2 2 MAX", "$3\n7.9\n"},
		{"n 0 2 AND", ":2\n"},
		{"n 0 2 OR", ":15\n"},
		{"n 0 2 XOR", ":13\n"},
		{"n 0 9 USED", ":5\n"},
		{"n 1 3 USED", ":3\n"},
		{"n 0 9 MATCH 10", ":2\n"},
		{"n 0 9 MATCH x", ":1\n"},
		{"n 0 9 MATCH", "-ERR syntax error\n"},
		{"n 0 9 SUM x", "-ERR syntax error\n"},
		{"n 0 9 AVG", "-ERR syntax error\n"},
		{"n 20 29 SUM", "$-1\n"},
		{"n 20 29 AND", "$-1\n"},
		{"w 0 9 SUM", "$-1\n"},
		{"i 0 2 SUM", "$1\n0\n"},
		{"i 0 1 MAX", "$19\n9223372036854775807\n"},
		{"o 0 1 SUM", "$19\n9223372036854776000\n"},
		{"none 0 9 SUM", "$-1\n"},
		{"none 0 9 USED", ":0\n"},
		{"none 0 9 MATCH x", ":0\n"},
	} {
		s.Want("AROP "+l[0], l[1])
	}
}

// TestEvents: events, effects, and what watchers are told.
func TestEvents(t *testing.T) {
	s := commandtest.New(t)
	s.Effects = nil
	s.Run("ARSET a 0 x")
	s.Run("ARSET a 0 x")
	s.Run("ARDEL a 5")
	s.Run("ARSEEK a 4")
	s.Run("ARSEEK a 4")
	s.Run("ARSEEK none 4")
	s.Run("ARINSERT a y")
	s.Run("ARRING a 2 z")
	s.Run("ARDELRANGE a 0 99")
	s.WantEffects("ARSET a 0 x", "ARSET a 0 x", "ARSEEK a 4", "ARINSERT a y", "ARRING a 2 z", "ARDELRANGE a 0 99")
	s.Run("CONFIG SET notify-keyspace-events Ea")
	s.Want("CONFIG GET notify-keyspace-events", "*2\n$22\nnotify-keyspace-events\n$2\nEa\n")
	s.Run("CONFIG SET notify-keyspace-events KEA")
	s.Want("CONFIG GET notify-keyspace-events", "*2\n$22\nnotify-keyspace-events\n$3\nAKE\n")
}

// TestLong: what takes long is read aside, from the array as it was.
func TestLong(t *testing.T) {
	s := commandtest.New(t)
	conn := commandtest.NewConn()
	s.C.Conn = conn
	// run waits for what is made aside; without a reply the command comes again.
	run := func(words ...string) (reply string) {
		for reply == "" {
			if reply = s.Do(words...); reply == "" {
				reply = conn.Wait(t)
				s.C.Working = false
			}
		}
		return reply
	}
	const n = 30_000
	for i := 0; i < n; i += 1000 {
		args := []string{"ARSET", "a", fmt.Sprint(i)}
		for k := range 1000 {
			args = append(args, fmt.Sprint(i+k))
		}
		run(args...)
	}
	for _, l := range [][2]string{
		{"AROP a 0 99999 SUM", fmt.Sprintf("$9\n%d\n", n*(n-1)/2)},
		{"AROP a 0 99999 USED", ":30000\n"},
		{"AROP a 0 99999 MATCH 777", ":1\n"},
		{"ARGREP a - + RE ^777$ RE ^29999$", "*2\n:777\n:29999\n"},
		{"ARSCAN a 99999 0 LIMIT 2", "*2\n*2\n:29999\n$5\n29999\n*2\n:29998\n$5\n29998\n"},
		{"ARRING a 20000 x", ":0\n"},
		{"ARLASTITEMS a 2", "*2\n$5\n29999\n$1\nx\n"},
		{"ARLEN a", ":20000\n"},
		{"ARGET a 1", "$5\n10001\n"},
	} {
		if got := run(strings.Fields(l[0])...); got != strings.ReplaceAll(l[1], "\n", "\r\n") {
			t.Errorf("%s: %q", l[0], got)
		}
	}
	if got := run("ARGETRANGE", "a", "0", "99999"); strings.Count(got, "$-1\r\n") != 80_000 || !strings.HasPrefix(got, "*100000\r\n$1\r\nx\r\n$5\r\n10001\r\n") {
		t.Errorf("%q", got[:100])
	}
}

// TestSnapshot: a snapshot has an array as it was at its instant, whatever changes it afterwards.
func TestSnapshot(t *testing.T) {
	for _, line := range []string{"ARSET a 1 new", "ARMSET a 1 new", "ARDEL a 1", "ARDELRANGE a 0 9", "ARINSERT a new", "ARSEEK a 1", "ARRING a 2 new"} {
		s := commandtest.New(t)
		s.Run("ARINSERT a x y z")
		var got []string
		snapshot, err := s.Keyspace.StartSnapshot(func(it keyspace.Item) {
			a := it.Object.(*array.Array)
			all := fmt.Sprint("next ", a.Next())
			for e := a.Seek(0); e.Next(); {
				all += fmt.Sprintf(" %d=%s", e.Index, e.Elem.Append(nil))
			}
			got = append(got, all)
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Run(line)
		snapshot.Walk(nil)
		snapshot.End()
		if len(got) != 1 || got[0] != "next 3 0=x 1=y 2=z" {
			t.Errorf("%s: the snapshot has %q", line, got)
		}
	}
}
