package server

import (
	"math"
	"math/rand/v2"
	"strings"

	"kvd/command"
	"kvd/config"
)

// DBSIZE, FLUSHALL, FLUSHDB, LOLWUT, SWAPDB, TIME.

func serverRows() []*command.Row {
	return []*command.Row{
		{Name: "dbsize", Fn: cmdDBSize, Arity: 1, Flags: command.ReadOnly | command.Fast | command.Walks, Since: "1.0.0", Group: "server", Categories: "keyspace",
			Summary: "Returns the number of keys in the database.", Complexity: "O(1)", Tips: "request_policy:all_shards response_policy:agg_sum"},
		{Name: "flushall", Fn: cmdFlushAll, Arity: -1, Flags: command.Write | command.LockAll, EveryDB: true, Since: "1.0.0", Group: "server", Categories: "keyspace dangerous",
			Summary: "Empties all databases.", Complexity: "O(1); the memory is freed in the background", Syntax: "[ASYNC | SYNC]",
			Tips: "request_policy:all_shards response_policy:all_succeeded"},
		{Name: "flushdb", Fn: cmdFlushDB, Arity: -1, Flags: command.Write | command.LockAll, Since: "1.0.0", Group: "server", Categories: "keyspace dangerous",
			Summary: "Empties the database.", Complexity: "O(1); the memory is freed in the background", Syntax: "[ASYNC | SYNC]",
			Tips: "request_policy:all_shards response_policy:all_succeeded"},
		{Name: "lolwut", Fn: cmdLolwut, Arity: -1, Flags: command.ReadOnly | command.Fast, Since: "5.0.0", Group: "server",
			Summary: "Draws a picture and tells the version.", Complexity: "O(1)", Syntax: "[VERSION version]"},
		{Name: "swapdb", Fn: cmdSwapDB, Arity: 3, Flags: command.Write | command.Fast | command.LockAll, DBArgs: command.DbsAt(1, 2), Since: "4.0.0", Group: "server", Categories: "keyspace dangerous",
			Summary: "Exchanges two databases.", Complexity: "O(N) in the number of clients that watch or wait for keys of them", Syntax: "index1 index2"},
		{Name: "time", Fn: cmdTime, Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Since: "2.6.0", Group: "server",
			Summary: "Returns the server's time: Unix seconds and microseconds.", Complexity: "O(1)", Tips: "nondeterministic_output"},
	}
}

func cmdDBSize(c *command.Ctx) {
	n, _ := c.S.Keyspace.Size(c.DB(), c.HoldsAll())
	c.W.Int(int64(n))
}

// flushArgs reads [ASYNC | SYNC]. Either way the databases are empty at once
// and their memory is freed in the background.
func flushArgs(c *command.Ctx) bool {
	if len(c.Args) > 2 || len(c.Args) == 2 && !c.Word(1, "async") && !c.Word(1, "sync") {
		c.Err(command.ErrSyntax)
		return false
	}
	return true
}

func cmdFlushDB(c *command.Ctx) {
	if !flushArgs(c) {
		return
	}
	c.Dirty += c.Flush()
	c.Effect(c.Args...) // an empty database may not be one on a follower
	c.W.OK()
}

func cmdFlushAll(c *command.Ctx) {
	if !flushArgs(c) {
		return
	}
	at := c.DB()
	for db := range c.S.Keyspace.Databases() {
		c.Use(db)
		c.Dirty += c.Flush()
	}
	c.Use(at)
	c.Effect(c.Args...)
	c.Flushed()
}

func cmdSwapDB(c *command.Ctx) {
	a, ok := command.ParseInt(c.Args[1])
	if !ok || a < math.MinInt32 || a > math.MaxInt32 {
		c.Err("ERR invalid first DB index")
		return
	}
	b, ok := command.ParseInt(c.Args[2])
	if !ok || b < math.MinInt32 || b > math.MaxInt32 {
		c.Err("ERR invalid second DB index")
		return
	}
	if n := int64(c.S.Keyspace.Databases()); a < 0 || a >= n || b < 0 || b >= n {
		c.Err(command.ErrDBIndex)
		return
	}
	c.Dirty++
	c.W.OK()
	if a == b {
		return
	}
	c.ExpireWatched(int(a), int(b))
	c.Swap(int(a), int(b))
	c.ReadyAll(int(a)) // a client that waits for a key may find it there now
	c.ReadyAll(int(b))
}

func cmdTime(c *command.Ctx) {
	us := c.Moment().UnixMicro()
	c.W.Array(2)
	c.W.BulkInt(us / 1e6)
	c.W.BulkInt(us % 1e6)
}

// cmdLolwut draws one of the ways through a maze; a version, which chooses the
// picture in Redis, seeds it here.
func cmdLolwut(c *command.Ctx) {
	r := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	if len(c.Args) > 2 && c.Word(1, "version") {
		v, ok := c.Int(2)
		if !ok {
			return
		}
		r = rand.New(rand.NewPCG(uint64(v), 0))
	}
	var b strings.Builder
	for range 9 {
		for range 40 {
			b.WriteRune([]rune("╱╲")[r.IntN(2)])
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nkvd ver. " + c.S.Version + ", Redis ver. " + config.RedisVersion + "\n")
	c.W.Verbatim("txt", b.String())
}
