package tests

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

// infoRule is how a field of INFO may differ from Redis's: the difference of the numbers is
// at most near; or it is otherwise, for a reason.
type infoRule struct {
	near   float64 // share of the greater one, plus least
	least  float64
	reason string
}

func near(share, least float64) infoRule { return infoRule{near: share, least: least} }
func differs(reason string) infoRule     { return infoRule{reason: reason} }

const (
	itsOwn    = "it names the server, the machine or the build"
	ofTime    = "a figure of time, or of how the system cut what came"
	ofMemory  = "memory is laid out otherwise; used_memory is held against what lives by other tests"
	noFork    = "snapshots never fork"
	newer     = "a field of a later Redis, or of Valkey"
	itsFields = "kvd's own"

	linkCommands = "what followers say on their links is no command of clients'"
	ofScripts    = "scripts that clients have loaded go to followers, too"
)

// infoRules are the fields that need not be equal, by name or pattern. Every other field of
// INFO must be exactly as in Redis after the same load.
var infoRules = map[string]infoRule{
	"redis_version": differs("kvd answers as Redis 8.0, the other server is 7.0"), "redis_build_id": differs(itsOwn), "monotonic_clock": differs(itsOwn),
	"atomicvar_api": differs(itsOwn), "gcc_version": differs(itsOwn), "process_id": differs(itsOwn), "run_id": differs(itsOwn), "tcp_port": differs(itsOwn),
	"executable": differs(itsOwn), "mem_allocator": differs(itsOwn), "slave0.port": differs(itsOwn), "master_replid": differs(itsOwn), "master_port": differs(itsOwn),

	"kvd_*": differs(itsFields), "go_version": differs(itsFields), "aof_*_fsync_usec": differs(itsFields), "mem_ordered_keys": differs(itsFields), "hash_orders*": differs(itsFields), "total_watched_keys": differs(newer),
	"availability_zone": differs(newer), "pubsub_clients": differs(newer), "paused_*": differs(newer), "used_memory_peak_time": differs(newer),
	"used_memory_hash_templates": differs(newer), "hash_templates": differs(newer), "backup_in_progress": differs(newer), "acl_access_denied_*": differs(newer),
	"expired_subkeys": differs(newer), "client_query_buffer_limit_disconnections": differs(newer), "keyjobs_running": differs(newer),

	"server_time_usec": near(0, 60e6), "uptime_in_seconds": near(0, 60), "lru_clock": near(0, 60), "rdb_last_save_time": near(0, 60), "slave0.lag": near(0, 10),
	"master_last_io_seconds_ago": near(0, 10), "rdb_last_bgsave_time_sec": near(0, 10), "aof_last_rewrite_time_sec": near(0, 10),
	"instantaneous_*": differs(ofTime), "used_cpu_*": differs(ofTime), "cmdstat_*.usec": differs(ofTime), "cmdstat_*.usec_per_call": differs(ofTime),
	"latency_percentiles_usec_*": differs(ofTime), "expire_cycle_cpu_milliseconds": differs(ofTime),
	"cmdstat_info.calls": differs("it is asked until the other server is ready"), "latency_percentiles_usec_info.*": differs(ofTime),

	"used_memory*": differs(ofMemory), "allocator_*": differs(ofMemory), "rss_overhead_*": differs(ofMemory), "mem_fragmentation_*": differs(ofMemory),
	"mem_not_counted_for_evict": differs(ofMemory), "mem_replication_backlog": differs(ofMemory), "mem_total_replication_buffers": differs(ofMemory),
	"mem_clients_normal": differs(ofMemory), "mem_aof_buffer": near(0, 4096),
	"client_recent_max_*_buffer": differs("a client whose commands and replies were whole holds no buffer"), "reply_buffer_*": differs("clients have no such buffer"),
	"expired_stale_perc": differs("an estimate; kvd knows which keys are due"),
	"latest_fork_usec":   differs(noFork), "total_forks": differs(noFork), "*_last_cow_size": differs(noFork),

	// Known scripts survive restarts and failovers, so the log and the stream say them; the least sizes of an RDB file differ.
	"aof_buffer_length": near(0, 4096), "aof_pending_bio_fsync": near(0, 1), "aof_current_size": near(0.5, 100), "aof_base_size": near(0.5, 100), "*_offset": near(0.1, 0), "slave0.offset": near(0.1, 0), "repl_backlog_histlen": near(0.1, 0),
	"total_net_repl_*_bytes": near(0.1, 0),
	// The requests are equal, the replies of CONFIG and ACL differ.
	"total_net_input_bytes": near(0.1, 200), "total_net_output_bytes": near(0.1, 500), // some acknowledgements among them
	"total_writes_processed": near(0.5, 5), "total_reads_processed": differs("Redis counts what it reads from links, too"),

	// They come once a second.
	"cmdstat_replconf.*": differs(linkCommands), "cmdstat_replconf.usec": differs(linkCommands), "cmdstat_replconf.usec_per_call": differs(linkCommands),
	"latency_percentiles_usec_replconf.*": differs(linkCommands), "total_commands_processed": near(0, 10),
	"number_of_cached_scripts": near(0, 1), "rdb_changes_since_last_save": near(0, 1), "cmdstat_script|load.*": differs(ofScripts),
	"master_*_sync_attempts": differs(newer), "master_link_up_since_seconds": differs(newer), "total_disconnect_time_sec": differs(newer),
	"db*.avg_ttl": differs("Redis samples it where it expires keys, which followers do not; kvd counts"),
}

// TestInfo runs one scripted load on kvd and on redis-server, each with a follower, a log and
// clients of all kinds, and compares every field of INFO: it is equal, within a range, or in
// infoRules with the reason for which it is not.
func TestInfo(t *testing.T) {
	kvd, redis := infoAfterLoad(t, harness.StartKVD), infoAfterLoad(t, harness.StartRedis)
	for _, role := range []string{"leader", "follower"} {
		got, want := kvd[role], redis[role]
		used := 0
		for _, name := range got.names {
			rule, listed := infoRuleOf(name)
			if listed {
				used++
			}
			w, there := want.values[name]
			if !there {
				if !listed || rule.reason == "" {
					t.Errorf("%s: %s is no field of Redis's", role, name)
				}
				continue
			}
			if problem := rule.compare(got.values[name], w, name); problem != "" {
				t.Errorf("%s: %s: kvd %s, Redis %s: %s", role, name, got.values[name], w, problem)
			}
		}
		for _, name := range want.names {
			rule, _ := infoRuleOf(name)
			if _, there := got.values[name]; !there && rule.reason != linkCommands {
				t.Errorf("%s: %s is missing (Redis: %s)", role, name, want.values[name])
			}
		}
		t.Logf("%s: %d fields, %d of them equal", role, len(got.names), len(got.names)-used)
	}
	for pattern := range infoRules {
		if !slices.ContainsFunc(slices.Concat(kvd["leader"].names, kvd["follower"].names, redis["leader"].names, redis["follower"].names), func(name string) bool { ok, _ := path.Match(pattern, name); return ok }) {
			t.Errorf("no field is called %s: take it off the list", pattern)
		}
	}
}

func infoRuleOf(name string) (infoRule, bool) {
	if r, ok := infoRules[name]; ok {
		return r, true
	}
	longest := "" // the closest
	for pattern := range infoRules {
		if ok, _ := path.Match(pattern, name); ok && len(pattern) > len(longest) {
			longest = pattern
		}
	}
	r, listed := infoRules[longest]
	return r, listed
}

// numberInText is what is compared within a range; the text around it must be equal.
var numberInText = regexp.MustCompile(`-?[0-9]+(\.[0-9]+)?`)

func (r infoRule) compare(got, want, name string) string {
	if r.reason != "" {
		return ""
	}
	if r.near == 0 && r.least == 0 {
		if got != want {
			return "they must be equal"
		}
		return ""
	}
	if numberInText.ReplaceAllString(got, "N") != numberInText.ReplaceAllString(want, "N") {
		return "they must be of one form"
	}
	g, w := numberInText.FindAllString(got, -1), numberInText.FindAllString(want, -1)
	for i := range g {
		a, _ := strconv.ParseFloat(g[i], 64)
		b, _ := strconv.ParseFloat(w[i], 64)
		if math.Abs(a-b) > r.near*max(math.Abs(a), math.Abs(b))+r.least {
			return fmt.Sprintf("at most %g of it and %g", r.near, r.least)
		}
	}
	return ""
}

// infoText is INFO everything, parsed. The words of a line of several are fields of their own: cmdstat_get.calls.
type infoText struct {
	names  []string
	values map[string]string
}

func parseInfo(text string) infoText {
	in := infoText{values: map[string]string{}}
	add := func(name, value string) {
		in.names = append(in.names, name)
		in.values[name] = value
	}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if !ok {
			continue
		}
		words := strings.Split(value, ",")
		if !strings.Contains(words[0], "=") {
			add(name, value)
			continue
		}
		for _, w := range words {
			word, value, _ := strings.Cut(w, "=")
			add(name+"."+word, value)
		}
	}
	return in
}

// asked is what the calls of INFO have added, of which there are as many as it took until something had come.
type asked struct{ calls, bytesIn, bytesOut int64 }

func (in infoText) without(a asked) infoText {
	acks, _ := strconv.ParseInt(in.values["cmdstat_replconf.calls"], 10, 64) // they come once a second
	for name, n := range map[string]int64{"total_commands_processed": a.calls + acks, "total_writes_processed": a.calls,
		"total_net_input_bytes": a.bytesIn, "total_net_output_bytes": a.bytesOut} {
		was, _ := strconv.ParseInt(in.values[name], 10, 64)
		in.values[name] = strconv.FormatInt(was-n, 10)
	}
	return in
}

// infoLoad is what a client of both servers does, a command a line. The reply is not looked at: other tests do that.
const infoLoad = `SET s abc
SET num 5
MSET a 1 b 2 c 3
GET s
GET nosuch
INCR num
INCR s
LPUSH l a b c
HSET h f v g w
SADD set a b c
ZADD z 1 a 2 b
XADD stream 1-1 f v
EXISTS s nosuch
OBJECT ENCODING s
OBJECT ENCODING nosuch
RANDOMKEY
TTL s
TYPE nosuch
SET gone x PX 1
EXPIRE a 1000
EXPIRE b 2000
PERSIST b
LPOP s
NOSUCHCOMMAND x
GET
SET s x NX XX
AUTH wrong
AUTH nobody wrong
MULTI
SET m 1
INCR s
EXEC
MULTI
GET
EXEC
WATCH s
UNWATCH
EVAL return(redis.call('set',KEYS[1],'x')) 1 byscript
EVAL return(redis.call('incr',KEYS[1])) 1 s
EVALSHA 0000000000000000000000000000000000000000 0
SCRIPT LOAD return(1)
PFADD hll a b c
SETBIT bits 7 1
GETDEL c
RENAME num number
COPY l l2
SORT l ALPHA
SCAN 0
PUBLISH news hello
PUBLISH nobody hello
SPUBLISH shard hello
SELECT 1
SET other x EX 100
SELECT 0
WAIT 0 0
CLIENT NO-EVICT on
CLIENT SETNAME loader
CONFIG SET maxmemory-policy allkeys-lru
ACL SETUSER limited on nopass ~x* +get +subscribe resetchannels
ACL SETUSER off off
DBSIZE
OBJECT FREQ s
RESTORE s 0 nonsense
SETRANGE s 536870912 x
CONFIG SET nosuch 1
FLUSHDB extra argument
SWAPDB 0 0`

func infoAfterLoad(t *testing.T, start func(testing.TB, ...string) *harness.Server) map[string]infoText {
	args := []string{"--appendonly", "yes", "--repl-diskless-sync-delay", "0", "--save", "3600 100000", "--enable-debug-command", "yes", "--databases", "4", "--repl-ping-replica-period", "3600"}
	leader := start(t, args...)
	host, port, _ := strings.Cut(leader.Addr, ":")
	follower := start(t, append(args, "--replicaof", host+" "+port)...)
	c, f := leader.MustDial(t), follower.MustDial(t)
	polls := map[*harness.Conn]*asked{c: {}, f: {}}
	until := func(c *harness.Conn, section, line string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			info := c.MustDo(t, "INFO", section)
			p := polls[c]
			p.calls++
			p.bytesIn += int64(len(harness.AppendCommand(nil, "INFO", section)))
			p.bytesOut += int64(len(info.Raw))
			if strings.Contains(info.Str, line) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: INFO never says %s:\n%s", leader.Name, line, info.Str)
			}
		}
	}
	until(c, "replication", "state=online")
	until(f, "replication", "master_link_status:up")
	until(f, "persistence", "aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0")
	for _, c := range []*harness.Conn{c, f} { // these are no longer counted
		c.MustDo(t, "BGSAVE")
		until(c, "persistence", "rdb_bgsave_in_progress:0")
		c.MustDo(t, "BGREWRITEAOF")
		until(c, "persistence", "aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0")
		_, _ = c.Do("NOSUCHCOMMAND")
		c.MustDo(t, "CONFIG", "RESETSTAT")
		*polls[c] = asked{}
	}

	// Clients that do something besides.
	blocked, listening, tracking, limited, resp3 := leader.MustDial(t), leader.MustDial(t), leader.MustDial(t), leader.MustDial(t), leader.MustDial(t)
	if err := blocked.Send("BLPOP", "empty", "0"); err != nil || blocked.Flush() != nil {
		t.Fatal(err)
	}
	until(c, "clients", "blocked_clients:1")
	listening.MustDo(t, "SUBSCRIBE", "news")
	listening.MustDo(t, "PSUBSCRIBE", "n*")
	listening.MustDo(t, "SSUBSCRIBE", "shard")
	resp3.MustDo(t, "HELLO", "3")
	tracking.MustDo(t, "HELLO", "3")
	tracking.MustDo(t, "CLIENT", "TRACKING", "on")
	tracking.MustDo(t, "GET", "kept")
	tracking.MustDo(t, "WATCH", "kept")
	for line := range strings.Lines(infoLoad) {
		_, _ = c.Do(strings.Fields(line)...)
	}
	limited.MustDo(t, "AUTH", "limited", "any")
	for _, line := range []string{"GET x1", "GET y", "SET x1 1", "SUBSCRIBE forbidden", "NOSUCH", "ACL WHOAMI"} {
		_, _ = limited.Do(strings.Fields(line)...)
	}
	_, _ = c.Do("DEBUG", "SET-ACTIVE-EXPIRE", "1")
	until(c, "stats", "expired_keys:1")
	c.MustDo(t, "BGSAVE")
	until(c, "persistence", "rdb_bgsave_in_progress:0")
	c.MustDo(t, "BGREWRITEAOF")
	until(c, "persistence", "aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0")
	c.MustDo(t, "SET", "last", "1")
	c.MustDo(t, "WAIT", "1", "0") // the follower has what it is asked for
	_, _ = f.Do("SET", "refused", "1")
	f.MustDo(t, "GET", "s")
	f.MustDo(t, "GET", "nosuch")
	if follower := parseInfo(f.MustDo(t, "INFO", "stats").Str); follower.values["total_net_repl_input_bytes"] == "0" {
		t.Errorf("%s: nothing came from the leader", leader.Name)
	}
	return map[string]infoText{"leader": parseInfo(c.MustDo(t, "INFO", "everything").Str).without(*polls[c]),
		"follower": parseInfo(f.MustDo(t, "INFO", "everything").Str).without(*polls[f])}
}
