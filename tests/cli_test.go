package tests

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// cli is redis-cli, bound to one server.
type cli struct {
	t    *testing.T
	path string
	port int
}

func newCLI(t *testing.T, s *harness.Server) cli {
	t.Helper()
	path, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("no redis-cli on PATH; tests/setup/install.sh installs it")
	}
	return cli{t, path, s.Port}
}

// run feeds in to redis-cli and returns what it prints.
func (c cli) run(in string, args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, append([]string{"-p", strconv.Itoa(c.port)}, args...)...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Errorf("redis-cli %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func (c cli) expect(want string, args ...string) {
	c.t.Helper()
	if got := c.run("", args...); got != want {
		c.t.Errorf("redis-cli %q printed %q, want %q", args, got, want)
	}
}

func TestCLI(t *testing.T) {
	c := newCLI(t, harness.StartKVD(t))
	c.expect("PONG\n", "ping")
	c.expect("OK\n", "set", "k", "v")
	c.expect("v\n", "get", "k")
	c.expect("\"v\"\n", "--no-raw", "get", "k")
	c.expect("(nil)\n", "--no-raw", "get", "none")
	c.expect("(integer) 1\n", "--no-raw", "exists", "k")
	c.expect("\n", "-n", "9", "get", "k")
	c.expect("v\n", "-3", "get", "k")
	c.expect("(nil)\n", "-3", "--no-raw", "get", "none")
	c.expect("OK\n", "-n", "9", "set", "only9", "1")
	if got := c.run("set a 1\nincr a\nkeys a\nnosuch b\n", "--no-raw"); got != "OK\n(integer) 2\n1) \"a\"\n(error) ERR unknown command 'nosuch', with args beginning with: 'b' \n" {
		t.Errorf("commands on standard input: %q", got)
	}
	if got := c.run("from stdin", "-x", "set", "k"); got != "OK\n" {
		t.Errorf("-x: %q", got)
	}
	c.expect("from stdin\n", "get", "k")
}

// TestCLIProtocol3 wants RESP3 where redis-cli asks for it.
func TestCLIProtocol3(t *testing.T) {
	c := newCLI(t, harness.StartKVD(t))
	for flag, want := range map[string]string{"-3": "resp=3", "-2": "resp=2"} {
		if got := c.run("", flag, "client", "info"); !strings.Contains(got, want) {
			t.Errorf("redis-cli %s client info: no %s in %q", flag, want, got)
		}
	}
}

func TestCLIScan(t *testing.T) {
	s := harness.StartKVD(t)
	c := newCLI(t, s)
	// --pipe sends a file of requests and counts the replies, which it ends by an ECHO.
	var in, want []string
	for i := range 2000 {
		in = append(in, string(harness.AppendCommand(nil, "SET", fmt.Sprintf("key:%d", i), strings.Repeat("x", i%100))))
		want = append(want, fmt.Sprintf("key:%d", i))
	}
	if got := c.run(strings.Join(in, ""), "--pipe"); !strings.Contains(got, "errors: 0, replies: 2000") {
		t.Errorf("redis-cli --pipe printed %q", got)
	}
	got := strings.Fields(c.run("", "--scan"))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(slices.Compact(got), want) {
		t.Errorf("redis-cli --scan listed %d keys, want %d", len(got), len(want))
	}
	if got := strings.Fields(c.run("", "--scan", "--pattern", "key:199?")); len(got) != 10 {
		t.Errorf("redis-cli --scan --pattern key:199? listed %q", got)
	}
	if got := c.run("", "--bigkeys", "-i", "0"); !strings.Contains(got, "Sampled 2000 keys") || !strings.Contains(got, "2000 strings with 99000 bytes") {
		t.Errorf("redis-cli --bigkeys printed %s", got)
	}
}

func TestCLIInfo(t *testing.T) {
	s := harness.StartKVD(t)
	c := newCLI(t, s)
	c.expect("OK\n", "set", "k", "v")
	out := c.run("", "info")
	for _, want := range []string{"# Server", "redis_version:8.", "redis_mode:standalone", "tcp_port:" + strconv.Itoa(s.Port), "process_id:" + strconv.Itoa(s.PID()), "uptime_in_seconds:",
		"# Clients", "connected_clients:", "# Memory", "used_memory:", "# Persistence", "loading:0", "# Stats", "total_commands_processed:", "keyspace_hits:",
		"# Replication", "role:master", "connected_slaves:0", "# CPU", "# Keyspace", "db0:keys=1,expires=0,avg_ttl=0"} {
		if !strings.Contains(out, want) {
			t.Errorf("INFO lacks %q", want)
		}
	}
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && line[0] != '#' && !strings.Contains(line, ":") {
			t.Errorf("INFO has a line without a name: %q", line)
		}
	}
}

// TestCommandDocs reads COMMAND DOCS in the form from which redis-cli makes its hints, in both protocols.
func TestCommandDocs(t *testing.T) {
	s := harness.StartKVD(t)
	for _, proto := range []string{"2", "3"} {
		c := s.MustDial(t)
		c.MustDo(t, "HELLO", proto)
		names := c.MustDo(t, "COMMAND", "LIST").Strings()
		if len(names) < 10 {
			t.Fatalf("COMMAND LIST names %q", names)
		}
		// The list has the subcommands too; DOCS has them within their commands.
		names = slices.DeleteFunc(names, func(n string) bool { return strings.Contains(n, "|") })
		docs := c.MustDo(t, "COMMAND", "DOCS")
		if kind := map[string]byte{"2": '*', "3": '%'}[proto]; docs.Kind != kind {
			t.Fatalf("RESP%s: COMMAND DOCS is a %c", proto, docs.Kind)
		}
		var documented []string
		for i := 0; i+1 < len(docs.Elems); i += 2 {
			name := docs.Elems[i].Str
			documented = append(documented, name)
			checkDocs(t, name, docs.Elems[i+1])
		}
		slices.Sort(names)
		slices.Sort(documented)
		if !slices.Equal(names, documented) {
			t.Errorf("RESP%s: COMMAND DOCS describes %d commands, COMMAND LIST has %d", proto, len(documented), len(names))
		}
		one := c.MustDo(t, "COMMAND", "DOCS", "get", "nosuch")
		if len(one.Elems) != 2 || one.Elems[0].Str != "get" {
			t.Errorf("COMMAND DOCS get nosuch: %s", one)
		}
	}
}

// fields reads a map, or RESP2's flat array in its place.
func fields(r harness.Reply) map[string]harness.Reply {
	out := map[string]harness.Reply{}
	for i := 0; i+1 < len(r.Elems); i += 2 {
		out[r.Elems[i].Str] = r.Elems[i+1]
	}
	return out
}

func checkDocs(t *testing.T, name string, r harness.Reply) {
	t.Helper()
	doc := fields(r)
	for _, f := range []string{"summary", "since", "group"} {
		if doc[f].Str == "" {
			t.Errorf("COMMAND DOCS %s has no %s", name, f)
		}
	}
	checkArguments(t, name, doc["arguments"], 0)
	for sub, r := range fields(doc["subcommands"]) {
		checkDocs(t, sub, r)
	}
}

// argumentTypes are those that redis-cli knows.
var argumentTypes = []string{"string", "integer", "double", "key", "pattern", "unix-time", "pure-token", "oneof", "block"}

func checkArguments(t *testing.T, name string, args harness.Reply, depth int) {
	t.Helper()
	if depth > 8 {
		t.Errorf("COMMAND DOCS %s: arguments nest too deep", name)
		return
	}
	for _, a := range args.Elems {
		arg := fields(a)
		typ := arg["type"].Str
		if arg["name"].Str == "" || !slices.Contains(argumentTypes, typ) {
			t.Errorf("COMMAND DOCS %s: argument %s", name, a)
		}
		if typ == "pure-token" && arg["token"].Kind == 0 {
			t.Errorf("COMMAND DOCS %s: a token without its text: %s", name, a)
		}
		if (typ == "oneof" || typ == "block") != (len(arg["arguments"].Elems) > 0) {
			t.Errorf("COMMAND DOCS %s: a %s with %d arguments of its own", name, typ, len(arg["arguments"].Elems))
		}
		checkArguments(t, name, arg["arguments"], depth+1)
	}
}
