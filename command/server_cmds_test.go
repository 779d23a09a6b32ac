package command

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/config"
)

func TestFlushAndSwap(t *testing.T) {
	s := newTestServer(t)
	s.run("set a 1")
	s.run("select 2")
	s.run("set b 2")
	s.effects = nil
	s.want("swapdb 0 2", "+OK\n")
	s.wantEffects("swapdb 0 2")
	s.want("get a", "$1\n1\n")
	s.want("swapdb 2 2", "+OK\n")
	s.want("swapdb 2 16", "-ERR DB index is out of range\n")
	s.want("swapdb x 1", "-ERR invalid first DB index\n")
	s.want("swapdb 1 x", "-ERR invalid second DB index\n")
	s.effects = nil
	s.want("flushdb later", "-ERR syntax error\n")
	s.want("flushdb async", "+OK\n")
	s.want("dbsize", ":0\n")
	s.want("flushdb", "+OK\n")
	s.wantEffects("flushdb async", "flushdb")
	s.run("select 0")
	s.want("dbsize", ":1\n")
	s.want("flushall sync", "+OK\n")
	s.want("dbsize", ":0\n")
	s.wantEffects("flushall sync")
}

func TestShutdown(t *testing.T) {
	s := newTestServer(t)
	ended := 0
	s.Shutdown = func() { ended++ }
	s.want("shutdown later", "-ERR syntax error\n")
	s.want("shutdown save nosave", "-ERR syntax error\n")
	s.want("shutdown abort", "-ERR No shutdown in progress.\n")
	s.want("shutdown save", "-ERR Errors trying to SHUTDOWN. Check logs.\n") // nothing can be saved
	if ended != 0 {
		t.Fatal("it ended")
	}
	s.want("shutdown nosave now", "")
	if ended != 1 || s.x.Running.outcome != Parked {
		t.Errorf("ended %d, outcome %d", ended, s.x.Running.outcome)
	}
}

// lateLoad is a Persistence whose contents begin to be replaced while it saves.
type lateLoad struct {
	noPersistence
	loading bool
}

func (p *lateLoad) SaveAfter() error  { p.loading = true; return errNoPersistence }
func (p *lateLoad) StopLoading() bool { return p.loading }

// TestShutdownBesideLoading: what a leader sends is not there in whole, so there is
// nothing to be saved; the file before it stays.
func TestShutdownBesideLoading(t *testing.T) {
	s := newTestServer(t)
	ended := 0
	s.Shutdown = func() { ended++ }
	s.persist = &lateLoad{}
	s.want("shutdown save", "")
	if ended != 1 {
		t.Errorf("it ended %d times", ended)
	}
}

func TestConfig(t *testing.T) {
	s := newTestServer(t)
	s.want("config get maxclients hz", "*4\n$10\nmaxclients\n$5\n10000\n$2\nhz\n$2\n10\n")
	s.want("config set maxclients", "-ERR wrong number of arguments for 'config|set' command\n")
	s.want("config set maxclients 5 hz", "-ERR syntax error\n")
	s.want("config get port", "*2\n$4\nport\n$4\n6379\n")
	s.want("config rewrite", "-ERR The server is running without a config file\n")
	s.config("maxclients", "77")
	if n := s.Config.MaxClients.Load(); n != 77 {
		t.Errorf("maxclients is %d", n)
	}
}

// info reads a section of INFO into a map.
func (s *testServer) info(section string) map[string]string {
	s.t.Helper()
	m := map[string]string{}
	for _, line := range strings.Split(s.run("info "+section), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			m[name] = value
		}
	}
	return m
}

func TestInfoSections(t *testing.T) {
	s := newTestServer(t)
	all, basic := s.run("info all"), s.run("info")
	for _, sec := range s.Table.sections {
		title := "# " + strings.ToUpper(sec.Name[:1]) + sec.Name[1:] + "\r\n"
		if sec.Name == "cpu" || sec.Name == "tls" {
			title = "# " + strings.ToUpper(sec.Name) + "\r\n"
		}
		if n := strings.Count(all, title); n != 1 && sec.Name != keySizes || n != 0 && sec.Name == keySizes {
			t.Errorf("all has %s %d times", sec.Name, n)
		}
		if got := strings.Contains(basic, title); got == sec.Extra {
			t.Errorf("default has %s: %v", sec.Name, got)
		}
		if !strings.HasPrefix(strings.SplitN(s.run("info "+strings.ToUpper(sec.Name)), "\r\n", 2)[1], title) {
			t.Errorf("INFO %s has another title", sec.Name)
		}
	}
	s.want("info nonsense", "$0\n\n")
	// INFO takes every stripe, which EXEC holds already.
	s.run("multi")
	s.run("info everything")
	s.run("dbsize")
	s.run("memory stats")
	if got := s.run("exec"); !strings.Contains(got, "redis_version:"+config.RedisVersion) || !strings.Contains(got, "$15\r\npeak.percentage") {
		t.Errorf("%.200q", got)
	}
}

func TestInfoCounts(t *testing.T) {
	s := newTestServer(t)
	for _, l := range []string{"set a 1 px 100000", "set b 2", "get a", "get none", "mget a b none", "incr b", "getdel b", "memory usage a", "nonsense", "get", "append a x", "incr a"} {
		s.run(l)
	}
	m := s.info("stats")
	for name, want := range map[string]string{"keyspace_hits": "4", "keyspace_misses": "2", "total_error_replies": "3", "total_commands_processed": "10"} {
		if m[name] != want {
			t.Errorf("%s:%s, want %s", name, m[name], want)
		}
	}
	if m := s.info("errorstats"); m["errorstat_ERR"] != "count=3" {
		t.Errorf("errors: %v", m)
	}
	cs := s.info("commandstats")
	for name, want := range map[string]string{"get": `^calls=2,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=1,failed_calls=0$`,
		"incr": `^calls=2,.*,failed_calls=1$`, "memory|usage": "^calls=1,", "info": "^calls=2,"} {
		if !regexp.MustCompile(want).MatchString(cs["cmdstat_"+name]) {
			t.Errorf("cmdstat_%s:%s", name, cs["cmdstat_"+name])
		}
	}
	if cs["cmdstat_setex"] != "" {
		t.Error("a command that nobody called is listed")
	}
	if lat := s.info("latencystats"); !regexp.MustCompile(`^p50=[\d.]+,p99=[\d.]+,p99\.9=[\d.]+$`).MatchString(lat["latency_percentiles_usec_get"]) {
		t.Errorf("latencies: %v", lat)
	}
	db := s.info("keyspace")["db0"]
	if !regexp.MustCompile(`^keys=1,expires=1,avg_ttl=(100000|9999\d)$`).MatchString(db) {
		t.Errorf("db0:%s", db)
	}
	s.run("config resetstat")
	if m := s.info("stats"); m["keyspace_hits"] != "0" || m["total_error_replies"] != "0" || m["total_commands_processed"] != "1" {
		t.Errorf("after RESETSTAT: hits %s, errors %s, commands %s", m["keyspace_hits"], m["total_error_replies"], m["total_commands_processed"])
	}
	if cs := s.info("commandstats"); cs["cmdstat_get"] != "" || s.info("latencystats")["latency_percentiles_usec_get"] != "" {
		t.Errorf("after RESETSTAT: %v", cs)
	}
}

func TestRename(t *testing.T) {
	s := newTestServer(t, [2]string{"FLUSHDB", "Badger"}, [2]string{"append", ""}, [2]string{"GET", "get"})
	s.run("badger")
	for _, name := range []string{"flushdb", "append"} {
		if got := s.run(name + " x y"); !strings.HasPrefix(got, "-ERR unknown command '"+name+"'") {
			t.Errorf("%s: %s", name, got)
		}
	}
	s.run("set a b")
	s.effects = nil
	s.want("BADGER", "+OK\n")
	s.want("flushdb", "-ERR unknown command 'flushdb', with args beginning with: \n")
	s.wantEffects("flushdb")
	a := s.NewApplier()
	for _, args := range []string{"append k v", "flushdb", "badger"} {
		if err := a.Apply(bytes.Fields([]byte(args))); err != nil {
			t.Error(err)
		}
	}
	if r := s.Table.Lookup([]byte("get")); r == nil || r.renamed || s.Table.Lookup([]byte("GET")) != r {
		t.Errorf("renamed to its own name: %v", r)
	}
	if t2 := newTestTable(); t2.Rename("nosuch", "x").Error() != "No such command in rename-command" || t2.Rename("get", "set").Error() != "Target command name already exists" {
		t.Error("wrong renames")
	}
}

func TestRates(t *testing.T) {
	s := newTestServer(t)
	for range 30 {
		for range 10 {
			s.run("ping")
		}
		s.now = s.now.Add(100 * time.Millisecond)
	}
	s.x.SetTime(s.now)
	if calls := s.rates.now(s.Server, s.now.UnixMilli()).calls; calls < 90 || calls > 110 {
		t.Errorf("%v commands a second, want 100", calls)
	}
	if calls := s.rates.now(s.Server, s.now.Add(time.Minute).UnixMilli()).calls; calls > 1 {
		t.Errorf("%v commands a second after an idle minute", calls)
	}
}

func TestDebug(t *testing.T) {
	s := newTestServer(t)
	s.want("debug nonsense", "-ERR unknown subcommand or wrong number of arguments for 'nonsense'. Try DEBUG HELP.\n")
	s.want("debug panic", "-ERR internal error\n")
	s.want("ping", "+PONG\n")
	s.want("debug check", "+OK\n")
	s.want("debug digest", "+0000000000000000000000000000000000000000\n")
	s.run("set a 1")
	s.run("set b hello px 100000")
	s.do("set", "big", strings.Repeat("x", 200000))
	s.effects = nil
	s.want("debug populate 3 key 10", "+OK\n")
	s.wantEffects()
	s.run("select 3")
	s.run("set a 1")
	// What redis-server 7.0.15 answers for the same contents.
	s.want("debug digest", "+"+"6f0ae01b7c311393d36e447ad04a24928ea353d2"+"\n")
	s.want("debug digest-value a none", "*2\n+"+"b4fc66738120fba0b5aa500ab5c2bf89cea1c5da"+"\n+0000000000000000000000000000000000000000\n")
	if got := s.run("debug object a"); !regexp.MustCompile(`^\+Value at:0x[0-9a-f]+ refcount:1 encoding:int serializedlength:\d+ lru:\d+ lru_seconds_idle:\d+\r\n$`).MatchString(got) {
		t.Errorf("DEBUG OBJECT: %q", got)
	}
}

func TestDebugProtected(t *testing.T) {
	s := newTestServer(t)
	if err := s.Config.SetInitial("enable-debug-command", []string{"no"}); err != nil {
		t.Fatal(err)
	}
	if got := s.run("debug check"); !strings.HasPrefix(got, "-ERR DEBUG command not allowed.") {
		t.Error(got)
	}
}

// TestCommandTable reads what COMMAND says back and compares it with the rows.
func TestCommandTable(t *testing.T) {
	s := newTestServer(t)
	for _, r := range s.Table.rows {
		for _, c := range strings.Fields(r.Categories) {
			if !strings.Contains(" "+strings.Join(Categories, " ")+" ", " "+strings.TrimPrefix(c, "-")+" ") {
				t.Errorf("%s: no category is called %s", r.full, c)
			}
		}
		if (r.First > 0 || r.KeysFn != nil) != (r.KeyFlags != "") {
			t.Errorf("%s: keys from %d, key flags %q", r.full, r.First, r.KeyFlags)
		}
	}
	for line, want := range map[string]string{
		"command info get": "*1\n*10\n$3\nget\n:2\n*2\n+readonly\n+fast\n:1\n:1\n:1\n*3\n+@read\n+@string\n+@fast\n*0\n" +
			"*1\n*6\n$5\nflags\n*2\n+RO\n+access\n$12\nbegin_search\n*4\n$4\ntype\n$5\nindex\n$4\nspec\n*2\n$5\nindex\n:1\n" +
			"$9\nfind_keys\n*4\n$4\ntype\n$5\nrange\n$4\nspec\n*6\n$7\nlastkey\n:0\n$7\nkeystep\n:1\n$5\nlimit\n:0\n*0\n",
		"command info get|x none config|get|x":      "*3\n$-1\n$-1\n$-1\n",
		"command getkeys mset a 1 b 2":              "*2\n$1\na\n$1\nb\n",
		"command getkeys memory usage k":            "*1\n$1\nk\n",
		"command getkeys none a":                    "-ERR Invalid command specified\n",
		"command getkeys echo a":                    "-ERR The command has no key arguments\n",
		"command getkeys get a b":                   "-ERR Invalid number of arguments specified for command\n",
		"command getkeysandflags set k v":           "*1\n*2\n$1\nk\n*2\n+OW\n+update\n",
		"command getkeysandflags set k v get":       "*1\n*2\n$1\nk\n*3\n+RW\n+access\n+update\n",
		"command list filterby pattern CLIENT|GET*": "*2\n$14\nclient|getname\n$15\nclient|getredir\n",
		"command list filterby module none":         "*0\n",
		"command list filterby aclcat none":         "*0\n",
		"command list filterby none none":           "-ERR syntax error\n",
		"command count":                             ":" + strconv.Itoa(len(s.Table.byName)) + "\n",
		"command docs none":                         "*0\n",
		"acl cat none":                              "-ERR Unknown category 'none'\n",
		"acl whoami":                                "$7\ndefault\n",
		"function flush sometimes":                  "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option\n",
		"function list libraryname":                 "-ERR library name argument was not given\n",
		"client none":                               "-ERR unknown subcommand 'none'. Try CLIENT HELP.\n",
		"memory usage none samples -1":              "-ERR syntax error\n",
		"memory usage none samples 0":               "$-1\n",
	} {
		s.want(line, want)
	}
	// redis-cli's hints come from this, in RESP3.
	s.run("hello 3")
	s.want("command docs client|reply", "%1\n$12\nclient|reply\n%5\n$7\nsummary\n$45\nChooses whether this connection gets replies.\n"+
		"$5\nsince\n$5\n3.2.0\n$5\ngroup\n$10\nconnection\n$10\ncomplexity\n$4\nO(1)\n$9\narguments\n*1\n%3\n$4\nname\n$11\non_off_skip\n$4\ntype\n$5\noneof\n"+
		"$9\narguments\n*3\n%3\n$4\nname\n$2\non\n$4\ntype\n$10\npure-token\n$5\ntoken\n$2\nON\n"+
		"%3\n$4\nname\n$3\noff\n$4\ntype\n$10\npure-token\n$5\ntoken\n$3\nOFF\n%3\n$4\nname\n$4\nskip\n$4\ntype\n$10\npure-token\n$5\ntoken\n$4\nSKIP\n")
	for _, line := range []string{"command", "command docs", "command list", "client help", "debug help", "lolwut", "memory doctor", "memory malloc-stats"} {
		if got := s.run(line); got == "" || got[0] == '-' {
			t.Errorf("%s: %.100q", line, got)
		}
	}
}

// Every command is found by its name in any case, most of them at once; one that is renamed is so by its new name only.
func TestLookup(t *testing.T) {
	table := newTestTable()
	quick := 0
	for _, r := range table.Top() {
		for _, name := range []string{r.Name, strings.ToUpper(r.Name), strings.ToUpper(r.Name[:1]) + r.Name[1:]} {
			if got := table.Lookup([]byte(name)); got != r {
				t.Errorf("%s: %v", name, got)
			}
		}
		if table.quick.find([]byte(strings.ToUpper(r.Name))) == r {
			quick++
		}
		for _, other := range []string{r.Name + "x", r.Name[1:] + "_", "x" + r.Name[1:] + "x"} {
			if got := table.Lookup([]byte(other)); got != nil && got.Name != other {
				t.Errorf("%s: found as %s", other, got.Name)
			}
		}
	}
	if n := len(table.Top()); quick < n*3/4 {
		t.Errorf("%d rows of %d are found at once", quick, n)
	} else {
		t.Logf("%d rows of %d are found at once", quick, n)
	}
	if table.Lookup(nil) != nil {
		t.Error("a command has no name")
	}
	get := table.Lookup([]byte("get"))
	if err := table.Rename("get", "fetch"); err != nil {
		t.Fatal(err)
	}
	if table.Lookup([]byte("GET")) != nil || table.Lookup([]byte("Fetch")) != get {
		t.Error("a renamed command is found by its old name, or not by its new one")
	}
}
