package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"kvd/persist/rdb"
	"kvd/types"
)

// checkBytes verifies a file of these bytes.
func checkBytes(t testing.TB, name string, file []byte) *FileReport {
	t.Helper()
	if err := os.WriteFile(name, file, 0o644); err != nil {
		t.Fatal(err)
	}
	list, err := new(Checker).Check(name)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return list[0]
}

func TestCheckSnapshot(t *testing.T) {
	rng := newRand(t)
	t.Chdir(t.TempDir())
	a := newRoom(t, "rdbcompression", "no")
	a.fill(rng, 300)
	// One that is too long to be decoded.
	a.put(a.ks.NewTx(), 0, "long", rdb.Value{Type: types.TString, Enc: types.EncChunked, Obj: types.NewBigString(make([]byte, checkMax+5))}, 0)
	a.mustSave()
	file, err := os.ReadFile("dump.rdb")
	if err != nil {
		t.Fatal(err)
	}
	r := checkBytes(t, "dump.rdb", file)
	if r.Err != nil || r.Long != 1 {
		t.Fatal(r.Err, r.Long)
	}
	want := map[types.Type]int64{}
	for _, v := range a.contents() {
		for typ := types.TString; typ <= types.THash; typ++ {
			if strings.HasPrefix(v, typ.String()+" ") {
				want[typ]++
			}
		}
	}
	for typ, n := range want {
		got := int64(0)
		for _, m := range r.Keys {
			got += m[typ]
		}
		if got != n {
			t.Errorf("%d of %v, want %d", got, typ, n)
		}
	}
	var out bytes.Buffer
	r.Write(&out, "")
	for _, text := range []string{"snapshot", "RDB version 10", "database 0", "database 5", "earliest deadline", "only lengths"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("no %q in\n%s", text, out.String())
		}
	}
	a.put(a.ks.NewTx(), 0, "long", rdb.Value{}, 0)
	a.mustSave()
	if file, err = os.ReadFile("dump.rdb"); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		bad := bytes.Clone(file)
		i := rng.IntN(len(bad))
		if rng.IntN(2) == 0 {
			i = rng.IntN(40000)
		}
		bad[i] ^= byte(1 + rng.IntN(255))
		if r := checkBytes(t, "bad.rdb", bad); r.Err == nil {
			t.Errorf("byte %d of %d is not noticed", i, len(bad))
		}
	}
	for range 30 {
		n := rng.IntN(len(file))
		if r := checkBytes(t, "cut.rdb", file[:n]); r.Err == nil || r.Err.Offset > int64(n) || r.Err.Fixable {
			t.Errorf("cut to %d bytes: %v", n, r.Err)
		}
	}
}

// logText is a command as a log has it.
func logText(args ...string) string {
	b := "*" + number(int64(len(args))) + "\r\n"
	for _, a := range args {
		b += "$" + number(int64(len(a))) + "\r\n" + a + "\r\n"
	}
	return b
}

func TestCheckLog(t *testing.T) {
	t.Chdir(t.TempDir())
	set, multi, exec := logText("SET", "k", "v"), logText("MULTI"), logText("EXEC")
	head := string(crafted("0010", "\x00\x01k\x01v"))
	for name, c := range map[string]struct {
		text     string
		commands int64
		keep     int // -1: nothing is wrong
		err      string
	}{
		"empty":            {"", 0, -1, ""},
		"one":              {set, 1, -1, ""},
		"stamps":           {"#TS:1234\r\n" + set + "#TS:1235\r\n", 1, -1, ""},
		"transaction":      {set + multi + set + set + exec + set, 6, -1, ""},
		"long argument":    {logText("SET", "k", strings.Repeat("x", 3<<20)), 1, -1, ""},
		"head":             {head + set, 1, -1, ""},
		"only head":        {head, 0, -1, ""},
		"torn":             {set + set[:len(set)-1], 1, len(set), "middle of a command"},
		"torn after head":  {head + set + set[:5], 1, len(head) + len(set), "middle of a command"},
		"open transaction": {set + multi + set, 3, len(set), "middle of a transaction"},
		"torn transaction": {set + multi + set + set[:9], 3, len(set), "middle of a command"},
		"nested":           {set + multi + multi, 3, len(set), "MULTI inside"},
		"exec alone":       {set + exec, 2, len(set), "EXEC without"},
		"garbage":          {set + "hello", 1, len(set), "should be"},
		"no number":        {set + "*x\r\n", 1, len(set), "no number"},
		"no arguments":     {set + "*0\r\n", 1, len(set), "0 arguments"},
		"huge argument":    {set + "*1\r\n$99999999999\r\n", 1, len(set), "99999999999 bytes"},
		"huge command":     {set + "*99999999999\r\n", 1, len(set), "99999999999 arguments"},
		"line end":         {set + "*1\r\n$1\r\naxx", 1, len(set), "CR and LF"},
		"line end 2":       {set + "*1\rx", 1, len(set), "CR and LF"},
		"zeros":            {set + strings.Repeat("\x00", 100), 1, len(set), "should be"},
	} {
		r := checkBytes(t, "x.aof", []byte(c.text))
		if r.Commands != c.commands {
			t.Errorf("%s: %d commands", name, r.Commands)
		}
		if c.keep < 0 {
			if r.Err != nil || r.Whole != int64(len(c.text)) {
				t.Errorf("%s: %v, whole up to %d of %d", name, r.Err, r.Whole, len(c.text))
			}
			continue
		}
		d := r.Damaged()
		if d == nil || !d.Fixable || d.Keep != int64(c.keep) || !strings.Contains(d.Error(), c.err) || !strings.Contains(d.Error(), "--fix") {
			t.Errorf("%s: %v", name, d)
			continue
		}
		if err := new(Checker).Fix(d); err != nil {
			t.Error(err)
		}
		if list, err := new(Checker).Check("x.aof"); err != nil || list[0].Err != nil || list[0].Bytes != int64(c.keep) {
			t.Errorf("%s: after the fix %v, %v", name, err, list[0].Err)
		}
	}
	// A damaged head cannot be cut.
	if r := checkBytes(t, "x.aof", []byte(head[:15])); r.Err == nil || r.Err.Fixable {
		t.Error(r.Err)
	}
	unknown := errors.New("unknown")
	c := Checker{Known: func(args int, name []byte) error {
		if string(name) == "GET" && args == 2 {
			return unknown
		}
		return nil
	}}
	if err := os.WriteFile("x.aof", []byte(set+logText("GET", "k")), 0o644); err != nil {
		t.Fatal(err)
	}
	if list, _ := c.Check("x.aof"); !errors.Is(list[0].Err, unknown) || list[0].Err.Offset != int64(len(set)) {
		t.Error(list[0].Err)
	}
	if _, err := c.Check("none"); err == nil {
		t.Error("no file, no error")
	}
	if err := os.Mkdir("empty", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Check("empty"); err == nil {
		t.Error("an empty directory passes")
	}
}

// TestCheckIsBounded: neither claims nor long values take memory.
func TestCheckIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it has no concurrency, and is slow under the race detector")
	}
	t.Chdir(t.TempDir())
	long := "\x80" + string(binary.BigEndian.AppendUint32(nil, 64<<20)) + strings.Repeat("x", 64<<20)
	for name, file := range map[string][]byte{
		"string": crafted("0010", "\x00\x01k", long),
		"list":   crafted("0010", "\x01\x01k\x02", long, long),
		"claim":  []byte("REDIS0010\x00\x01k\x81\x7f\xff\xff\xff\xff\xff\xff\xff"),
	} {
		if err := os.WriteFile(name, file, 0o644); err != nil {
			t.Fatal(err)
		}
		n := allocated(func() {
			if _, err := new(Checker).Check(name); err != nil {
				t.Fatal(err)
			}
		})
		if n > 24<<20 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
	}
}

// allocated is the number of bytes that f allocates.
func allocated(f func()) uint64 {
	var a, b runtime.MemStats
	runtime.ReadMemStats(&a)
	f()
	runtime.ReadMemStats(&b)
	return b.TotalAlloc - a.TotalAlloc
}

func TestCheckManifest(t *testing.T) {
	t.Chdir(t.TempDir())
	set := logText("SET", "k", "v")
	if err := os.Mkdir("appendonlydir", 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile("appendonlydir/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	whole := map[string]string{
		"a.manifest":   "file a.1.base.rdb seq 1 type b\nfile a.0.incr.aof seq 1 type h\nfile a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\n",
		"a.1.base.rdb": string(crafted("0010", "\x00\x01k\x01v")), "a.1.incr.aof": set, "a.2.incr.aof": set + set,
	}
	for name, c := range map[string]struct {
		file, text string // in place of the whole one
		err        string
		fixable    bool
	}{
		"whole":       {},
		"torn end":    {"a.2.incr.aof", set + set[:7], "--fix", true},
		"torn middle": {"a.1.incr.aof", set + set[:7], "Others follow", false},
		"base":        {"a.1.base.rdb", "REDIS0010\x00\x01k", "cut off", false},
		"manifest":    {"a.manifest", "file a.1.base.rdb seq x type b\n", "Correct the line", false},
		"no file":     {"a.manifest", whole["a.manifest"] + "file a.3.incr.aof seq 3 type i\n", "a.3.incr.aof", false},
	} {
		for file, text := range whole {
			write(file, text)
		}
		if c.file != "" {
			write(c.file, c.text)
		}
		list, err := new(Checker).Check(".")
		if err != nil || len(list) != 1 && list[0].Err == nil {
			t.Fatalf("%s: %v, %d files", name, err, len(list))
		}
		d := list[0].Damaged()
		switch {
		case c.err == "":
			if d != nil || len(list[0].Files) != 3 || list[0].Files[2].Commands != 2 {
				t.Errorf("%s: %v", name, d)
			}
		case d == nil || !strings.Contains(d.Error(), c.err) || d.Fixable != c.fixable:
			t.Errorf("%s: %v", name, d)
		}
	}
}
