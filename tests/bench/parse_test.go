package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseCSV(t *testing.T) {
	const head = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"` + "\n"
	const tail = `"1.366","0.072","1.207","4.039","4.423","5.655"` + "\n"
	for _, c := range []struct {
		in   string
		want float64
	}{
		{head + `"SET","327868.84",` + tail, 327868.84},
		{"WARNING: Could not fetch server CONFIG\n" + head + `"MSET (10 keys)","105820.11",` + tail, 105820.11},
		{head + `"HSET h:__rand_int__ a x,"y","31250.00",` + tail, 31250}, // redis-benchmark 7.0 escapes nothing
		{head + `"SET a ","b","1.50",` + tail, 1.5},
	} {
		if got, err := parseCSV(c.in); err != nil || got != c.want {
			t.Errorf("parseCSV(%q) = %v, %v; want %v", c.in, got, err, c.want)
		}
	}
	for _, bad := range []string{"", head, head + `"SET","1.0"` + "\n", head + `"SET","fast",` + tail, head + `"SET","1",` + tail + `"GET","2",` + tail} {
		if got, err := parseCSV(bad); err == nil {
			t.Errorf("parseCSV(%q) = %v, want an error", bad, got)
		}
	}
}

func TestParseSchedstat(t *testing.T) {
	if got, err := parseSchedstat([]byte("81191 5334204 2\n")); err != nil || got != 81191*time.Nanosecond {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "1 2\n", "x 2 3\n"} {
		if _, err := parseSchedstat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseStat(t *testing.T) {
	// The name holds what would lead a count from the front astray.
	text := "42 (a) b (c 1) S 1 42 42 0 -1 4194560 600 0 0 0 17 25 3 4 20 0 5 0 3337\n"
	if got, err := parseStat([]byte(text)); err != nil || got != 420*time.Millisecond {
		t.Errorf("%v, %v; want utime+stime of 17+25 ticks", got, err)
	}
	for _, bad := range []string{"", "42 (x) S 1", "42 (x) S 1 42 42 0 -1 4194560 600 0 0 0 x 25 3\n"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseKB(t *testing.T) {
	const text = "VmHWM:\t  2000 kB\nVmRSS:\t  1234 kB\nRssAnon:\t 12 kB\nThreads:\t3\n"
	if got, err := parseKB(text, "VmRSS"); err != nil || got != 1234*1024 {
		t.Errorf("%v, %v", got, err)
	}
	for _, name := range []string{"VmSwap", "Threads", "Vm"} {
		if _, err := parseKB(text, name); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParseCPU(t *testing.T) {
	busy, stolen, err := parseCPU("cpu  1 2 4 1000 1000 8 16 32 64 0\ncpu0 1 2 3\n")
	if err != nil || busy != 63*tick || stolen != 32*tick {
		t.Errorf("%v, %v, %v; want 63 ticks without idle, iowait and guest, 32 of them stolen", busy, stolen, err)
	}
	for _, text := range []string{"intr 5\n", "cpu 1 2 3 4 5 6 7 x 9\n"} {
		if _, _, err := parseCPU(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestCPUTimeSince(t *testing.T) {
	before := cpuTime{threads: time.Second, group: time.Second}
	if got := (cpuTime{threads: 1500 * time.Millisecond, group: 1510 * time.Millisecond}).since(before); got != 500*time.Millisecond {
		t.Errorf("%v, want what the threads say", got)
	}
	// A thread that used 0.4 s has ended.
	if got := (cpuTime{threads: 1100 * time.Millisecond, group: 1500 * time.Millisecond}).since(before); got != 500*time.Millisecond {
		t.Errorf("%v, want what the group says", got)
	}
}

func TestInfoField(t *testing.T) {
	const info = "# kvd\r\nkvd_max_lock_hold_us_total:9\r\nkvd_max_lock_hold_us:412\r\n"
	if v, ok := infoField(info, "kvd_max_lock_hold_us"); !ok || v != "412" {
		t.Errorf("%q, %v", v, ok)
	}
	if _, ok := infoField(info, "kvd_max"); ok {
		t.Error("a prefix was taken for the field")
	}
}

func TestReplies(t *testing.T) {
	const stream = "+OK\r\n:12\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n*1\r\n-ERR inner\r\n$0\r\n\r\n-ERR outer\r\n+last\r\n"
	for _, src := range []io.Reader{&oneByte{stream}, strings.NewReader(stream)} {
		s := newReplies(src)
		if err := s.skip(8); err != nil {
			t.Fatal(err)
		}
		if kind, _, _, err := s.head(); kind != '+' || err != nil || s.skip(1) == nil {
			t.Errorf("after eight replies: %c, %v; want the last one", kind, err)
		}
		if s.failed != 2 || s.firstErr != "ERR inner" || s.err() == nil {
			t.Errorf("%d error replies, first %q", s.failed, s.firstErr)
		}
	}
	for _, bad := range []string{"OK\r\n", "$x\r\n", "+OK\n", "$5\r\nab", "*2\r\n+a\r\n"} {
		if err := newReplies(strings.NewReader(bad)).skip(1); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// oneByte reads one byte at a time.
type oneByte struct{ rest string }

func (o *oneByte) Read(p []byte) (int, error) {
	n := copy(p[:1], o.rest)
	o.rest = o.rest[n:]
	return n, nil
}

func TestHold(t *testing.T) {
	list := []threshold{{"a/*/P=64/cpu", "ratio", "<=", 0.8}, {"a/*/*/cpu", "ratio", "<=", 1}, {"a/pause", "kvd", "<=", 1000}, {"a/rps", "ratio", ">=", 1}}
	for _, c := range []struct {
		m    metric
		held bool
		pass bool
	}{
		{metric{"a/pinned/P=64/cpu", "us", []float64{0.9}, []float64{1}}, true, false}, // the first match holds
		{metric{"a/pinned/P=1/cpu", "us", []float64{0.9}, []float64{1}}, true, true},
		{metric{"a/pause", "us", []float64{1, 1500, 900}, nil}, true, true},
		{metric{"a/pause", "us", []float64{1001}, nil}, true, false},
		{metric{"a/rps", "1/s", []float64{2}, []float64{1}}, true, true},
		{metric{"a/rps", "1/s", []float64{2}, nil}, true, false}, // no figure of Redis's: nothing shown
		{metric{"a/b/c/d/cpu", "us", []float64{2}, nil}, false, false},
	} {
		got, held := hold(list, &c.m)
		if held != c.held || got.Pass != c.pass {
			t.Errorf("%v: %v, held %v", c.m, got, held)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0.000", 1.23456: "1.235", 12.345: "12.35", 123.45: "123.5", 1234.5: "1234", 1e6: "1000000", -5: "-5.000"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	o, err := parseFlags([]string{"-suite", "memory,throughput", "-keys", "7", "-tests", "get"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := choose(o)
	if err != nil || len(got) != 2 || got[0].name != "memory" || got[0].keys != 7 || got[1].tests != "get" || got[1].rounds != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	var limit time.Duration
	o.suite, o.over = "quick", extent{}
	quick, err := choose(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range quick {
		limit += c.limit
	}
	if len(quick) < 3 || limit > 10*time.Minute {
		t.Errorf("quick: %d suites, at most %v", len(quick), limit)
	}
	o.suite = "all"
	if all, err := choose(o); err != nil || len(all) != len(suites) {
		t.Errorf("all: %d suites, %v", len(all), err)
	}
	o.suite = "memory,nosuch"
	if _, err := choose(o); err == nil {
		t.Error("an unknown suite was taken")
	}
}

func TestInts(t *testing.T) {
	if got, err := ints("1, 16,64", 1); err != nil || !slices.Equal(got, []int{1, 16, 64}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"0", "1,,2", "x", "-1"} {
		if _, err := ints(bad, 1); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestJSONHasNoNaN(t *testing.T) {
	var out bytes.Buffer
	p := newReport(&out)
	p.add("growth/x/kvd_max_command_us", "us", "kvd", 12)
	p.add("memory/plain/bytes a key", "B", "redis", 180)
	p.flush("x")
	if err := p.writeJSON(t.TempDir()+"/out.json", map[string]any{"seed": 1}, nil); err != nil {
		t.Fatal(err)
	}
	if p.short() != 1 || !strings.Contains(out.String(), "SHORT memory/plain/bytes a key: no figure") {
		t.Errorf("a figure that kvd lacks must fall short:\n%s", out.String())
	}
}

func TestRepliesAlike(t *testing.T) {
	like := "VALUE key:" + placeholder + " 0 1\r\nx\r\nEND\r\n"
	one := strings.Replace(like, placeholder, "000000000007", 1)
	if err := newReplies(strings.NewReader(one+one+"HD\r\n")).alike(2, like); err != nil {
		t.Error(err)
	}
	s := newReplies(strings.NewReader(one + "HD\r\n"))
	if err := s.alike(1, like); err != nil {
		t.Error(err)
	}
	if err := s.alike(1, "HD\r\n"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", one, one + one[:len(one)-1], one + "END\r\n" + one, one + strings.Replace(one, "END", "ENE", 1)} {
		if err := newReplies(strings.NewReader(bad)).alike(2, like); err == nil {
			t.Errorf("%q is taken for two replies", bad)
		}
	}
}
