package command_test

import (
	"fmt"
	"strings"
	"testing"

	"kvd/command/commandtest"
)

// fillTypes makes small and big values of every type, some with deadlines, in two databases.
func fillTypes(s *commandtest.Server) {
	s.T.Helper()
	for _, size := range []int{3, 2000} {
		name := func(kind string) string { return fmt.Sprintf("%s%d", kind, size) }
		var words, pairs, scores []string
		for i := range size {
			words = append(words, fmt.Sprintf("member-%d", i))
			pairs = append(pairs, fmt.Sprintf("field-%d", i), fmt.Sprintf("value-%d", i))
			scores = append(scores, fmt.Sprint(i*3), fmt.Sprintf("member-%d", i))
		}
		s.Do("SET", name("str"), strings.Repeat("0123456789", size*10))
		s.Do("SET", name("int"), fmt.Sprint(size), "PXAT", "4102444800000")
		s.Do(append([]string{"RPUSH", name("list")}, words...)...)
		s.Do(append([]string{"SADD", name("set")}, words...)...)
		s.Do("SADD", name("ints"), "1", "2", fmt.Sprint(size))
		s.Do(append([]string{"HSET", name("hash")}, pairs...)...)
		s.Do(append([]string{"HSET", name("fields")}, pairs...)...)
		s.Do("HPEXPIREAT", name("fields"), "4102444800000", "FIELDS", "2", "field-0", "field-1")
		s.Do(append([]string{"ZADD", name("zset")}, scores...)...)
		for i := range size {
			s.Do("XADD", name("stream"), fmt.Sprintf("%d-1", i+1), "f", words[i])
		}
		s.Do("XGROUP", "CREATE", name("stream"), "g", "0")
		s.Do("XREADGROUP", "GROUP", "g", "me", "COUNT", "2", "STREAMS", name("stream"), ">")
		s.Do("PFADD", name("hll"), words[0], words[1], words[2])
		s.Do("PEXPIREAT", name("zset"), "4102444800001")
	}
	s.Run("SELECT 1")
	s.Do("SET", "other", "value")
	s.Run("SELECT 0")
}

// contents are all keys with their values, deadlines and encodings, field deadlines and pending entries.
func contents(s *commandtest.Server) string {
	s.T.Helper()
	var b strings.Builder
	for db := range 3 {
		s.Run(fmt.Sprintf("SELECT %d", db))
		s.C.NoTouch = true
		for _, kind := range []string{"str", "int", "list", "set", "ints", "hash", "fields", "zset", "stream", "hll", "other", "new"} {
			for _, size := range []string{"3", "2000", ""} {
				k := kind + size
				fmt.Fprintf(&b, "%d %s %q %q %q %q %q %q\n", db, k, s.Do("DUMP", k), s.Do("PEXPIRETIME", k), s.Do("OBJECT", "ENCODING", k), s.Do("OBJECT", "FREQ", k),
					s.Do("HPEXPIRETIME", k, "FIELDS", "2", "field-0", "field-2"), s.Do("XINFO", "STREAM", k, "FULL"))
			}
		}
		b.WriteString(s.Run("DBSIZE"))
	}
	b.WriteString(s.Run("DEBUG DIGEST"))
	s.Run("SELECT 0")
	return b.String()
}

// changes are scripts that change what fillTypes made, each in another way.
var changes = []string{
	`for _, n in ipairs({'3', '2000'}) do
		redis.call('APPEND', 'str'..n, 'x') redis.call('SETRANGE', 'str'..n, 3, 'yy') redis.call('INCR', 'int'..n) redis.call('SETBIT', 'str'..n, 1, 1)
		redis.call('RPUSH', 'list'..n, 'x') redis.call('LSET', 'list'..n, 0, 'y') redis.call('LPOP', 'list'..n) redis.call('LINSERT', 'list'..n, 'before', 'x', 'z')
		redis.call('SADD', 'set'..n, 'x') redis.call('SREM', 'set'..n, 'member-1') redis.call('SPOP', 'set'..n) redis.call('SADD', 'ints'..n, 'no int')
		redis.call('HSET', 'hash'..n, 'field-1', 'other', 'new', 'y') redis.call('HDEL', 'hash'..n, 'field-2')
		redis.call('HPEXPIRE', 'fields'..n, 100000, 'FIELDS', 1, 'field-2') redis.call('HPERSIST', 'fields'..n, 'FIELDS', 1, 'field-0')
		redis.call('ZADD', 'zset'..n, 7, 'x', 9, 'member-1') redis.call('ZPOPMIN', 'zset'..n) redis.call('ZINCRBY', 'zset'..n, 5, 'member-2')
		redis.call('XADD', 'stream'..n, '*', 'f', 'v') redis.call('XDEL', 'stream'..n, '1-1') redis.call('XACK', 'stream'..n, 'g', '1-1')
		redis.call('XREADGROUP', 'GROUP', 'g', 'another', 'STREAMS', 'stream'..n, '>') redis.call('XGROUP', 'CREATE', 'stream'..n, 'h', '$') redis.call('XTRIM', 'stream'..n, 'MAXLEN', 1)
		redis.call('PFADD', 'hll'..n, 'x', 'y', 'z')
	end`,
	`for _, k in ipairs(redis.call('KEYS', '*')) do redis.call('DEL', k) end`,
	`for i, k in ipairs(redis.call('KEYS', '*')) do redis.call('RENAME', k, 'new'..(i % 2)) end`,
	`for _, k in ipairs(redis.call('KEYS', '*')) do redis.call('PEXPIRE', k, 100000) redis.call('PERSIST', k) redis.call('EXPIREAT', k, 1) end`,
	`for _, k in ipairs(redis.call('KEYS', '*')) do redis.call('SET', k, 'overwritten') end redis.call('RPUSH', 'new', 1)`,
	`for _, k in ipairs(redis.call('KEYS', '*')) do redis.call('MOVE', k, 2) end redis.call('SELECT', 1) redis.call('SET', 'other', 2) redis.call('COPY', 'other', 'new', 'DB', 2)`,
	`redis.call('SET', 'new', 1) redis.call('FLUSHDB') redis.call('SET', 'str3', 1) redis.call('SADD', 'new', 1) redis.call('SWAPDB', 0, 1) redis.call('SET', 'other', 3) redis.call('FLUSHALL')
	redis.call('SET', 'zset3', 4) redis.call('SWAPDB', 0, 2) redis.call('FLUSHDB')`,
	`for _, n in ipairs({'3', '2000'}) do
		redis.call('SUNIONSTORE', 'set'..n, 'set3', 'ints3') redis.call('ZUNIONSTORE', 'new', 1, 'zset'..n) redis.call('BITOP', 'NOT', 'str'..n, 'str'..n)
		redis.call('LMOVE', 'list'..n, 'list3', 'LEFT', 'RIGHT') redis.call('SMOVE', 'set3', 'set'..n, 'member-1') redis.call('SORT', 'list'..n, 'ALPHA', 'STORE', 'list'..n)
		redis.call('GETDEL', 'str'..n) redis.call('GETEX', 'int'..n, 'PERSIST') redis.call('PFMERGE', 'hll'..n, 'hll3') redis.call('LTRIM', 'list'..n, 1, 1)
	end`,
}

// outOfMemory ends a script.
const outOfMemory = ` local t = {} for i = 1, 1e9 do t[i] = string.rep('x', 1000) .. i end`

// TestScriptRollback: a script that fails for want of memory leaves nothing behind, whatever it
// changed: no value, no deadline, no effect, no event, no message, no invalidation.
func TestScriptRollback(t *testing.T) {
	for i, script := range changes {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			s := commandtest.New(t)
			s.Run("CONFIG SET script-memory-limit 1mb")
			s.Run("CONFIG SET script-rollback yes")
			fillTypes(s)
			s.Run("SELECT 2")
			s.Run("SET kept 1")
			s.Run("SELECT 0")
			want := contents(s)
			dirty := s.Stats.DirtySinceSave.Load()
			watcher := *s
			watcher.C = s.NewClient(nil, "", "", 4)
			for _, k := range []string{"str3", "list2000", "new", "zset3"} {
				watcher.Run("WATCH " + k)
			}
			blocked := s.Block("BLPOP new 0")
			notices := s.Notices()
			s.Run("CONFIG SET notify-keyspace-events EAn")
			s.Effects = nil
			if got := s.Do("EVAL", script+" redis.call('PUBLISH', 'c', 'm')"+outOfMemory, "0"); !strings.Contains(got, "not enough memory") {
				t.Fatalf("%q", got)
			}
			s.WantEffects()
			commandtest.WantNotices(t, notices)
			blocked.WantNothing()
			if got := s.Stats.DirtySinceSave.Load(); got != dirty {
				t.Errorf("%d changes count as unsaved, %d before", got, dirty)
			}
			watcher.Run("MULTI")
			watcher.Want("EXEC", "*0\n")
			if got := contents(s); got != want {
				t.Errorf("changed:\n%s", firstDifference(want, got))
			}
			if err := s.Keyspace.Check(); err != nil {
				t.Fatal(err)
			}

			// The same script that ends well changes it all, and tells.
			*notices = nil
			s.Do("EVAL", script+" redis.call('PUBLISH', 'c', 'm')", "0")
			if len(s.Effects) == 0 || len(*notices) == 0 || contents(s) == want {
				t.Error("the script changes nothing where it ends well")
			}
			s.Effects = nil
		})
	}
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range as {
		if i >= len(bs) || as[i] != bs[i] {
			return fmt.Sprintf("%.300s\n%.300s", as[i], strings.Join(bs[min(i, len(bs)):min(i+1, len(bs))], ""))
		}
	}
	return "only in length"
}

// TestScriptRollbackInExec: what comes before and behind the script in EXEC stays.
func TestScriptRollbackInExec(t *testing.T) {
	s := commandtest.New(t)
	s.Run("CONFIG SET script-memory-limit 1mb")
	s.Run("CONFIG SET script-rollback yes")
	s.Effects = nil
	s.Run("MULTI")
	s.Run("SET a 1")
	s.Do("EVAL", "redis.call('SET', 'a', 2) redis.call('SET', 'b', 2) redis.call('SELECT', 3)"+outOfMemory, "0")
	s.Do("EVAL", "redis.call('INCR', 'a') error('this is no reason')", "0")
	s.Run("INCR a")
	if got := s.Run("EXEC"); !strings.HasPrefix(got, "*4\r\n+OK\r\n-ERR not enough memory") && !strings.Contains(got, ":3\r\n") {
		t.Errorf("%q", got)
	}
	s.WantEffects("MULTI", "SET a 1", "INCR a", "INCR a", "EXEC")
	s.Want("MGET a b", "*2\n$1\n3\n$-1\n")
}

// TestScriptNoRollback: by default, what a script has written stays.
func TestScriptNoRollback(t *testing.T) {
	s := commandtest.New(t)
	s.Run("CONFIG SET script-memory-limit 1mb")
	s.Effects = nil
	s.Do("EVAL", "redis.call('SET', 'a', 2)"+outOfMemory, "0")
	s.WantEffects("SET a 2")
	s.Want("GET a", "$1\n2\n")
}

// TestScriptRollbackOrder: messages and events come in their order once the script has ended.
func TestScriptRollbackOrder(t *testing.T) {
	s := commandtest.New(t)
	s.Run("CONFIG SET script-rollback yes")
	notices := s.Notices()
	s.Run("CONFIG SET notify-keyspace-events EAn")
	s.Do("EVAL", "redis.call('SET', 'a', 1) redis.call('DEL', 'a') redis.call('RPUSH', 'b', 1)", "0")
	commandtest.WantNotices(t, notices, "new 0 a", "set 0 a", "del 0 a", "new 0 b", "rpush 0 b")
}

// TestScriptRollbackMemory: the old values that are kept count to script-memory-limit.
func TestScriptRollbackMemory(t *testing.T) {
	s := commandtest.New(t)
	s.Run("CONFIG SET script-memory-limit 1mb")
	for i := range 2000 {
		s.Do("SET", fmt.Sprintf("k%d", i), strings.Repeat("x", 1000))
	}
	const script = "for i = 0, 1999 do redis.call('SET', 'k'..i, '') end return 'ended'"
	s.Run("CONFIG SET script-rollback yes")
	if got := s.Do("EVAL", script, "0"); !strings.Contains(got, "not enough memory") {
		t.Errorf("%q", got)
	}
	for _, k := range []string{"k0", "k1999"} {
		if got := s.Do("STRLEN", k); got != ":1000\r\n" {
			t.Errorf("%s has %q bytes", k, got)
		}
	}
	s.Run("CONFIG SET script-rollback no")
	if got := s.Do("EVAL", script, "0"); !strings.Contains(got, "ended") {
		t.Errorf("%q", got)
	}
}
