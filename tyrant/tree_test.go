package tyrant_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// newTree is a feed whose records are the fields of the hash casket.tcb.
func newTree(t testing.TB) *feed {
	t.Helper()
	f := newFeed(t)
	f.Want("CONFIG SET tyrant-database casket.tcb", "+OK\n")
	f.open()
	return f
}

// TestTree: the operations on a hash whose fields are in order.
func TestTree(t *testing.T) {
	f := newTree(t)
	for _, c := range []struct{ in, want string }{
		{one(0x30, "a") + one(0x38, "a") + one(0x20, "a"), fail + fail + fail},
		{bare(0x80) + bare(0x50) + bare(0x51) + fwmkeys("", -1), ok + long(0) + ok + fail + none},
		{put(0x10, "ra-men", "one\x00two") + one(0x30, "ra-men") + one(0x38, "ra-men"), ok + val("one\x00two") + ok + num(7)},
		{put(0x11, "ra-men", "x") + put(0x11, "niku", "x") + one(0x30, "niku"), fail + ok + val("x")},
		{put(0x12, "c", "ab") + put(0x12, "c", "cd") + put(0x12, "c", "") + one(0x30, "c"), ok + ok + ok + val("abcd")},
		{shift("s", "abcd", 6) + shift("s", "efgh", 6) + one(0x30, "s") + shift("s", "", 0) + one(0x38, "s"), ok + ok + val("cdefgh") + ok + ok + num(0)},
		{put(0x18, "n", "1") + put(0x18, "n", "2") + one(0x30, "n"), val("2")},
		{one(0x20, "n") + one(0x20, "n"), ok + fail},
		{"\xc8\x31" + num(3) + words("c", "none", "niku"), ok + num(2) + num(1) + num(4) + "cabcd" + num(4) + num(1) + "nikux"},
		{addint("i", 5) + addint("i", -8) + addint("c", 1), ok + num(5) + ok + num(-3) + ok + num(int(int32(0x64636261)+1))},
		{addint("niku", 1) + adddouble("d", 1, 5e11) + adddouble("d", -3, -25e10) + adddouble("c", 1, 0), fail + ok + long(1) + long(5e11) + ok + long(1<<64-1) + long(^uint64(75e10)+1) + fail},
		{misc("outlist", "c", "s", "i", "d", "none"), none},
		{misc("putlist", "m1", "x", "m0", "y") + misc("getlist", "m0", "none", "m1"), none + list("m0", "y", "m1", "x")},
		{misc("get", "m0") + misc("getpart", "ra-men", "4", "2") + misc("getpart", "ra-men", "9"), list("y") + list("tw") + nope},
		{bare(0x50) + bare(0x51) + bare(0x51) + bare(0x51) + bare(0x51) + bare(0x51) + bare(0x51), ok + val("m0") + val("m1") + val("niku") + val("ra-men") + fail + fail},
		{misc("iterinit", "m05") + misc("iternext") + misc("iternext"), none + list("m1", "x") + list("niku", "x")},
		{misc("iterinit") + misc("iternext"), none + list("m0", "y")},
		{fwmkeys("m", -1) + fwmkeys("", 3) + fwmkeys("ra", 0) + fwmkeys("\xff", -1), list("m0", "m1") + list("m0", "m1", "niku") + none + none},
		{misc("regex", "^.i") + misc("regex", "n", "1") + misc("regex", "("), list("niku", "x") + list("niku", "x") + nope},
		{bare(0x80) + ext("put", "e", "1") + ext("get", "e", "") + ext("out", "e", ""), ok + long(4) + val("ok") + val("1") + val("ok")},
		{bare(0x70) + "\xc8\x71" + num(0), ok + ok},
	} {
		f.want(t, c.in, c.want)
	}
	if got := f.send(bare(0x88)); !strings.Contains(got, "\ntype\tB+ tree\npath\tcasket.tcb\nrnum\t4\n") {
		t.Errorf("%q", got)
	}
	f.Want("HGETALL casket.tcb", "*8\n$6\nra-men\n$7\none\x00two\n$4\nniku\n$1\nx\n$2\nm1\n$1\nx\n$2\nm0\n$1\ny\n")
	f.Effects = nil
	f.want(t, put(0x10, "k", "v")+one(0x20, "k")+misc("putlist", "a", "1", "b", "2")+misc("outlist", "a", "b"), ok+ok+none+none)
	f.WantEffects("HSET casket.tcb k v", "HDEL casket.tcb k", "HSET casket.tcb a 1 b 2", "HDEL casket.tcb a b")
	f.want(t, bare(0x72)+bare(0x80), ok+ok+long(0))
	f.Want("EXISTS casket.tcb", ":0\n")
	f.Run("SET casket.tcb 1")
	f.want(t, put(0x10, "k", "v")+bare(0x80)+fwmkeys("", -1), fail+fail+fail)
	f.Want("GET casket.tcb", "$1\n1\n")
	f.open()
	f.want(t, "get a\r\n", "")
	if !f.st.Closing {
		t.Error("memcached's text is served on a tree")
	}
	f.open()
	f.Run("DEL casket.tcb")
	if got := f.send("PUT /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /x HTTP/1.1\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\nhi") {
		t.Errorf("%q", got)
	}
	f.Want("HGET casket.tcb x", "$2\nhi\n")
	for _, bad := range []string{"x", ".tcb", "a.tct", "+"} {
		if got := f.Run("CONFIG SET tyrant-database " + bad); !strings.HasPrefix(got, "-ERR") {
			t.Errorf("%s: %q", bad, got)
		}
	}
}

// TestTreeLarge: records of a large hash come in order, while others change it.
func TestTreeLarge(t *testing.T) {
	f := newTree(t)
	var all []string
	for i := range 12_000 {
		k := fmt.Sprintf("k%05d", i*7919%12_000)
		f.Do("HSET", "casket.tcb", k, "v")
		all = append(all, k)
	}
	slices.Sort(all)
	f.want(t, fwmkeys("k00", -1), list(all[:1000]...))
	f.want(t, fwmkeys("", -1), list(all...))
	f.want(t, bare(0x50), ok)
	for i, k := range all[:3000] {
		f.want(t, bare(0x51), val(k))
		if i%100 == 0 { // what is behind the iterator does not matter to it
			f.Do("HDEL", "casket.tcb", k)
			f.Do("HSET", "casket.tcb", "a"+k, "v")
		}
	}
	f.Do("HDEL", "casket.tcb", all[3000])
	f.want(t, bare(0x51), val(all[3001]))
}

// TestContinue: a client of HTTP that asks whether to send its body is told to, once.
func TestContinue(t *testing.T) {
	f := newFeed(t)
	head := "PUT /a HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\n"
	f.want(t, head[:20], "")
	f.want(t, head[20:], "HTTP/1.1 100 Continue\r\n\r\n")
	f.want(t, "ab", "")
	if got := f.send("cd"); !strings.HasPrefix(got, "HTTP/1.1 201 Created\r\n") {
		t.Errorf("%q", got)
	}
	f.Want("GET a", "$4\nabcd\n")
	if got := f.send(head + "efgh"); !strings.HasPrefix(got, "HTTP/1.1 201 Created\r\n") { // it did not wait
		t.Errorf("%q", got)
	}
	f.want(t, head, "HTTP/1.1 100 Continue\r\n\r\n")
}
