package command

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/keyspace"
	"kvd/types"
)

// step is a command line, its reply (\n for CRLF), and what it journals: the
// effects, one a line, or "" for none.
type step [3]string

// play runs steps one after another.
func (s *testServer) play(steps []step) {
	s.t.Helper()
	for _, st := range steps {
		s.effects = nil
		s.want(st[0], st[1])
		if got := strings.Join(s.effects, "\n"); got != st[2] {
			s.t.Errorf("%s\njournaled %q\n     want %q", st[0], got, st[2])
		}
	}
	s.effects = nil
}

// entry is what stands at a key of database 0 now.
func (s *testServer) entry(key string) keyspace.Entry {
	k := keyspace.MakeKey([]byte(key))
	tx := s.Keyspace.TxOn(0)
	tx.Now = s.now.UnixMilli()
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	return tx.Peek(&k)
}

// wantEntry checks the encoding and the deadline at a key.
func (s *testServer) wantEntry(key string, enc types.Encoding, deadline int64) {
	s.t.Helper()
	e := s.entry(key)
	if !e.Exists() {
		s.t.Errorf("%s does not exist", key)
		return
	}
	if e.Encoding() != enc || e.Deadline() != deadline {
		s.t.Errorf("%s: encoding %v, deadline %d, want %v, %d", key, e.Encoding(), e.Deadline(), enc, deadline)
	}
}

// putList puts something at key that is no string.
func (s *testServer) putList(key string) {
	k := keyspace.MakeKey([]byte(key))
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	s.Keyspace.TxOn(0).Put(&k, types.TList, types.EncListpack, []byte{}, 0)
}

// fixedNow is the moment of these tests, in Unix milliseconds: ahead of the
// clock, by which keys expire in the background.
const fixedNow = 4000000000000

func newStringServer(t *testing.T) *testServer {
	s := newTestServer(t)
	s.c.SetProto(2)
	s.now = time.UnixMilli(fixedNow)
	return s
}

const wrongTypeReply = "-WRONGTYPE Operation against a key holding the wrong kind of value\n"

func TestSet(t *testing.T) {
	s := newStringServer(t)
	s.putList("l")
	s.play([]step{
		{"SET a 1", "+OK\n", "SET a 1"},
		{"SET a x NX", "$-1\n", ""},
		{"SET b x XX", "$-1\n", ""},
		{"SET b x nx", "+OK\n", "SET b x"},
		{"SET b y XX GET", "$1\nx\n", "SET b y"},
		{"SET b z NX GET", "$1\ny\n", ""},
		{"SET c z NX GET", "$-1\n", "SET c z"},
		{"SET c z EX 10", "+OK\n", "SET c z PXAT 4000000010000"},
		{"SET c y KEEPTTL", "+OK\n", "SET c y KEEPTTL"},
		{"SET c y PX 10", "+OK\n", "SET c y PXAT 4000000000010"},
		{"SET c y EXAT 4000000001", "+OK\n", "SET c y PXAT 4000000001000"},
		{"SET c y PXAT 4000000000001 GET", "$1\ny\n", "SET c y PXAT 4000000000001"},
		{"SET c y EX 1 EX 2", "+OK\n", "SET c y PXAT 4000000002000"},
		{"SET c y EX 1 PX 2", "-ERR syntax error\n", ""},
		{"SET c y EX 1 KEEPTTL", "-ERR syntax error\n", ""},
		{"SET c y KEEPTTL EX 1", "-ERR syntax error\n", ""},
		{"SET c y NX XX", "-ERR syntax error\n", ""},
		{"SET c y EX", "-ERR syntax error\n", ""},
		{"SET c y nope", "-ERR syntax error\n", ""},
		{"SET c y EX x", "-ERR value is not an integer or out of range\n", ""},
		{"SET c y EX 0", "-ERR invalid expire time in 'set' command\n", ""},
		{"SET c y PX -1", "-ERR invalid expire time in 'set' command\n", ""},
		{"SET c y EX 9223372036854775807", "-ERR invalid expire time in 'set' command\n", ""},
		{"SET c y PX 9223372036854775807", "-ERR invalid expire time in 'set' command\n", ""},
		{"SET c y PXAT 1", "+OK\n", "DEL c"},
		{"SET c y PXAT 1", "+OK\n", ""},
		{"GET c", "$-1\n", ""},
		{"SET l x GET", wrongTypeReply, ""},
		{"SET l x IFEQ x", wrongTypeReply, ""},
		{"SET l x NX", "$-1\n", ""},
		{"SET l x", "+OK\n", "SET l x"},
		{"SET", "-ERR wrong number of arguments for 'set' command\n", ""},
	})
	s.run("SET k v EX 100")
	s.wantEntry("k", types.EncEmbstr, fixedNow+100000)
	s.run("SET k 12 KEEPTTL")
	s.wantEntry("k", types.EncInt, fixedNow+100000)
	s.run("SET k 012")
	s.wantEntry("k", types.EncEmbstr, 0)
	s.do("SET", "k", strings.Repeat("x", 45))
	s.wantEntry("k", types.EncRaw, 0)
	s.do("SET", "k", strings.Repeat("x", keyspace.InlineMax+1))
	s.wantEntry("k", types.EncChunked, 0)
}

// TestSetReplayed: an effect that comes late still sets the deadline as it was.
func TestSetReplayed(t *testing.T) {
	s := newStringServer(t)
	s.x.ctx.Replaying = true
	s.now = time.UnixMilli(fixedNow + 10000)
	s.run("SET a 1 PXAT 4000000000005")
	s.now = time.UnixMilli(fixedNow)
	s.wantEntry("a", types.EncInt, fixedNow+5)
}

func TestGetFamily(t *testing.T) {
	s := newStringServer(t)
	s.putList("l")
	s.play([]step{
		{"GET a", "$-1\n", ""},
		{"SET a -12", "+OK\n", "SET a -12"},
		{"GET a", "$3\n-12\n", ""},
		{"GET l", wrongTypeReply, ""},
		{"MGET a none l a", "*4\n$3\n-12\n$-1\n$-1\n$3\n-12\n", ""},
		{"STRLEN a", ":3\n", ""},
		{"STRLEN none", ":0\n", ""},
		{"STRLEN l", wrongTypeReply, ""},
		{"GETRANGE a 1 -1", "$2\n12\n", ""},
		{"GETRANGE a 0 -100", "$1\n-\n", ""},
		{"GETRANGE a 2 1", "$0\n\n", ""},
		{"GETRANGE a -1 -3", "$0\n\n", ""},
		{"GETRANGE a x 1", "-ERR value is not an integer or out of range\n", ""},
		{"GETRANGE none 0 1", "$0\n\n", ""},
		{"SUBSTR a -2 5", "$2\n12\n", ""},
		{"GETSET a b", "$3\n-12\n", "SET a b"},
		{"GETSET none b", "$-1\n", "SET none b"},
		{"GETSET l b", wrongTypeReply, ""},
		{"GETDEL none", "$1\nb\n", "DEL none"},
		{"GETDEL none", "$-1\n", ""},
		{"GETDEL l", wrongTypeReply, ""},
		{"GETEX a", "$1\nb\n", ""},
		{"GETEX a PERSIST", "$1\nb\n", ""},
		{"GETEX a EX 10", "$1\nb\n", "PEXPIREAT a 4000000010000"},
		{"GETEX a PX 10 PX 20", "$1\nb\n", "PEXPIREAT a 4000000000020"},
		{"GETEX a PERSIST PERSIST", "$1\nb\n", "PERSIST a"},
		{"GETEX a PERSIST EX 1", "-ERR syntax error\n", ""},
		{"GETEX a KEEPTTL", "-ERR syntax error\n", ""},
		{"GETEX a EX 0", "-ERR invalid expire time in 'getex' command\n", ""},
		{"GETEX none EX 0", "$-1\n", ""},
		{"GETEX a PXAT 1", "$1\nb\n", "DEL a"},
		{"GETEX a", "$-1\n", ""},
		{"GETEX l", wrongTypeReply, ""},
	})
	big := strings.Repeat("0123456789", 20000)
	s.do("SET", "big", big)
	for _, r := range [][2]int{{0, -1}, {65530, 65545}, {131000, 131100}, {199990, 300000}} {
		to := r[1] + 1
		if to <= 0 || to > len(big) {
			to = len(big)
		}
		if got, want := s.do("GETRANGE", "big", strconv.Itoa(r[0]), strconv.Itoa(r[1])), big[r[0]:to]; got != fmt.Sprintf("$%d\r\n%s\r\n", len(want), want) {
			t.Errorf("GETRANGE big %v: %d bytes", r, len(got))
		}
	}
}

func TestSetFamily(t *testing.T) {
	s := newStringServer(t)
	s.putList("l")
	s.play([]step{
		{"SETNX a 1", ":1\n", "SET a 1"},
		{"SETNX a 1", ":0\n", ""},
		{"SETNX l 1", ":0\n", ""},
		{"SETEX a 5 x", "+OK\n", "SET a x PXAT 4000000005000"},
		{"SETEX a 0 x", "-ERR invalid expire time in 'setex' command\n", ""},
		{"SETEX a y x", "-ERR value is not an integer or out of range\n", ""},
		{"PSETEX a 5 x", "+OK\n", "SET a x PXAT 4000000000005"},
		{"PSETEX a -5 x", "-ERR invalid expire time in 'psetex' command\n", ""},
		{"MSET a 1 b 2 a 3", "+OK\n", "MSET a 1 b 2 a 3"},
		{"MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\n", ""},
		{"MSETNX c 1 a 2", ":0\n", ""},
		{"MSETNX c 1 d 2", ":1\n", "MSETNX c 1 d 2"},
		{"MSETNX c 1 d", "-ERR wrong number of arguments for 'msetnx' command\n", ""},
		{"MGET a b c d", "*4\n$1\n3\n$1\n2\n$1\n1\n$1\n2\n", ""},
	})
	s.wantEntry("a", types.EncInt, 0)
}

func TestAppendAndSetRange(t *testing.T) {
	s := newStringServer(t)
	s.putList("l")
	s.play([]step{
		{"APPEND a 12", ":2\n", "APPEND a 12"},
		{"APPEND a 3", ":3\n", "APPEND a 3"},
		{"GET a", "$3\n123\n", ""},
		{"APPEND l 3", wrongTypeReply, ""},
		{"SETRANGE a 4 x", ":5\n", "SETRANGE a 4 x"},
		{"GET a", "$5\n123\x00x\n", ""},
		{"SETRANGE n 1 x", ":2\n", "SETRANGE n 1 x"},
		{"GET n", "$2\n\x00x\n", ""},
		{"SETRANGE a -1 x", "-ERR offset is out of range\n", ""},
		{"SETRANGE a y x", "-ERR value is not an integer or out of range\n", ""},
		{"SETRANGE l 0 x", wrongTypeReply, ""},
		{"SETRANGE a 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\n", ""},
		{"SETRANGE a 9223372036854775807 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\n", ""},
	})
	if got := s.do("SETRANGE", "none", "5", ""); got != ":0\r\n" || len(s.effects) > 0 || s.run("STRLEN none") != ":0\r\n" {
		t.Errorf("SETRANGE with nothing to write: %q, journaled %q", got, s.effects)
	}
	// Through every form: number, packed in place, packed moved, chunked.
	s.run("SET g 7 EX 100")
	model := []byte("7")
	for i := 1; len(model) < 200000; i++ {
		add := strings.Repeat(string(rune('a'+i%26)), i)
		model = append(model, add...)
		if got := s.do("APPEND", "g", add); got != fmt.Sprintf(":%d\r\n", len(model)) {
			t.Fatalf("APPEND replied %q at %d bytes", got, len(model))
		}
		if i%7 == 0 {
			at := i * 31 % len(model)
			s.do("SETRANGE", "g", strconv.Itoa(at), "ZZZ")
			model = append(model, make([]byte, max(0, at+3-len(model)))...)
			copy(model[at:], "ZZZ")
		}
	}
	if got := s.run("GET g"); !strings.Contains(got, string(model)) {
		t.Error("the string that was appended to differs")
	}
	s.wantEntry("g", types.EncChunked, fixedNow+100000)
}

func TestIncr(t *testing.T) {
	s := newStringServer(t)
	s.putList("l")
	s.play([]step{
		{"INCR n", ":1\n", "INCR n"},
		{"DECR n", ":0\n", "DECR n"},
		{"INCRBY n 10", ":10\n", "INCRBY n 10"},
		{"DECRBY n 3", ":7\n", "DECRBY n 3"},
		{"INCRBY n x", "-ERR value is not an integer or out of range\n", ""},
		{"INCRBY n 9223372036854775807", "-ERR increment or decrement would overflow\n", ""},
		{"DECRBY n -9223372036854775808", "-ERR decrement would overflow\n", ""},
		{"INCR l", wrongTypeReply, ""},
		{"SET x 10x", "+OK\n", "SET x 10x"},
		{"INCR x", "-ERR value is not an integer or out of range\n", ""},
		{"INCRBYFLOAT x 1", "-ERR value is not a valid float\n", ""},
		{"INCRBYFLOAT n x", "-ERR value is not a valid float\n", ""},
		{"INCRBYFLOAT n 0.1", "$3\n7.1\n", "SET n 7.1 KEEPTTL"},
		{"INCRBYFLOAT n 2.9", "$2\n10\n", "SET n 10 KEEPTTL"},
		{"INCRBYFLOAT n inf", "-ERR increment would produce NaN or Infinity\n", ""},
		{"INCRBYFLOAT new 5e3", "$4\n5000\n", "SET new 5000 KEEPTTL"},
		{"INCRBYFLOAT l 1", wrongTypeReply, ""},
	})
	s.wantEntry("n", types.EncEmbstr, 0)
	s.run("INCR n")
	s.wantEntry("n", types.EncInt, 0)
	s.run("SET d 1 EX 100")
	s.run("INCR d")
	s.wantEntry("d", types.EncInt, fixedNow+100000)
	s.run("INCRBYFLOAT d 0.5")
	s.wantEntry("d", types.EncEmbstr, fixedNow+100000)
	s.do("SET", "big", strings.Repeat("1", keyspace.InlineMax+1))
	s.want("INCRBYFLOAT big 1", "-ERR value is not a valid float\n")
	s.want("INCR big", "-ERR value is not an integer or out of range\n")
}

// TestEffectsReplay runs a script, replays what it journaled on another server
// and compares the contents.
func TestEffectsReplay(t *testing.T) {
	s, r := newStringServer(t), newStringServer(t)
	// A journal in words, as the one in lines cannot hold blanks.
	var log [][]string
	h := s.Keyspace.LockAll()
	s.Keyspace.Journal.Attach(&wordLog{&log})
	s.Keyspace.Unlock(&h)
	for _, line := range strings.Split(`SET a 1 EX 100|SETRANGE a 100 x|SET b 5|INCRBYFLOAT b 0.1|GETSET b 7|APPEND b 8
MSETEX 2 c 1 d 2 PX 5000|MSETEX 2 c 9 e 3 KEEPTTL|INCREX c BYINT 5 UBOUND 10 SATURATE|INCREX f BYFLOAT 1.5 EX 10|DELEX d IFEQ 2|SETBIT g 100000 1|SETBIT h 900000 1
BITOP NOT i g|BITOP DIFF j h g|BITOP ONE k a b|BITOP ANDOR m i h|BITFIELD n SET u8 #3 255 INCRBY i5 2 7 OVERFLOW FAIL INCRBY u2 0 9|BITFIELD o OVERFLOW FAIL INCRBY u2 8 9
GETEX b PX 77|SET p x PXAT 1|SET q 1 IFNE 2|GETDEL e|BITOP OR g none none`, "\n") {
		for _, cmd := range strings.Split(line, "|") {
			if got := s.run(cmd); got[0] == '-' {
				t.Errorf("%s: %s", cmd, got)
			}
		}
	}
	r.x.ctx.Replaying = true
	for _, words := range log {
		if row := r.Table.Lookup([]byte(words[0])); row.Since[0] > '7' {
			t.Errorf("%v is newer than Redis 7", words)
		}
		if got := r.do(words...); got[0] == '-' {
			t.Errorf("replaying %v: %s", words, got)
		}
	}
	for _, key := range strings.Split("abcdefghijklmnopq", "") {
		x, y := s.entry(key), r.entry(key)
		if x.Exists() != y.Exists() || x.Exists() && x.Deadline() != y.Deadline() {
			t.Errorf("%s: after replaying it exists or expires otherwise", key)
		}
		if s.do("GET", key) != r.do("GET", key) {
			t.Errorf("%s: another value after replaying", key)
		}
	}
}

// wordLog is a JournalReader that keeps the words.
type wordLog struct{ all *[][]string }

func (l *wordLog) Effect(e keyspace.Effect) {
	words := make([]string, len(e.Args))
	for i, a := range e.Args {
		words[i] = string(bytes.Clone(a))
	}
	*l.all = append(*l.all, words)
}
func (l *wordLog) Begin() {}
func (l *wordLog) End()   {}
