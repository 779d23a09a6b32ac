package config

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

func get(t *testing.T, c *Config, name string) string {
	t.Helper()
	pairs := c.Get(name)
	if len(pairs) != 1 {
		t.Fatalf("Get(%q) gave %d pairs", name, len(pairs))
	}
	return pairs[0].Value
}

func set(c *Config, args ...string) error {
	var pairs []Pair
	for i := 0; i < len(args); i += 2 {
		pairs = append(pairs, Pair{args[i], args[i+1]})
	}
	return c.Set(pairs, Caller{})
}

func load(c *Config, text string) error {
	return c.LoadReader(strings.NewReader(text))
}

func TestTable(t *testing.T) {
	c := New()
	fields := map[string]bool{}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		name := f.Tag.Get("directive")
		fields[name] = true
		if v.Field(i).IsNil() {
			t.Errorf("the field %s has no handle", f.Name)
		}
	}
	for _, d := range Directives() {
		if d.Effect == Acts && d.Kind < KindFileOnly && !fields[d.Name] {
			t.Errorf("%s acts, but Config has no field for it", d.Name)
		}
		if d.Help == "" || !slices.Contains(Groups, d.Group) {
			t.Errorf("%s: help %q, group %q", d.Name, d.Help, d.Group)
		}
		if d.Name != strings.ToLower(d.Name) {
			t.Errorf("%s is not in lower case", d.Name)
		}
		if (d.Kind == KindEnum || d.Kind == KindFlags) != (d.Values != nil) {
			t.Errorf("%s: kind and values disagree", d.Name)
		}
	}
}

func TestSplitArgs(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{" \t\v", nil},
		{"a  b\tc", []string{"a", "b", "c"}},
		{`a "" ''`, []string{"a", "", ""}},
		{`"a b" 'c d'`, []string{"a b", "c d"}},
		{`"\x41\x4a\xfF\x00"`, []string{"AJ\xff\x00"}},
		{`"\x4" "\xg1"`, []string{"x4", "xg1"}},
		{`"\n\r\t\b\a\"\\\q"`, []string{"\n\r\t\b\a\"\\q"}},
		{`'\n\'\"'`, []string{`\n'\"`}},
		{`a"b c"`, []string{"ab c"}},
		{`a'b'`, []string{"ab"}},
		{`a\x41`, []string{`a\x41`}},
		{`# x`, []string{"#", "x"}},
	} {
		got, err := SplitArgs(test.line)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("SplitArgs(%q) = %q, %v; want %q", test.line, got, err, test.want)
		}
	}
	for _, line := range []string{`"`, `'`, `"a`, `'a`, `"a"b`, `'a'b`, `"a\`, `"a\"`, `a "b`, `'\'`} {
		if got, err := SplitArgs(line); err == nil {
			t.Errorf("SplitArgs(%q) = %q, want an error", line, got)
		}
	}
}

func TestQuoteIsInverse(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		b := make([]byte, rnd.IntN(12))
		for i := range b {
			b[i] = byte(rnd.IntN(256))
			if rnd.IntN(3) == 0 {
				b[i] = "\\\"'x \n0a"[rnd.IntN(8)]
			}
		}
		got, err := SplitArgs(Quote(string(b)))
		if err != nil || len(got) != 1 || got[0] != string(b) {
			t.Fatalf("%q became %s and then %q, %v", b, Quote(string(b)), got, err)
		}
	}
}

func TestMemoryUnits(t *testing.T) {
	for s, want := range map[string]uint64{
		"0": 0, "1": 1, "1b": 1, "1k": 1000, "1kb": 1024, "1KB": 1024, "2m": 2e6, "2Mb": 2 << 20, "3g": 3e9, "3GB": 3 << 30,
		"": 0, "gb": 0, "18446744073709551615": 1<<64 - 1, "99999999999999999999": 1<<64 - 1, "007": 7,
	} {
		if got, ok := parseMemory(s); !ok || got != want {
			t.Errorf("parseMemory(%q) = %d, %v; want %d", s, got, ok, want)
		}
	}
	for _, s := range []string{"-1", "+1", " 1", "1 ", "1.5gb", "1t", "1kk", "x", "99999999999999gb", "0x10"} {
		if got, ok := parseMemory(s); ok {
			t.Errorf("parseMemory(%q) = %d, want an error", s, got)
		}
	}
	for v, want := range map[uint64]string{0: "0", 1023: "1023", 1024: "1kb", 3 << 20: "3mb", 5 << 30: "5gb", 1<<30 + 1024: "1048577kb"} {
		if got := formatMemory(v); got != want {
			t.Errorf("formatMemory(%d) = %s, want %s", v, got, want)
		}
	}
}

func TestLoadText(t *testing.T) {
	t.Chdir(t.TempDir())
	c := New()
	err := load(c, "# comment\r\n\n\t  PORT 7777 \r\nbind 127.0.0.1 -::1\n"+
		"maxclients \"123\"\nrequirepass \"a b\\x01\"\nunixsocketperm 700\nmaxmemory-clients 5%\n"+
		"save 900 1\nsave 300 10 60 5\nclient-output-buffer-limit pubsub 1mb 2kb 3\nclient-output-buffer-limit replica 1 2 3 normal 4 5 6\n"+
		"slave-priority 7\nhash-max-ziplist-entries 9\nhash-max-listpack-value 1kb\nlist-max-ziplist-entries 5\nlua-replicate-commands yes\n"+
		"notify-keyspace-events KEA\nhz 0\nloglevel WARNING\nproto-max-bulk-len 2mb\nlatency-tracking-info-percentiles 50 99.99\n"+
		"shutdown-on-sigterm nosave force\nlua-time-limit 77\nevent-loops 3\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"port": "7777", "bind": "127.0.0.1 -::1", "maxclients": "123", "requirepass": "a b\x01", "unixsocketperm": "700",
		"maxmemory-clients": "5%", "save": "900 1 300 10 60 5",
		"client-output-buffer-limit": "normal 4 5 6 slave 1 2 3 pubsub 1048576 2048 3",
		"replica-priority":           "7", "slave-priority": "7", "hash-max-listpack-entries": "9", "hash-max-ziplist-value": "1024",
		"notify-keyspace-events": "AKE", "hz": "1", "loglevel": "warning", "proto-max-bulk-len": "2097152",
		"latency-tracking-info-percentiles": "50 99.99", "shutdown-on-sigterm": "nosave force", "busy-reply-threshold": "77", "event-loops": "3",
	} {
		if got := get(t, c, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if c.Port.Load() != 7777 || c.UnixSocketPerm.Load() != 0o700 || c.ClientOutputBufferLimit.Load()[ClassPubsub].Soft != 2048 ||
		!slices.Equal(c.Bind.Load(), []string{"127.0.0.1", "-::1"}) || c.Save.Load()[1] != (SavePoint{300, 10}) || c.LogLevel.Index() != 3 {
		t.Error("a handle does not show what was loaded")
	}
	inert := c.InertGiven()
	for _, name := range []string{"list-max-ziplist-entries"} {
		if !slices.Contains(inert, name) {
			t.Errorf("%s is not among the inert directives %v", name, inert)
		}
	}
	for _, name := range []string{"port", "bind", "rdbcompression", "hz"} {
		if slices.Contains(inert, name) {
			t.Errorf("%s is among the inert directives", name)
		}
	}
}

func TestSaveLines(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "3600 1 300 100 60 10000",
		`save ""`:                             "",
		"save":                                "",
		"save 5 6":                            "5 6",
		"save 5 6\nsave 7 8":                  "5 6 7 8",
		"save 5 6\nsave \"\"":                 "",
		"save 5 6\nsave \"\"\nsave '1 2 3 4'": "1 2 3 4",
	} {
		c := New()
		if err := load(c, text); err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := get(t, c, "save"); got != want {
			t.Errorf("%q gives save %q, want %q", text, got, want)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	for text, reason := range map[string]string{
		"foo bar":                    "Bad directive or wrong number of arguments",
		"rename-command a":           "Bad directive or wrong number of arguments",
		"include a b":                "Bad directive or wrong number of arguments",
		"include":                    "Bad directive or wrong number of arguments",
		"user":                       "Bad directive or wrong number of arguments",
		"port":                       "wrong number of arguments",
		"port 1 2":                   "wrong number of arguments",
		"port x":                     "argument couldn't be parsed into an integer",
		"port 65536":                 "argument must be between 0 and 65535 inclusive",
		"port \"x":                   "Unbalanced quotes in configuration line",
		"unixsocketperm 9":           "argument couldn't be parsed as an octal number",
		"unixsocketperm 1000":        "argument must be between 0 and 777 inclusive",
		"save 1":                     "Invalid save parameters",
		"replicaof a":                "wrong number of arguments",
		"replicaof":                  "wrong number of arguments",
		"replicaof a b":              "Invalid master port",
		"dir /no/such/dir":           "No such file or directory",
		"loglevel loud":              "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
		"enable-debug-command maybe": "argument(s) must be one of the following: no, yes, local",
		"event-loops -1":             "argument must be between 0 and 1024 inclusive",
		"a.b":                        "Module config specified without value",
	} {
		err := load(New(), "port 1\n\n"+text+"\nhz 5\n")
		want := fmt.Sprintf("*** FATAL CONFIG FILE ERROR (Redis 8.0.0) ***\nReading the configuration file, at line 3\n>>> '%s'\n%s", text, reason)
		if err == nil || err.Error() != want {
			t.Errorf("%q gives\n%v\nwant\n%s", text, err, want)
		}
	}
}

// TestFilesOfOthers: the directives that the files of Valkey 9 and KeyDB 6.3 have and Redis does not know are taken; those
// that a user would miss stop the start.
func TestFilesOfOthers(t *testing.T) {
	c := New()
	text := `primaryauth secret
primaryuser other
unixsocketgroup redis
cluster-blacklist-ttl 60
cluster-announce-client-ipv4 123.123.123.5
cluster-announce-client-ipv6 2001:db8::8a2e:370:7334
io-threads 2
server-threads 3
server-thread-affinity true
replica-weighting-factor 2
active-client-balancing yes
min-clients-per-thread 50
active-replica no
multi-master no
multi-master-no-forward no
allow-write-during-load no
replica-quorum -1
force-eviction-percent 0
overload-protect-percent 0
loading-process-events-interval-bytes 2097152
loading-process-events-interval-keys 8192
scratch-file-path /tmp/
enable-motd yes
tls-rotation no
`
	if err := c.LoadReader(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if c.MasterAuth.Load() != "secret" || c.MasterUser.Load() != "other" || c.IOThreads.Load() != 3 {
		t.Errorf("masterauth %q, masteruser %q, io-threads %d", c.MasterAuth.Load(), c.MasterUser.Load(), c.IOThreads.Load())
	}
	for _, line := range []string{"active-replica yes", "multi-master yes", "storage-provider flash /tmp/db", "tls-allowlist a.example b.example"} {
		c := New()
		if err := c.LoadReader(strings.NewReader(line)); err != nil {
			t.Fatal(line, err)
		}
		if err := c.Finish(); err == nil || !strings.Contains(err.Error(), "cannot obey yet: "+strings.Fields(line)[0]) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestIncludePattern: a pattern finds what glob(3) does, and directories hold no lines.
func TestIncludePattern(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"c/a.conf": "hz 20\n", "c/.swap.conf": "nonsense\n", "c/sub/x": "nonsense\n", "c/!.conf": "hz 30\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, hz := range map[string]int64{"c/*": 20, "*": 10, "c": 10, "c/[": 10, "c/[!b].conf": 20, "c/[!a].conf": 30, "*/a.conf": 20,
		"c/[a": 10, "./c/a*": 20, "c//a*": 20} {
		main := filepath.Join(dir, "main")
		if err := os.WriteFile(main, []byte("include "+dir+"/"+pattern), 0o600); err != nil {
			t.Fatal(err)
		}
		if pattern == "*" { // the file itself is no part of this
			if err := os.Rename(main, filepath.Join(t.TempDir(), "main")); err != nil {
				t.Fatal(err)
			}
			if err := New().SetInitial("include", []string{dir + "/*"}); err != nil {
				t.Error(err)
			}
			continue
		}
		c := New()
		if err := c.LoadFile(main); err != nil || c.Hz.Load() != hz {
			t.Errorf("include %s: hz %d, %v; want %d", pattern, c.Hz.Load(), err, hz)
		}
	}
	if err := New().SetInitial("include", []string{dir + "/c/.s*"}); err == nil {
		t.Error("a dot does not match a dot")
	}
}

// TestRewriteWithInclude: after a rewrite a start finds what was in force, whatever the included file says and wherever
// it is included. (Redis doubles the points of save.)
func TestRewriteWithInclude(t *testing.T) {
	dir := t.TempDir()
	part, main := filepath.Join(dir, "part.conf"), filepath.Join(dir, "main.conf")
	lines := []string{"save 5 1", "save 60 100", "maxmemory 5mb", "masterauth x", "replicaof 10.0.0.1 7000", "db-maxmemory 1 2mb 2 3mb", "databases 8",
		"appendfsync always", "client-output-buffer-limit pubsub 1mb 1mb 1", "bind 127.0.0.1 -::1", "requirepass y", "notify-keyspace-events KEA"}
	for _, text := range []string{"include %s\n", "save 900 1\nmaxmemory 1mb\nclient-output-buffer-limit pubsub 2mb 2mb 2\ninclude %s\nsave 7 7\ndb-maxmemory 3 4mb\n",
		"appendfsync no\ndatabases 4\nreplicaof 10.0.0.2 7000\ninclude %s\ninclude %s*\nmaxmemory 9mb\n"} {
		for _, changes := range [][]string{
			nil,
			{"save", "1 1", "maxmemory", "300mb", "db-maxmemory", "1 7mb", "appendfsync", "everysec", "notify-keyspace-events", ""},
			{"save", "", "maxmemory", "0", "masterauth", "", "requirepass", "", "db-maxmemory", "", "client-output-buffer-limit", "pubsub 32mb 8mb 60", "bind", "127.0.0.1"},
			{"save", "5 1 60 100", "maxmemory", "5mb"},
		} {
			for _, follows := range []bool{true, false} {
				if err := os.WriteFile(part, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(main, []byte(strings.ReplaceAll(text, "%s", part)), 0o600); err != nil {
					t.Fatal(err)
				}
				c := New()
				if err := c.LoadFile(main); err != nil {
					t.Fatal(err)
				}
				if len(changes) > 0 {
					if err := set(c, changes...); err != nil {
						t.Fatal(err)
					}
				}
				if !follows {
					c.ReplicaOf.store(Address{})
				}
				for round := range 2 {
					if err := c.Rewrite(); err != nil {
						t.Fatal(err)
					}
					again := New()
					if err := again.LoadFile(main); err != nil {
						t.Fatal(err)
					}
					for _, e := range c.entries {
						if got, want := again.lookup(e.Name).value.text(e.Directive), e.value.text(e.Directive); e.Kind < KindFileOnly && got != want {
							t.Errorf("%q with %q: after rewrite %d %s is %q, want %q", text, changes, round, e.Name, got, want)
						}
					}
					c = again
				}
			}
		}
	}
}

func TestIncludes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("a.part", "hz 20\ntimeout 5\n")
	write("b.part", "timeout 6\n")
	main := write("main.conf", fmt.Sprintf("hz 1\ninclude %s/*.part\ntimeout 7\ninclude %s/*.none\n", dir, dir))
	c := New()
	if err := c.LoadFile(main); err != nil {
		t.Fatal(err)
	}
	if c.Hz.Load() != 20 || c.Timeout.Load() != 7 || c.ConfigFile() != main {
		t.Errorf("hz %d, timeout %d, file %s", c.Hz.Load(), c.Timeout.Load(), c.ConfigFile())
	}

	missing := write("missing.conf", "include "+dir+"/none.conf")
	var open *OpenError
	if err := New().LoadFile(missing); !errors.As(err, &open) ||
		err.Error() != "Fatal error, can't open config file '"+dir+"/none.conf': No such file or directory" {
		t.Errorf("a missing include gives %v", err)
	}
	write("bad.inc", "port 1\nfoo\n")
	bad := write("bad.conf", "\n\n\ninclude "+dir+"/bad.inc")
	err := New().LoadFile(bad)
	var fe *FileError
	if !errors.As(err, &fe) || fe.Line != 2 || fe.File != dir+"/bad.inc" || !strings.Contains(err.Error(), "In the file '"+dir+"/bad.inc'") {
		t.Errorf("a bad include gives %v", err)
	}
	self := write("self.conf", "include "+dir+"/self.conf")
	if err := New().LoadFile(self); err == nil || !strings.Contains(err.Error(), "too many nested includes") {
		t.Errorf("a file that includes itself gives %v", err)
	}
	if err := New().LoadFile(dir + "/none"); !errors.As(err, &open) {
		t.Errorf("a missing file gives %v", err)
	}
}

func TestArgs(t *testing.T) {
	for _, test := range []struct {
		args []string
		want map[string]string
	}{
		{[]string{"--port", "7777", "--save", "", "--bind", "127.0.0.1", "-::1"}, map[string]string{"port": "7777", "save": "", "bind": "127.0.0.1 -::1"}},
		{[]string{"--save", "900", "1", "300", "10", "--port", "0"}, map[string]string{"save": "900 1 300 10", "port": "0"}},
		{[]string{"--save", "900", "1", "--save", "300 10"}, map[string]string{"save": "900 1 300 10"}},
		{[]string{"--port", "1", "--port", "2"}, map[string]string{"port": "2"}},
		{[]string{"--port 5", "--hz", "7"}, map[string]string{"port": "5", "hz": "7"}},
		{[]string{"--requirepass", "--x", "--hz", "7"}, map[string]string{"requirepass": "--x", "hz": "7"}},
		{[]string{"--requirepass", "a \"b\\\x01\n"}, map[string]string{"requirepass": "a \"b\\\x01\n"}},
		{[]string{"--save", "--port", "3"}, map[string]string{"save": "", "port": "3"}},
		{[]string{"--save"}, map[string]string{"save": ""}},
		{[]string{"--ignore-unsupported", "--port", "3"}, map[string]string{"ignore-unsupported": "yes", "port": "3"}},
		{[]string{"--ignore-unsupported", "no", "--port", "3"}, map[string]string{"ignore-unsupported": "no", "port": "3"}},
		{[]string{"--port", "3", "--ignore-unsupported"}, map[string]string{"ignore-unsupported": "yes", "port": "3"}},
	} {
		c := New()
		if err := c.LoadArgs(test.args); err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		for name, want := range test.want {
			if got := get(t, c, name); got != want {
				t.Errorf("%q: %s is %q, want %q", test.args, name, got, want)
			}
		}
	}
}

func TestRefuse(t *testing.T) {
	for _, line := range []string{
		"loadmodule /x y", "cluster-enabled yes", "search.timeout 5",
	} {
		c := New()
		if err := load(c, "hz 5\n"+line); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		err := c.Finish()
		if err == nil || !strings.Contains(err.Error(), "at line 2\n>>> '"+line+"'\nkvd cannot obey yet: ") {
			t.Errorf("%s: Finish gave %v", line, err)
		}
		c = New()
		if err := load(c, "ignore-unsupported yes\n"+line); err != nil {
			t.Error(err)
		}
		if err := c.Finish(); err != nil {
			t.Errorf("%s with ignore-unsupported: %v", line, err)
		}
		if len(c.InertGiven()) != 1 {
			t.Errorf("%s with ignore-unsupported: the warning names %v", line, c.InertGiven())
		}
	}
	c := New()
	if err := load(c, "aclfile /x\naclfile \"\"\nreplicaof a 1\nreplicaof no one\ncluster-enabled no"); err != nil {
		t.Fatal(err)
	}
	if err := c.Finish(); err != nil {
		t.Errorf("defaults were refused: %v", err)
	}
}

func TestLogFileIsChecked(t *testing.T) {
	c := New()
	_ = load(c, "logfile /no/such/x.log")
	if err := c.Finish(); err == nil || err.Error() != "*** FATAL CONFIG FILE ERROR (Redis 8.0.0) ***\nCan't open the log file: No such file or directory" {
		t.Error(err)
	}
}

// TestRanges tries the limits of every number in the table, and a step beyond.
func TestRanges(t *testing.T) {
	for _, d := range Directives() {
		if d.Kind != KindInt && d.Kind != KindMemory && d.Kind != KindOctal {
			continue
		}
		c := New()
		format := "%d"
		if d.Kind == KindOctal {
			format = "%o"
		}
		try := func(v int64) error { return c.SetInitial(d.Name, []string{fmt.Sprintf(format, v)}) }
		for _, v := range []int64{d.Min, d.Max} {
			if err := try(v); err != nil {
				t.Errorf("%s %d: %v", d.Name, v, err)
			} else if got := get(t, c, d.Name); got != fmt.Sprintf(format, v) && d.most == 0 {
				t.Errorf("%s %d reads %s", d.Name, v, got)
			}
		}
		want := fmt.Sprintf("argument must be between "+format+" and "+format+" inclusive", d.Min, d.Max)
		if d.Max < maxLong {
			if err := try(d.Max + 1); err == nil || err.Error() != want {
				t.Errorf("%s %d: %v", d.Name, d.Max+1, err)
			}
		}
		if d.Kind == KindMemory && d.Min == 0 {
			want = "argument must be a memory value"
		}
		if err := try(d.Min - 1); err == nil || err.Error() != want {
			t.Errorf("%s %d: %v, want %s", d.Name, d.Min-1, err, want)
		}
	}
}

func TestSetIsAtomic(t *testing.T) {
	c := New()
	if err := set(c, "timeout", "5", "hz", "x"); err == nil || c.Timeout.Load() != 0 {
		t.Errorf("after a failed CONFIG SET (%v) timeout is %d", err, c.Timeout.Load())
	}
	if err := set(c, "timeout", "5", "hz", "20"); err != nil || c.Timeout.Load() != 5 || c.Hz.Load() != 20 {
		t.Error(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"foo", "1"}, "Unknown option or number of arguments for CONFIG SET - 'foo'"},
		{[]string{"include", "1"}, "Unknown option or number of arguments for CONFIG SET - 'include'"},
		{[]string{"timeout", "9", "Databases", "1"}, "CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config"},
		{[]string{"dbfilename", "x"}, "CONFIG SET failed (possibly related to argument 'dbfilename') - can't set protected config"},
		{[]string{"timeout", "9", "TIMEOUT", "9"}, "CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter"},
	} {
		if err := set(c, test.args...); err == nil || err.Error() != test.want {
			t.Errorf("%q: %v", test.args, err)
		}
	}
	if c.Timeout.Load() != 5 {
		t.Errorf("timeout is %d", c.Timeout.Load())
	}
}

func TestProtected(t *testing.T) {
	for _, allow := range []string{"no", "yes", "local"} {
		for _, local := range []bool{false, true} {
			c := New()
			if err := c.SetInitial("enable-protected-configs", []string{allow}); err != nil {
				t.Fatal(err)
			}
			err := c.Set([]Pair{{"dbfilename", "x.rdb"}}, Caller{Local: local})
			if want := allow == "yes" || allow == "local" && local; (err == nil) != want {
				t.Errorf("enable-protected-configs %s, local %v: %v", allow, local, err)
			}
		}
	}
	c := New()
	if err := c.Set([]Pair{{"appendonly", "no"}}, Caller{Loading: true}); !errors.Is(err, ErrLoading) {
		t.Error(err)
	}
	if !c.Sensitive("RequirePass") || c.Sensitive("port") || c.Sensitive("none") {
		t.Error("Sensitive is wrong")
	}
}

func TestHooks(t *testing.T) {
	c := New()
	var calls []string
	veto := false
	c.OnChange("timeout", func() error {
		calls = append(calls, fmt.Sprint("timeout=", c.Timeout.Load()))
		return nil
	})
	c.OnChange("maxclients", func() error {
		calls = append(calls, fmt.Sprint("maxclients=", c.MaxClients.Load()))
		if veto && c.MaxClients.Load() != 10000 {
			return errors.New("too many")
		}
		return nil
	})
	var inert []string
	c.OnInert(func(name string) { inert = append(inert, name) })

	veto = true
	err := set(c, "timeout", "5", "maxclients", "20", "save", "")
	if err == nil || err.Error() != "CONFIG SET failed (possibly related to argument 'maxclients') - too many" {
		t.Errorf("veto gave %v", err)
	}
	if want := "timeout=5 maxclients=20 timeout=0 maxclients=10000"; strings.Join(calls, " ") != want {
		t.Errorf("calls %v, want %s", calls, want)
	}
	if get(t, c, "timeout") != "0" || get(t, c, "maxclients") != "10000" || get(t, c, "save") != "3600 1 300 100 60 10000" {
		t.Error("the veto did not bring the old values back")
	}
	if len(inert) != 0 {
		t.Errorf("a failed CONFIG SET warned about %v", inert)
	}
	veto, calls = false, nil
	if err := set(c, "timeout", "0", "maxclients", "20", "cluster-slave-validity-factor", "5"); err != nil {
		t.Error(err)
	}
	if want := "maxclients=20"; strings.Join(calls, " ") != want {
		t.Errorf("calls %v, want %s", calls, want)
	}
	if want := []string{"cluster-replica-validity-factor"}; !slices.Equal(inert, want) {
		t.Errorf("warned about %v, want %v", inert, want)
	}
}

func TestGet(t *testing.T) {
	c := New()
	names := func(patterns ...string) string {
		var list []string
		for _, p := range c.Get(patterns...) {
			list = append(list, p.Name)
		}
		return strings.Join(list, " ")
	}
	for _, test := range []struct {
		patterns []string
		want     string
	}{
		{[]string{"PORT", "port", "por?"}, "PORT"},
		{[]string{"hash-max-*-entries"}, "hash-max-listpack-entries hash-max-ziplist-entries"},
		{[]string{"*slave-prio*"}, "slave-priority"},
		{[]string{"watchdog*"}, ""},
		{[]string{"watchdog-period"}, "watchdog-period"},
		{[]string{"rename-command", "include", "lua-replicate-commands", "none", "*include*"}, ""},
		{nil, ""},
	} {
		if got := names(test.patterns...); got != test.want {
			t.Errorf("Get(%q) names %q, want %q", test.patterns, got, test.want)
		}
	}
	if err := c.SetInitial("client-output-buffer-limit", []string{"normal 1 2 3"}); err != nil {
		t.Fatal(err)
	}
	if err := set(c, "client-output-buffer-limit", "pubsub 1 2 3 pubsub 1 1"); err == nil {
		t.Error("a torn limit was accepted")
	}
}

const rewriteOld = `# head
port 17920


bind 127.0.0.1
save 900 1
save 300 10
save 60 10000
include /x/inc.conf
hash-max-ziplist-entries 99
slave-priority 55
  maxmemory   100mb   
timeout 0
timeout 5
lua-replicate-commands yes
rename-command KEYS ""
nonsense 5
mod.opt 7
# middle
maxclients 777
pidfile ""
logfile ""
requirepass "a b\x01"
user bob on nopass ~* +@all
client-output-buffer-limit pubsub 1gb 2mb 3
unixsocketperm 700
`

func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	path := filepath.Join(dir, "kvd.conf")
	loadable := strings.NewReplacer("include /x/inc.conf\n", "", "nonsense 5\n", "").Replace(rewriteOld)
	if err := os.WriteFile(path, []byte(loadable), 0o640); err != nil {
		t.Fatal(err)
	}
	c := New()
	if err := c.LoadFile(path); err != nil {
		t.Fatal(err)
	}
	if err := c.SetInitial("ignore-unsupported", []string{"yes"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(rewriteOld), 0o640); err != nil {
		t.Fatal(err)
	}
	err := set(c, "maxclients", "500", "maxmemory", "300mb", "save", "5 1", "appendfsync", "always", "maxmemory-clients", "7%",
		"requirepass", "", "bind", "127.0.0.1 -::1", "latency-tracking-info-percentiles", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Rewrite(); err != nil {
		t.Fatal(err)
	}
	want := `# head
port 17920

bind 127.0.0.1 -::1
save 5 1

include /x/inc.conf
hash-max-listpack-entries 99
replica-priority 55
maxmemory 300mb
timeout 5

lua-replicate-commands yes
rename-command KEYS ""
# ??? nonsense 5
mod.opt 7
# middle
maxclients 500

logfile ""

user bob on nopass ~* +@all
client-output-buffer-limit pubsub 1gb 2mb 3
unixsocketperm 700

# Generated by CONFIG REWRITE
ignore-unsupported yes
dir "` + dir + `"
maxmemory-clients 7%
latency-tracking-info-percentiles ""
appendfsync always
`
	got, _ := os.ReadFile(path)
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o640 {
		t.Errorf("the mode became %o", st.Mode().Perm())
	}
	if left, _ := filepath.Glob(path + ".*"); left != nil {
		t.Errorf("temporary files stay: %v", left)
	}
	if err := c.Rewrite(); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(path); !bytes.Equal(again, got) {
		t.Errorf("the second rewrite gives\n%s", again)
	}
	c.OnRewrite("user", func() []string { return []string{"user a on", "user b off"} })
	if err := c.Rewrite(); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(path); !strings.Contains(string(again), "\nuser a on\n") || !strings.HasSuffix(string(again), "\nuser b off\n") {
		t.Errorf("users were rewritten as\n%s", again)
	}
	if err := New().Rewrite(); !errors.Is(err, ErrNoConfigFile) {
		t.Error(err)
	}
}

// TestRewriteRoundTrip sets random directives, rewrites, loads the file again and compares everything.
func TestRewriteRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	t.Chdir(t.TempDir())
	path := filepath.Join(t.TempDir(), "r.conf")
	for round := range 50 {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		c := New()
		if err := c.LoadFile(path); err != nil {
			t.Fatal(err)
		}
		for range 1 + rnd.IntN(4) { // several rewrites into one file
			for range rnd.IntN(60) {
				d := directives[rnd.IntN(len(directives))]
				args := randomArgs(rnd, &d)
				if args == nil {
					continue
				}
				if d.Kind == KindSave {
					c.saveSeen = false
				}
				if err := c.SetInitial(d.Name, args); err != nil {
					t.Fatalf("%s %q: %v", d.Name, args, err)
				}
			}
			if err := c.Rewrite(); err != nil {
				t.Fatal(err)
			}
		}
		again := New()
		if err := again.LoadFile(path); err != nil {
			t.Fatal(err)
		}
		if a, b := c.Get("*"), again.Get("*"); !slices.Equal(a, b) {
			text, _ := os.ReadFile(path)
			for i := range a {
				if a[i] != b[i] {
					t.Errorf("round %d: %v was loaded as %v from\n%s", round, a[i], b[i], text)
				}
			}
			return
		}
	}
}

func randomArgs(rnd *rand.Rand, d *Directive) []string {
	number := func() string { return fmt.Sprint(1 + rnd.IntN(9)*rnd.IntN(1000)) }
	switch d.Kind {
	case KindBool:
		if d.check == nil {
			return []string{[]string{"yes", "no"}[rnd.IntN(2)]}
		}
	case KindInt:
		if d.check != nil {
			return []string{fmt.Sprint(1 << rnd.IntN(10))}
		}
		low := max(d.Min, -5)
		return []string{fmt.Sprint(low + rnd.Int64N(min(d.Max, low+500)-low+1))}
	case KindMemory:
		return []string{fmt.Sprint(d.Min + rnd.Int64N(3)<<(10*rnd.IntN(4)))}
	case KindMemPercent:
		return []string{number(), fmt.Sprint(rnd.IntN(101), "%")}[rnd.IntN(2):][:1]
	case KindOctal:
		return []string{fmt.Sprintf("%o", rnd.IntN(0o1000))}
	case KindString:
		if d.check == nil {
			return []string{[]string{"", "plain", "a \"b\" \\ '", "\x00\xff\n#"}[rnd.IntN(4)]}
		}
	case KindEnum:
		return []string{d.Values[rnd.IntN(len(d.Values))]}
	case KindFlags:
		return d.Values[3:][rnd.IntN(2):]
	case KindStrings:
		return [][]string{{""}, {"127.0.0.1"}, {"*", "-::*"}, {"a", "b", "-c"}}[rnd.IntN(4)]
	case KindSave:
		return [][]string{{""}, {number(), number()}, {"3600", "1", "300", "100", "60", "10000"}, {number(), "0", number(), "1"}}[rnd.IntN(4)]
	case KindLimits:
		return []string{[]string{"normal", "replica", "pubsub"}[rnd.IntN(3)], number(), fmt.Sprint(rnd.IntN(3) << 20), number()}
	case KindPercentiles:
		return [][]string{{""}, {"50", "99", "99.9"}, {"0.001"}}[rnd.IntN(3)]
	case KindEvents:
		return []string{[]string{"", "KEA", "Kgn", "A"}[rnd.IntN(4)]}
	case KindReplicaOf:
		return [][]string{{"no", "one"}, {"host", "77"}}[rnd.IntN(2)]
	case KindOOMScores:
		return []string{number()[:1], "20", "30"}
	}
	return nil
}

func TestConcurrentUse(t *testing.T) {
	c := New()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 300 {
				_ = set(c, "timeout", fmt.Sprint(i), "save", fmt.Sprintf("%d %d", i+1, g), "hz", "x"[:i%2]+"5")
				_ = c.Get("*")
				_, _ = c.Timeout.Load(), c.Save.Load()
			}
		})
	}
	wg.Wait()
}

// TestInertHasAReason: a directive acts, or is refused, or says why it can have no effect.
func TestInertHasAReason(t *testing.T) {
	for _, d := range Directives() {
		if (d.Effect == Inert) != (d.Why != "") {
			t.Errorf("%s: effect %v, reason %q", d.Name, d.Effect, d.Why)
		}
	}
}
