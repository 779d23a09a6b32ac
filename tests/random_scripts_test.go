package tests

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"kvd/tests/harness"
)

// Random scripts on kvd and redis-server: arithmetic, strings, patterns, tables, cjson, cmsgpack, struct, bit,
// and redis.call with faults. Both must reply with the same bytes, and hold the same data.

var (
	randomScripts    = flag.Int("random-scripts", 2000, "how many random scripts are held against redis-server")
	randomScriptSeed = flag.Uint64("random-script-seed", 1, "where the random scripts begin")
)

// A scriptWriter writes one script. What differs between servers by nature is left out: the order of fields
// and of sets, addresses, times, random numbers.
type scriptWriter struct {
	*rand.Rand
	depth int
}

func (g *scriptWriter) pick(s ...string) string { return s[g.IntN(len(s))] }

func (g *scriptWriter) chance(percent int) bool { return g.IntN(100) < percent }

// oneOf calls one of the functions.
func (g *scriptWriter) oneOf(f ...func() string) string { return f[g.IntN(len(f))]() }

// list is 0 to n of what f writes.
func (g *scriptWriter) list(n int, f func() string) string {
	parts := make([]string, g.IntN(n+1))
	for i := range parts {
		parts[i] = f()
	}
	return strings.Join(parts, ", ")
}

// number, text, table and truth write an expression that has this type, most times.
func (g *scriptWriter) number() string {
	if g.depth++; g.depth > 4 || g.chance(40) {
		g.depth--
		if g.chance(20) {
			return g.pick("0", "-0", "0.5", "1e15", "2^53", "-2^63", "2^63", "1e300", "1/3", "3.99", "-3.99", "1e14", "0/0", "1/0", "-1/0", "123456789012345678", "n")
		}
		return g.pick("n", fmt.Sprint(g.IntN(30)-5), "tonumber(ARGV[2])")
	}
	defer func() { g.depth-- }()
	switch g.IntN(12) {
	case 0, 1, 2:
		return "(" + g.number() + " " + g.pick("+", "-", "*", "/", "%") + " " + g.number() + ")"
	case 3:
		if g.chance(20) {
			return "(" + g.number() + " ^ 2)" // else libraries of C and Go differ in the last bit
		}
		return "bit." + g.pick("band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror") + "(" + g.number() + ", " + g.number() + ")"
	case 4:
		return "bit." + g.pick("bnot", "tobit", "bswap") + "(" + g.number() + ")"
	case 5:
		return "math." + g.pick("floor", "ceil", "abs", "sqrt") + "(" + g.number() + ")"
	case 6:
		return "#" + g.oneOf(g.text, g.table)
	case 7:
		return "tonumber(" + g.text() + g.pick("", "", ", 16", ", 2") + ")"
	case 8:
		return "(" + g.text() + "):byte()"
	case 9:
		return "select('#', " + g.any() + ", " + g.any() + ")"
	case 10:
		return "struct.size('" + g.format() + "')"
	}
	return "redis.call('" + g.pick("STRLEN', 's1'", "LLEN', 'l1'", "INCRBY', 'c1', W("+g.number()+")", "HLEN', 'h1'", "ZCARD', 'z1'", "EXISTS', "+g.key(), "DEL', "+g.key()) + ")"
}

func (g *scriptWriter) text() string {
	if g.depth++; g.depth > 4 || g.chance(40) {
		g.depth--
		return g.pick("s", "ARGV[1]", "'a'", "''", "'hello world'", "'10'", "'0x1f'", `'\0\1\255'`, "'k=v; x=y'", "' 7 '", "'[1,2]'", `'{"a":[1,null,"x"]}'`)
	}
	defer func() { g.depth-- }()
	switch g.IntN(14) {
	case 0, 1:
		return "(" + g.oneOf(g.text, g.number) + " .. " + g.oneOf(g.text, g.number) + ")"
	case 2:
		return "(" + g.text() + "):" + g.pick("upper()", "lower()", "reverse()", "sub(2)", "sub(-3, -1)", "rep(3)", "gsub('%w', '<%0>')", "gsub('l+', {ll = 'L'})", "match('(%w+)=(%w+)')", "find('o', 1, true)", "gsub('.', function(c) return c:byte() % 3 == 0 and 'x' or nil end)")
	case 3:
		return "string.format('" + g.pick("%d", "%5.2f", "%s", "%q", "%x", "%g", "%-6s|", "%i", "%.14g", "%5.1s") + "', " + g.oneOf(g.number, g.text, g.any) + ")"
	case 4, 5:
		return "cjson.encode(" + g.plain() + ")"
	case 6, 7:
		return "cmsgpack.pack(" + g.plain() + ")"
	case 8:
		return "struct.pack('" + g.format() + "', " + g.oneOf(g.number, g.text) + g.pick("", ", "+g.number(), ", "+g.text()) + ")"
	case 9:
		return "table.concat(" + g.table() + g.pick("", ", ','") + ")"
	case 10:
		return "tostring(" + g.oneOf(g.number, g.text) + " == " + g.number() + ")"
	case 11:
		return "redis.sha1hex(" + g.text() + ")"
	case 12:
		return "bit.tohex(" + g.number() + g.pick("", ", "+g.number()) + ")"
	}
	return g.call("redis.call", g.pick("GET", "GETRANGE", "LINDEX", "HGET", "TYPE"))
}

// plain is what can be packed, and put into tables: none with several fields, as errors of redis.pcall are, and
// none that lead back to themselves (where a reply of those ends is not the same).
func (g *scriptWriter) plain() string {
	if g.depth++; g.depth > 4 || g.chance(40) {
		g.depth--
		return g.oneOf(g.number, g.text, func() string { return g.pick("true", "false", "nil", "cjson.null", "{}", "type") })
	}
	defer func() { g.depth-- }()
	return "{" + g.pick("", "x = ", "[3] = ", "[1.5] = ") + g.plain() + "}"
}

// format is one of struct.
func (g *scriptWriter) format() string {
	var b strings.Builder
	for range 1 + g.IntN(3) {
		b.WriteString(g.pick("b", "B", "h", "H", "i4", "I2", "l", "L", "f", "d", "s", "c0", "c3", "x", ">", "<", "!4", "Bc0", "T", "i", "?"))
	}
	return b.String()
}

func (g *scriptWriter) table() string {
	if g.depth++; g.depth > 4 || g.chance(20) {
		g.depth--
		return g.pick("t", "{}", "{1, 2, 3}", "KEYS", "ARGV", "{'a', 'b'}")
	}
	defer func() { g.depth-- }()
	switch g.IntN(10) {
	case 0:
		if g.chance(10) {
			return "{double = " + g.pick("1.5", "-2", "0.25", "'x'", "nil", "1e6") + "}" // few digits, as for scores
		}
		return "{" + g.pick("ok", "err", "x", "map", "set", "big_number", "verbatim_string", "[1]", "[2]", "[10]", "format") + " = F(" + g.any() + ")}"
	case 1:
		return "cjson.decode(" + g.text() + ")"
	case 2:
		return "{cmsgpack.unpack(" + g.text() + ")}"
	case 3:
		return "{struct.unpack('" + g.format() + "', " + g.text() + g.pick("", ", 2") + ")}"
	case 4:
		return "{" + g.pick("pcall", "select", "unpack") + "(" + g.oneOf(g.table, g.number) + ", " + g.any() + ")}"
	case 5:
		return "{pcall(function(...) " + g.statement() + " return ... end, " + g.any() + ")}"
	case 6:
		return g.call(g.pick("redis.call", "redis.pcall"), g.pick("LRANGE", "MGET", "HMGET", "ZRANGE", "SORT"))
	case 7:
		return "redis." + g.pick("error_reply", "status_reply") + "(" + g.oneOf(g.text, g.any) + ")"
	}
	return "{" + g.list(4, g.any) + "}"
}

func (g *scriptWriter) truth() string {
	return g.oneOf(
		func() string { return g.pick("true", "false", "nil", "cjson.null") },
		func() string { return g.number() + g.pick(" < ", " >= ", " == ") + g.number() },
		func() string { return g.text() + g.pick(" == ", " < ", " ~= ") + g.text() },
		func() string { return "not " + g.any() },
		func() string { return "(" + g.any() + g.pick(" and ", " or ") + g.any() + ")" },
	)
}

func (g *scriptWriter) any() string {
	if g.depth > 4 {
		return g.pick("n", "s", "nil", "t", "x")
	}
	return g.oneOf(g.number, g.number, g.text, g.text, g.table, g.truth, func() string {
		return g.pick("x", "t.x", "t[1]", "t[2]", "type", "redis.LOG_WARNING", g.pick("x", "nope", "s.y", "n.z"))
	})
}

// keyFor is a key that has the command's type, most times.
func (g *scriptWriter) keyFor(command string) string {
	if g.chance(20) {
		return g.key()
	}
	switch command {
	case "LLEN", "LRANGE", "LINDEX", "LTRIM", "LPOP", "RPOP", "RPUSH", "LPUSH", "LSET", "LMOVE", "SORT":
		return "'l1'"
	case "HLEN", "HGET", "HEXISTS", "HDEL", "HSET", "HINCRBY", "HSETNX", "HINCRBYFLOAT", "HMGET":
		return "'h1'"
	case "ZCARD", "ZRANGE", "ZSCORE", "ZREM", "ZADD", "ZINCRBY", "ZPOPMIN":
		return "'z1'"
	case "SADD", "SREM", "SISMEMBER":
		return "KEYS[1]"
	case "INCR", "INCRBY", "INCRBYFLOAT":
		return "'c1'"
	}
	return g.pick("'s1'", "'s2'", "KEYS[2]", "'s'..n")
}

func (g *scriptWriter) key() string {
	return g.pick("KEYS[1]", "KEYS[2]", "'s1'", "'s2'", "'l1'", "'h1'", "'z1'", "'x1'", "'none'", "'s'..n", "KEYS[3]")
}

// call is redis.call or redis.pcall of a command; a fifth have odd arguments.
func (g *scriptWriter) call(f, name string) string {
	n := func() string { return "W(" + g.number() + ")" }
	k, v := g.keyFor(name), func() string { return g.oneOf(g.text, n) }
	if g.chance(3) {
		return f + "(" + g.pick("'NOSUCH'", "", "'SET'", "'GET', {}", "'GET', true", "'EVAL', 'return 1', 0", "'MULTI'", "'SUBSCRIBE', 'c'", "'AUTH', 'x'", "'GET', nil", "'get', 's1', 's2'", "'SELECT', 99", "12", "'CONFIG', 'GET', 'x'", "'OBJECT', 'nope'", "'XADD', 'x1', '*'") + ")"
	}
	if g.chance(4) {
		v = func() string { return "W(" + g.any() + ")" }
	}
	var args string
	switch name {
	case "GET", "STRLEN", "LLEN", "HLEN", "ZCARD", "TYPE", "DEL", "LPOP", "RPOP", "INCR", "PERSIST", "EXISTS", "ZPOPMIN":
		args = k
	case "GETRANGE", "LRANGE", "ZRANGE":
		args = k + ", " + n() + ", " + n()
	case "LINDEX", "INCRBY", "LTRIM":
		args = k + ", " + n()
		if name == "LTRIM" {
			args += ", " + n()
		}
	case "HGET", "HEXISTS", "ZSCORE", "HDEL", "ZREM", "SADD", "SREM", "SISMEMBER", "APPEND", "SETNX", "RPUSH", "LPUSH", "GETSET":
		args = k + ", " + v()
	case "MGET":
		args = k + ", " + g.key()
	case "HMGET":
		args = k + ", 'f1', " + v()
	case "SORT": // of numbers only where redis-server sees no error that an earlier call has left behind (errno)
		args = k + ", 'ALPHA'" + g.pick("", ", 'DESC'", ", 'STORE', 'l1'")
	case "SET":
		args = k + ", " + v() + g.pick("", "", ", 'NX'", ", 'XX', 'GET'", ", 'EX', L("+n()+")", ", 'PXAT', 4102444800000", ", 'KEEPTTL'")
	case "HSET", "HINCRBY", "HSETNX", "HINCRBYFLOAT":
		args = k + ", 'f" + fmt.Sprint(g.IntN(4)) + "', " + v()
	case "ZADD", "ZINCRBY": // scores that both write with the same digits
		args = k + ", " + g.pick("1", "-7", "2.5", "0", "'x'", "'inf'", "'(1'", "1e6") + ", " + v()
	case "LSET":
		args = k + ", " + n() + ", " + v()
	case "INCRBYFLOAT", "PEXPIREAT":
		args = k + ", " + n()
	case "SETRANGE":
		args = k + ", " + fmt.Sprint(g.IntN(50)-2) + ", " + v()
	case "RENAME", "LMOVE", "COPY":
		args = k + ", " + g.key()
		if name == "LMOVE" {
			args += ", 'LEFT', " + g.pick("'RIGHT'", "'LEFT'", "'UP'")
		}
	case "SETBIT":
		args = k + ", " + fmt.Sprint(g.IntN(200)-3) + ", " + g.pick("0", "1", n())
	case "XADD":
		args = "'x1', " + g.pick("'5-*'", "'1-1'", n()) + ", 'f', " + v()
	case "PUBLISH", "ECHO", "SELECT":
		args = g.pick("0", "1", "'c'")
		if name == "PUBLISH" {
			args += ", " + v()
		}
	}
	return f + "('" + name + "', " + args + ")"
}

// statement ends with a space.
func (g *scriptWriter) statement() string {
	if g.depth++; g.depth > 3 {
		g.depth--
		return "n = n + 1 "
	}
	defer func() { g.depth-- }()
	switch g.IntN(16) {
	case 0:
		return "n = " + g.number() + " "
	case 1:
		return "s = " + g.text() + " "
	case 2:
		return "t = " + g.table() + " "
	case 3:
		return "x = " + g.any() + " "
	case 4:
		return "if " + g.truth() + " then " + g.statement() + g.pick("", "else "+g.statement()) + "end "
	case 5:
		return "for i = 1, " + fmt.Sprint(g.IntN(5)) + " do " + g.statement() + "end "
	case 6:
		return "for i, v in ipairs(" + g.table() + ") do if i > 9 then break end " + g.pick("x = v ", "n = n + i ", g.statement()) + "end "
	case 7:
		return "if " + g.truth() + " then return " + g.any() + " end "
	case 8:
		return g.pick("t[1]", "t.x", "t[n]", "t[#t + 1]", "x", "KEYS[1]", "g1", "t.x.y") + " = " + g.oneOf(g.number, g.text, g.plain) + " "
	case 9:
		return "table." + g.pick("insert(t, "+g.plain()+")", "sort(t)", "remove(t)", "sort(t, function(a, b) return tostring(T(a)) > tostring(T(b)) end)") + " "
	case 10:
		if g.chance(30) {
			return g.pick("error(T("+g.oneOf(g.text, g.number)+")) ", "error({err = tostring(T("+g.text()+"))}) ", "assert("+g.any()+", "+g.text()+") ", "x = {pcall(error, "+g.any()+")} ", "redis.setresp("+g.pick("2", "3", g.number())+") ", "redis.log(redis.LOG_DEBUG, "+g.any()+") ",
				"x = redis.acl_check_cmd('get', 'k') ", "nosuch() ", "local f = loadstring("+g.text()+") x = f and f() ")
		}
	}
	command := g.pick("SET", "SET", "GET", "APPEND", "INCR", "INCRBY", "INCRBYFLOAT", "SETRANGE", "GETSET", "SETNX", "STRLEN", "RPUSH", "LPUSH", "LPOP", "RPOP", "LRANGE", "LSET", "LTRIM", "LMOVE", "HSET", "HGET", "HDEL",
		"HINCRBY", "HINCRBYFLOAT", "HSETNX", "HEXISTS", "ZADD", "ZINCRBY", "ZREM", "ZSCORE", "ZPOPMIN", "ZRANGE", "SADD", "SREM", "SISMEMBER", "DEL", "TYPE", "EXISTS", "RENAME", "COPY", "PEXPIREAT", "PERSIST", "SETBIT", "XADD", "PUBLISH", "ECHO", "SELECT", "SORT")
	return g.pick("x = ", "t[#t + 1] = ", "local r = ") + g.call(g.pick("redis.call", "redis.pcall", "redis.pcall"), command) + " "
}

// script is that of a seed.
func (g *scriptWriter) script() string {
	var b strings.Builder
	b.WriteString(g.pick("", "", "", "", "#!lua\n", "#!lua flags=no-writes\n", "#!lua flags=allow-oom,allow-stale\n"))
	b.WriteString("local function W(v) return type(v) == 'number' and math.abs(v) >= 1e17 and 1 or v end ")
	// What is to live for some seconds would be gone sooner in the one server than in the other.
	b.WriteString("local function L(v) return type(v) == 'number' and v >= 1 and 1000000 or v end ")
	// The errors of redis.pcall have two fields, whose order in a map or set is not the same.
	b.WriteString("local function F(v) return type(v) == 'table' and v.err and 'an error' or v end ")
	b.WriteString("local function T(v) return type(v) == 'table' and 'a table' or v end ")
	b.WriteString("local n, s, t, x = 3, 'text', {1, 'two', 3}, nil ")
	for range 1 + g.IntN(5) {
		if g.chance(60) { // else most scripts would end early
			b.WriteString("x = {pcall(function() " + g.statement() + " end)} ")
		} else {
			b.WriteString(g.statement())
		}
	}
	b.WriteString("return " + g.oneOf(g.any, g.table, func() string { return "{n, s, x, t}" }, func() string { return "{" + g.list(5, g.any) + "}" }))
	text := b.String()
	if g.IntN(100) == 0 {
		i := g.IntN(len(text))
		text = text[:i] + g.pick("(", " end ", "=", "'", "[[") + text[i:]
	}
	return text
}

// fill makes the keys that random scripts meet.
var fill = [][]string{
	{"FLUSHALL"}, {"SCRIPT", "FLUSH"}, {"SET", "s1", "hello"}, {"SET", "s2", "12"}, {"SET", "c1", "5"}, {"RPUSH", "l1", "a", "3", "b", "1"}, {"HSET", "h1", "f1", "v1", "f2", "7"},
	{"ZADD", "z1", "1", "a", "2.5", "b", "-3", "c"}, {"XADD", "x1", "1-1", "f", "v"}, {"SADD", "k1", "1", "2"}, {"SET", "k2", "x", "PXAT", "4102444800000"},
}

func TestRandomScriptsAsRedis(t *testing.T) {
	count := *randomScripts
	ours := harness.StartKVD(t, "--enable-debug-command", "local").MustDial(t)
	theirs := harness.StartRedis(t, "--enable-debug-command", "local").MustDial(t)
	const batch = 200
	bad, failed := 0, 0
	for from := 0; from < count && bad < 20; from += batch {
		var sending sync.WaitGroup
		setup := append([][]string{{"HELLO", fmt.Sprint(2 + from/batch%2)}}, fill...)
		calls := setup[:len(setup):len(setup)]
		for i := range min(batch, count-from) {
			g := &scriptWriter{Rand: rand.New(rand.NewPCG(*randomScriptSeed+uint64(from+i), 23))}
			name := g.pick("EVAL", "EVAL", "EVAL", "EVAL", "EVAL_RO")
			calls = append(calls, []string{name, g.script(), "2", "k1", "k2", g.pick("arg", "5", "", "a\x00b"), g.pick("17", "-3.5", "x", "1e3")})
		}
		if count == 1 {
			t.Logf("%q", calls[len(calls)-1])
		}
		calls = append(calls, []string{"SELECT", "0"}, []string{"DEBUG", "DIGEST"})
		for _, c := range []*harness.Conn{ours, theirs} {
			for _, call := range calls {
				if err := c.Send(call...); err != nil {
					t.Fatal(err)
				}
			}
			sending.Go(func() {
				if err := c.Flush(); err != nil {
					t.Error(err)
				}
			})
		}
		for i, call := range calls {
			got, err := ours.Receive()
			if err != nil {
				t.Fatalf("%q: %v", call, err)
			}
			want, err := theirs.Receive()
			if err != nil {
				t.Fatalf("redis-server: %q: %v", call, err)
			}
			if i > len(setup) && want.Err() != "" {
				failed++
			}
			if i > 0 && string(got.Raw) != string(want.Raw) && bad < 20 && call[0] != "HELLO" {
				bad++
				t.Errorf("seed %d: %q\n got %s\nwant %s", *randomScriptSeed+uint64(from+i-len(setup)), call, got, want)
				if call[0] == "DEBUG" {
					t.Errorf("after seeds %d to %d", *randomScriptSeed+uint64(from), *randomScriptSeed+uint64(from+batch-1))
				}
			}
		}
		sending.Wait() // the replies may be here before the buffer is free again
	}
	t.Logf("%d scripts, of which %d failed on both", count, failed)
	if failed > count*3/4 {
		t.Error("nearly all scripts fail: they show little")
	}
}
