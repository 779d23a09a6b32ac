package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kvd/acl"
	"kvd/config"
)

// userConn is a connection that counts what becomes of it.
type userConn struct {
	*fakeConn
	killed int
	pushes []string
}

func (c *userConn) Kill(bool)     { c.killed++ }
func (c *userConn) Push(b []byte) { c.pushes = append(c.pushes, string(b)) }

func (s *testServer) conn() *userConn { return s.c.Conn.(*userConn) }

// byName makes a client that has authenticated as a user, whose password is p.
func (s *testServer) byName(user string) *testServer {
	s.t.Helper()
	o := *s
	o.c = s.NewClient(&userConn{fakeConn: newFakeConn()}, "127.0.0.1:1", "127.0.0.1:2", 4)
	o.want("auth "+user+" p", "+OK\n")
	return &o
}

// asNew makes a user of these rules, and a client of his.
func (s *testServer) asNew(user, rules string) *testServer {
	s.t.Helper()
	s.want("acl setuser "+user+" reset on >p "+rules, "+OK\n")
	return s.byName(user)
}

// refused wants a command line to be refused.
func (s *testServer) refused(line string) {
	s.t.Helper()
	if got := s.run(line); !strings.Contains(got, "NOPERM") {
		s.t.Errorf("%s: %q", line, got)
	}
}

// allowed wants a command line not to be refused.
func (s *testServer) allowed(line string) {
	s.t.Helper()
	if got := s.run(line); strings.Contains(got, "NOPERM") || strings.Contains(got, "denied due to") || strings.Contains(got, "unknown command") {
		s.t.Errorf("%s: %q", line, got)
	}
}

// TestRightsTexts: what a refused client is told, in whatever way it tries.
func TestRightsTexts(t *testing.T) {
	s := newTestServer(t)
	u := s.asNew("joe", "~k:* &c:* +get +set +mget +publish +config|get +multi +exec +eval +sort -ping +select|1")
	for line, want := range map[string]string{
		"del k:1":        "-NOPERM User joe has no permissions to run the 'del' command\n",
		"config set a b": "-NOPERM User joe has no permissions to run the 'config|set' command\n",
		"get x":          "-NOPERM No permissions to access a key\n",
		"mget k:1 x":     "-NOPERM No permissions to access a key\n",
		"publish d m":    "-NOPERM No permissions to access a channel\n",
		"select 2":       "-NOPERM User joe has no permissions to run the 'select' command\n",
		"get":            "-ERR wrong number of arguments for 'get' command\n",
		"auth joe wrong": "-WRONGPASS invalid username-password pair or user is disabled.\n",
		"eval return{redis.pcall('del','k:1'),redis.pcall('get','x'),redis.pcall('publish','d','m'),redis.acl_check_cmd('get','k:1'),redis.acl_check_cmd('get','x'),redis.acl_check_cmd('del','k:1')} 0": "*6\n" +
			"-NOPERM ACL failure in script: User joe has no permissions to run the 'del' command\n" +
			"-NOPERM ACL failure in script: No permissions to access a key\n-NOPERM ACL failure in script: No permissions to access a channel\n:1\n$-1\n$-1\n",
	} {
		u.want(line, want)
	}
	u.want("select 1", "+OK\n")
	var got []string
	for _, e := range s.rights.log.Newest(100) {
		got = append(got, e.Reason.String()+" "+e.Context+" "+e.Object+" "+e.Username)
	}
	for _, want := range []string{"command toplevel del joe", "command toplevel config|set joe", "key toplevel x joe", "channel toplevel d joe", "auth toplevel auth joe",
		"command lua del joe", "key lua x joe", "channel lua d joe"} {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("the log has no %q: %q", want, got)
		}
	}
	m := s.info("stats")
	for field, want := range map[string]string{"auth": "1", "cmd": "4", "key": "3", "channel": "2", "db": "0"} {
		if m["acl_access_denied_"+field] != want {
			t.Errorf("acl_access_denied_%s: %s", field, m["acl_access_denied_"+field])
		}
	}
	if m := s.info("commandstats"); !strings.Contains(m["cmdstat_del"], "rejected_calls=2") {
		t.Errorf("%q", m["cmdstat_del"])
	}
	s.want("config resetstat", "+OK\n")
	if m := s.info("stats"); m["acl_access_denied_cmd"] != "0" {
		t.Error("RESETSTAT leaves the counters of refusals")
	}
}

// TestRightsOnKeys: of every command the keys that it reads, writes, or both, which
// also may depend on arguments.
func TestRightsOnKeys(t *testing.T) {
	s := newTestServer(t)
	u := s.asNew("u", "+@all %R~r* %W~w* ~b*")
	s.run("rpush r 1")
	for _, line := range []string{"get r", "set w 1", "set b 1 get", "copy r w", "sort r store w", "zunionstore w 2 r b", "bitop not w r", "getex b", "lmpop 1 b left", "rename b b2", "geosearchstore w r fromlonlat 0 0 byradius 1 km",
		"bitfield r get u8 0", "eval return{} 0", "eval return{} 1 b", "exists w", "xread streams r 0", "georadius r 0 0 1 km store w", "sort r by const", "sort r get #", "object encoding w", "memory usage r"} {
		u.allowed(line)
	}
	for _, line := range []string{"get w", "set r 1", "set w 1 get", "copy w r", "copy r r2", "sort r store r", "zunionstore r 1 r", "zunionstore w 2 r w", "bitop not w w", "getex r", "getdel w", "lmpop 1 r left", "rename r w", "geosearchstore r r fromlonlat 0 0 byradius 1 km",
		"bitfield w get u8 0", "bitfield r set u8 0 1", "eval return{} 1 r", "eval return{} 1 w", "exists x", "xread streams r x 0 0", "xreadgroup group g c streams w >", "georadius r 0 0 1 km store r", "sort w by const", "smove b r x", "mset b 1 x 2", "msetnx b 1 x 2", "msetex 2 b 1 x 2", "watch x",
		"migrate h 1 x 0 9", "sintercard 2 r x", "xdel r 1-1", "hgetdel r fields 1 f", "object encoding x", "memory usage x"} {
		u.refused(line)
	}
	s.want("exists x", ":0\n")
	// SORT's patterns read keys that nobody has named.
	u.want("sort r by k_*", "-ERR BY option of SORT denied due to insufficient ACL permissions.\n")
	u.want("sort r get k_*", "-ERR GET option of SORT denied due to insufficient ACL permissions.\n")
	u.want("sort_ro r get # get k_*", "-ERR GET option of SORT denied due to insufficient ACL permissions.\n")
	all := s.asNew("all", "+@all %R~*")
	all.allowed("sort r by k_* get k_*")
	// So does EXEC's condition.
	u.want("multi", "+OK\n")
	u.run("set w 1")
	if got := u.run("exec ifeq w 1"); !strings.HasPrefix(got, "-EXECABORT") || !strings.Contains(got, "NOPERM") {
		t.Errorf("EXEC on a foreign key: %q", got)
	}
}

// TestRightsOnDatabases: db= as Valkey 9.1 has it.
func TestRightsOnDatabases(t *testing.T) {
	s := newTestServer(t)
	u := s.asNew("u", "+@all ~* &* db=1,3")
	const text = "-NOPERM No permissions to access database\n"
	for _, line := range []string{"get a", "set a 1", "keys *", "dbsize", "scan 0", "flushdb", "flushall", "select 0", "select 2", "swapdb 1 2", "randomkey", "exists a"} {
		u.want(line, text)
	}
	u.want("ping", "+PONG\n") // it touches no database
	u.want("eval return(1) 0", ":1\n")
	u.want("select 1", "+OK\n")
	for _, test := range [][2]string{{"set a 1", "+OK\n"}, {"move a 2", text}, {"copy a b db 2", text}, {"copy a b db 3", ":1\n"}, {"swapdb 1 3", "+OK\n"}, {"flushall", text}, {"eval redis.call('select',2) 0", ""}} {
		line, want := test[0], test[1]
		if got := u.run(line); want != "" && got != strings.ReplaceAll(want, "\n", "\r\n") {
			t.Errorf("%s: %q", line, got)
		} else if want == "" && !strings.Contains(got, "NOPERM ACL failure in script: No permissions to access database") {
			t.Errorf("%s: %q", line, got)
		}
	}
	s.want("acl dryrun u select 2", "$46\nUser u has no permissions to access database 2\n")
	s.want("acl dryrun u get a", "$48\nUser u has no permissions to access database get\n")
	if e := s.rights.log.Newest(1)[0]; e.Reason != acl.Database {
		t.Errorf("%+v", e)
	}
	if got := s.run("acl getuser u"); !strings.Contains(got, "databases\r\n$6\r\ndb=1,3\r\n") {
		t.Errorf("%q", got)
	}
}

// TestRightsChange: what was begun under rights that are gone is not carried out.
func TestRightsChange(t *testing.T) {
	s := newTestServer(t)
	u := s.asNew("u", "+@all ~* &*")
	// In EXEC's queue.
	u.want("multi", "+OK\n")
	u.want("set a 1", "+QUEUED\n")
	u.want("set b 1", "+QUEUED\n")
	u.want("publish c m", "+QUEUED\n")
	u.want("dbsize", "+QUEUED\n")
	s.want("acl setuser u resetkeys ~a resetchannels -dbsize", "+OK\n")
	const changed = "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: "
	u.want("exec", "*4\n+OK\n"+changed+"no permission to touch the specified keys\n"+changed+"no permission to access one of the channels used as arguments to the command\n"+
		changed+"no permission to execute the command or subcommand\n")
	s.want("exists a b", ":1\n")
	if e := s.rights.log.Newest(1)[0]; e.Context != "multi" || e.Object != "dbsize" {
		t.Errorf("%+v", e)
	}
}

// TestBlockedWithoutRights: a client that waits is not served from what it may not read
// any more, and the element stays for others.
func TestBlockedWithoutRights(t *testing.T) {
	s := newTestServer(t)
	s.want("acl setuser u on >p ~* +@all", "+OK\n")
	u, v := newFakeConn(), newFakeConn()
	first, second := s.NewClient(u, "127.0.0.1:1", "127.0.0.1:2", 4), s.NewClient(v, "127.0.0.1:1", "127.0.0.1:2", 5)
	a, b := &blocker{first, s, u}, &blocker{second, s, v}
	mine := s.c
	s.c = first
	s.want("auth u p", "+OK\n")
	s.c = mine
	a.run("blpop l 0")
	b.run("blpop l 0")
	s.want("acl setuser u resetkeys ~x", "+OK\n")
	s.want("rpush l 1", ":1\n")
	a.want("-NOPERM No permissions to access a key\n")
	b.want("*2\n$1\nl\n$1\n1\n")
	if e := s.rights.log.Newest(1); len(e) != 1 || e[0].Object != "l" {
		t.Errorf("%+v", e)
	}
}

// TestDeletedUser: its clients are closed, and what they have sent is not run.
func TestDeletedUser(t *testing.T) {
	s := newTestServer(t)
	u, other := s.asNew("u", "+@all ~* &*"), s.asNew("v", "+@all ~* &*")
	s.want("acl deluser u nobody", ":1\n")
	if got := u.run("set late 1"); got != "" {
		t.Errorf("a client of a deleted user got %q", got)
	}
	if !u.c.Closing() || u.conn().killed != 1 {
		t.Error("its connection is not closed")
	}
	other.want("acl whoami", "$1\nv\n")
	s.want("exists late", ":0\n")
	s.want("acl deluser default", "-ERR The 'default' user cannot be removed\n")
	if got := other.run("acl deluser v"); got != ":1\r\n" || other.conn().killed != 0 {
		t.Errorf("a client that deletes its own user got %q", got)
	}
	if got := other.run("set late 1"); got != "" {
		t.Errorf("and then %q", got)
	}
	// Switched off, its clients go on.
	w := s.asNew("w", "+@all ~*")
	s.want("acl setuser w off", "+OK\n")
	w.want("acl whoami", "$1\nw\n")
	w.want("auth w p", "-WRONGPASS invalid username-password pair or user is disabled.\n")
}

// TestSubscribersLoseChannels: those whose channels stay are left alone.
func TestSubscribersLoseChannels(t *testing.T) {
	s := newTestServer(t)
	s.want("acl setuser u on >p +@all &a* &b", "+OK\n")
	a, b, p, sh := s.byName("u"), s.byName("u"), s.byName("u"), s.byName("u")
	a.allowed("subscribe ax")
	b.allowed("subscribe b")
	p.allowed("psubscribe a*")
	sh.allowed("ssubscribe ay")
	closed := func(want ...bool) {
		t.Helper()
		for i, c := range []*testServer{a, b, p, sh} {
			if got := c.c.Closing(); got != want[i] {
				t.Errorf("client %d: closed is %v", i, got)
			}
		}
	}
	s.want("acl setuser u &c", "+OK\n")
	closed(false, false, false, false)
	s.want("acl setuser u resetchannels &b &ax", "+OK\n")
	closed(false, false, true, true)
	s.want("acl setuser u resetchannels &ax", "+OK\n")
	closed(false, true, true, true)
}

// TestRequirePass: the directive is the default user's password, and rules may give it
// others.
func TestRequirePass(t *testing.T) {
	s := newTestServer(t)
	set := func(value string) {
		t.Helper()
		if err := s.Config.Set([]config.Pair{{Name: "requirepass", Value: value}}, config.Caller{}); err != nil {
			t.Fatal(err)
		}
	}
	fresh := func() *testServer {
		o := *s
		o.c = s.NewClient(nil, "127.0.0.1:1", "127.0.0.1:2", 4)
		return &o
	}
	before := fresh()
	before.want("auth x", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\n")
	set("secret")
	before.want("ping", "+PONG\n")
	c := fresh()
	c.want("ping", "-NOAUTH Authentication required.\n")
	if !s.Unknown(c.c) || s.Unknown(before.c) {
		t.Error("who is unknown?")
	}
	c.want("acl whoami", "-NOAUTH Authentication required.\n")
	c.want("auth wrong", "-WRONGPASS invalid username-password pair or user is disabled.\n")
	c.want("auth secret", "+OK\n")
	c.want("acl list", "*1\n$110\nuser default on sanitize-payload #"+acl.Hash([]byte("secret"))+" ~* &* +@all\n")
	s.want("acl setuser default >more", "+OK\n")
	c = fresh()
	c.want("auth default more", "+OK\n")
	set("")
	c = fresh()
	c.want("ping", "+PONG\n")
	set("again")
	c.want("ping", "+PONG\n") // it has authenticated by connecting
	s.want("acl setuser default off", "+OK\n")
	fresh().want("ping", "-NOAUTH Authentication required.\n")
	s.want("acl setuser default on nopass -@all +ping", "+OK\n")
	c = fresh()
	c.want("ping", "+PONG\n")
	c.refused("get a")
	c.want("reset", "+RESET\n")
	c.refused("get a")
}

// TestLoginAs: who has proved in another way who he is needs no password.
func TestLoginAs(t *testing.T) {
	s := newTestServer(t)
	s.want("acl setuser cert on +ping", "+OK\n")
	s.want("acl setuser gone off +ping", "+OK\n")
	if s.LoginAs(s.c, "nobody") || s.LoginAs(s.c, "gone") || !s.LoginAs(s.c, "cert") {
		t.Error("LoginAs")
	}
	s.want("ping", "+PONG\n")
	s.refused("acl whoami")
}

// TestClientsOfUsers: CLIENT LIST and KILL know users.
func TestClientsOfUsers(t *testing.T) {
	s := newTestServer(t)
	u, v := s.asNew("u", "+@all"), s.asNew("v", "+@all")
	if got := s.run("client list"); !strings.Contains(got, " user=u ") || !strings.Contains(got, " user=v ") || !strings.Contains(got, " user=default ") {
		t.Errorf("%s", got)
	}
	s.want("client kill user u", ":1\n")
	if !u.c.Closing() || v.c.Closing() {
		t.Error("the wrong one is closed")
	}
	s.want("client kill user nobody", "-ERR No such user 'nobody'\n")
}

// TestBroadcastHidesKeys: names of keys that a client may not read are not told.
func TestBroadcastHidesKeys(t *testing.T) {
	s := newTestServer(t)
	u := s.asNew("u", "+@all ~mine* %W~w*")
	u.allowed("hello 3")
	u.want("client tracking on bcast", "+OK\n")
	s.run("mset other 1 w 1 mine:1 2")
	if got := strings.Join(u.conn().pushes, ""); !strings.Contains(got, "mine:1") || strings.Contains(got, "other") || strings.Contains(got, "\r\nw\r\n") {
		t.Errorf("%q", got)
	}
	s.want("acl setuser u ~other", "+OK\n")
	if got := strings.Join(u.conn().pushes, ""); !strings.HasSuffix(got, ">2\r\n$10\r\ninvalidate\r\n_\r\n") {
		t.Errorf("after a change of rights: %q", got)
	}
}

// TestACLFile: LOAD takes all of a file or nothing of it, and SAVE writes what LOAD takes.
func TestACLFile(t *testing.T) {
	s := newTestServer(t)
	s.want("acl load", strings.ReplaceAll(errNoACLFile, "ERR ", "-ERR ")+"\n")
	s.want("acl save", strings.ReplaceAll(errNoACLFile, "ERR ", "-ERR ")+"\n")
	file := filepath.Join(t.TempDir(), "users.acl")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Config.SetInitial("aclfile", []string{file}); err != nil {
		t.Fatal(err)
	}
	if err := s.LoadUsers(); err == nil || !strings.Contains(err.Error(), "opening file '"+file+"': no such file") {
		t.Errorf("no file: %v", err)
	}
	write("# comment\nuser default on nopass ~* &* +@all\nuser a on >p ~a* +@all &x\nuser b on >p +@all ~*\n")
	if err := s.LoadUsers(); err != nil {
		t.Fatal(err)
	}
	a, b := s.byName("a"), s.byName("b")
	a.allowed("subscribe x")
	s.want("acl setuser c on", "+OK\n")
	s.want("acl save", "+OK\n")
	text, _ := os.ReadFile(file)
	if want := "user c on sanitize-payload resetchannels -@all\n"; !strings.Contains(string(text), want) {
		t.Errorf("%s", text)
	}
	if st, _ := os.Stat(file); st.Mode().Perm() != 0o600 {
		t.Errorf("the file became %v", st.Mode())
	}
	list := s.run("acl list")
	write("user a on >p ~* +@all &x\nuser b on +nosuch\nuser\n")
	s.want("acl load", "-ERR "+file+":2: Error in applying operation '+nosuch': Unknown command or category name in ACL. "+file+
		":3 should start with user keyword followed by the username. WARNING: ACL errors detected, no change to the previously active ACL rules was performed\n")
	if s.run("acl list") != list || a.c.Closing() {
		t.Error("a faulty file changed something")
	}
	write(string(text))
	s.want("acl load", "+OK\n")
	if s.run("acl list") != list || a.c.Closing() || b.c.Closing() {
		t.Error("SAVE and LOAD changed something")
	}
	write("user a on >p ~other +@all &x\n")
	s.want("acl load", "+OK\n")
	if a.c.Closing() || !b.c.Closing() {
		t.Error("who is closed?")
	}
	a.refused("get a")
	write("user a on >p ~other +@all\n")
	s.want("acl load", "+OK\n")
	if !a.c.Closing() {
		t.Error("a subscriber keeps a channel that a file took away")
	}
}

// TestUserLines: users of the configuration, and what CONFIG REWRITE makes of them.
func TestUserLines(t *testing.T) {
	load := func(text string) (*config.Config, error) {
		cfg := config.New()
		if err := cfg.LoadReader(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		return cfg, CheckUsers(newTestTable(), cfg)
	}
	cfg, err := load("hz 10\nuser a on >p (+get ~x ) ~\"q*\"\nuser default on >d ~* &* +@all\nrequirepass other\n")
	if err != nil {
		t.Fatal(err)
	}
	s := newTestServer(t)
	s.Config.RequirePass = cfg.RequirePass
	s.Server.Config = cfg
	if err := s.LoadUsers(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Join(s.userLines(), "\n")
	if want := "user a on sanitize-payload #" + acl.Hash([]byte("p")) + " ~q* resetchannels -@all (~x resetchannels -@all +get)\n" +
		"user default on sanitize-payload #" + acl.Hash([]byte("d")) + " ~* &* +@all"; lines != want {
		t.Errorf("%s\nwant\n%s", lines, want)
	}
	s.run(`acl setuser a ~"x`)
	if _, err = load(strings.Join(s.userLines(), "\n")); err != nil {
		t.Fatalf("%v: %q", err, s.userLines())
	}
	for text, want := range map[string]string{
		"hz 5\nuser a +nosuch":              "at line 2\n>>> 'user a +nosuch'\nError in user declaration '+nosuch': Unknown command or category name in ACL",
		"user a\nuser b\nuser a on":         "at line 3\n>>> 'user a on'\nError in user declaration 'a': Duplicate user found. A user can only be defined once in config files",
		"user a (+get":                      "at line 1\n>>> 'user a (+get'\nUnmatched parenthesis in acl selector starting at '(+get'.",
		"user a on\naclfile x":              "either an ACL file or declare users directly in your redis.conf, but not both.",
		"user \"a b\" on":                   "Spaces not allowed in ACL usernames",
		"user default on\nuser default off": "Duplicate user found",
	} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	// What CONFIG REWRITE writes is in force where an included file has the user, too.
	part := filepath.Join(t.TempDir(), "part")
	if err := os.WriteFile(part, []byte("user a on nopass +get\nuser b on"), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, err = load("include " + part + "\nuser a off +set"); err != nil {
		t.Fatal(err)
	}
	s = newTestServer(t)
	s.Server.Config = cfg
	if err := s.LoadUsers(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.userLines(), "\n"); !strings.HasPrefix(got, "user a off sanitize-payload resetchannels -@all +set\nuser b on ") {
		t.Error(got)
	}
	if _, err = load("user a off +set\ninclude " + part); err == nil || !strings.Contains(err.Error(), "Duplicate user found") {
		t.Error(err)
	}
}

// TestACLDirectives: acl-pubsub-default and the log's length act when they are set.
func TestACLDirectives(t *testing.T) {
	s := newTestServer(t)
	s.want("config set acl-pubsub-default allchannels", "+OK\n")
	s.want("acl setuser a", "+OK\n")
	s.want("config set acl-pubsub-default resetchannels", "+OK\n")
	s.want("acl setuser b", "+OK\n")
	s.want("acl list", "*3\n$36\nuser a off sanitize-payload &* -@all\n$47\nuser b off sanitize-payload resetchannels -@all\n$51\nuser default on nopass sanitize-payload ~* &* +@all\n")
	for _, name := range strings.Fields("x y z") {
		s.run("auth " + name + " no")
	}
	s.want("config set acllog-max-len 2", "+OK\n")
	if n := len(s.rights.log.Newest(10)); n != 2 {
		t.Errorf("%d entries", n)
	}
	s.run("auth xx no")
	if n := len(s.rights.log.Newest(10)); n != 2 {
		t.Errorf("%d entries", n)
	}
	s.want("acl log reset", "+OK\n")
	s.want("acl log", "*0\n")
	s.want("acl log x", "-ERR value is not an integer or out of range\n")
}

// TestAppliersHaveNoUser: the link to a leader, and what a log or a stream brings, ask for no
// rights.
func TestAppliersHaveNoUser(t *testing.T) {
	s := newTestServer(t)
	s.want("acl setuser default -@all", "+OK\n")
	a := s.NewApplier()
	if err := a.Apply([][]byte{[]byte("set"), []byte("a"), []byte("1")}); err != nil {
		t.Error(err)
	}
	s.refused("get a")
	s.unbind(s.c)
	s.want("get a", "$1\n1\n")
	s.want("acl whoami", "$-1\n")
}
