package tests

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/persist/rdb"
	"kvd/tests/harness"
)

var restores = flag.Int("restores", 4000, "how many damaged payloads TestRestoreDamaged tries")

// TestRestoreDamaged gives a server payloads of real ones with bytes changed, cut out and put in, with a checksum that
// fits, and works with whatever is taken for a value.
func TestRestoreDamaged(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	s := harness.StartKVD(t)
	c := s.MustDial(t)
	var payloads []string
	collect := func(from *harness.Server) {
		fc := from.MustDial(t)
		fillAll(t, fc)
		if !from.Genuine {
			fc.MustDo(t, "HPEXPIRE", "HSET:5", "1000000", "FIELDS", "1", "member 0")
			fc.MustDo(t, "HPEXPIRE", "HSET:700", "1000000", "FIELDS", "1", "member 0")
			fc.MustDo(t, "ARSET", "array:5", "3", "a", "12", "", "b", "-7")
			for i := range 300 {
				fc.MustDo(t, "ARMSET", "array:700", fmt.Sprint(i*i), fmt.Sprint("value ", i), fmt.Sprint(1000+i), fmt.Sprint(i))
			}
			fc.MustDo(t, "ARMSET", "array:700", "18446744073709551614", "last")
			fc.MustDo(t, "ARINSERT", "array:700", "x", "y")
			fc.MustDo(t, "XADD", "XADD:700", "IDMP", "producer", "one", "*", "f", "v")
			fc.MustDo(t, "XNACK", "XADD:700", "group", "FAIL", "IDS", "2", "1-1", "2-3")
		}
		for _, k := range fc.MustDo(t, "KEYS", "*").Strings() {
			if strings.HasSuffix(k, ":20000") {
				continue
			}
			payloads = append(payloads, fc.MustDo(t, "DUMP", k).Str)
		}
		fc.MustDo(t, "FLUSHALL")
	}
	collect(s)
	for _, args := range encodings {
		collect(harness.StartRedis(t, args...))
	}
	taken := map[string]int{}
	for i := range *restores {
		p := []byte(payloads[rng.IntN(len(payloads))])
		version := string(p[len(p)-10 : len(p)-8])
		p = p[:len(p)-10]
		body := len(p)
		for range 1 + rng.IntN(3) {
			at := rng.IntN(body)
			if rng.IntN(2) == 0 {
				at = rng.IntN(min(body, 30))
			}
			switch rng.IntN(6) {
			case 0:
				p[at] = byte(rng.Uint32())
			case 1:
				p[at] ^= 1 << rng.IntN(8)
			case 2:
				p[at] = [...]byte{0, 1, 0x7F, 0x80, 0xFF, 0xFE, 0x81, 0xC3, 0xF0}[rng.IntN(9)]
			case 3: // other bytes of itself
				n := rng.IntN(min(body-at, 20) + 1)
				copy(p[at:at+n], p[rng.IntN(body-n+1):])
			case 4:
				p[0] = byte(rng.IntN(27)) // another type
				if rng.IntN(4) == 0 {
					p[0] = byte(rdb.TypeArrayKvd + rng.IntN(2))
				}
			case 5: // shorter
				if n := rng.IntN(min(body-at, 10) + 1); n < body-1 {
					p = append(p[:at], p[at+n:]...)
					body -= n
				}
			}
		}
		p = append(p, version...)
		p = binary.LittleEndian.AppendUint64(p, rdb.Checksum(0, p))
		r := c.MustDo(t, "RESTORE", "k", "0", string(p), "REPLACE")
		if r.Err() != "" {
			taken["refused"]++
			continue
		}
		typ := c.MustDo(t, "TYPE", "k").Str
		taken[typ]++
		member := fmt.Sprintf("member %d", rng.IntN(20))
		work := map[string][][]string{
			"string": {{"GET", "k"}, {"APPEND", "k", "x"}, {"PFCOUNT", "k"}, {"PFDEBUG", "DECODE", "k"}, {"PFADD", "k", "a", "b"}, {"PFMERGE", "o", "k"},
				{"SETRANGE", "k", "3", "yy"}, {"INCR", "k"}},
			"list": {{"LRANGE", "k", "0", "-1"}, {"LPUSH", "k", "a"}, {"LREM", "k", "1", member}, {"LINSERT", "k", "BEFORE", member, "b"}, {"LSET", "k", "-1", "c"}, {"RPOP", "k"}, {"LTRIM", "k", "1", "-2"}},
			"set":  {{"SMEMBERS", "k"}, {"SADD", "k", "a", "1"}, {"SREM", "k", member}, {"SPOP", "k"}, {"SRANDMEMBER", "k", "-5"}, {"SUNIONSTORE", "o", "k", "o"}},
			"zset": {{"ZRANGE", "k", "0", "-1", "WITHSCORES"}, {"ZADD", "k", "1", "a"}, {"ZINCRBY", "k", "2", member}, {"ZRANK", "k", member}, {"ZPOPMIN", "k"}, {"ZREMRANGEBYRANK", "k", "0", "1"}, {"ZUNIONSTORE", "o", "2", "k", "o"},
				{"GEOSEARCH", "k", "FROMLONLAT", "1", "1", "BYRADIUS", "20000", "km", "WITHDIST", "WITHCOORD"}, {"GEOPOS", "k", member}, {"GEOHASH", "k", member}},
			"hash": {{"HGETALL", "k"}, {"HSET", "k", "a", "1"}, {"HDEL", "k", member}, {"HINCRBY", "k", "n", "1"}, {"HRANDFIELD", "k", "-5", "WITHVALUES"}, {"HPEXPIRE", "k", "100000", "FIELDS", "1", member}},
			"stream": {{"XLEN", "k"}, {"XRANGE", "k", "-", "+"}, {"XREVRANGE", "k", "+", "-"}, {"XREAD", "STREAMS", "k", "0"}, {"XREAD", "STREAMS", "k", "+"}, {"XINFO", "STREAM", "k"}, {"XINFO", "STREAM", "k", "FULL", "COUNT", "0"},
				{"XINFO", "GROUPS", "k"}, {"XINFO", "CONSUMERS", "k", "group"}, {"XPENDING", "k", "group"}, {"XPENDING", "k", "group", "-", "+", "1000"}, {"XREADGROUP", "GROUP", "group", "b", "COUNT", "3", "CLAIM", "0", "STREAMS", "k", ">"},
				{"XAUTOCLAIM", "k", "group", "c", "0", "0"}, {"XCLAIM", "k", "group", "c", "0", "1-1", "3-7"}, {"XADD", "k", "*", "f", "v"}, {"XACK", "k", "group", "1-1"}, {"XDELEX", "k", "DELREF", "IDS", "2", "2-3", "3-6"},
				{"XTRIM", "k", "MAXLEN", "20", "ACKED"}, {"XGROUP", "DELCONSUMER", "k", "group", "a consumer"}},
			"array": {{"ARCOUNT", "k"}, {"ARLEN", "k"}, {"ARNEXT", "k"}, {"ARGET", "k", "5"}, {"ARSCAN", "k", "0", "18446744073709551614"}, {"ARSCAN", "k", "18446744073709551614", "0"}, {"ARGETRANGE", "k", "0", "50"}, {"ARLASTITEMS", "k", "10"},
				{"AROP", "k", "0", "18446744073709551614", "SUM"}, {"ARGREP", "k", "-", "+", "RE", "^v"}, {"ARINFO", "k", "FULL"}, {"ARSET", "k", "7", "a", "b"}, {"ARDELRANGE", "k", "3", "9"}, {"ARINSERT", "k", "z"}, {"ARRING", "k", "6", "r"}},
		}[typ]
		for _, args := range append(work, []string{"DEBUG", "DIGEST-VALUE", "k"}, []string{"DUMP", "k"}) {
			if r := c.MustDo(t, args...); strings.Contains(r.Err(), "internal error") {
				t.Fatalf("%q: %s, after RESTORE of %q", args, r, p)
			} else if args[0] == "DUMP" && r.Str != "" {
				if back := c.MustDo(t, "RESTORE", "back", "0", r.Str, "REPLACE"); back.Err() != "" {
					t.Fatalf("the dump of what was taken is refused: %s, after RESTORE of %q", back, p)
				}
			}
		}
		if i%50 == 0 {
			if err := s.Check(); err != nil {
				t.Fatalf("%v, after RESTORE of %q", err, p)
			}
		}
		c.MustDo(t, "DEL", "o")
	}
	t.Log(strconv.Itoa(len(payloads)), "payloads;", taken)
}
