package hash_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/commandtest"
	"kvd/command/hash"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

func TestHashReplies(t *testing.T) {
	s := commandtest.New(t)
	for _, v := range [][2]string{
		{"HSET h a 1 b 2", ":2\n"},
		{"HSET h a 1 c 3", ":1\n"},
		{"HSET h a", "-ERR wrong number of arguments for 'hset' command\n"},
		{"HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command\n"},
		{"HMSET h a 5", "+OK\n"},
		{"HSETNX h a 6", ":0\n"},
		{"HSETNX h d 6", ":1\n"},
		{"HGET h a", "$1\n5\n"},
		{"HGET h x", "$-1\n"},
		{"HGET none x", "$-1\n"},
		{"HMGET h a x d", "*3\n$1\n5\n$-1\n$1\n6\n"},
		{"HMGET none a x", "*2\n$-1\n$-1\n"},
		{"HLEN h", ":4\n"},
		{"HLEN none", ":0\n"},
		{"HSTRLEN h a", ":1\n"},
		{"HSTRLEN h x", ":0\n"},
		{"HEXISTS h a", ":1\n"},
		{"HEXISTS h x", ":0\n"},
		{"HDEL h x y", ":0\n"},
		{"HDEL h b c c d", ":3\n"},
		{"HGETALL h", "*2\n$1\na\n$1\n5\n"},
		{"HKEYS h", "*1\n$1\na\n"},
		{"HVALS h", "*1\n$1\n5\n"},
		{"HGETALL none", "*0\n"},
		{"HINCRBY h a 3", ":8\n"},
		{"HINCRBY h a x", "-ERR value is not an integer or out of range\n"},
		{"HINCRBY h a 9223372036854775807", "-ERR increment or decrement would overflow\n"},
		{"HINCRBY h n -9223372036854775808", ":-9223372036854775808\n"},
		{"HINCRBY h n -1", "-ERR increment or decrement would overflow\n"},
		{"HINCRBYFLOAT h f 1.5", "$3\n1.5\n"},
		{"HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity\n"},
		{"HINCRBYFLOAT h f x", "-ERR value is not a valid float\n"},
		{"HINCRBY h f 1", "-ERR hash value is not an integer\n"},
		{"HSET h s text", ":1\n"},
		{"HINCRBYFLOAT h s 1", "-ERR hash value is not a float\n"},
		{"HDEL h a n f s", ":4\n"},
		{"EXISTS h", ":0\n"},
		{"HRANDFIELD none", "$-1\n"},
		{"HRANDFIELD none 5", "*0\n"},
		{"HRANDFIELD none 5 x", "-ERR syntax error\n"},
		{"HRANDFIELD none -9223372036854775808", "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\n"},
		{"HRANDFIELD none 9223372036854775807 WITHVALUES", "-ERR value is out of range\n"},
		{"HSET h a 1", ":1\n"},
		{"HRANDFIELD h", "$1\na\n"},
		{"HRANDFIELD h -2 WITHVALUES", "*4\n$1\na\n$1\n1\n$1\na\n$1\n1\n"},
		{"HRANDFIELD h 2 WITHVALUES", "*2\n$1\na\n$1\n1\n"},
		{"HSCAN h 0", "*2\n$1\n0\n*2\n$1\na\n$1\n1\n"},
		{"HSCAN h 0 NOVALUES MATCH a* COUNT 5", "*2\n$1\n0\n*1\n$1\na\n"},
		{"HSCAN h 0 MATCH b*", "*2\n$1\n0\n*0\n"},
		{"HSCAN h 0 COUNT", "-ERR syntax error\n"},
		{"HSCAN h x", "-ERR invalid cursor\n"},
		{"HSCAN none 0 nonsense", "*2\n$1\n0\n*0\n"},
		{"SET str v", "+OK\n"},
		{"HSET str a b", "-" + command.ErrWrongType + "\n"},
		{"HGETALL str", "-" + command.ErrWrongType + "\n"},
		{"HSCAN str 0", "-" + command.ErrWrongType + "\n"},
		{"HELLO 3", ""},
		{"HGETALL h", "%1\n$1\na\n$1\n1\n"},
		{"HGETALL none", "%0\n"},
		{"HKEYS none", "*0\n"},
		{"HRANDFIELD h -2 WITHVALUES", "*2\n*2\n$1\na\n$1\n1\n*2\n$1\na\n$1\n1\n"},
	} {
		if v[1] == "" {
			s.Run(v[0])
		} else {
			s.Want(v[0], v[1])
		}
	}
}

func TestHashEffects(t *testing.T) {
	s := commandtest.New(t)
	s.Run("HSET h a 1 b 2")
	s.Run("HSETNX h a 5")
	s.Run("HDEL h x")
	s.Run("HINCRBY h a x")
	s.Run("HINCRBY h a 5")
	s.Run("HINCRBYFLOAT h a 0.5")
	s.Run("HDEL h a x b")
	s.WantEffects("HSET h a 1 b 2", "HINCRBY h a 5", "HSET h a 6.5", "HDEL h a x b")
}

// A command that changes nothing must not look like a change to who watches.
func TestHashNoChange(t *testing.T) {
	s := commandtest.New(t)
	s.Run("HSET h a x")
	for _, line := range []string{"HSETNX h a 1", "HDEL h z", "HINCRBY h a 1", "HINCRBYFLOAT h a 1", "HGETALL h", "HPERSIST h FIELDS 1 a",
		"HEXPIRE h 5 XX FIELDS 1 a", "HGETDEL h FIELDS 1 z", "HGETEX h FIELDS 1 a", "HSETEX h FNX FIELDS 1 a 1"} {
		s.Run("WATCH h")
		s.Run(line)
		s.Run("MULTI")
		s.Want("EXEC", "*0\n")
	}
	s.Run("WATCH h")
	s.Run("HSET h a x")
	s.Run("MULTI")
	s.Want("EXEC", "*-1\n")
}

func TestHashEncodings(t *testing.T) {
	s := commandtest.New(t)
	s.Run("CONFIG SET hash-max-listpack-entries 3 hash-max-listpack-value 10")
	s.Run("HSET h a 1 b 2 c 3")
	s.Want("OBJECT ENCODING h", "$8\nlistpack\n")
	s.Run("HEXPIRE h 100 FIELDS 1 a")
	s.Want("OBJECT ENCODING h", "$10\nlistpackex\n")
	s.Run("HSET h d 4")
	s.Want("OBJECT ENCODING h", "$9\nhashtable\n")
	s.Want("HTTL h FIELDS 2 a d", "*2\n:100\n:-1\n")
	s.Run("HSET i a 12345678901")
	s.Want("OBJECT ENCODING i", "$9\nhashtable\n")
	s.Run("HSET j 12345678901 a")
	s.Want("OBJECT ENCODING j", "$9\nhashtable\n")
}

// What is read on a worker is the same as what is read at once.
func TestLongHash(t *testing.T) {
	s := commandtest.New(t)
	want := map[string]bool{}
	args := []string{"HSET", "h"}
	for i := range command.LongRead + 50 {
		args = append(args, "f"+strconv.Itoa(i), "v")
		want["f"+strconv.Itoa(i)] = true
	}
	s.Do(args...)
	s.C.Conn = newTestConn()
	for _, line := range []string{"HKEYS h", "HRANDFIELD h 100000", "HSCAN h 0 COUNT 100000 NOVALUES"} {
		if at := s.Run(line); at != "" {
			t.Fatalf("%s: replied at once", line)
		}
		reply := <-s.C.Conn.(*testConn).replies
		n := 0
		for _, f := range strings.Split(string(reply), "\r\n") {
			if want[f] {
				n++
			}
		}
		if n != len(want) {
			t.Errorf("%s: %d fields, want %d", line, n, len(want))
		}
	}
}

type testConn struct{ replies chan []byte }

func newTestConn() *testConn                      { return &testConn{make(chan []byte, 1)} }
func (c *testConn) Kill(bool)                     {}
func (c *testConn) Deliver(parts ...[]byte)       { c.replies <- slices.Concat(parts...) }
func (c *testConn) Push(b []byte)                 {}
func (c *testConn) Hijack(func(net.Conn, []byte)) {}

func TestHashAllocs(t *testing.T) {
	s := commandtest.New(t)
	h := s.Keyspace.LockAll()
	s.Keyspace.Journal.Detach(s)
	s.Keyspace.Unlock(&h)
	s.Run("HSET small a 1 b 2")
	big := []string{"HSET", "big"}
	for i := range 2000 {
		big = append(big, "f"+strconv.Itoa(i), "v")
	}
	s.Do(big...)
	s.Run("HSET due a 1 b 2")
	s.Run("HEXPIRE due 1000 FIELDS 1 a")
	for _, line := range []string{"HGET small a", "HGET big f5", "HSET small a 5", "HSET big f5 w", "HGET due a", "HSET due b 4",
		"HINCRBY small b 1", "HEXISTS big nope", "HLEN big", "HMGET small a b", "HSETNX small a 1"} {
		var args [][]byte
		for _, w := range strings.Fields(line) {
			args = append(args, []byte(w))
		}
		var w wire.Writer
		s.X.SetTime(s.Now)
		if n := testing.AllocsPerRun(100, func() {
			w.Buf = w.Buf[:0]
			s.X.Run(s.C, args, &w)
		}); n > 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
	// A hash that grows does so in memory that is used again.
	field := []byte("f00")
	args := [][]byte{[]byte("HSET"), []byte("growing"), field, []byte("value")}
	var w wire.Writer
	s.X.Run(s.C, args, &w)
	if n := testing.AllocsPerRun(1, func() {
		for range 45 {
			if field[2]++; field[2] > '9' {
				field[1]++
				field[2] = '0'
			}
			w.Buf = w.Buf[:0]
			s.X.Run(s.C, args, &w)
		}
	}); n > 20 { // a page, room for more, and what others allocate meanwhile; each field by itself would be 45
		t.Errorf("45 new fields: %v allocations", n)
	}
}

func TestFieldExpireReplies(t *testing.T) {
	s := commandtest.New(t)
	s.Now = time.UnixMilli(2_000_000_000_000) // later than the expirer's clock
	s.Run("HSET h a 1 b 2 c 3")
	for _, v := range [][2]string{
		{"HEXPIRE h 100 FIELDS 2 a x", "*2\n:1\n:-2\n"},
		{"HEXPIRE h 200 NX FIELDS 2 a b", "*2\n:0\n:1\n"},
		{"HEXPIRE h 150 GT FIELDS 3 a b c", "*3\n:1\n:0\n:0\n"},
		{"HEXPIRE h 170 LT FIELDS 3 a b c", "*3\n:0\n:1\n:1\n"},
		{"HEXPIRE h 150 XX FIELDS 2 a x", "*2\n:1\n:-2\n"},
		{"HTTL h FIELDS 4 a b c x", "*4\n:150\n:170\n:170\n:-2\n"},
		{"HPTTL h FIELDS 1 a", "*1\n:150000\n"},
		{"HEXPIRETIME h FIELDS 1 a", "*1\n:2000000150\n"},
		{"HPEXPIRETIME h FIELDS 1 a", "*1\n:2000000150000\n"},
		{"HPEXPIRE h 1500 FIELDS 1 a", "*1\n:1\n"},
		{"HTTL h FIELDS 1 a", "*1\n:2\n"},
		{"HEXPIREAT h 2000000500 FIELDS 1 a", "*1\n:1\n"},
		{"HPEXPIREAT h 2000000500001 FIELDS 1 b", "*1\n:1\n"},
		{"HPEXPIRETIME h FIELDS 2 a b", "*2\n:2000000500000\n:2000000500001\n"},
		{"HPERSIST h FIELDS 3 a a x", "*3\n:1\n:-1\n:-2\n"},
		{"HTTL h FIELDS 1 a", "*1\n:-1\n"},
		{"HEXPIRE none 1 FIELDS 2 a b", "*2\n:-2\n:-2\n"},
		{"HTTL none FIELDS 1 a", "*1\n:-2\n"},
		{"HPERSIST none FIELDS 1 a", "*1\n:-2\n"},
		{"HEXPIRE h x FIELDS 1 a", "-ERR value is not an integer or out of range\n"},
		{"HEXPIRE h -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0\n"},
		{"HEXPIRE h 281474976710 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command\n"},
		{"HPEXPIREAT h 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hpexpireat' command\n"},
		{"HPEXPIREAT h 70368744177663 FIELDS 1 b", "*1\n:1\n"},
		{"HEXPIRE h 1 FIELD 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position\n"},
		{"HEXPIRE h 1 NX XX FIELDS 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position\n"},
		{"HEXPIRE h 1 FIELDS 0 a", "-ERR Parameter `numFields` should be greater than 0\n"},
		{"HEXPIRE h 1 FIELDS 2 a", "-ERR The `numfields` parameter must match the number of arguments\n"},
		{"HEXPIRE h 1 FIELDS 1", "-ERR wrong number of arguments for 'hexpire' command\n"},
		{"HTTL h FIELDS 0 a", "-ERR Number of fields must be a positive integer\n"},
		{"HTTL h FIELDS 1 a b", "-ERR The `numfields` parameter must match the number of arguments\n"},
		{"HPERSIST h X 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position\n"},
		{"HEXPIREAT h 1 FIELDS 2 a x", "*2\n:2\n:-2\n"},
		{"HEXPIRE h 0 NX FIELDS 2 b c", "*2\n:0\n:0\n"},
		{"HEXPIRE h 0 FIELDS 2 b c", "*2\n:2\n:2\n"},
		{"EXISTS h", ":0\n"},

		{"HSETEX h FXX FIELDS 1 a 1", ":0\n"},
		{"EXISTS h", ":0\n"},
		{"HSETEX h FNX EX 100 FIELDS 2 a 1 b 2", ":1\n"},
		{"HSETEX h FNX FIELDS 2 a 1 c 2", ":0\n"},
		{"HSETEX h FXX FIELDS 2 a 1 c 2", ":0\n"},
		{"HSETEX h KEEPTTL FXX FIELDS 1 a 5", ":1\n"},
		{"HTTL h FIELDS 3 a b c", "*3\n:100\n:100\n:-2\n"},
		{"HSETEX h FIELDS 1 a 6", ":1\n"},
		{"HTTL h FIELDS 1 a", "*1\n:-1\n"},
		{"HSETEX h PXAT 2000000500000 FIELDS 1 a 6", ":1\n"},
		{"HPEXPIRETIME h FIELDS 1 a", "*1\n:2000000500000\n"},
		{"HSETEX h FIELDS 2 a 1", "-ERR wrong number of arguments for 'hsetex' command\n"},
		{"HSETEX h FIELDS 1 a 1 b", "-ERR wrong number of arguments for 'hsetex' command\n"},
		{"HSETEX h FIELDS 0 a 1", "-ERR invalid number of fields\n"},
		{"HSETEX h NX FIELDS 1 a 1", "-ERR unknown argument: NX\n"},
		{"HSETEX h FXX FNX FIELDS 1 a 1", "-ERR Only one of FXX or FNX arguments can be specified\n"},
		{"HSETEX h EX 5 KEEPTTL FIELDS 1 a 1", "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified\n"},
		{"HSETEX h EX -1 FIELDS 1 a 1", "-ERR invalid expire time, must be >= 0\n"},
		{"HSETEX h EX FIELDS 1 a 1", "-ERR value is not an integer or out of range\n"},
		{"HSETEX h FNX FXX EX 5 1", "-ERR Only one of FXX or FNX arguments can be specified\n"},
		{"HSETEX h KEEPTTL FXX PX PX", "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified\n"},
		{"HSETEX h FXX KEEPTTL fxx EX", "-ERR Only one of FXX or FNX arguments can be specified\n"},

		// Options may stand behind the fields.
		{"HSETEX h FIELDS 1 a 6 EX 100 FXX", ":1\n"},
		{"HTTL h FIELDS 1 a", "*1\n:100\n"},
		{"HSETEX h FNX FIELDS 1 a 7 KEEPTTL", ":0\n"},
		{"HSETEX h FIELDS 1 a 6 EX 5 KEEPTTL", "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified\n"},
		{"HSETEX h FIELDS 1 a 6 EX", "-ERR missing expire time\n"},
		{"HGETEX h FIELDS 1 a EX 200", "*1\n$1\n6\n"},
		{"HTTL h FIELDS 1 a", "*1\n:200\n"},
		{"HGETEX h FIELDS 1 a EX", "-ERR missing expire time\n"},
		{"HGETEX h EX 5 FIELDS 1 a PERSIST", "-" + hash.ErrFieldsDiffer + "\n"},
		{"HGETEX h FIELDS 1 a EX 5 PERSIST", "-" + hash.ErrFieldsDiffer + "\n"},
		{"HEXPIRE h 100 FIELDS 1 a NX", "*1\n:0\n"},
		{"HEXPIRE h 300 FIELDS 1 a GT", "*1\n:1\n"},
		{"HEXPIRE h 300 XX FIELDS 1 a GT", "-" + hash.ErrFieldsDiffer + "\n"},
		{"HEXPIRE h 300 FIELDS 1 a GT LT", "-" + hash.ErrFieldsDiffer + "\n"},
		{"HEXPIRE h 300 FIELDS 3 a GT", "-" + hash.ErrFieldsDiffer + "\n"},
		{"HGETEX h FIELDS 1 a PERSIST", "*1\n$1\n6\n"},
		{"HTTL h FIELDS 1 a", "*1\n:-1\n"},

		{"HGETEX h FIELDS 2 a x", "*2\n$1\n6\n$-1\n"},
		{"HGETEX h PERSIST FIELDS 2 a x", "*2\n$1\n6\n$-1\n"},
		{"HTTL h FIELDS 1 a", "*1\n:-1\n"},
		{"HGETEX h EX 100 FIELDS 1 a", "*1\n$1\n6\n"},
		{"HTTL h FIELDS 1 a", "*1\n:100\n"},
		{"HGETEX none EX 100 FIELDS 2 a b", "*2\n$-1\n$-1\n"},
		{"HGETEX h EX 100", "-ERR wrong number of arguments for 'hgetex' command\n"},
		{"HGETEX h EX 100 FIELDS", "-ERR Number of fields must be a positive integer\n"},
		{"HGETEX h PXAT 1 1", "-ERR Mandatory argument FIELDS is missing or not at the right position\n"},
		{"HGETEX h FIELDS 9223372036854775808 a", "-ERR Number of fields must be a positive integer\n"},
		{"HGETEX h PXAT 1 FIELDS 1 a", "*1\n$1\n6\n"},
		{"HEXISTS h a", ":0\n"},

		{"HGETDEL h FIELDS 3 b b x", "*3\n$1\n2\n$-1\n$-1\n"},
		{"EXISTS h", ":0\n"},
		{"HGETDEL none FIELDS 1 b", "*1\n$-1\n"},
		{"HGETDEL none FIELDS 2 b", "-ERR The `numfields` parameter must match the number of arguments\n"},
		{"HSETEX h PXAT 1 FIELDS 1 a 1", ":1\n"},
		{"EXISTS h", ":0\n"},
		{"SET str v", "+OK\n"},
		{"HEXPIRE str x FIELDS 1 a", "-" + command.ErrWrongType + "\n"},
		{"HTTL str X 1 a", "-" + command.ErrWrongType + "\n"},
		{"HGETEX str FIELDS 1 a", "-" + command.ErrWrongType + "\n"},
		{"HGETDEL str FIELDS 1 a", "-" + command.ErrWrongType + "\n"},
		{"HSETEX str FIELDS 1 a 1", "-" + command.ErrWrongType + "\n"},
	} {
		s.Want(v[0], v[1])
	}
}

func TestFieldExpireEffects(t *testing.T) {
	s := commandtest.New(t)
	s.Now = time.UnixMilli(2_000_000_000_000)
	s.Run("HSET h a 1 b 2 c 3")
	s.Effects = nil
	s.Run("HEXPIRE h 100 FIELDS 2 a x")
	s.Run("HPEXPIRE h 200 NX FIELDS 2 a b")
	s.Run("HEXPIRE h 100 XX FIELDS 1 c")
	s.Run("HINCRBYFLOAT h a 1.5")
	s.WantEffects("HPEXPIREAT h 2000000100000 FIELDS 1 a", "HPEXPIREAT h 2000000000200 FIELDS 1 b",
		"MULTI", "HSET h a 2.5", "HPEXPIREAT h 2000000100000 FIELDS 1 a", "EXEC")
	s.Run("HGETEX h FIELDS 2 a b")
	s.Run("HGETEX h PERSIST FIELDS 2 a c")
	s.Run("HGETEX h PX 5 FIELDS 2 a x")
	s.Run("HPERSIST h FIELDS 3 a b c")
	s.Run("HPERSIST h FIELDS 1 a")
	s.WantEffects("HPERSIST h FIELDS 1 a", "HPEXPIREAT h 2000000000005 FIELDS 1 a", "HPERSIST h FIELDS 2 a b")
	s.Run("HSETEX h EX 1 FIELDS 2 a 1 b 2")
	s.Run("HSETEX h KEEPTTL FIELDS 2 a 3 c 4")
	s.Run("HSETEX h FNX FIELDS 1 a 3")
	s.Run("HSETEX h FIELDS 1 a 5")
	s.WantEffects("MULTI", "HSET h a 1 b 2", "HPEXPIREAT h 2000000001000 FIELDS 2 a b", "EXEC",
		"MULTI", "HSET h a 3 c 4", "HPEXPIREAT h 2000000001000 FIELDS 1 a", "EXEC", "HSET h a 5")
	s.Run("HGETDEL h FIELDS 2 a x")
	s.Run("HSETEX h PX 0 FIELDS 2 b 1 z 1")
	s.Run("HEXPIREAT h 1 FIELDS 2 c x")
	s.Run("HSETEX h PX 0 FIELDS 2 b 1 z 1")
	s.WantEffects("HDEL h a", "HDEL h b", "HDEL h c")
	s.Want("EXISTS h", ":0\n")
}

// lockedEffects is WantEffects while the expirer may run.
func lockedEffects(s *commandtest.Server, want ...string) {
	s.T.Helper()
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	s.WantEffects(want...)
}

func TestFieldsExpireExactly(t *testing.T) {
	for _, enc := range []string{"listpackex", "hashtable"} {
		t.Run(enc, func(t *testing.T) {
			s := commandtest.New(t)
			s.Run("debug set-active-expire 1")
			if enc == "hashtable" {
				s.Run("CONFIG SET hash-max-listpack-entries 0")
			}
			events := s.Notices()
			s.Run("HSET h a 1 b 2")
			s.Now = time.Now()
			due := s.Now.UnixMilli() + 30
			s.Run(fmt.Sprintf("HPEXPIREAT h %d FIELDS 1 a", due))
			wantExpired(s, 1, due)
			s.Now = time.Now()
			later := s.Now.UnixMilli() + 30
			s.Run(fmt.Sprintf("HPEXPIREAT h %d FIELDS 1 b", later))
			wantExpired(s, 2, later)
			lockedEffects(s, "HSET h a 1 b 2", fmt.Sprintf("HPEXPIREAT h %d FIELDS 1 a", due), "HDEL h a", fmt.Sprintf("HPEXPIREAT h %d FIELDS 1 b", later), "HDEL h b")
			if got := strings.Join(*events, ", "); got != "hset 0 h, hexpire 0 h, hexpired 0 h, hexpire 0 h, hexpired 0 h, del 0 h" {
				t.Errorf("events %s", got)
			}
			s.Want("EXISTS h", ":0\n")
		})
	}
}

// wantExpired waits until the expirer has removed n fields, which it must not
// have done before the moment due, nor long after.
func wantExpired(s *commandtest.Server, n, due int64) {
	s.T.Helper()
	for s.Keyspace.Stats.ExpiredFields.Load() < n {
		if time.Now().UnixMilli() > due+20000 {
			s.T.Fatalf("field %d is still there long after its deadline", n)
		}
		time.Sleep(100 * time.Microsecond)
	}
	if now := time.Now().UnixMilli(); now < due {
		s.T.Fatalf("field %d went %d ms before its deadline", n, due-now)
	}
}

// Many fields that are due together go in batches, each with its effect.
func TestManyFieldsExpire(t *testing.T) {
	s := commandtest.New(t)
	s.Run("debug set-active-expire 1")
	const n = 1000
	set, due := []string{"HSET", "h", "stays", "1"}, []string{}
	for i := range n {
		set = append(set, "f"+strconv.Itoa(i), "v")
		due = append(due, "f"+strconv.Itoa(i))
	}
	s.Do(set...)
	s.Now = time.Now()
	s.Do(append([]string{"HPEXPIRE", "h", "300", "FIELDS", strconv.Itoa(n)}, due...)...)
	wantExpired(s, n, s.Now.UnixMilli()+300)
	s.Want("HGETALL h", "*2\n$5\nstays\n$1\n1\n")
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	gone := map[string]bool{}
	for _, e := range s.Effects[2:] {
		words := strings.Fields(e)
		if words[0] != "HDEL" || words[1] != "h" || len(words) > 130 {
			t.Fatalf("%d words in effect %s", len(words), e)
		}
		for _, f := range words[2:] {
			gone[f] = true
		}
	}
	if len(gone) != n {
		t.Errorf("%d fields were deleted by effects, want %d", len(gone), n)
	}
}

// Fields that are due but still there are not seen, and writing to them has
// effects that come out the same where they are seen.
func TestDueFieldsAreHidden(t *testing.T) {
	s := commandtest.New(t)
	s.Keyspace.SetActiveExpire(false)
	const n = 8000
	set, due := []string{"HSET", "h", "stays", "1"}, []string{}
	for i := range n {
		set = append(set, fmt.Sprintf("f%04d", i), "7")
		due = append(due, fmt.Sprintf("f%04d", i))
	}
	s.Do(set...)
	s.Do(append([]string{"HPEXPIRE", "h", "20", "FIELDS", strconv.Itoa(n)}, due...)...)
	s.Now = s.Now.Add(20 * time.Millisecond)
	s.Want("HGET h stays", "$1\n1\n") // and the first batch is gone
	there := func() (field string) {
		k := keyspace.MakeKey([]byte("h"))
		h := s.Keyspace.LockAll()
		defer s.Keyspace.Unlock(&h)
		s.X.Replay(true)
		e := s.X.Running.LookupNoTouch(&k)
		s.X.Replay(false)
		var hash types.Hash
		s.X.Running.Load(&e, &hash)
		for _, f := range due {
			if b := []byte(f); hash.Has(b, 0) && !hash.Has(b, s.Now.UnixMilli()) {
				field = f
			}
		}
		return field
	}
	for _, v := range [][2]string{
		{"HLEN h", ":1\n"},
		{"HGETALL h", "*2\n$5\nstays\n$1\n1\n"},
		{"HRANDFIELD h 5", "*1\n$5\nstays\n"},
		{"HGET h %s", "$-1\n"},
		{"HDEL h %s", ":0\n"},
		{"HSTRLEN h %s", ":0\n"},
		{"HTTL h FIELDS 1 %s", "*1\n:-2\n"},
		{"HEXPIRE h 5 FIELDS 1 %s", "*1\n:-2\n"},
		{"HPERSIST h FIELDS 1 %s", "*1\n:-2\n"},
		{"HGETDEL h FIELDS 1 %s", "*1\n$-1\n"},
		{"HSETEX h FXX FIELDS 1 %s 1", ":0\n"},
	} {
		f := there()
		s.Effects = nil
		s.Want(strings.ReplaceAll(v[0], "%s", f), v[1])
		for _, e := range s.Effects {
			if !strings.HasPrefix(e, "HDEL h f") || len(strings.Fields(e)) < 100 { // of another kind than by the way

				t.Errorf("%s has effect %s", v[0], e)
			}
		}
	}
	for _, v := range [][3]string{
		{"HSETNX h %s 5", ":1\n", "HSET h %s 5"},
		{"HINCRBY h %s 5", ":5\n", "HSET h %s 5"},
		{"HINCRBYFLOAT h %s 5", "$1\n5\n", "HSET h %s 5"},
		{"HSET h %s 5", ":1\n", "HSET h %s 5"},
	} {
		f := there()
		if f == "" {
			t.Fatal("no due field is left")
		}
		s.Effects = nil
		s.Want(strings.ReplaceAll(v[0], "%s", f), v[1])
		if got, want := s.Effects[len(s.Effects)-1], strings.ReplaceAll(v[2], "%s", f); got != want {
			t.Errorf("effect %s, want %s", got, want)
		}
		s.Want("HTTL h FIELDS 1 "+f, "*1\n:-1\n")
	}
	// On a follower they are hidden but stay.
	s.X.Running.HideExpired = true
	s.Run("HSET small a 1")
	s.Run("HPEXPIRE small 10 FIELDS 1 a")
	s.Now = s.Now.Add(time.Second)
	k := keyspace.MakeKey([]byte("small"))
	s.X.SetTime(s.Now)
	tx := s.Keyspace.TxOn(0)
	tx.Now, tx.HideExpired = s.Now.UnixMilli(), true
	h := s.Keyspace.LockAll()
	if tx.Exists(&k) {
		t.Error("a hash of due fields is not hidden")
	}
	tx.Replaying = true
	if !tx.Exists(&k) {
		t.Error("a hash of due fields is hidden while replaying")
	}
	s.Keyspace.Unlock(&h)
}

// Whatever moves a hash takes the deadlines of its fields along.
func TestFieldDeadlinesMove(t *testing.T) {
	for _, entries := range []string{"0", "128"} {
		s := commandtest.New(t)
		s.Keyspace.SetActiveExpire(false)
		s.Run("CONFIG SET hash-max-listpack-entries " + entries)
		check := func(key string, db int) {
			t.Helper()
			if err := s.Keyspace.Check(); err != nil {
				t.Fatal(err)
			}
			s.Run("SELECT " + strconv.Itoa(db))
			s.Want("HPTTL "+key+" FIELDS 2 a b", "*2\n:5000\n:-1\n")
			s.Run("SELECT 0")
		}
		s.Run("HSET h a 1 b 2")
		s.Run("HPEXPIRE h 5000 FIELDS 1 a")
		check("h", 0)
		s.Run("PEXPIRE h 100000")
		check("h", 0)
		s.Run("RENAME h i")
		check("i", 0)
		s.Run("COPY i j")
		check("j", 0)
		s.Run("PERSIST j")
		check("j", 0)
		s.Run("MOVE j 3")
		check("j", 3)
		s.Run("COPY i k DB 5")
		check("k", 5)
		s.Run("SWAPDB 5 6")
		check("k", 6)
		dump := s.Run("DUMP i")
		at := strings.Index(dump, "\r\n")
		s.Do("RESTORE", "r", "0", strings.TrimSuffix(dump[at+2:], "\r\n"))
		check("r", 0)
		s.Run("SET i over")
		s.Run("SET r over")
		s.Run("HSET h a 1 b 2")
		s.Run("HPEXPIRE h 5000 FIELDS 1 a")
		s.Run("COPY h i REPLACE")
		check("i", 0)
		s.Run("DEL h")
		s.Run("HDEL i a")
		if err := s.Keyspace.Check(); err != nil {
			t.Fatal(err)
		}
		s.Run("FLUSHALL")
	}
}

// Random commands: the books stay right, and what was journaled leads to the
// same contents elsewhere.
func TestHashReplay(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	a, b := commandtest.New(t), commandtest.New(t)
	a.Keyspace.SetActiveExpire(false)
	b.Keyspace.SetActiveExpire(false)
	b.X.Replay(true)
	limits := "CONFIG SET hash-max-listpack-entries 8 hash-max-listpack-value 20"
	a.Run(limits)
	b.Run(limits)
	key := func() string { return "k" + strconv.Itoa(r.IntN(4)) }
	field := func() string { return "f" + strconv.Itoa(r.IntN(14)) }
	fields := func() string {
		n := 1 + r.IntN(3)
		s := "FIELDS " + strconv.Itoa(n)
		for range n {
			s += " " + field()
		}
		return s
	}
	value := func() string { return strings.Repeat(strconv.Itoa(r.IntN(1000)), 1+r.IntN(8)) }
	ms := func() string { return strconv.Itoa(r.IntN(60)) }
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	for step := range 6000 {
		var line string
		switch r.IntN(20) {
		case 0, 1, 2:
			line = "HSET " + key() + " " + field() + " " + value() + " " + field() + " " + value()
		case 3:
			line = "HSETNX " + key() + " " + field() + " " + value()
		case 4:
			line = "HDEL " + key() + " " + field() + " " + field()
		case 5:
			line = "HINCRBY " + key() + " " + field() + " 3"
		case 6:
			line = "HINCRBYFLOAT " + key() + " " + field() + " 0.25"
		case 7, 8, 9:
			line = "HPEXPIRE " + key() + " " + ms() + pick("", " NX", " XX", " GT", " LT") + " " + fields()
		case 10:
			line = "HPERSIST " + key() + " " + fields()
		case 11:
			line = "HGETEX " + key() + pick("", " PERSIST", " PX "+ms()) + " " + fields()
		case 12, 13:
			line = "HSETEX " + key() + pick("", " FNX", " FXX") + pick("", " KEEPTTL", " PX "+ms()) + " FIELDS 2 " + field() + " " + value() + " " + field() + " " + value()
		case 14:
			line = "HGETDEL " + key() + " " + fields()
		case 15:
			line = pick("RENAME ", "COPY ") + key() + " " + key()
		case 16:
			line = "PEXPIRE " + key() + " " + strconv.Itoa(r.IntN(2000))
		case 17:
			line = pick("PERSIST ", "HGETALL ", "HLEN ", "EXISTS ") + key()
		case 18:
			line = "COPY " + key() + " " + key() + " REPLACE"
		default:
			if r.IntN(10) == 0 {
				line = pick("DEL ", "UNLINK ") + key()
			}
			a.Now = a.Now.Add(time.Duration(r.IntN(8)) * time.Millisecond)
		}
		if line != "" {
			a.Run(line)
		}
		b.Now = a.Now
		for _, e := range a.Effects {
			if e != "MULTI" && e != "EXEC" {
				if reply := b.Run(e); reply[0] == '-' {
					t.Fatalf("step %d: %s: %s", step, e, reply)
				}
			}
		}
		a.Effects = nil
		if step%200 == 0 {
			for _, ks := range []*keyspace.Keyspace{a.Keyspace, b.Keyspace} {
				if err := ks.Check(); err != nil {
					t.Fatalf("step %d: %s: %v", step, line, err)
				}
			}
		}
		if step%20 != 0 {
			continue
		}
		for i := range 4 {
			k := "k" + strconv.Itoa(i)
			got := contents(b, k, &a.Effects, a)
			want := contents(a, k, nil, nil)
			if got != want {
				t.Fatalf("step %d: after %s, %s is\n%s\nreplayed:\n%s", step, line, k, want, got)
			}
		}
	}
}

// contents is what a key holds, as text. Where a is set it is first made to
// remove what is due, and s is given the effects of that.
func contents(s *commandtest.Server, key string, effects *[]string, a *commandtest.Server) string {
	if a != nil {
		a.Run("EXISTS " + key)
		for _, e := range *effects {
			s.Run(e)
		}
		*effects = nil
	}
	lines := strings.Split(s.Run("HKEYS "+key), "\r\n")
	var out []string
	for i := 2; i < len(lines); i += 2 {
		f := lines[i]
		out = append(out, f+" "+s.Run("HGET "+key+" "+f)+s.Run("HPEXPIRETIME "+key+" FIELDS 1 "+f))
	}
	sort.Strings(out)
	return strings.Join(out, "") + s.Run("PEXPIRETIME "+key)
}
