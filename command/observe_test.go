package command

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"kvd/observe"
	"kvd/resp/wire"
)

func TestSlowlog(t *testing.T) {
	s := newTestServer(t)
	entries := func() []string {
		var lines []string
		for _, e := range s.Logs.Slow.Last(-1) {
			lines = append(lines, strings.Join(e.Args, " "))
		}
		return lines
	}
	s.want("config set slowlog-log-slower-than 0", "+OK\n")
	s.run("slowlog reset")
	s.run("client setname me")
	s.run("set a b")
	s.run("multi")
	s.run("get a")
	s.run("exec")
	long := strings.Repeat("A", 129)
	s.run("sadd s " + long)
	s.run("sadd s" + strings.Repeat(" x", 31))
	s.run("auth u secret")
	s.run("hello 3 auth default secret setname auth")
	s.run("hello 2")
	s.run("config set requirepass secret masterauth secret hz 11")
	s.run("migrate localhost 1 k 0 1 copy auth2 user secret")
	s.run("config set slowlog-log-slower-than -1")
	s.run("get off")
	want := []string{"slowlog reset", "client setname me", "set a b", "multi", "get a", "sadd s " + long[1:] + "... (1 more bytes)",
		"sadd s" + strings.Repeat(" x", 29) + " ... (2 more arguments)", "auth (redacted) (redacted)", "hello 3 auth (redacted) (redacted) setname auth", "hello 2",
		"config set requirepass (redacted) masterauth (redacted) hz 11", "migrate localhost 1 k 0 1 copy auth2 (redacted) (redacted)"}
	if got := entries(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("slow log:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	n := len(want)
	s.want("slowlog len", fmt.Sprintf(":%d\n", n))
	got := s.run("slowlog get 1")
	if !regexp.MustCompile(fmt.Sprintf(`^\*1\r\n\*7\r\n:%d\r\n:\d{10}\r\n:\d+\r\n\*10\r\n`, n)).MatchString(got) ||
		!strings.HasSuffix(got, "$11\r\n127.0.0.1:1\r\n$4\r\nauth\r\n:10\r\n") {
		t.Errorf("entry: %q", got)
	}
	for count, most := range map[string]int{"": 10, " 3": 3, " 0": 0, " -1": n, " 99": n} {
		if got := s.run("slowlog get" + count); !strings.HasPrefix(got, fmt.Sprintf("*%d\r\n", most)) {
			t.Errorf("slowlog get%s: %.10q", count, got)
		}
	}
	s.want("slowlog get -2", "-ERR count should be greater than or equal to -1\n")
	s.run("config set slowlog-max-len 2")
	s.want("slowlog len", ":2\n")
	s.run("slowlog reset")
	s.run("config set slowlog-max-len 128")
	s.run("config set slowlog-log-slower-than 20000")
	s.run("get a")
	s.run("debug sleep 0.03")
	s.run("multi")
	s.run("debug sleep 0.021")
	s.run("exec")
	slow, took := "", []int64{}
	for _, e := range s.Logs.Slow.Last(-1) {
		if line := strings.Join(e.Args, " "); e.Value < 20000 || strings.HasPrefix(line, "debug") { // others may be slow where the machine is
			slow, took = slow+line+"\n", append(took, e.Value)
		}
	}
	if slow != "debug sleep 0.03\ndebug sleep 0.021\n" {
		t.Fatalf("slow log: %q", slow)
	}
	if took[0] < 30000 {
		t.Errorf("DEBUG SLEEP 0.03 took %d us", took[0])
	}
}

// TestSlowPipeline: in a pipeline the right command is the slow one, and the
// counters are complete after it.
func TestSlowPipeline(t *testing.T) {
	for try := 1; ; try++ { // any command may be slow where the machine is
		s := newTestServer(t)
		s.run("config set slowlog-log-slower-than 20000")
		s.run("config resetstat")
		cmds := make([]Pending, 16)
		for i := range cmds {
			cmds[i].Args = [][]byte{[]byte("GET"), []byte("k")}
		}
		cmds[7].Args = [][]byte{[]byte("DEBUG"), []byte("SLEEP"), []byte("0.03")}
		var w wire.Writer
		s.x.SetTime(time.Now())
		s.x.Foresee(s.c, cmds)
		for i := range cmds {
			s.x.RunPending(s.c, &cmds[i], &w)
		}
		row := s.Table.Lookup([]byte("get"))
		slow, st := s.Logs.Slow.Last(-1), s.totals().rows[row.num]
		_, n := s.CallTimes(row)
		if len(slow) == 1 && slow[0].Args[0] == "DEBUG" && st.calls == 15 && st.ns <= 20e6 && n == 15 {
			break
		}
		if try == 10 {
			t.Fatalf("slow log: %v; GET: %+v, %d calls in the histogram", slow, st, n)
		}
	}
}

func TestLatency(t *testing.T) {
	var s *testServer
	for try := 1; ; try++ { // any command may be slow where the machine is
		s = newTestServer(t)
		s.want("latency latest", "*0\n")
		if got := s.run("latency doctor"); !strings.Contains(got, "not monitored") {
			t.Error(got)
		}
		s.run("config set latency-monitor-threshold 20")
		s.run("debug sleep 0.025")
		s.NoteLatency("expire-cycle", 19e6)
		s.NoteLatency("expire-cycle", 30e6)
		s.NoteLatency("expire-cycle", 25e6)
		s.NoteLatency("fast-command", 21e6)
		s.run("config set latency-monitor-threshold 60000")
		got := s.run("latency latest")
		if regexp.MustCompile(`^\*3\r\n\*6\r\n\$7\r\ncommand\r\n:\d+\r\n:\d+\r\n:\d+\r\n:\d+\r\n:1\r\n\*6\r\n\$12\r\nexpire-cycle\r\n:\d+\r\n:30\r\n:30\r\n:55\r\n:2\r\n`).MatchString(got) {
			break
		}
		if try == 10 {
			t.Fatalf("%q", got)
		}
	}
	if got := s.run("latency doctor"); !strings.Contains(got, "2. expire-cycle: 1 seconds") || !strings.Contains(got, "SLOWLOG GET") {
		t.Error(got)
	}
	if got := s.run("latency graph expire-cycle"); !strings.Contains(got, "expire-cycle - high 30 ms, low 30 ms (all time high 30 ms)\n") {
		t.Error(got)
	}
	s.want("latency graph nothing", "-ERR No samples available for event 'nothing'\n")
	s.want("latency history nothing", "*0\n")
	s.want("latency reset nothing FAST-command", ":1\n")
	s.want("latency reset", ":2\n")
	s.want("latency latest", "*0\n")
}

func TestLatencyHistogram(t *testing.T) {
	s := newTestServer(t)
	s.run("config resetstat")
	h := new(observe.Histogram)
	for _, ns := range []int64{3, 1024, 1030, 1060, 5000, 5100, 40000} {
		h.Add(ns)
	}
	s.x.stats[s.Table.Lookup([]byte("get")).num].hist = h
	s.want("latency histogram get nothing", "*2\n$3\nget\n*4\n$5\ncalls\n:7\n$14\nhistogram_usec\n*8\n:1\n:3\n:2\n:4\n:8\n:6\n:66\n:7\n")
	s.run("client id")
	got := s.run("latency histogram client")
	if !strings.HasPrefix(got, "*2\r\n$9\r\nclient|id\r\n*4\r\n$5\r\ncalls\r\n:1\r\n") {
		t.Errorf("%q", got)
	}
	s.run("config resetstat")
	s.run("config set latency-tracking no")
	s.run("set a b")
	s.want("latency histogram set", "*0\n")
}

// lineConn keeps what is pushed.
type lineConn struct {
	Conn
	lines []string
}

func (c *lineConn) Push(b []byte) { c.lines = append(c.lines, string(b)) }

func TestMonitor(t *testing.T) {
	s := newTestServer(t)
	out := &lineConn{}
	m := s.NewClient(out, "127.0.0.1:9", "", 0)
	var w wire.Writer
	as := func(words ...string) string {
		args := make([][]byte, len(words))
		for i, a := range words {
			args[i] = []byte(a)
		}
		w.Buf = nil
		s.x.Run(m, args, &w)
		return string(w.Buf)
	}
	if got := as("monitor"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	s.run("set a b")
	s.do("SET", "x\"y", "\\\n\r\t\a\b\x00\xff~")
	s.run("select 3")
	s.run("config get hz") // Admin: not shown
	s.run("nosuch")
	s.run("set")
	s.run("multi")
	s.run("get a")
	s.run("exec")
	s.run("auth default secret")
	if got := as("client", "info"); !strings.Contains(got, " flags=O ") {
		t.Error(got)
	}
	if got := as("reset"); got != "+RESET\r\n" {
		t.Fatal(got)
	}
	s.run("get b")
	want := []string{`[0 127.0.0.1:1] "set" "a" "b"`, `[0 127.0.0.1:1] "SET" "x\"y" "\\\n\r\t\a\b\x00\xff~"`, `[3 127.0.0.1:1] "select" "3"`,
		`[3 127.0.0.1:1] "multi"`, `[3 127.0.0.1:1] "get" "a"`, `[3 127.0.0.1:1] "exec"`, `[3 127.0.0.1:1] "auth" "(redacted)" "(redacted)"`,
		`[0 127.0.0.1:9] "client" "info"`}
	stamp := regexp.MustCompile(`^\+\d{10}\.\d{6} (.*)\r\n$`)
	var got []string
	for _, l := range out.lines {
		p := stamp.FindStringSubmatch(l)
		if p == nil {
			t.Fatalf("%q", l)
		}
		got = append(got, p[1])
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("lines:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s.monitors.all.Load() != nil {
		t.Error("somebody monitors still")
	}
}

// Directives say how much of a command is kept.
func TestSlowlogEntrySize(t *testing.T) {
	s := newTestServer(t)
	s.run("config set slowlog-log-slower-than 0")
	s.run("config set slowlog-entry-max-argc 3 slowlog-entry-max-string-len 4")
	s.run("slowlog reset")
	s.run("mget abcdef b c d e")
	got := s.run("slowlog get 1")
	if want := "*3\r\n$4\r\nmget\r\n$22\r\nabcd... (2 more bytes)\r\n$22\r\n... (4 more arguments)\r\n"; !strings.Contains(got, want) {
		t.Errorf("%q", got)
	}
}
