package persist_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"kvd/persist"
)

var everyCut = flag.Bool("every-cut", false, "cut a log at every byte of its last 64 KiB, not at some (a few minutes)")

// hastyDisk syncs nothing: these tests crash no machine.
type hastyDisk struct{ persist.Disk }
type hastyFile struct{ persist.File }

func (hastyFile) Sync() error { return nil }

func (d hastyDisk) OpenFile(name string, flag int, perm os.FileMode) (persist.File, error) {
	f, err := d.Disk.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return hastyFile{f}, nil
}

// cutTail is how much of the log's end is cut, in bytes.
const cutTail = 64 << 10

// TestLogCuts: a log with effects of all kinds, cut at any byte of its end,
// loads as it was behind the last command that is whole, a transaction whole or
// not at all, and is cut off there, as the log says.
func TestLogCuts(t *testing.T) {
	t.Chdir(t.TempDir())
	rng := aofRand(t)
	n := mustStart(t, hastyDisk{persist.OSDisk}, "appendonly", "yes", "save", "", "auto-aof-rewrite-percentage", "0")
	const file = "appendonlydir/appendonly.aof.1.incr.aof"
	digests := map[int]string{0: n.digest()} // by length of the log
	for size := 0; size < cutTail+8<<10; {
		for _, words := range anyChange(rng) {
			n.do(words...)
		}
		if err := n.aof.Flush(); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		size = int(st.Size())
		if d := n.digest(); digests[size] == "" {
			digests[size] = d
		} else if digests[size] != d {
			t.Fatalf("at %d something changed that the log does not have", size)
		}
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// ends are where a unit may end: behind a command, or behind EXEC.
	ends, inMulti, names := map[int]bool{0: true}, false, map[string]int{}
	for at := 0; at < len(whole); {
		name, length := firstCommand(whole[at:])
		names[name]++
		at += length
		inMulti = name == "MULTI" || inMulti && name != "EXEC"
		ends[at] = !inMulti
	}
	if names["MULTI"] < 20 || names["SELECT"] < 20 || len(names) < 20 {
		t.Fatalf("commands %v", names)
	}
	step := 1
	if !*everyCut {
		step = 331
	}
	cuts := 0
	for cut := len(whole); cut >= len(whole)-cutTail; cut -= step {
		cuts++
		end := cut
		for !ends[end] {
			end--
		}
		state := end
		for digests[state] == "" {
			state--
		}
		if err := os.WriteFile(file, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		n.mu.Lock()
		n.out.Reset()
		n.mu.Unlock()
		if err := n.aof.ReloadLog(); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if got := n.digest(); got != digests[state] {
			t.Fatalf("cut at %d: digest %s, want %s as at %d", cut, got, digests[state], state)
		}
		says := strings.Contains(n.text(), fmt.Sprintf("appendonly.aof.1.incr.aof at offset %d !!!", end))
		if st, err := os.Stat(file); err != nil || st.Size() != int64(end) || says != (end < cut) {
			t.Fatalf("cut at %d: want %d bytes left; %v, %v\n%s", cut, end, st.Size(), err, n.text())
		}
	}
	if n.appliers != 1 {
		t.Errorf("%d Appliers were made, each of which stays", n.appliers)
	}
	t.Logf("%d cuts of a log of %d bytes, %d kinds of commands, %d transactions", cuts, len(whole), len(names), names["MULTI"])
}

// firstCommand is the name of the command that b begins with, and its length.
func firstCommand(b []byte) (name string, length int) {
	number := func() int {
		i := bytes.IndexByte(b[length:], '\r')
		n, _ := strconv.Atoi(string(b[length+1 : length+i]))
		length += i + 2
		return n
	}
	for i := range number() {
		n := number()
		if i == 0 {
			name = strings.ToUpper(string(b[length : length+n]))
		}
		length += n + 2
	}
	return name, length
}

// anyChange is a change, or a transaction of some. Nothing expires soon.
func anyChange(rng *rand.Rand) (lines [][]string) {
	num := func(n int) string { return strconv.Itoa(rng.IntN(n)) }
	key := func(kind string) string { return kind + num(8) }
	word := func() string {
		b := make([]byte, rng.IntN(30))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return string(b)
	}
	add := func(words ...string) { lines = append(lines, words) }
	if rng.IntN(8) == 0 {
		add("select", num(3))
	}
	multi, count := rng.IntN(8) == 0, 1
	if multi {
		add("multi")
		count = rng.IntN(5)
	}
	for range count {
		switch rng.IntN(34) {
		case 0:
			add("set", key("s"), word())
		case 1:
			add("set", key("s"), word(), "ex", "1"+num(1e6)+"00000")
		case 2:
			add("append", key("s"), word())
		case 3:
			add("setrange", key("s"), num(40), word())
		case 4:
			add("incr", key("i"))
		case 5:
			add("incrbyfloat", key("i"), num(100))
		case 6:
			add("getdel", key("s"))
		case 7:
			add("setbit", key("s"), num(200), num(2))
		case 8:
			add("mset", key("s"), word(), key("s"), word())
		case 9:
			add("rpush", key("l"), word(), word())
		case 10:
			add("lpush", key("l"), num(1e6))
		case 11:
			add("lpop", key("l"))
		case 12:
			add("lmove", key("l"), key("l"), "left", "right")
		case 13:
			add("ltrim", key("l"), "0", num(6))
		case 14:
			add("lset", key("l"), "0", word())
		case 15:
			add("sadd", key("t"), word(), num(1000))
		case 16:
			add("spop", key("t"))
		case 17:
			add("smove", key("t"), key("t"), num(1000))
		case 18:
			add("sunionstore", key("t"), key("t"), key("t"))
		case 19:
			add("hset", key("h"), num(5), word(), word(), num(10))
		case 20:
			add("hdel", key("h"), num(5))
		case 21:
			add("hincrby", key("h"), "n", num(50))
		case 22:
			add("hpexpire", key("h"), num(1000)+"00000000", "fields", "1", num(5))
		case 23:
			add("zadd", key("z"), num(1000), word(), num(50), num(10))
		case 24:
			add("zincrby", key("z"), num(10), num(10))
		case 25:
			add("zpopmin", key("z"))
		case 26:
			add("zunionstore", key("z"), "2", key("z"), key("z"))
		case 27:
			add("del", key("s"), key("l"), key("z"))
		case 28:
			add("expire", key("h"), "1"+num(1e6)+"00000")
		case 29:
			add("persist", key("s"))
		case 30:
			add("rename", key("t"), key("t"))
		case 31:
			add("move", key("l"), num(3))
		case 32:
			add("copy", key("z"), key("z"), "replace")
		case 33:
			// One command only: the log is cut behind each, and told apart by what it holds then.
			if rng.IntN(10) == 0 {
				add([][]string{{"flushdb"}, {"swapdb", "0", "1"}}[rng.IntN(2)]...)
			} else {
				add("pfadd", key("p"), word())
			}
		}
	}
	if multi {
		add("exec")
	}
	return lines
}
