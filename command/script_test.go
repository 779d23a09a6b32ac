package command

import (
	"strings"
	"testing"
	"time"

	"kvd/keyspace"
	"kvd/resp/wire"
)

// eval runs a script without keys and compares the raw reply, written with \n for CRLF.
func (s *testServer) eval(script, reply string) {
	s.t.Helper()
	if got := strings.ReplaceAll(s.do("eval", script, "0"), "\r\n", "\n"); got != reply {
		s.t.Errorf("%s\n got %q\nwant %q", script, got, reply)
	}
}

// TestScriptReplies: values both ways, by Redis's rules.
func TestScriptReplies(t *testing.T) {
	s := newTestServer(t)
	s.run("set k v")
	s.run("hset h f v")
	for _, c := range [][2]string{
		{"return 3.99", ":3\n"},
		{"return -0.5", ":0\n"},
		{"return {1,2,nil,4}", "*2\n:1\n:2\n"},
		{"return {1,nil,3}", "*1\n:1\n"},
		{"return {false,true,'x',{}}", "*4\n$-1\n:1\n$1\nx\n*0\n"},
		{"return redis.call('get','k')", "$1\nv\n"},
		{"return redis.call('get','none')", "$-1\n"},
		{"return {redis.call('get','none')==false and 1, type(redis.call('type','k'))}", "*2\n:1\n$5\ntable\n"},
		{"return redis.call('type','k')", "+string\n"},
		{"return redis.call('hgetall','h')", "*2\n$1\nf\n$1\nv\n"},
		{"redis.setresp(3) return redis.call('hgetall','h')", "*2\n$1\nf\n$1\nv\n"},
		{"redis.setresp(3) return {redis.call('hgetall','h').map.f, redis.call('get','none')}", "*1\n$1\nv\n"},
		{"return {ok='fine'}", "+fine\n"},
		{"return {err='MY own'}", "-MY own\n"},
		{"return redis.error_reply('x')", "-ERR x\n"},
		{"return redis.pcall('get')", "-ERR Wrong number of args calling Redis command from script\n"},
		{"return redis.pcall('incr','k').err", "$43\nERR value is not an integer or out of range\n"},
		{"redis.call('set','n',0.1) return redis.call('get','n')", "$19\n0.10000000000000001\n"},
		{"return redis.sha1hex('')", "$40\nda39a3ee5e6b4b0d3255bfef95601890afd80709\n"},
		{"return redis.sha1hex({})", "$40\nda39a3ee5e6b4b0d3255bfef95601890afd80709\n"},
		{"return {ok = 'a\\0b'}", "+a\n"},
		{"return {err = 'a\\nb\\r\\n'}", "-a b\n"},
		{"local s = '' for _, v in ipairs({math.sqrt(0/0), math.ceil(0/0), -(0/0)}) do s = s .. bit.tohex(cmsgpack.pack(v):byte(9)) .. bit.tohex(struct.pack('>d', v):byte(8)) end return s",
			"$48\n" + strings.Repeat("0", 48) + "\n"},
		{"return {err = 'a\\0b'}", "-a\n"},
		{"return redis.error_reply('a\\0b c')", "-ERR a\n"},
		// pcall gives the text of an error table, as it did when these were texts.
		{"local ok, e = pcall(redis.call, 'nosuch') return e", "$44\nERR Unknown Redis command called from script\n"},
		{"local ok, e = pcall(function() return redis.call('incr', 'k') end) return type(e)", "$6\nstring\n"},
		{"local ok, e = pcall(error, {err = 5}) return e", ":5\n"},
		{"local ok, e = pcall(error, {'x'}) return e", "*1\n$1\nx\n"},
		{"local ok, e = xpcall(function() redis.call('nosuch') end, function(e) return e end) return type(e)", "$5\ntable\n"},
		{"local co = coroutine.create(function() redis.call('nosuch') end) local ok, e = coroutine.resume(co) return type(e)", "$5\ntable\n"},
		{"local ok, e = pcall(redis.call) return e", "$64\nERR Please specify at least one argument for this redis lib call\n"},
	} {
		s.eval(c[0], c[1])
	}
	for _, c := range [][2]string{
		{"error('boom')", "-ERR user_script:1: boom script: "},
		{"return redis.call('nosuch')", "-ERR Unknown Redis command called from script script: "},
		{"return redis.call('watch','k')", "-ERR This Redis command is not allowed from script script: "},
		{"\nx = 1", "-ERR user_script:2: Attempt to modify a readonly table script: "},
		{"return x", "-ERR user_script:1: Script attempted to access nonexistent global variable 'x' script: "},
		{"return (", "-ERR Error compiling script (new function): user_script:1: "},
		{"#!lua flags=nosuch\nreturn 1", "-ERR Unexpected flag in script shebang: nosuch"},
		{"#!js\nreturn 1", "-ERR Unexpected engine in script shebang: #!js"},
		{"#!lua flags='no\nreturn 1", "-ERR Invalid engine in script shebang"},
		{"#!lua flags=no-writes,\nreturn 1", "-ERR Unexpected flag in script shebang: "},
		{"redis.setresp(nil)", "-ERR RESP version must be 2 or 3. script: "},
		{"error(nil)", "-ERR nil script: "},
		{"error(true)", "-ERR true script: "},
		{"error('a\\0b')", "-ERR user_script:1: a script: "},
		{"error({err = 'a\\0b'})", "-a script: "},
	} {
		if got := s.do("eval", c[0], "0"); !strings.HasPrefix(got, c[1]) {
			t.Errorf("%s: %q, want %q...", c[0], got, c[1])
		}
	}
	// The position is the last error's, not that of one which was caught.
	for _, catch := range []string{"pcall(function() return nope end)", "pcall(loadstring('x = nope', '=other'))", "xpcall(function() return nope end, function() end)",
		"coroutine.resume(coroutine.create(function() return nope end))", "pcall(string.gsub, 'x', '.', function() error('x') end)"} {
		text := "local a = " + catch + "\nerror({err = 'last'})"
		if got := s.do("eval", text, "0"); !strings.HasSuffix(got, ", on @user_script:2.\r\n") {
			t.Errorf("%s: %q", text, got)
		}
	}
	s.want("evalsha 0123456789012345678901234567890123456789 0", "-NOSCRIPT No matching script. Please use EVAL.\n")
}

// TestScriptEffects: what a script changes is journaled as one unit, also where
// its arguments were made by the script, and two scripts of one EXEC are one
// unit with what lies between.
func TestScriptEffects(t *testing.T) {
	s := newTestServer(t)
	s.do("eval", "redis.call('set', KEYS[1], 'a'..1)", "1", "k")
	s.wantEffects("set k a1")
	s.do("eval", "for i=1,3 do redis.call('rpush','l',i) end redis.call('get','k') redis.call('select',3) redis.call('incr','n')", "0")
	s.wantEffects("MULTI", "rpush l 1", "rpush l 2", "rpush l 3", "incr n", "EXEC")
	s.want("exists n", ":0\n") // the client's database is what it was
	s.run("multi")
	s.do("eval", "return redis.call('append','x',ARGV[1])", "0", "one")
	s.run("incr y")
	s.do("eval", "return redis.call('append','x',ARGV[1])", "0", "two")
	s.want("exec", "*3\n:3\n:1\n:6\n")
	s.wantEffects("MULTI", "append x one", "incr y", "append x two", "EXEC")
	s.do("eval", "redis.call('set','a',1) error('late')", "0")
	s.wantEffects("set a 1") // as in Redis, what was done stays
	s.do("eval_ro", "redis.call('set','a',2)", "0")
	s.want("get a", "$1\n1\n")
	s.wantEffects()
}

// TestScriptFlags: what a script says of itself in its first line, and a follower's state.
func TestScriptFlags(t *testing.T) {
	s := newTestServer(t)
	s.setGate(gateReadOnly, true)
	for _, c := range [][2]string{
		{"return 1", ":1\n"},
		{"return redis.pcall('set','a','1')", "-READONLY You can't write against a read only replica.\n"},
		{"#!lua\nreturn 1", "-READONLY You can't write against a read only replica.\n"},
		{"#!lua flags=no-writes\nreturn 1", ":1\n"},
		{"#!lua flags=no-writes\nreturn redis.pcall('set','a','1')", "-ERR Write commands are not allowed from read-only scripts.\n"},
	} {
		s.eval(c[0], c[1])
	}
	s.setGate(gateReadOnly, false)
	if got := s.do("eval_ro", "#!lua\nreturn 1", "0"); got != "-ERR Can not execute a script with write flag using *_ro command.\r\n" {
		t.Error(got)
	}
}

// TestScriptsForgotten: beyond evalScriptsMax the oldest text that EVAL brought is
// forgotten, and none that SCRIPT LOAD did.
func TestScriptsForgotten(t *testing.T) {
	s := newTestServer(t)
	s.do("script", "load", "return 'kept'")
	s.do("eval", "return 'kept too'", "0")
	s.do("script", "load", "return 'kept too'")
	s.do("eval", "return 'first'", "0")
	for i := range evalScriptsMax {
		s.do("eval", "return "+strings.Repeat("1", i+1), "0")
	}
	if n, _ := s.scripts.size(); n != evalScriptsMax+2 {
		t.Errorf("%d scripts are known", n)
	}
	got := s.do("script", "exists", shaOf([]byte("return 'kept'")), shaOf([]byte("return 'kept too'")), shaOf([]byte("return 'first'")))
	if got != "*3\r\n:1\r\n:1\r\n:0\r\n" || s.scripts.evicted.Load() != 1 {
		t.Errorf("%q, %d evicted", got, s.scripts.evicted.Load())
	}
	s.run("script flush")
	if n, memory := s.scripts.size(); n != 0 || memory != 0 {
		t.Errorf("%d scripts of %d bytes after SCRIPT FLUSH", n, memory)
	}
}

// TestDeclaresItsKeys: which scripts run under the locks of their keys alone.
func TestDeclaresItsKeys(t *testing.T) {
	table := newTestTable()
	for _, code := range []string{
		"return 1",
		"return redis.call('get', KEYS[1])",
		"if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call(\"del\", KEYS[1]) else return 0 end",
		"local k = KEYS[1] local n = redis.call('incr', k) if n == 1 then redis.call('expire', k, ARGV[1]) end return n",
		"for i = 1, #KEYS do redis.call('del', KEYS[i]) end",
		"return redis.call('lmove', KEYS[1], KEYS[2], 'left', 'right') -- redis.call('get', 'x')",
		"return {redis.call('time')[1], redis.call('ping'), redis.sha1hex('x')}",
		"redis.log(redis.LOG_NOTICE, 'x') return redis.pcall('hset', KEYS[1], 'f', KEYS[2])",
	} {
		if !declaresItsKeys(table, code) {
			t.Errorf("%s: runs under all locks", code)
		}
	}
	for _, code := range []string{
		"return redis.call('get', 'x')",
		"return redis.call('get', KEYS[1]..'x')",
		"return redis.call('get', ARGV[1])",
		"return redis.call(ARGV[1], KEYS[1])",
		"local r = redis return r.call('get', 'x')",
		"local call = redis.call return call('get', 'x')",
		"return redis['call']('get', 'x')",
		"KEYS[1] = 'x' return redis.call('get', KEYS[1])",
		"local a a, KEYS[1] = 1, 'x' return redis.call('get', KEYS[1])",
		"local a KEYS[1], a = 'x', 1 return redis.call('get', KEYS[1])",
		"local KEYS = {'x'} return redis.call('get', KEYS[1])",
		"local function f(KEYS) return redis.call('get', KEYS[1]) end return f({'x'})",
		"rawset(KEYS, 1, 'x') return redis.call('get', KEYS[1])",
		"local t = KEYS t[1] = 'x' return redis.call('get', KEYS[1])",
		"local k = KEYS[1] k = 'x' return redis.call('get', k)",
		"local k = KEYS[1] do local k = 'x' return redis.call('get', k) end",
		"local k = KEYS[1] for k in pairs({x=1}) do redis.call('get', k) end",
		"local k = KEYS[1] local function f(k) return redis.call('get', k) end return f('x')",
		"local k = KEYS[1] local j j, k = 1, 'x' return redis.call('get', k)",
		"local k = KEYS[1] .. 'x' return redis.call('get', k)",
		"local k = KEYS[1] or 'x' return redis.call('get', k)",
		"return loadstring('return redis.call(\"get\", \"x\")')()",
		"return _G.redis.call('get', 'x')",
		"return redis.call('keys', '*')",
		"return redis.call('dbsize')",
		"return redis.call('mget', KEYS[1], 'x')",
		"return redis.call('del', KEYS[1], 'x', KEYS[2])",
		"return redis.call('mset', KEYS[1], 'x', 'y', 1)",
		"return redis.call('mget', unpack(KEYS))",
		"return redis.call('sort', KEYS[1], 'by', 'x*')",
		"return redis.call('flushall')",
		"return redis.call('lmove', KEYS[1], 'x', 'left', 'right')",
		"return redis.call('\\103et', 'x')",
		"return redis.call('get' , [[x]])",
		"return redis.call 'ping'",
	} {
		if declaresItsKeys(table, code) {
			t.Errorf("%s: runs under the locks of its keys", code)
		}
	}
}

// TestScriptUndeclared: a script that reaches a key which it was not known to
// reach gets an error, not a race.
func TestScriptUndeclared(t *testing.T) {
	s := newTestServer(t)
	code := "return redis.call('set', ARGV[1], 1)"
	sha := shaOf([]byte(code))
	s.do("script", "load", code)
	s.scripts.find([]byte(sha)).allKeys = false // as if the proof had a gap
	if got := s.do("evalsha", sha, "1", "a", "b"); !strings.HasPrefix(got, "-"+errCallKey) {
		t.Error(got)
	}
	s.want("exists b", ":0\n")
}

// TestFunctions: libraries are loaded, called, dumped and restored; the variables
// of a library are one for all calls.
func TestFunctions(t *testing.T) {
	s := newTestServer(t)
	code := "#!lua name=lib\nlocal n = 0\nredis.register_function('count', function(keys, args) n = n + 1 redis.call('set', keys[1], n) return n end)"
	if got := s.do("function", "load", code); got != "$3\r\nlib\r\n" {
		t.Fatal(got)
	}
	s.wantEffects("function load " + code)
	s.want("fcall count 1 k", ":1\n")
	s.want("fcall COUNT 1 k", ":2\n")
	s.wantEffects("set k 1", "set k 2")
	s.want("fcall_ro count 1 k", "-"+errFunctionWrite+"\n")
	payload := s.do("function", "dump")
	_, payload, _ = strings.Cut(payload, "\r\n")
	payload = strings.TrimSuffix(payload, "\r\n")
	if got := s.do("function", "restore", payload); got != "-ERR Library lib already exists\r\n" {
		t.Error(got)
	}
	s.run("function flush")
	s.want("fcall count 1 k", "-"+errNoFunction+"\n")
	if got := s.do("function", "restore", payload); got != "+OK\r\n" {
		t.Error(got)
	}
	s.want("fcall count 1 k", ":1\n")
}

// TestKeysGrow: a script that makes KEYS or ARGV longer leaves nothing to the next one, whose
// tables use the same memory again.
func TestKeysGrow(t *testing.T) {
	s := newTestServer(t)
	for range 50 {
		s.eval("for i=1,9 do KEYS[i]='grown' ARGV[i]='grown' end local t={} for i=1,20 do t[i]={i,i} end return #KEYS", ":9\n")
		s.eval("local t={} for i=1,20 do t[i]={'own',i} end return {#KEYS,#ARGV,t[1][1],t[20][2],tostring(KEYS[1])}", "*5\n:0\n:0\n$3\nown\n:20\n$3\nnil\n")
		if got := s.do("eval", "local t={} for i=1,30 do t[i]={i} end KEYS[4]='x' return {KEYS[1],KEYS[2],ARGV[1],t[3][1]}", "2", "a", "b", "c"); got != "*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n:3\r\n" {
			t.Fatalf("%q", got)
		}
	}
}

// targets notes for whom each effect is.
type targets []string

func (t *targets) Effect(e keyspace.Effect) {
	who := "all"
	switch {
	case e.Volatile:
		who = "followers"
	case e.Local:
		who = "log"
	}
	*t = append(*t, string(e.Args[1])+" "+who)
}
func (t *targets) Begin() {}
func (t *targets) End()   {}

// TestSetRepl: redis.set_repl says who gets the effects of the calls that follow, in
// this run of the script only.
func TestSetRepl(t *testing.T) {
	s := newTestServer(t)
	var got targets
	s.Keyspace.Journal.Attach(&got)
	s.eval("redis.call('set','a','1') redis.set_repl(redis.REPL_NONE) redis.call('set','b','2') redis.set_repl(redis.REPL_AOF) redis.call('set','c','3') "+
		"redis.set_repl(redis.REPL_REPLICA) redis.call('incr','d') redis.set_repl(redis.REPL_ALL) redis.call('set','e','4') redis.set_repl(redis.REPL_NONE)", "$-1\n")
	s.eval("return redis.call('set','f','5')", "+OK\n")
	if want := "a all, c log, d followers, e all, f all"; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
	if got := s.do("mget", "a", "b", "c", "d", "e"); strings.Contains(got, "$-1") {
		t.Errorf("the server itself has %q", got)
	}
}

// TestRecentScripts: what an Exec remembers of a script counts no longer once another
// one has flushed it, and texts that share a place are told apart.
func TestRecentScripts(t *testing.T) {
	s := newTestServer(t)
	body := "return 'one'"
	sha := shaOf([]byte(body))
	s.eval(body, "$3\none\n")
	s.want("evalsha "+sha+" 0", "$3\none\n")
	s.want("evalsha "+strings.ToUpper(sha)+" 0", "$3\none\n")
	other := *s
	other.x, other.c = s.NewExec(), s.NewClient(nil, "", "", 5)
	other.want("script flush", "+OK\n")
	s.want("evalsha "+sha+" 0", "-NOSCRIPT No matching script. Please use EVAL.\n")
	s.eval(body, "$3\none\n")
	s.want("script exists "+sha, "*1\n:1\n")
	var place *recentScript
	same := 0
	for i := 0; i < 100000 && same < 3; i++ { // "return 1 - i" ends in what decides the place
		text := []byte("return " + string(rune('1'+i%9)) + strings.Repeat(" ", 1+i/9%200) + "--1234567890")
		if at := s.x.recent.slot(byText, text); place == nil || at == place {
			place = at
			same++
			s.eval(string(text), ":"+string(rune('1'+i%9))+"\n")
		}
	}
	if same < 3 {
		t.Fatal("no texts share a place")
	}
}

// TestScriptsKept: what SCRIPT LOAD brings, and what EVALSHA relies on, is journaled once;
// what only EVAL has brought is not. A follower journals what its leader says.
func TestScriptsKept(t *testing.T) {
	s := newTestServer(t)
	s.do("script", "load", "return 1")
	s.do("script", "load", "return 1")
	s.do("evalsha", shaOf([]byte("return 1")), "0")
	s.wantEffects("SCRIPT LOAD return 1")
	s.eval("return redis.call('incr','n')", ":1\n")
	s.wantEffects("incr n")
	sha := shaOf([]byte("return redis.call('incr','n')"))
	s.do("evalsha", sha, "0")
	s.wantEffects("MULTI", "SCRIPT LOAD return redis.call('incr','n')", "incr n", "EXEC")
	s.do("evalsha", sha, "0")
	s.wantEffects("incr n")
	s.eval("return 2", ":2\n")
	if kept, evals := s.Scripts(); strings.Join(kept, ";") != "return 1;return redis.call('incr','n')" || strings.Join(evals, ";") != "return 2" {
		t.Errorf("kept %q, of EVAL %q", kept, evals)
	}
	s.run("script flush")
	s.wantEffects("SCRIPT FLUSH")

	other := newTestServer(t)
	other.LoadScripts([]string{"return 1", "return ("}, []string{"return 2"})
	other.want("evalsha "+shaOf([]byte("return 1"))+" 0", ":1\n")
	other.wantEffects() // its log has it already
	other.following.Store(true)
	other.do("script", "load", "return 3")
	other.want("evalsha "+shaOf([]byte("return 2"))+" 0", ":2\n")
	other.run("script flush")
	other.wantEffects()
	a := other.NewStreamApplier()
	for _, args := range [][]string{{"SCRIPT", "LOAD", "return 4"}, {"SCRIPT", "LOAD", "return ("}, {"SCRIPT", "FLUSH"}, {"SCRIPT", "LOAD", "return 5"}} {
		b := make([][]byte, len(args))
		for i := range args {
			b[i] = []byte(args[i])
		}
		if err := a.Apply(b); err != nil {
			t.Error(err)
		}
	}
	other.want("script exists "+shaOf([]byte("return 4"))+" "+shaOf([]byte("return 5")), "*2\n:0\n:1\n")
}

// TestScriptErrorsCounted: an error of a command that a script calls counts once, whether the
// script ends with it, returns it or drops it; a refusal counts as the command's.
func TestScriptErrorsCounted(t *testing.T) {
	s := newTestServer(t)
	s.run("set k v")
	for _, c := range []struct {
		script  string
		errors  int64
		refused int64
	}{
		{"return redis.call('incr','k')", 1, 0},
		{"return redis.pcall('incr','k')", 1, 0},
		{"redis.pcall('incr','k') return 1", 1, 0},
		{"redis.pcall('incr','k') error('another')", 2, 0},
		{"return redis.call('incr')", 1, 1},
		{"redis.pcall('incr') return 1", 1, 1},
		{"return {ignore_error_stats_update=true}", 0, 0},
		{"error('own')", 1, 0},
	} {
		rejected := &s.x.stats[s.Table.Lookup([]byte("incr")).num].Rejected
		errors, refused := s.errors.all, rejected.Load()
		s.do("eval", c.script, "0")
		if got := s.errors.all - errors; got != c.errors {
			t.Errorf("%s: %d errors, want %d", c.script, got, c.errors)
		}
		if got := rejected.Load() - refused; got != c.refused {
			t.Errorf("%s: %d refused, want %d", c.script, got, c.refused)
		}
	}
}

// brokenLog is a Persistence that panics where what a script beside the loops did is journaled.
type brokenLog struct {
	noPersistence
	asked, distrusted bool
}

func (p *brokenLog) Distrust(error) { p.distrusted = true }

func (p *brokenLog) Appended() int64 {
	if !p.asked {
		p.asked = true
		panic("a fault")
	}
	return 0
}

// TestPanicBesideLoops: a fault in the server while a script ends beside the loops leaves
// no stripe locked or reserved, and log and followers are not trusted any more.
func TestPanicBesideLoops(t *testing.T) {
	for _, function := range []bool{false, true} {
		s := newTestServer(t)
		conn, log := newFakeConn(), &brokenLog{}
		body := "redis.call('SET', KEYS[1], 1) for i = 1, 3e6 do end return 1"
		line := []string{"EVAL", body, "1", "k"}
		if function {
			s.do("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function(KEYS) "+body+" end)")
			line = []string{"FCALL", "f", "1", "k"}
		}
		s.persist, s.c.Conn = log, conn
		var w wire.Writer
		s.x.SetTime(time.Now())
		var args [][]byte
		for _, a := range line {
			args = append(args, []byte(a))
		}
		out := s.x.Run(s.c, args, &w)
		if out != Parked {
			t.Fatalf("the script did not leave the loop: %v, %q", out, w.Buf)
		}
		if got := conn.wait(t); got != "-ERR internal error\r\n" {
			t.Errorf("%q", got)
		}
		if !log.distrusted {
			t.Error("the log is trusted")
		}
		other := *s
		other.x, other.c = s.NewExec(), s.NewClient(nil, "", "", 5)
		other.want("set k 2", "+OK\n")
		other.want("flushall", "+OK\n")
	}
}

// TestScriptKnownOnceRun: an EVAL that is refused or discarded leaves no script behind.
func TestScriptKnownOnceRun(t *testing.T) {
	s := newTestServer(t)
	known := func(want string) {
		t.Helper()
		if got := s.do("script", "exists", shaOf([]byte("return 42"))); got != "*1\r\n:"+want+"\r\n" {
			t.Errorf("SCRIPT EXISTS: %q, want %s", got, want)
		}
	}
	for _, count := range []string{"x", "-1", "1"} {
		if got := s.do("eval", "return 42", count); got[0] != '-' {
			t.Fatalf("%s keys: %q", count, got)
		}
		known("0")
	}
	s.do("multi")
	s.do("eval", "return 42", "0")
	s.do("discard")
	known("0")
	s.do("multi")
	s.do("eval", "return 42", "0")
	if got := s.do("exec"); got != "*1\r\n:42\r\n" {
		t.Errorf("EXEC: %q", got)
	}
	known("1")
	s.do("script", "flush")
	s.eval("return 42", ":42\n")
	known("1")
	s.do("script", "flush")
	known("0")
	s.eval("return 42", ":42\n")
	known("1")
}
