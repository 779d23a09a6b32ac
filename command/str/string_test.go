package str_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/command/commandtest"
	"kvd/keyspace"
	"kvd/types"
)

func TestSet(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	s.Play([]commandtest.Step{
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
		{"SET l x GET", commandtest.WrongTypeReply, ""},
		{"SET l x IFEQ x", commandtest.WrongTypeReply, ""},
		{"SET l x NX", "$-1\n", ""},
		{"SET l x", "+OK\n", "SET l x"},
		{"SET", "-ERR wrong number of arguments for 'set' command\n", ""},
	})
	s.Run("SET k v EX 100")
	s.WantEntry("k", types.EncEmbstr, commandtest.FixedNow+100000)
	s.Run("SET k 12 KEEPTTL")
	s.WantEntry("k", types.EncInt, commandtest.FixedNow+100000)
	s.Run("SET k 012")
	s.WantEntry("k", types.EncEmbstr, 0)
	s.Do("SET", "k", strings.Repeat("x", 45))
	s.WantEntry("k", types.EncRaw, 0)
	s.Do("SET", "k", strings.Repeat("x", keyspace.InlineMax+1))
	s.WantEntry("k", types.EncChunked, 0)
}

// TestSetReplayed: an effect that comes late still sets the deadline as it was.
func TestSetReplayed(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.X.Replay(true)
	s.Now = time.UnixMilli(commandtest.FixedNow + 10000)
	s.Run("SET a 1 PXAT 4000000000005")
	s.Now = time.UnixMilli(commandtest.FixedNow)
	s.WantEntry("a", types.EncInt, commandtest.FixedNow+5)
}

func TestGetFamily(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	s.Play([]commandtest.Step{
		{"GET a", "$-1\n", ""},
		{"SET a -12", "+OK\n", "SET a -12"},
		{"GET a", "$3\n-12\n", ""},
		{"GET l", commandtest.WrongTypeReply, ""},
		{"MGET a none l a", "*4\n$3\n-12\n$-1\n$-1\n$3\n-12\n", ""},
		{"STRLEN a", ":3\n", ""},
		{"STRLEN none", ":0\n", ""},
		{"STRLEN l", commandtest.WrongTypeReply, ""},
		{"GETRANGE a 1 -1", "$2\n12\n", ""},
		{"GETRANGE a 0 -100", "$1\n-\n", ""},
		{"GETRANGE a 2 1", "$0\n\n", ""},
		{"GETRANGE a -1 -3", "$0\n\n", ""},
		{"GETRANGE a x 1", "-ERR value is not an integer or out of range\n", ""},
		{"GETRANGE none 0 1", "$0\n\n", ""},
		{"SUBSTR a -2 5", "$2\n12\n", ""},
		{"GETSET a b", "$3\n-12\n", "SET a b"},
		{"GETSET none b", "$-1\n", "SET none b"},
		{"GETSET l b", commandtest.WrongTypeReply, ""},
		{"GETDEL none", "$1\nb\n", "DEL none"},
		{"GETDEL none", "$-1\n", ""},
		{"GETDEL l", commandtest.WrongTypeReply, ""},
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
		{"GETEX l", commandtest.WrongTypeReply, ""},
	})
	big := strings.Repeat("0123456789", 20000)
	s.Do("SET", "big", big)
	for _, r := range [][2]int{{0, -1}, {65530, 65545}, {131000, 131100}, {199990, 300000}} {
		to := r[1] + 1
		if to <= 0 || to > len(big) {
			to = len(big)
		}
		if got, want := s.Do("GETRANGE", "big", strconv.Itoa(r[0]), strconv.Itoa(r[1])), big[r[0]:to]; got != fmt.Sprintf("$%d\r\n%s\r\n", len(want), want) {
			t.Errorf("GETRANGE big %v: %d bytes", r, len(got))
		}
	}
}

func TestSetFamily(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	s.Play([]commandtest.Step{
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
	s.WantEntry("a", types.EncInt, 0)
}

func TestAppendAndSetRange(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	s.Play([]commandtest.Step{
		{"APPEND a 12", ":2\n", "APPEND a 12"},
		{"APPEND a 3", ":3\n", "APPEND a 3"},
		{"GET a", "$3\n123\n", ""},
		{"APPEND l 3", commandtest.WrongTypeReply, ""},
		{"SETRANGE a 4 x", ":5\n", "SETRANGE a 4 x"},
		{"GET a", "$5\n123\x00x\n", ""},
		{"SETRANGE n 1 x", ":2\n", "SETRANGE n 1 x"},
		{"GET n", "$2\n\x00x\n", ""},
		{"SETRANGE a -1 x", "-ERR offset is out of range\n", ""},
		{"SETRANGE a y x", "-ERR value is not an integer or out of range\n", ""},
		{"SETRANGE l 0 x", commandtest.WrongTypeReply, ""},
		{"SETRANGE a 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\n", ""},
		{"SETRANGE a 9223372036854775807 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\n", ""},
	})
	if got := s.Do("SETRANGE", "none", "5", ""); got != ":0\r\n" || len(s.Effects) > 0 || s.Run("STRLEN none") != ":0\r\n" {
		t.Errorf("SETRANGE with nothing to write: %q, journaled %q", got, s.Effects)
	}
	// Through every form: number, packed in place, packed moved, chunked.
	s.Run("SET g 7 EX 100")
	model := []byte("7")
	for i := 1; len(model) < 200000; i++ {
		add := strings.Repeat(string(rune('a'+i%26)), i)
		model = append(model, add...)
		if got := s.Do("APPEND", "g", add); got != fmt.Sprintf(":%d\r\n", len(model)) {
			t.Fatalf("APPEND replied %q at %d bytes", got, len(model))
		}
		if i%7 == 0 {
			at := i * 31 % len(model)
			s.Do("SETRANGE", "g", strconv.Itoa(at), "ZZZ")
			model = append(model, make([]byte, max(0, at+3-len(model)))...)
			copy(model[at:], "ZZZ")
		}
	}
	if got := s.Run("GET g"); !strings.Contains(got, string(model)) {
		t.Error("the string that was appended to differs")
	}
	s.WantEntry("g", types.EncChunked, commandtest.FixedNow+100000)
}

func TestIncr(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	s.Play([]commandtest.Step{
		{"INCR n", ":1\n", "INCR n"},
		{"DECR n", ":0\n", "DECR n"},
		{"INCRBY n 10", ":10\n", "INCRBY n 10"},
		{"DECRBY n 3", ":7\n", "DECRBY n 3"},
		{"INCRBY n x", "-ERR value is not an integer or out of range\n", ""},
		{"INCRBY n 9223372036854775807", "-ERR increment or decrement would overflow\n", ""},
		{"DECRBY n -9223372036854775808", "-ERR decrement would overflow\n", ""},
		{"INCR l", commandtest.WrongTypeReply, ""},
		{"SET x 10x", "+OK\n", "SET x 10x"},
		{"INCR x", "-ERR value is not an integer or out of range\n", ""},
		{"INCRBYFLOAT x 1", "-ERR value is not a valid float\n", ""},
		{"INCRBYFLOAT n x", "-ERR value is not a valid float\n", ""},
		{"INCRBYFLOAT n 0.1", "$3\n7.1\n", "SET n 7.1 KEEPTTL"},
		{"INCRBYFLOAT n 2.9", "$2\n10\n", "SET n 10 KEEPTTL"},
		{"INCRBYFLOAT n inf", "-ERR increment would produce NaN or Infinity\n", ""},
		{"INCRBYFLOAT new 5e3", "$4\n5000\n", "SET new 5000 KEEPTTL"},
		{"INCRBYFLOAT l 1", commandtest.WrongTypeReply, ""},
	})
	s.WantEntry("n", types.EncEmbstr, 0)
	s.Run("INCR n")
	s.WantEntry("n", types.EncInt, 0)
	s.Run("SET d 1 EX 100")
	s.Run("INCR d")
	s.WantEntry("d", types.EncInt, commandtest.FixedNow+100000)
	s.Run("INCRBYFLOAT d 0.5")
	s.WantEntry("d", types.EncEmbstr, commandtest.FixedNow+100000)
	s.Do("SET", "big", strings.Repeat("1", keyspace.InlineMax+1))
	s.Want("INCRBYFLOAT big 1", "-ERR value is not a valid float\n")
	s.Want("INCR big", "-ERR value is not an integer or out of range\n")
}

// TestEffectsReplay runs a script, replays what it journaled on another server
// and compares the contents.
func TestEffectsReplay(t *testing.T) {
	s, r := commandtest.NewFixed(t), commandtest.NewFixed(t)
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
			if got := s.Run(cmd); got[0] == '-' {
				t.Errorf("%s: %s", cmd, got)
			}
		}
	}
	r.X.Replay(true)
	for _, words := range log {
		if row := r.Table.Lookup([]byte(words[0])); row.Since[0] > '7' {
			t.Errorf("%v is newer than Redis 7", words)
		}
		if got := r.Do(words...); got[0] == '-' {
			t.Errorf("replaying %v: %s", words, got)
		}
	}
	for _, key := range strings.Split("abcdefghijklmnopq", "") {
		x, y := s.Entry(key), r.Entry(key)
		if x.Exists() != y.Exists() || x.Exists() && x.Deadline() != y.Deadline() {
			t.Errorf("%s: after replaying it exists or expires otherwise", key)
		}
		if s.Do("GET", key) != r.Do("GET", key) {
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
