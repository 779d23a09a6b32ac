package tests

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kvd/tests/harness"
)

// TestChanges holds every command that writes, and many that read, against every
// state of its keys: what it replies, which events it causes, whose WATCH fails,
// which reads are invalidated, what it adds to the number of changes, which look-ups
// it counts, and whether followers hear of it must all be as in a real Redis. A
// command that changes nothing must be silent everywhere.
//
// The rows are in testdata/changes.txt, and those of changesSweep. What Redis 7.0 does
// not know is held against something else that it does know.
func TestChanges(t *testing.T) {
	// Its follower acknowledges nothing, and is to stay however long that takes.
	args := []string{"--repl-timeout", "3600", "--notify-keyspace-events", "EAmn", "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "no"}
	kvd := newChanges(t, harness.StartKVD(t, args...))
	redis := newChanges(t, harness.StartRedis(t, args...))
	rows := changesRows(t)
	differing := make(map[string]bool)
	for _, row := range rows {
		got, want := kvd.run(row.cmd), redis.run(row.as)
		if row.as != row.cmd {
			got.reply, want.reply = "", ""
			got.hits, want.hits = "", "" // they are looked up otherwise
			if row.events != nil {
				want.events = row.events
			}
			keymiss := func(e string) bool { return strings.HasPrefix(e, "keymiss ") }
			got.events, want.events = slices.DeleteFunc(got.events, keymiss), slices.DeleteFunc(want.events, keymiss)
		}
		if row.as == row.cmd && strings.HasPrefix(row.cmd, "XREAD") { // Redis looks each key up twice, unless something is wrong
			want.events = slices.Compact(want.events)
			var n [2]int
			fmt.Sscan(want.hits, &n[0], &n[1])
			want.hits = fmt.Sprint((n[0]+1)/2, (n[1]+1)/2)
		}
		for _, f := range []struct{ name, got, want string }{
			{"reply", got.reply, want.reply},
			{"events", strings.Join(got.events, ", "), strings.Join(want.events, ", ")},
			{"WATCH", strings.Join(got.watch, " "), strings.Join(want.watch, " ")},
			{"invalidations", strings.Join(got.invalid, " "), strings.Join(want.invalid, " ")},
			{"changes", got.dirty, want.dirty},
			{"hits and misses", got.hits, want.hits},
			{"journal", fmt.Sprint(len(got.journal) > 0), fmt.Sprint(len(want.journal) > 0)},
		} {
			if f.got == f.want {
				continue
			}
			if why := changesOtherwise[row.cmd]; strings.Contains(why, f.name+":") {
				differing[row.cmd] = true
				continue
			}
			t.Errorf("%s: %s:\n  %s\nand not, as in Redis (%s),\n  %s", row.cmd, f.name, f.got, row.as, f.want)
		}
	}
	for cmd := range changesOtherwise {
		if !differing[cmd] {
			t.Errorf("%s is no longer different, or not among the rows: take it off the list", cmd)
		}
	}
	t.Logf("%d rows", len(rows))
}

// changesOtherwise is what is otherwise than in Redis 7.0, and is to be so. Fields are named with a colon.
var changesOtherwise = map[string]string{
	// What would be past its deadline at once is not set: the key is deleted.
	"SET s x PXAT 1":    "events:",
	"SET newk x PXAT 1": "events: WATCH: invalidations: changes: journal:",
	// In Redis the string grows, but its followers and its log do not hear of it.
	"BITFIELD newk OVERFLOW FAIL INCRBY u8 0 300": "events: WATCH: invalidations: changes: journal:",
	// Redis counts what is read again of a consumer's own as a change.
	"XREADGROUP GROUP g c STREAMS st 0":   "changes:",
	"XREADGROUP GROUP g c STREAMS st 9-9": "changes:",
	// In Redis followers do not hear of the consumer that is made (redis#14963).
	"XREADGROUP GROUP g e STREAMS st 0":           "changes: journal:",
	"XREADGROUP GROUP g e BLOCK 1 STREAMS st 9-9": "changes: journal:",
	// In Redis, whoever keeps what was read in one of the databases is not told.
	"SWAPDB 0 1": "invalidations:",
}

// changesKeys are the keys that may be there at the beginning of a row, but for newk, d.
const changesSetup = `SET s abc
SET num 5
SET live 1 EX 1000
SET b1 "\xff\x00"
RPUSH l v u
RPUSH one v
RPUSH ll w x y
SADD S v u
SADD SS v w
SADD I 1 2 3
ZADD z 1 v 2 u
ZADD zz 5 v 6 w
HSET h f 1 g 2
HSET hh f 1
XADD st 1-1 f v
XADD st 2-1 f v
XGROUP CREATE st g 0
XREADGROUP GROUP g c COUNT 1 STREAMS st >
GEOADD geo 13 38 v
PFADD pf v`

var changesKeys = strings.Fields("s num live b1 l one ll S SS I z zz h hh st geo pf d newk")

// changesSweep are commands that are run with each of changesSweepKeys in the place of ?.
var changesSweep = strings.Split(`SET ? x
SET ? x NX
SET ? x XX GET
SETNX ? x
GETSET ? x
GETDEL ?
GETEX ? PERSIST
GETEX ? EX 100
APPEND ? 1
INCRBY ? 1
INCRBYFLOAT ? 0.5
SETRANGE ? 0 a
SETBIT ? 7 1
SETBIT ? 7 0
BITFIELD ? INCRBY u8 0 1
BITOP AND d ?
BITOP OR ? num
MSET ? a
DEL ?
EXPIRE ? 100
EXPIRE ? -1
PERSIST ?
RENAME ? d
RENAME num ?
RENAMENX num ?
COPY ? d
COPY num ?
MOVE ? 1
LPUSH ? a b
RPUSHX ? a
LINSERT ? BEFORE v a
LINSERT ? AFTER nope a
LSET ? 0 a
LSET ? 9 a
LSET ? -1 a
LPOP ?
LPOP ? 0
RPOP ? 1
RPOP ? 9
LREM ? 0 v
LREM ? -1 nope
LTRIM ? 0 -1
LTRIM ? 1 -1
LTRIM ? 5 1
LMOVE ? d LEFT RIGHT
LMOVE l ? LEFT RIGHT
RPOPLPUSH ? ?
LMPOP 1 ? LEFT COUNT 1
BLPOP ? 0.001
BLMOVE ? d LEFT LEFT 0.001
SADD ? v
SADD ? v new
SREM ? nope
SREM ? v
SPOP ? 0
SPOP ? 9
SMOVE ? d v
SMOVE S ? v
SINTERSTORE d S ?
SUNIONSTORE ? S SS
SDIFFSTORE ? S S
ZADD ? 1 v
ZADD ? XX 7 v
ZADD ? NX 7 v
ZADD ? GT 0 v
ZADD ? LT 0 v
ZADD ? XX INCR 1 v
ZINCRBY ? 0 v
ZREM ? v
ZREM ? nope
ZPOPMIN ?
ZPOPMAX ? 9
ZPOPMIN ? 0
ZREMRANGEBYSCORE ? 1 1
ZREMRANGEBYRANK ? 5 6
ZREMRANGEBYLEX ? - +
ZRANGESTORE d ? 0 0
ZRANGESTORE ? z 5 6
ZUNIONSTORE ? 1 zz
ZDIFFSTORE d 1 ?
HSET ? f 1
HSETNX ? f 1
HSETNX ? new 1
HINCRBY ? f 0
HINCRBYFLOAT ? f 1
HDEL ? nope
HDEL ? f
HDEL ? f g
SORT ? ALPHA STORE d
SORT l ALPHA STORE ?`, "\n")

var changesSweepKeys = strings.Fields("s num live l one S I z h newk")

// changesRow is a command, and what it is like in Redis.
type changesRow struct {
	cmd, as string
	events  []string // instead of Redis's
}

// changesRows reads the file: a command a line, or "command ~ as", or
// "command ~ as : event key, event key".
func changesRows(t *testing.T) (rows []changesRow) {
	f, err := os.Open("testdata/changes.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	known := make(map[string]bool)
	add := func(r changesRow) {
		if !known[r.cmd] {
			known[r.cmd] = true
			rows = append(rows, r)
		}
	}
	for in := bufio.NewScanner(f); in.Scan(); {
		line := in.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		cmd, as, other := strings.Cut(line, " ~ ")
		r := changesRow{cmd: cmd, as: cmd}
		if other {
			var events string
			if r.as, events, other = strings.Cut(as, " : "); other {
				r.events = strings.Split(events, ", ")
			}
		}
		add(r)
	}
	for _, cmd := range changesSweep {
		for _, key := range changesSweepKeys {
			c := strings.ReplaceAll(cmd, "?", key)
			add(changesRow{cmd: c, as: c})
		}
	}
	return rows
}

// changes is a server with all who observe it.
type changes struct {
	t                   *testing.T
	does, sees, follows *harness.Conn
	tracks              *harness.Conn
	watches             map[string]*harness.Conn
	row                 int
}

func newChanges(t *testing.T, s *harness.Server) *changes {
	c := &changes{t: t, does: s.MustDial(t), sees: s.MustDial(t), tracks: s.MustDial(t), follows: s.MustDial(t), watches: make(map[string]*harness.Conn)}
	for _, k := range changesKeys {
		c.watches[k] = s.MustDial(t)
	}
	c.sees.MustDo(t, "PSUBSCRIBE", "__keyevent@*")
	c.sees.MustDo(t, "SUBSCRIBE", "row")
	c.tracks.MustDo(t, "HELLO", "3")
	c.tracks.MustDo(t, "CLIENT", "TRACKING", "ON")
	c.follow()
	return c
}

// follow makes c.follows a follower, which has read the contents.
func (c *changes) follow() {
	if r := c.follows.MustDo(c.t, "PSYNC", "?", "-1"); !strings.HasPrefix(r.Str, "FULLRESYNC") {
		c.t.Fatalf("PSYNC: %s", r)
	}
	if err := c.follows.SkipSnapshot(); err != nil {
		c.t.Fatal(err)
	}
}

// outcome is what a command has caused.
type outcome struct {
	reply, dirty, hits              string
	events, watch, invalid, journal []string
}

func (c *changes) run(cmd string) (o outcome) {
	t := c.t
	args := splitLine(t, cmd)
	keys := changesKeys
	if !slices.Contains([]string{"FLUSHDB", "FLUSHALL", "SWAPDB"}, args[0]) {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !slices.Contains(args[1:], k) })
	}
	c.row++
	begin, end := "begin "+strconv.Itoa(c.row), "end "+strconv.Itoa(c.row)
	setup := strings.Split("FLUSHALL\n"+changesSetup, "\n")
	for _, line := range setup {
		c.does.Send(splitLine(t, line)...)
	}
	c.flush(c.does, len(setup))
	for _, k := range keys {
		c.watches[k].MustDo(t, "WATCH", k)
		c.tracks.Send("TYPE", k)
	}
	c.tracks.Send("ECHO", begin)
	c.pushes(begin)
	c.does.MustDo(t, "PUBLISH", "row", begin)
	c.seen(begin)
	c.journaled(begin)
	before := c.counters()

	r := c.does.MustDo(t, args...)
	if o.reply = r.String(); slices.Contains([]string{"SUNION", "SDIFF", "SINTER", "SMEMBERS", "HGETALL", "HKEYS", "KEYS"}, args[0]) {
		list := r.Strings()
		slices.Sort(list)
		o.reply = fmt.Sprintf("%q", list)
	} else if strings.Contains(args[0], "SCAN") || strings.Contains(args[0], "RAND") || args[0] == "SPOP" || args[0] == "DUMP" {
		o.reply = ""
	}

	after := c.counters()
	o.dirty = strconv.Itoa(after[0] - before[0])
	o.hits = fmt.Sprint(after[1]-before[1], after[2]-before[2])
	c.does.MustDo(t, "PUBLISH", "row", end)
	o.events = c.seen(end)
	o.journal = c.journaled(end)
	c.tracks.Send("ECHO", end)
	o.invalid = c.pushes(end)
	slices.Sort(o.invalid)
	for _, k := range keys {
		w := c.watches[k]
		w.Send("MULTI")
		w.Send("PING")
		w.Send("EXEC")
		if c.flush(w, 3).Null {
			o.watch = append(o.watch, k)
		}
	}
	return o
}

// flush reads the replies to n commands, and returns the last one.
func (c *changes) flush(conn *harness.Conn, n int) (r harness.Reply) {
	if err := conn.Flush(); err != nil {
		c.t.Fatal(err)
	}
	for range n {
		r = c.receive(conn)
	}
	return r
}

func (c *changes) receive(conn *harness.Conn) harness.Reply {
	r, err := conn.Receive()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// counters are the changes, the hits and the misses.
func (c *changes) counters() (n [3]int) {
	info := c.does.MustDo(c.t, "INFO", "persistence").Str + c.does.MustDo(c.t, "INFO", "stats").Str
	for i, name := range []string{"rdb_changes_since_last_save", "keyspace_hits", "keyspace_misses"} {
		_, v, ok := strings.Cut(info, name+":")
		v, _, _ = strings.Cut(v, "\r")
		var err error
		if n[i], err = strconv.Atoi(v); err != nil || !ok {
			c.t.Fatalf("INFO has no %s", name)
		}
	}
	return n
}

// seen are the events up to a message.
func (c *changes) seen(until string) (events []string) {
	for {
		m := c.receive(c.sees).Strings()
		if m[0] == "message" && m[2] == until {
			return events
		}
		if m[0] == "pmessage" {
			_, event, _ := strings.Cut(m[2], ":")
			events = append(events, event+" "+m[3])
		}
	}
}

// journaled is what a follower is sent until a message is.
func (c *changes) journaled(until string) (list []string) {
	for {
		m := c.receive(c.follows).Strings()
		switch {
		case len(m) == 3 && m[2] == until:
			return list
		case len(m) == 0 || slices.Contains([]string{"PING", "SELECT", "REPLCONF", "MULTI", "EXEC"}, strings.ToUpper(m[0])):
		default:
			list = append(list, strings.Join(m, " "))
		}
	}
}

// pushes are the keys that the tracking client was told of until the reply to its ECHO.
func (c *changes) pushes(until string) (keys []string) {
	if err := c.tracks.Flush(); err != nil {
		c.t.Fatal(err)
	}
	for {
		r := c.receive(c.tracks)
		if r.Kind == '>' {
			if r.Elems[1].Null {
				keys = append(keys, "(all)")
			}
			keys = append(keys, r.Elems[1].Strings()...)
		} else if r.Str == until {
			return keys
		}
	}
}

// splitLine splits a command; what stands in quotes is as in Go.
func splitLine(t testing.TB, line string) (args []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '"' {
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			s, _ := strconv.Unquote(q)
			args, line = append(args, s), line[len(q):]
			continue
		}
		var a string
		a, line, _ = strings.Cut(line, " ")
		args = append(args, a)
	}
	return args
}
