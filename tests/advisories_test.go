package tests

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kvd/persist/rdb"
	"kvd/tests/harness"
)

// advisory is one class of attack that an advisory for Redis, Valkey or memcached told of,
// with what a server must answer to it.
type advisory struct {
	name string
	// send are raw bytes; cmds are commands in their place. Each is sent on a connection of
	// its own, so that one that is closed does not hide the next.
	send []string
	cmds [][]string
	// want is a pattern that all that is answered must match, within 5 seconds; "" wants
	// nothing but that the server lives.
	want string
	// memory is how much the server may grow meanwhile, in MiB; 0 stands for 64.
	memory int

	// stranger: the server wants a password, and is not told it.
	stranger bool
	// rules are those of the user who sends; none: the default user does.
	rules string
	// tls: it is sent to the port for TLS as it is.
	tls bool
	// many is by how many connections it is sent that stay, and read nothing, while the
	// memory is measured and PING asked; what is answered to them is not looked at.
	many int
	// act is what bytes cannot say.
	act func(t *testing.T)
}

func lines(list ...string) (cmds [][]string) {
	for _, l := range list {
		cmds = append(cmds, strings.Fields(l))
	}
	return
}

// evals makes EVALs of Lua texts.
func evals(texts ...string) (cmds [][]string) {
	for _, t := range texts {
		cmds = append(cmds, []string{"EVAL", t, "0"})
	}
	return
}

// signed is a payload for RESTORE with the checksum that fits.
func signed(body string) string {
	p := append([]byte(body), 10, 0)
	return string(binary.LittleEndian.AppendUint64(p, rdb.Checksum(0, p)))
}

func forged(bodies ...string) (cmds [][]string) {
	for _, b := range bodies {
		cmds = append(cmds, []string{"RESTORE", "bad", "0", signed(b), "REPLACE"})
	}
	return
}

// What answers look like.
const (
	oneError  = `^-[A-Z]+ [^\r\n]*\r\n$`
	oneLine   = `^[^\r\n]*\r\n$`
	numberErr = `^-ERR (value is out of range|value is not an integer|index out of range|bit offset|offset is out of range|string exceeds|syntax error|invalid expire|Invalid bitfield|[A-Za-z]*[Tt]imeout|[^\r\n]*(range|integer|invalid|number|greater|positive|many|numFields))[^\r\n]*\r\n$`
)

var advisories = []advisory{
	{name: "C1 counts before AUTH", stranger: true, send: []string{"*11\r\n"}, want: `^-ERR Protocol error: unauthenticated multibulk length\r\n$`},
	{name: "C1 lengths before AUTH", stranger: true, send: []string{"*1\r\n$16385\r\n", "*2\r\n$4\r\nAUTH\r\n$50000000\r\n"}, want: `^-ERR Protocol error: unauthenticated bulk length\r\n$`},
	{name: "C1 a line without an end before AUTH", stranger: true, send: []string{strings.Repeat("x", 1<<20)}, want: `^-(ERR Protocol error: too big inline request|NOAUTH [^\r\n]*)\r\n$`},
	{name: "C1 announced lengths reserve nothing", many: 2000, send: []string{"*1048576\r\n$60000000\r\n"}, memory: 48},
	{name: "C1 many empty arguments", send: []string{"*1048576\r\n" + strings.Repeat("$0\r\n\r\n", 1<<20)}, want: `^-ERR unknown command`, memory: 300},
	{name: "C2 output before AUTH", stranger: true, many: 300, send: []string{strings.Repeat("GET x\r\n", 20_000), strings.Repeat("*1\r\n$4\r\nPING\r\n", 10_000), strings.Repeat("HELLO 3\r\n", 10_000)}, memory: 24},
	{name: "C3 empty and odd requests", send: []string{"*0\r\n*1\r\n$4\r\nPING\r\n", "*-5\r\nPING\r\n", "\r\n\r\nPING\r\n", "*-1\r\n*0\r\n\r\nPING\r\n"}, want: `^\+PONG\r\n$`},
	{name: "C4 other protocols", send: []string{"POST / HTTP/1.1\r\nHost: x\r\n\r\nPING\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\nPING\r\n"}, want: `^(-ERR wrong number of arguments for 'get' command\r\n)?$`},
	{name: "C4 line ends inside data", send: []string{"*1\r\n$4\r\nPING\n\n*1\r\n$4\r\nPING\r\n"}, want: `^\+PONG\r\n\+PONG\r\n$`}, // as Redis: two bytes end an argument, whichever they are
	{name: "C4 lengths that do not fit", send: []string{"*2\r\n$4\r\nECHO\r\n$x\r\nFLUSHALL\r\n", "*1\r\n+PING\r\nFLUSHALL\r\n", "*1\r\n$-1\r\nFLUSHALL\r\n", "*1x\r\nFLUSHALL\r\n"}, want: `^-ERR (Protocol error|unknown command)`},
	{name: "C5 line ends in replies", cmds: append(evals("return {err='a\\r\\n$3\\r\\nfoo'}", "return {ok='a\\r\\nb'}", "return redis.error_reply('x\\r\\n+OK')", "return redis.status_reply('x\\r\\n+OK')", "error('a\\r\\nb')", "return redis.call('a\\r\\nb')"),
		[]string{"foo\r\n+OK\r\n"}, []string{"CLIENT", "x\r\n+OK"}, []string{"CLIENT", "SETNAME", "a\nb"}, []string{"CONFIG", "SET", "a\r\nb", "c"}, []string{"ACL", "SETUSER", "u", "x\r\n+OK"}, []string{"HELLO", "3", "a\r\nb"}, []string{"OBJECT", "a\r\n+OK", "k"}), want: oneLine},
	{name: "C6 counts at the ends of 64 bits", cmds: lines("SRANDMEMBER s -9223372036854775808", "HRANDFIELD h -9223372036854775808 WITHVALUES", "ZRANDMEMBER z -4611686018427387905 WITHSCORES", "SETRANGE str 9223372036854775807 x", "SETBIT str 4294967296 1",
		"BITFIELD str SET u63 18446744073709551615 1", "BITFIELD str GET u8 #9223372036854775807", "LMPOP 9223372036854775807 l LEFT", "ZINTER 2147483647 z", "EVAL return(1) 9223372036854775807", "CLIENT PAUSE 9223372036854775807", "BLPOP l2 9223372036854775807", "BLPOP l2 1e300", "LSET l 4294967296 x",
		"HEXPIRE h 1 FIELDS 2147483647 f", "HEXPIRE h 1 FIELDS 9223372036854775807 f", "EXPIRE str 9223372036854775807", "SCAN 18446744073709551616", "COMMAND GETKEYS ZINTER 2147483647 a", "COMMAND GETKEYS EVAL x 2147483647 a", "COMMAND GETKEYS XREAD STREAMS", "XAUTOCLAIM x g c 0 0 COUNT 1152921504606846976"), want: oneError},
	{name: "C6 counts that are only large", cmds: lines("SORT l LIMIT 9223372036854775807 9223372036854775807", "LINDEX l -4294967297", "SCAN 9223372036854775808 MATCH nosuch", "XAUTOCLAIM x g c 0 0 COUNT 9223372036854775807", "LRANGE l -9223372036854775808 9223372036854775807", "GETRANGE str -9223372036854775808 9223372036854775807"), want: `^[*$:\-]`},
	{name: "C7 missing arguments", cmds: lines("HGETEX h FIELDS", "HGETEX h FIELDS 1", "HSETEX h FIELDS 1 f", "HINCRBYFLOAT h f nan", "HINCRBYFLOAT h f inf", "SET k v NX IFEQ x", "SET k v EX", "MSETEX 2 a 1 b", "COMMAND GETKEYS MSETEX 2 a", "XADD x", "ZADD z NX", "LPOS l a RANK", "GEOSEARCH g FROMLONLAT 1", "BITFIELD str GET", "OBJECT FREQ", "SINTERCARD 1", "ZMPOP 1 z", "FUNCTION LOAD", "XREADGROUP GROUP g c STREAMS x"), want: oneError},
	{name: "C8 forged payloads", cmds: forged("\x00\xc3\x40\x10\x80\xff\xff\xff\xff\x00", "\x0b\x0a\x04\x00\x00\x00\x02\x00\x00\x00\x01\x00", "\x10\x0f\x0f\x00\x00\x00\x02\x00\x81a\x02\x81b\x02\xff", "\x11\x07\x07\x00\x00\x00\xff\x00\xff", "\x12\x01\x03\x00", "\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f", "\x80\xff\xff\xff\xff", "\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff", "\xfe", "", "\x0f\x81\xff\xff\xff\xff\xff\xff\xff\x7f", "\xf5"), want: `^-(ERR|BUSYKEY) [^\r\n]*\r\n$`},
	{name: "C9 forged HyperLogLogs", cmds: [][]string{
		{"EVAL", "redis.call('SET','hll','HYLL\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0'..string.rep('\\127\\255',9)) redis.pcall('PFADD','hll','a') return redis.pcall('PFCOUNT','hll')", "0"},
		{"EVAL", "redis.call('SET','hll','HYLL\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\128'..string.rep('\\127\\255',9)) return redis.pcall('PFCOUNT','hll')", "0"},
		{"EVAL", "redis.call('SET','hll','HYLL\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\128abc') return redis.pcall('PFCOUNT','hll')", "0"},
		{"EVAL", "redis.call('SET','hll','HYLL\\2\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\128') return redis.pcall('PFMERGE','d','hll')", "0"}}, want: `^-(INVALIDOBJ|WRONGTYPE) [^\r\n]*\r\n$`},
	{name: "C10 cost of patterns", cmds: [][]string{
		{"KEYS", strings.Repeat("a*", 5000) + "b"}, {"KEYS", strings.Repeat("*?", 5000)}, {"SCAN", "0", "MATCH", strings.Repeat("[", 1<<20)}, {"KEYS", strings.Repeat("*", 1<<20) + "x"}, {"CONFIG", "GET", strings.Repeat("*a", 1000)}, {"PUBSUB", "CHANNELS", strings.Repeat("*?", 5000)}}, want: `^\*`},
	{name: "C11 deep nesting", cmds: evals("return cjson.decode(string.rep('[',100000))", "local t={} t[1]=t return cjson.encode(t)", "return cmsgpack.unpack(string.rep('\\145',1000000))", "local t={} for i=1,10000 do t={t} end return cjson.encode(t)", "return cjson.encode({[1e9]=1})"), want: `^[-$]`},
	{name: "C12 memory of scripts", cmds: evals("return unpack({1,2,3},-2147483648,2147483647)", "return {unpack({},0,2147483646)}", "return string.rep('x',2^31)", "return #string.rep('x',1e9)", "return ('x'):rep(2^53)", "local t={} for i=1,1e9 do t[i]=i end", "return string.format('%99999999d',1)",
		"local function f() return f()+1 end return f()", "return table.concat({},'',1,2^31)", "return load", "return loadstring(string.rep('(',200000))()"), want: `^[-$*:]`, memory: 1200},
	{name: "C12 sources without an end", cmds: evals("return ["+strings.Repeat("=", 1<<20)+"[", "--[["+strings.Repeat("x", 1<<20), "return "+strings.Repeat("(", 200000), "return "+strings.Repeat("{", 200000), strings.Repeat("do ", 100000)), want: oneError},
	{name: "C13 the sandbox", cmds: evals("getmetatable('').__index.upper=1", "setmetatable(_G,{})", "_G.redis=1", "redis.call=nil", "string.len=nil", "rawset(_G,'x',1)", "cjson.encode=nil", "table.insert=nil", "math.random=nil", "return require('os')", "return os.execute('id')", "return io.open('/etc/passwd')", "dofile('/etc/passwd')", "x=1"), want: oneError},
	{name: "C14 arithmetic of bits", cmds: evals("return bit.tohex(65535,-2147483648)", "return bit.tohex(0,2147483647)", "return tostring(bit.lshift(1,-1))", "return struct.pack('>I17',1)", "return struct.pack('i2147483648',1)", "return struct.unpack('>I4','abc')", "return struct.unpack('s','abc',2^31)", "return struct.size('c2147483647c2147483647')", "return cjson.encode(0/0)"), want: `^[-$:*]`},
	{name: "C15 what scripts may not do", cmds: evals("return redis.pcall('WAIT','0','0')", "return redis.pcall('SUBSCRIBE','c')", "return redis.pcall('MONITOR')", "return redis.pcall('REPLICAOF','no','one')", "return redis.pcall('SHUTDOWN','NOSAVE')", "return redis.pcall('CONFIG','SET','hz','5')", "return redis.pcall('DEBUG','RELOAD')", "return redis.pcall('SAVE')"), want: `^-ERR [^\r\n]*\r\n$`},
	{name: "C16 rules of users", cmds: [][]string{{"ACL", "SETUSER", "u", "%~"}, {"ACL", "SETUSER", "u", "(%R~"}, {"ACL", "SETUSER", "u", "(+@all", "~*"}, {"ACL", "SETUSER", "u", "%"}, {"ACL", "SETUSER", "u", "%RW"}, {"ACL", "SETUSER", "u", "+@"}, {"ACL", "SETUSER", "u", "+|"},
		{"ACL", "SETUSER", "u", "+config|"}, {"ACL", "SETUSER", "u", "-@all|x"}, {"ACL", "SETUSER", "u", "#zz"}, {"ACL", "SETUSER", "u", "!"}, {"ACL", "SETUSER", "u", strings.Repeat("x", 1<<20)}, {"ACL", "SETUSER", "u\x00", "on"}, {"ACL", "SETUSER", "u", "((("}, {"ACL", "SETUSER", "u", "(on)"}}, want: oneError},
	{name: "C17 keys of others", rules: "~a* +@all -@admin", cmds: append(lines("GET b", "DUMP b", "OBJECT ENCODING b", "MEMORY USAGE b", "RENAME a b", "COPY b a", "BITOP AND a b", "MSETEX 2 a 1 b 2", "MSETNX a 1 b 2", "SORT a STORE b", "GEORADIUS a 0 0 1 km STORE b", "GEORADIUSBYMEMBER a m 1 km STOREDIST b",
		"XREAD STREAMS a b 0 0", "XREADGROUP GROUP g c STREAMS b >", "SINTERSTORE b a a", "SINTERCARD 2 a b", "ZUNIONSTORE a 2 a b", "ZDIFF 2 a b", "LMPOP 2 a b LEFT", "BLMPOP 0.01 2 a b LEFT", "BLMOVE a b LEFT LEFT 0.01", "BZMPOP 0.01 2 a b MIN", "PFMERGE a b", "LCS a b", "RESTORE b 0 x", "MIGRATE 127.0.0.1 1 b 0 10", "MIGRATE 127.0.0.1 1  0 10 KEYS a b", "TOUCH a b", "WATCH b", "EVAL return(1) 2 a b", "FCALL_RO f 2 a b"),
		[]string{"MIGRATE", "127.0.0.1", "1", "", "0", "10", "KEYS", "a", "b"}), want: `^-NOPERM [^\r\n]*\r\n$`},
	{name: "C17 keys of others in scripts", rules: "~a* +@all", cmds: evals("return redis.call('GET','b')", "redis.call('SET','b','1')", "return redis.call('SORT','a','BY','b_*')", "return redis.call('COPY','a','b')"), want: `^-[A-Z]+ [^\r\n]*(NOPERM|permission|ACL)[^\r\n]*\r\n$`},
	{name: "C17 keys of others that SORT makes", rules: "~a* +@all", cmds: lines("SORT a BY b_* GET c_*", "SORT a BY a_* GET b_*", "SORT_RO a GET a_*"), want: `^-ERR (BY|GET) option of SORT denied due to insufficient ACL permissions.\r\n$`},
	{name: "C17 names of others", rules: "~a* resetchannels +@all -@admin", cmds: lines("SUBSCRIBE __keyspace@0__:b", "PSUBSCRIBE *", "PUBLISH b x", "SPUBLISH b x", "SSUBSCRIBE b", "CLIENT LIST", "CLIENT KILL 127.0.0.1:1", "MONITOR", "SLOWLOG GET", "ACL LIST", "CONFIG GET requirepass"), want: `^-NOPERM [^\r\n]*\r\n$`},
	{name: "C18 authentication", cmds: [][]string{{"AUTH", "nobody", strings.Repeat("x", 1<<20)}, {"AUTH", "default\x00", "x"}, {"HELLO", "3", "AUTH", "nobody", "x"}, {"AUTH", strings.Repeat("u", 1<<20), "x"}}, want: `^-WRONGPASS [^\r\n]*\r\n$`},
	{name: "C19 the socket's mode", act: socketMode},
	{name: "C20 hostile manifests", act: hostileManifests},
	{name: "C21 no more files", act: noMoreFiles},
	{name: "C23 what is no handshake", tls: true, send: []string{"PING\r\n", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", "\x16\x03\x03\xff\xff" + strings.Repeat("x", 70000), "\x18\x03\x02\x00\x03\x01\x40\x00", "\x15\x03\x03\x00\x02\x02\x28", "\x16\x03\x01\x00\x04\x01\xff\xff\xff", "\x16\x03\x01\x00\x00" + strings.Repeat("\x16\x03\x01\x00\x00", 1000), "\x17\x03\x03\x00\x05PING\n"}, want: `^(?s)(\x15\x03.{5})?$`},
	{name: "C23 half handshakes", tls: true, many: 2500, send: []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x16", ""}, memory: 96},
	{name: "C22 what followers send", cmds: lines("REPLCONF ACK 9223372036854775807", "REPLCONF rdb-filter-only x", "REPLCONF listening-port 99999999", "PSYNC x", "PSYNC ? x y", "REPLCONF GETACK"), want: `^(-[^\r\n]*\r\n|\+OK\r\n)?`},
	{name: "C24 many subscriptions and queues", send: []string{"SUBSCRIBE " + strings.Repeat("c ", 20000) + "\r\nPING\r\n", "MULTI\r\n" + strings.Repeat("SET a b\r\n", 20000) + "DISCARD\r\n", "WATCH " + strings.Repeat("k ", 20000) + "\r\n"}, want: `^[*+]`},
	{name: "C25 commands of memcached", send: []string{"get " + strings.Repeat(" ", 60000) + "\r\nPING\r\n", "set k 0 0 -1\r\nPING\r\n", "set k 0 0 4294967295\r\nPING\r\n", "gets " + strings.Repeat("k ", 9000) + "\r\nPING\r\n"}, want: `^-ERR [^\r\n]*\r\n\+PONG\r\n$`},
	{name: "C26 many IDs", cmds: [][]string{append([]string{"XACKDEL", "x", "g", "IDS", "3000"}, manyIDs(3000)...), append([]string{"XDELEX", "x", "IDS", "3000"}, manyIDs(3000)...), append([]string{"XACK", "x", "g"}, manyIDs(3000)...)}, want: `^[*:]`},
}

func manyIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%d-1", i+1)
	}
	return ids
}

// TestAdvisories sends what known attacks send. The server must answer it as it is wanted, must
// not grow beyond bounds, and must serve others. Classes with tests of their own: C1 and C2
// (transport, and TestStrangersHoldLittle here), C17 (command, rights_test.go), C19 (transport), C20
// (check_test.go), C21 and C23 (transport).
func TestAdvisories(t *testing.T) {
	ca := authority(t)
	tlsPort, args := tlsArgs(t, ca, "--proto-max-bulk-len", "64mb")
	s := harness.StartKVD(t, args...)
	c := s.MustDial(t)
	c.MustDo(t, "SADD", "s", "a", "b")
	c.MustDo(t, "HSET", "h", "f", "v")
	c.MustDo(t, "ZADD", "z", "1", "a")
	c.MustDo(t, "RPUSH", "l", "a", "b")
	c.MustDo(t, "SET", "str", "value")
	c.MustDo(t, "SET", strings.Repeat("a", 64<<10), "1")
	c.MustDo(t, "XGROUP", "CREATE", "x", "g", "$", "MKSTREAM")
	for _, a := range advisories {
		t.Run(a.name, func(t *testing.T) {
			if a.act != nil {
				a.act(t)
				return
			}
			addr, greeting := s.Addr, ""
			if a.tls {
				addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(tlsPort))
			}
			if a.rules != "" {
				c.MustDo(t, append([]string{"ACL", "SETUSER", "somebody", "reset", "on", "nopass"}, strings.Fields(a.rules)...)...)
				greeting = "AUTH somebody x\r\n"
			}
			if a.stranger {
				c.MustDo(t, "CONFIG", "SET", "requirepass", "secret")
				defer c.MustDo(t, "CONFIG", "SET", "requirepass", "")
			}
			before := resident(t, s.PID())
			inputs := a.send
			for _, cmd := range a.cmds {
				inputs = append(inputs, string(harness.AppendCommand(nil, cmd...)))
			}
			want := regexp.MustCompile(a.want)
			if a.many > 0 {
				defer crowd(t, addr, a.many, inputs)()
				inputs = nil
				if r, err := c.Do("PING"); err != nil || r.Str != "PONG" {
					t.Fatalf("beside %d connections: %v, %v", a.many, r, err)
				}
			}
			for _, in := range inputs {
				var got string
				if got = exchange(t, addr, greeting+in); greeting != "" {
					got = strings.TrimPrefix(got, "+OK\r\n")
				}
				if !want.MatchString(got) {
					t.Errorf("%.200q\n answers %.300q", in, got)
				}
				if strings.Contains(got, "internal error") {
					t.Errorf("%.200q: a panic", in)
				}
				began := time.Now()
				if r, err := c.Do("PING"); err != nil || r.Str != "PONG" || time.Since(began) > 5*time.Second {
					t.Fatalf("after %.200q: %v, %v, after %v", in, r, err, time.Since(began))
				}
			}
			most := int64(a.memory)
			if most == 0 {
				most = 64
			}
			within(t, 10*time.Second, fmt.Sprintf("the server has grown by no more than %d MiB", most), func() bool {
				return (resident(t, s.PID())-before)>>20 <= most
			})
		})
	}
	if r := c.MustDo(t, "EXISTS", "s", "h", "z", "l", "str"); r.Int != 5 {
		t.Errorf("some keys are gone: %v", r)
	}
}

// crowd has many connections send the inputs by turns, until the server takes no more, and
// returns what ends them.
func crowd(t *testing.T, addr string, many int, inputs []string) (end func()) {
	t.Helper()
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err == nil && int64(lim.Cur) < int64(many)+500 {
		many = int(lim.Cur) - 500
	}
	var conns []net.Conn
	end = func() {
		for _, nc := range conns {
			nc.Close()
		}
	}
	for i := range many {
		nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err != nil {
			end()
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, nc)
		_ = nc.(*net.TCPConn).SetReadBuffer(4096)
		_ = nc.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = io.WriteString(nc, inputs[i%len(inputs)]) // it may be closed, or not be read
	}
	return end
}

// socketMode: whoever may not use the unix socket may not use it in the first moment either.
func socketMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	old := syscall.Umask(0) // servers inherit it, and what is made without care is open to all
	defer syscall.Umask(old)
	var seen atomic.Int64
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			nc, err := net.Dial("unix", path)
			if err != nil {
				continue
			}
			nc.Close()
			if st, err := os.Lstat(path); err == nil {
				seen.Add(1)
				if mode := st.Mode().Perm(); mode&0o077 != 0 {
					t.Errorf("there is somebody behind the socket while its mode is %o", mode)
					return
				}
			}
		}
	}()
	for range 5 {
		s := harness.StartKVD(t, "--unixsocket", path, "--unixsocketperm", "700")
		seen.Store(0)
		until(t, "a look at the socket", func() bool { return seen.Load() > 0 })
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		defer func() { _ = s.Restart() }() // the harness wants it to run at the end
	}
	stop.Store(true)
	<-done
}

// hostileManifests: kvd check, and a start, read nothing outside of the log's directory and end with an error.
func hostileManifests(t *testing.T) {
	bin, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	logs := filepath.Join(dir, "appendonlydir")
	if err := os.Mkdir(logs, 0o755); err != nil {
		t.Fatal(err)
	}
	// What would be cut off by --fix: a log whose end is missing.
	precious := "*1\r\n$8\r\nFLUSHALL\r\n*2\r\n$3\r\nSET"
	if err := os.WriteFile(outside, []byte(precious), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(logs, "link.aof")); err != nil {
		t.Fatal(err)
	}
	for _, manifest := range []string{
		"file " + strings.Repeat("x", 64<<10) + " seq 1 type b\n",
		"file ../outside seq 1 type i\n",
		"file " + outside + " seq 1 type i\n",
		"file .. seq 1 type i\n",
		"file \"\" seq -1 type i\n",
		"file a seq 99999999999999999999 type i\n",
		"file a seq 1 type b\nfile b seq 2 type b\n",
		"file a seq 2 type i\nfile b seq 1 type i\n",
		"file a seq 1 type x\n",
		"file \"a\\x00b\" seq 1 type i\n",
		"file a\n", "file", "\x00\x00", "",
		"file link.aof seq 1 type i\n",
	} {
		path := filepath.Join(logs, "appendonly.aof.manifest")
		if err := os.WriteFile(path, []byte(manifest), 0o644); err != nil {
			t.Fatal(err)
		}
		calls := [][]string{{"check", path}, {"check", "--fix", path}}
		if !strings.Contains(manifest, "link") { // a server goes on where its log leads
			calls = append(calls, []string{"--port", "0", "--dir", dir, "--appendonly", "yes", "--save", ""})
		}
		for _, args := range calls {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			cmd := exec.CommandContext(ctx, bin, args...)
			cmd.Stdin = strings.NewReader("y\n")
			out, err := cmd.CombinedOutput()
			cancel()
			if err == nil || ctx.Err() == context.DeadlineExceeded {
				t.Errorf("%.100q: kvd %q ends with %v: %.300s", manifest, args, err, out)
			}
			if strings.Contains(string(out), "goroutine ") {
				t.Errorf("%.100q: kvd %q panics: %.2000s", manifest, args, out)
			}
		}
		if now, err := os.ReadFile(outside); err != nil || string(now) != precious {
			t.Fatalf("%.100q: a file outside was changed: %q, %v", manifest, now, err)
		}
	}
}

// noMoreFiles: a server that may open no more files neither ends nor turns its loop in vain.
func noMoreFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("limits of another process are set on Linux only")
	}
	s := harness.StartKVD(t)
	c := s.MustDial(t)
	c.MustDo(t, "PING")
	fds, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(s.PID()), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("prlimit", "--pid", strconv.Itoa(s.PID()), "--nofile="+strconv.Itoa(len(fds)+5)).CombinedOutput(); err != nil {
		t.Skipf("prlimit: %v %s", err, out)
	}
	before := processorTime(t, s.PID())
	began := time.Now()
	for range 200 {
		nc, err := net.DialTimeout("tcp", s.Addr, time.Second)
		if err != nil {
			break // the queue of the listening socket is full
		}
		_ = nc.(*net.TCPConn).SetLinger(0) // closed with a reset, as it may be before it is accepted
		nc.Close()
	}
	var held []net.Conn
	for range 50 {
		if nc, err := net.DialTimeout("tcp", s.Addr, time.Second); err == nil {
			held = append(held, nc)
		}
	}
	time.Sleep(time.Second)
	if r, err := c.Do("PING"); err != nil || r.Str != "PONG" {
		t.Fatalf("%v, %v", r, err)
	}
	if used, wall := processorTime(t, s.PID())-before, time.Since(began); used > wall/2 {
		t.Errorf("%v of processor time in %v", used, wall)
	}
	if st, err := os.Stat(s.LogPath()); err != nil || st.Size() > 64<<10 {
		t.Errorf("the log: %v, %v", st.Size(), err)
	}
	for _, nc := range held {
		nc.Close()
	}
	until(t, "new connections", func() bool {
		n, err := s.Dial()
		if err != nil {
			return false
		}
		defer n.Close()
		r, err := n.Do("PING")
		return err == nil && r.Str == "PONG"
	})
}

// exchange sends bytes on a connection of its own and returns all that is answered before PING's
// mark, or before the server closes.
func exchange(t *testing.T, addr, in string) string {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	const mark = "$9\r\nthe~mark~\r\n"
	go func() { // it may be refused while it is still being sent
		_, _ = io.WriteString(nc, in+"*2\r\n$4\r\nPING\r\n"+mark)
	}()
	var got []byte
	buf := make([]byte, 64<<10)
	_ = nc.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		n, err := nc.Read(buf)
		got = append(got, buf[:n]...)
		if at := strings.Index(string(got[max(0, len(got)-n-len(mark)):]), mark); at >= 0 {
			return strings.TrimSuffix(string(got), mark)
		}
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Errorf("%.200q is not answered", in)
			}
			return string(got)
		}
		if len(got) > 64<<20 {
			return string(got)
		}
	}
}

// resident is a process's memory in bytes; 0 where the system does not tell.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return n << 10
}

// processorTime is what a process has used of processors.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	// Behind the name in brackets: the 12th and 13th fields are ticks of 10 ms.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// TestStrangersHoldLittle: connections that have not authenticated, ask without an end and never
// read cost at most 20 KiB each.
func TestStrangersHoldLittle(t *testing.T) {
	want := 10000
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err == nil && int(lim.Cur) < want+500 {
		want = int(lim.Cur) - 500
	}
	s := harness.StartKVD(t, "--maxclients", "15000")
	c := s.MustDial(t)
	c.MustDo(t, "CONFIG", "SET", "requirepass", "secret")
	defer c.MustDo(t, "CONFIG", "SET", "requirepass", "")
	before := resident(t, s.PID())
	ask := []byte(strings.Repeat("GET x\r\n", 2000))
	conns := make([]net.Conn, 0, want)
	defer func() {
		for _, nc := range conns {
			nc.Close()
		}
	}()
	var most int64
	for i := range want {
		nc, err := net.DialTimeout("tcp", s.Addr, 5*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, nc)
		_ = nc.(*net.TCPConn).SetReadBuffer(4096)
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write(ask)
		if i%500 == 0 {
			most = max(most, resident(t, s.PID()))
		}
	}
	most = max(most, resident(t, s.PID()))
	each := (most - before) / int64(want)
	t.Logf("%d connections, %d bytes each", want, each)
	if each > 20<<10 {
		t.Errorf("a connection holds %d bytes", each)
	}
	if r := c.MustDo(t, "PING"); r.Str != "PONG" {
		t.Errorf("%v", r)
	}
}
