package persist_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/families"
	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
	"kvd/persist"
	"kvd/resp/wire"
)

// node is a server without a front end, in the working directory.
type node struct {
	t    testing.TB
	ks   *keyspace.Keyspace
	srv  *command.Server
	aof  *persist.Log
	exec *command.Exec
	cl   *command.Client
	mu   sync.Mutex
	out  bytes.Buffer
	up   bool
	// appliers is how many were made.
	appliers int
}

func (n *node) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.out.Write(b)
}

func (n *node) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.out.String()
}

// start loads and begins to serve; err is what Load says.
func start(t testing.TB, disk persist.Disk, directives ...string) (n *node, err error) {
	t.Helper()
	cfg := config.New()
	directives = append([]string{"enable-debug-command", "yes"}, directives...)
	for i := 0; i < len(directives); i += 2 {
		args := []string{directives[i+1]}
		if err := cfg.SetInitial(directives[i], args); err != nil {
			t.Fatal(err)
		}
	}
	n = &node{t: t, ks: keyspace.New(keyspace.Options{Databases: 16, Stripes: 16})}
	log := logf.NewWriter(n, logf.Debug)
	n.srv = command.NewServer(families.Table(), cfg, n.ks, log, "test")
	saver := persist.New(persist.Options{Keyspace: n.ks, Config: cfg, Log: log, Dirty: &n.srv.Stats.DirtySinceSave, Version: "test", RedisVersion: "7.4.0",
		UsedMemory: n.srv.UsedMemory, Limits: n.srv.RDBLimits, Freq: n.srv.Freq, FreqClock: n.srv.FreqClock, Changed: n.srv.PersistenceChanged, Disk: disk})
	n.aof = persist.NewLog(saver, func() persist.Applier { n.appliers++; return n.srv.NewApplier() })
	n.srv.SetPersistence(n.aof)
	n.exec = n.srv.NewExec()
	n.cl = n.srv.NewClient(nil, "127.0.0.1:1", "127.0.0.1:2", 0)
	if n.aof.HasFile() {
		n.aof.SetLoading()
	}
	t.Cleanup(n.stop)
	n.up = true
	if err := n.aof.Load(); err != nil {
		return n, err
	}
	n.aof.Start()
	n.aof.Serve()
	return n, nil
}

func mustStart(t testing.TB, disk persist.Disk, directives ...string) *node {
	t.Helper()
	n, err := start(t, disk, directives...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) stop() {
	if !n.up {
		return
	}
	n.up = false
	n.aof.Close()
	if err := n.ks.Check(); err != nil {
		n.t.Error(err)
	}
	n.ks.Close()
	// The test's clean-up keeps n to its end; the data need not stay that long.
	n.ks, n.srv, n.aof, n.exec, n.cl = nil, nil, nil, nil, nil
}

// do runs a command; words may be any bytes.
func (n *node) do(words ...string) string {
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	w := wire.Writer{Proto: 2}
	n.exec.SetTime(time.Now())
	n.exec.Run(n.cl, args, &w)
	return string(w.Buf)
}

func (n *node) run(line string) string { return n.do(strings.Fields(line)...) }

func (n *node) must(line string) {
	n.t.Helper()
	if r := n.run(line); strings.HasPrefix(r, "-") {
		n.t.Fatalf("%s: %s", line, r)
	}
}

func (n *node) digest() string {
	n.t.Helper()
	r := n.run("debug digest")
	if r[0] == '-' {
		n.t.Fatal(r)
	}
	return r
}

func (n *node) rewrite() {
	n.t.Helper()
	if _, err := n.aof.Rewrite(); err != nil {
		n.t.Fatal(err)
	}
	poll(n.t, "the rewrite", func() bool { return !n.aof.Rewriting() })
}

func (n *node) info(field string) string {
	_, rest, _ := strings.Cut(n.run("info persistence"), "\n"+field+":")
	v, _, _ := strings.Cut(rest, "\r")
	return v
}

func poll(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func aofRand(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// change runs a random command that changes something.
func (n *node) change(rng *rand.Rand) {
	key := func(kind string) string { return fmt.Sprintf("%s%d", kind, rng.IntN(20)) }
	word := func() string {
		b := make([]byte, rng.IntN(30))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return string(b)
	}
	if rng.IntN(10) == 0 {
		n.do("select", fmt.Sprint(rng.IntN(4)))
	}
	multi := rng.IntN(10) == 0
	if multi {
		n.do("multi")
	}
	for range 1 + rng.IntN(3) {
		switch rng.IntN(12) {
		case 0:
			n.do("set", key("s"), word())
		case 1:
			n.do("set", key("s"), word(), "ex", fmt.Sprint(100+rng.IntN(100)))
		case 2:
			n.do("append", key("s"), word())
		case 3:
			n.do("rpush", key("l"), word(), word())
		case 4:
			n.do("lpop", key("l"))
		case 5:
			n.do("sadd", key("t"), word(), fmt.Sprint(rng.IntN(1000)))
		case 6:
			n.do("spop", key("t"))
		case 7:
			n.do("hset", key("h"), word(), word())
		case 8:
			n.do("zadd", key("z"), fmt.Sprint(rng.NormFloat64()), word())
		case 9:
			n.do("del", key("s"), key("l"))
		case 10:
			n.do("expire", key("h"), fmt.Sprint(1000+rng.IntN(1000)))
		case 11:
			n.do("hpexpire", key("h"), fmt.Sprint(1000000+rng.IntN(1000)), "fields", "1", word())
		}
	}
	if multi {
		n.do("exec")
	}
}

// TestLogRoundTrip: whatever happened is there after a restart, with bases of
// both forms and rewrites on the way.
func TestLogRoundTrip(t *testing.T) {
	for _, preamble := range []string{"yes", "no"} {
		for _, policy := range []string{"always", "everysec", "no"} {
			t.Run(preamble+" "+policy, func(t *testing.T) {
				t.Chdir(t.TempDir())
				rng := aofRand(t)
				set := []string{"appendonly", "yes", "appendfsync", policy, "aof-use-rdb-preamble", preamble, "save", "", "aof-timestamp-enabled", preamble}
				n := mustStart(t, nil, set...)
				for range 3 {
					for range 1000 {
						n.change(rng)
					}
					n.do("set", "big", strings.Repeat("x", 300000))
					for i := range 700 {
						n.do("rpush", "long", fmt.Sprintf("%d %s", i, strings.Repeat("y", 50)))
						n.do("hset", "wide", fmt.Sprint(i), strings.Repeat("z", 70))
						n.do("zadd", "far", fmt.Sprint(float64(i)/7), fmt.Sprint(i))
					}
					if _, err := n.aof.Rewrite(); err != nil {
						t.Fatal(err)
					}
					for range 500 {
						n.change(rng)
					}
					poll(t, "the rewrite", func() bool { return !n.aof.Rewriting() })
					want := n.digest()
					n.stop()
					n = mustStart(t, nil, set...)
					if got := n.digest(); got != want {
						t.Fatalf("the digest is %s, was %s", got, want)
					}
					if list, _ := os.ReadDir("appendonlydir"); len(list) != 4 { // base, increment, manifest, lock
						t.Errorf("files %v", list)
					}
				}
			})
		}
	}
}

// TestLogTorn: a log that ends anywhere loads as it was before what is not
// whole, and goes on from there.
func TestLogTorn(t *testing.T) {
	t.Chdir(t.TempDir())
	set := []string{"appendonly", "yes", "save", ""}
	n := mustStart(t, nil, set...)
	file := "appendonlydir/appendonly.aof.1.incr.aof"
	digests := map[int64]string{0: n.digest()} // by length of the file
	ends := []int64{0}
	if err := n.aof.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"set a 1", "multi;incr a;rpush l x y;exec", "select 3", "sadd s m", "multi;del a;set b 2;exec", "hset h f v"} {
		for _, l := range strings.Split(line, ";") {
			n.must(l)
		}
		if err := n.aof.Flush(); err != nil {
			t.Fatal(err)
		}
		st, _ := os.Stat(file)
		if digests[st.Size()] == "" {
			ends = append(ends, st.Size())
		}
		digests[st.Size()] = n.digest()
	}
	n.stop()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(whole); cut >= 0; cut-- {
		last := int64(0)
		for _, e := range ends {
			if e <= int64(cut) {
				last = e
			}
		}
		tail := ""
		if cut%3 == 0 { // a length that was never filled
			tail = "\x00\x00\x00"
		}
		if err := os.WriteFile(file, append(bytes.Clone(whole[:cut]), tail...), 0o644); err != nil {
			t.Fatal(err)
		}
		if cut%5 == 0 && tail == "" {
			n, err := start(t, nil, append(set, "aof-load-truncated", "no")...)
			// A SELECT that stands alone may be the end.
			if err == nil && (n.digest() != digests[last] || strings.Contains(n.text(), "Truncating")) ||
				err != nil && !strings.Contains(err.Error(), "Unexpected end of file reading the append only file appendonly.aof.1.incr.aof") {
				t.Fatalf("cut at %d, without aof-load-truncated: %v", cut, err)
			}
			n.stop()
		}
		n := mustStart(t, nil, set...)
		if got := n.digest(); got != digests[last] {
			t.Fatalf("cut at %d (%q): digest %s, want %s as at %d", cut, tail, got, digests[last], last)
		}
		if cut%7 == 0 {
			n.run("select 5")
			n.must("set more 1")
			want := n.digest()
			n.stop()
			n = mustStart(t, nil, set...)
			if got := n.digest(); got != want {
				t.Fatalf("cut at %d: after going on the digest is %s, want %s", cut, got, want)
			}
		}
		n.stop()
	}
}

// TestLogDamagedTail: damage at the end is cut off where aof-load-corrupt-tail-max-size
// allows so much, and the log goes on from there.
func TestLogDamagedTail(t *testing.T) {
	t.Chdir(t.TempDir())
	const file = "appendonlydir/appendonly.aof.1.incr.aof"
	set := []string{"appendonly", "yes", "save", ""}
	n := mustStart(t, nil, set...)
	n.must("set a 1")
	if err := n.aof.Flush(); err != nil {
		t.Fatal(err)
	}
	want := n.digest()
	n.stop()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tail := "*3\r\n$3\r\nset\r\n$1x\r\nb\r\n$1\r\n2\r\n" // 28 bytes
	damage := func() {
		if err := os.WriteFile(file, append(bytes.Clone(whole), tail...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, less := range [][]string{nil, {"aof-load-corrupt-tail-max-size", "27"}, {"aof-load-corrupt-tail-max-size", "28", "aof-load-truncated", "no"}} {
		damage()
		if n, err := start(t, nil, append(set, less...)...); err == nil || !strings.Contains(err.Error(), "Bad file format") {
			t.Errorf("%v: %v", less, err)
			n.stop()
		} else {
			n.stop()
		}
	}
	damage()
	n = mustStart(t, nil, append(set, "aof-load-corrupt-tail-max-size", "28")...)
	if got := n.digest(); got != want || !strings.Contains(n.text(), "which aof-load-corrupt-tail-max-size allows") {
		t.Errorf("digest %s, want %s; %s", got, want, n.text())
	}
	n.must("set c 3")
	want = n.digest()
	n.stop()
	n = mustStart(t, nil, set...)
	if got := n.digest(); got != want {
		t.Errorf("after going on the digest is %s, want %s", got, want)
	}
	n.stop()
}

// TestConsumersActive: when a consumer was last active, and whether ever, is kept by
// snapshots, which have the form of Redis 7.0.
func TestConsumersActive(t *testing.T) {
	t.Chdir(t.TempDir())
	n := mustStart(t, nil, "save", "")
	for _, line := range []string{"xadd s 1-1 f v", "xgroup create s g 0", "xgroup createconsumer s g idle", "xreadgroup group g busy streams s >", "xadd t 1-1 f v", "xgroup create t g 0"} {
		n.must(line)
	}
	want := n.run("xinfo consumers s g")
	n.must("debug reload")
	if got := n.run("xinfo consumers s g"); !strings.Contains(got, ":-1\r\n") || ages.ReplaceAllString(got, "$1:n\r\n") != ages.ReplaceAllString(want, "$1:n\r\n") {
		t.Errorf("%q, want %q", got, want)
	}
	if file, err := os.ReadFile("dump.rdb"); err != nil || string(file[:9]) != "REDIS0010" || bytes.Count(file, []byte("kvd-stream-active")) != 1 {
		t.Errorf("the file: %v, %.9s", err, file)
	}
	n.stop()
}

// ages finds the milliseconds since something happened in a reply.
var ages = regexp.MustCompile(`((?:idle|inactive)\r\n):\d+\r\n`)

// TestLogDamage: what is wrong in the middle is refused, with file and offset.
func TestLogDamage(t *testing.T) {
	const set = "*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\n1\r\n" // 27 bytes
	for name, test := range map[string]struct{ file, want string }{
		"form":    {set + "!!!" + set, "Bad file format reading the append only file appendonly.aof.1.incr.aof at offset 27"},
		"length":  {set + "*2\r\n$x\r\n" + set, "at offset 27"},
		"none":    {set + "*0\r\n" + set, "at offset 27"},
		"unknown": {set + "*1\r\n$3\r\nbla\r\n" + set, "Unknown command 'bla' reading the append only file appendonly.aof.1.incr.aof at offset 27"},
		"select":  {set + "*2\r\n$6\r\nSELECT\r\n$2\r\n99\r\n" + set, "at offset 27"},
		"end":     {set[:len(set)-1] + " " + set, "at offset 0"},
		"zeros":   {set + "\x00\x00" + set, "at offset 27"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			os.Mkdir("appendonlydir", 0o755)
			os.WriteFile("appendonlydir/appendonly.aof.1.incr.aof", []byte(test.file), 0o644)
			os.WriteFile("appendonlydir/appendonly.aof.manifest", []byte("file appendonly.aof.1.incr.aof seq 1 type i\n"), 0o644)
			if _, err := start(t, nil, "appendonly", "yes"); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if b, _ := os.ReadFile("appendonlydir/appendonly.aof.1.incr.aof"); string(b) != test.file {
				t.Error("the file was changed")
			}
		})
	}
}

// TestLogUpgrade: the one file of older servers becomes the base, an RDB
// preamble with commands behind it too, and so does what a crash in between left.
func TestLogUpgrade(t *testing.T) {
	t.Chdir(t.TempDir())
	a := mustStart(t, nil, "save", "")
	a.must("set k1 v1")
	a.must("save")
	a.stop()
	dump, err := os.ReadFile("dump.rdb")
	if err != nil {
		t.Fatal(err)
	}
	old := append(dump, "*3\r\n$3\r\nset\r\n$2\r\nk2\r\n$2\r\nv2\r\n"...)
	for _, interrupted := range []bool{false, true} {
		t.Chdir(t.TempDir())
		os.WriteFile("appendonly.aof", old, 0o644)
		if interrupted {
			os.Mkdir("appendonlydir", 0o755)
			os.WriteFile("appendonlydir/appendonly.aof.manifest", []byte("file appendonly.aof seq 1 type b\n"), 0o644)
		}
		for range 2 {
			n := mustStart(t, nil, "appendonly", "yes")
			if r := n.run("mget k1 k2"); r != "*2\r\n$2\r\nv1\r\n$2\r\nv2\r\n" {
				t.Errorf("%q", r)
			}
			n.stop()
		}
		if b, _ := os.ReadFile("appendonlydir/appendonly.aof.manifest"); string(b) != "file appendonly.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n" {
			t.Errorf("manifest %q", b)
		}
	}
}

// brokenDisk fails or delays on demand.
type brokenDisk struct {
	persist.Disk
	failWrites, failSyncs atomic.Bool
	slow                  atomic.Int64 // nanoseconds for each write and sync of an increment, unless it becomes less meanwhile
	hold                  atomic.Bool  // bases are not synced until it is false
}

type brokenFile struct {
	persist.File
	d    *brokenDisk
	incr bool
	base bool
}

// late is what an increment's write or sync waits for.
func (f *brokenFile) late() {
	for began := time.Now(); f.incr && time.Since(began) < time.Duration(f.d.slow.Load()); {
		time.Sleep(time.Millisecond)
	}
}

var errDisk = errors.New("no space left on device")

func (d *brokenDisk) OpenFile(name string, flag int, perm os.FileMode) (persist.File, error) {
	f, err := d.Disk.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &brokenFile{f, d, strings.Contains(name, ".incr"), strings.Contains(name, "temp-rewriteaof")}, nil
}

func (f *brokenFile) Write(b []byte) (int, error) {
	f.late()
	if f.d.failWrites.Load() {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, errDisk
	}
	return f.File.Write(b)
}

func (f *brokenFile) Sync() error {
	f.late()
	for f.base && f.d.hold.Load() {
		time.Sleep(time.Millisecond)
	}
	if f.d.failSyncs.Load() {
		return errDisk
	}
	return f.File.Sync()
}

// front counts what the log tells who holds replies.
type front struct {
	synced, failed, settled atomic.Int64
	before                  atomic.Int64 // synced at the last failure
}

func (f *front) Synced() { f.synced.Add(1) }
func (f *front) Settle() { f.settled.Add(1) }
func (f *front) Failed() { f.before.Store(f.synced.Load()); f.failed.Add(1) }

// TestLogFails: after a failed write or sync writes are refused and clients that
// wait are closed; when the disk is well again there is a new base.
func TestLogFails(t *testing.T) {
	for _, how := range []string{"write", "sync", "write beside a snapshot"} {
		for _, policy := range []string{"always", "everysec"} {
			t.Run(how+" "+policy, func(t *testing.T) {
				t.Chdir(t.TempDir())
				d := &brokenDisk{Disk: persist.OSDisk}
				set := []string{"appendonly", "yes", "appendfsync", policy, "save", ""}
				n := mustStart(t, d, set...)
				var f front
				n.aof.SetWaiters(&f)
				n.must("set before 1")
				if err := n.aof.Flush(); err != nil {
					t.Fatal(err)
				}
				fail := &d.failWrites
				if how == "sync" {
					fail = &d.failSyncs
				}
				if how == "write beside a snapshot" { // which nothing is synced beside
					n.must("config set no-appendfsync-on-rewrite yes")
					n.must("config set rdb-key-save-delay 300000")
					n.must("bgsave")
				}
				synced := f.synced.Load()
				d.slow.Store(int64(time.Hour))
				fail.Store(true)
				n.must("set lost 1")
				at, wait := n.aof.Pending()
				d.slow.Store(0)
				if wait != (policy == "always") {
					t.Errorf("the reply waits: %v", wait)
				}
				n.aof.Kick()
				poll(t, "the failure", func() bool {
					return n.info("aof_last_write_status") == "err" && (policy != "always" || f.failed.Load() > 0)
				})
				if r := n.run("set a 1"); r != "-MISCONF Errors writing to the AOF file: no space left on device\r\n" {
					t.Errorf("a write: %q", r)
				}
				if r := n.run("get before"); r != "$1\r\n1\r\n" {
					t.Errorf("a read: %q", r)
				}
				if wait && f.settled.Load() == 0 {
					t.Error("nobody settled")
				}
				if wait && f.before.Load() != synced {
					t.Error("what was lost counted as synced")
				}
				poll(t, "reads to go on", func() bool { _, wait := n.aof.Pending(); return !wait && n.aof.Synced() >= at })
				if r := n.run("waitaof 1 0 0"); r != "*2\r\n:0\r\n:0\r\n" {
					t.Errorf("WAITAOF, of what is lost: %q", r)
				}
				time.Sleep(1200 * time.Millisecond) // a new base fails as well
				if r := n.run("set a 1"); !strings.HasPrefix(r, "-MISCONF") {
					t.Errorf("a write: %q", r)
				}
				fail.Store(false)
				poll(t, "the disk to be well", func() bool { return n.info("aof_last_write_status") == "ok" })
				n.must("set after 1")
				n.aof.Kick()
				poll(t, "WAITAOF", func() bool { return n.run("waitaof 1 0 0") == "*2\r\n:1\r\n:0\r\n" })
				want := n.digest()
				n.stop()
				if list, _ := os.ReadDir("appendonlydir"); len(list) != 4 {
					t.Errorf("files %v", list)
				}
				if n = mustStart(t, nil, set...); n.digest() != want {
					t.Error("the contents differ")
				}
			})
		}
	}
}

// TestLogWaits: under always a reply waits for its sync, one sync serves many,
// and appendfsync everysec lets them go.
func TestLogWaits(t *testing.T) {
	t.Chdir(t.TempDir())
	d := &brokenDisk{Disk: persist.OSDisk}
	n := mustStart(t, d, "appendonly", "yes", "appendfsync", "always", "save", "")
	var f front
	n.aof.SetWaiters(&f)
	d.slow.Store(int64(time.Hour))
	for range 100 {
		n.must("incr a")
	}
	at, wait := n.aof.Pending()
	if !wait || n.aof.Synced() >= at {
		t.Fatal("nothing waits")
	}
	d.slow.Store(0)
	n.aof.Kick()
	poll(t, "the sync", func() bool { return n.aof.Synced() >= at })
	if c := f.synced.Load(); c > 2 {
		t.Errorf("%d syncs for one batch", c)
	}
	if _, wait := n.aof.Pending(); wait {
		t.Error("a read waits for nothing")
	}
	d.slow.Store(int64(time.Hour))
	n.must("incr a")
	if _, wait := n.aof.Pending(); !wait {
		t.Error("a reply does not wait")
	}
	n.must("config set appendfsync everysec")
	if _, wait := n.aof.Pending(); wait || n.aof.Synced() != n.aof.Appended() {
		t.Error("replies wait under everysec")
	}
	d.slow.Store(0)
}

// TestLogStalls: everysec bears two seconds without a sync.
func TestLogStalls(t *testing.T) {
	t.Chdir(t.TempDir())
	d := &brokenDisk{Disk: persist.OSDisk}
	n := mustStart(t, d, "appendonly", "yes", "save", "")
	d.slow.Store(int64(time.Hour))
	begun := time.Now()
	n.must("set a 1")
	poll(t, "the stall", n.aof.Stalled)
	if took := time.Since(begun); took < 1900*time.Millisecond {
		t.Errorf("stalled after %v", took)
	}
	if n.info("aof_delayed_fsync") != "1" {
		t.Errorf("aof_delayed_fsync:%s", n.info("aof_delayed_fsync"))
	}
	d.slow.Store(0)
	poll(t, "its end", func() bool { return !n.aof.Stalled() })
}

// TestLogSwitch: CONFIG SET appendonly, with a rewrite that fails first.
func TestLogSwitch(t *testing.T) {
	t.Chdir(t.TempDir())
	d := &brokenDisk{Disk: persist.OSDisk}
	n := mustStart(t, d, "save", "")
	n.must("set a 1")
	d.failSyncs.Store(true)
	n.must("config set appendonly yes")
	poll(t, "a failure", func() bool { return n.info("aof_last_bgrewrite_status") == "err" })
	n.must("set b 1") // nothing was promised, so nothing is refused
	d.failSyncs.Store(false)
	poll(t, "the base", func() bool {
		return n.info("aof_base_size") != "0" && n.info("aof_rewrite_in_progress") == "0" && n.info("aof_rewrite_scheduled") == "0"
	})
	n.must("set c 1")
	want := n.digest()
	n.must("config set appendonly no")
	poll(t, "the end", func() bool { return n.info("aof_current_size") == "" })
	n.must("set d 1")
	n.stop()
	n = mustStart(t, nil, "appendonly", "yes", "save", "")
	if n.digest() != want {
		t.Error("the contents differ")
	}
	n.rewrite()
	if got, _ := os.ReadFile("appendonlydir/appendonly.aof.manifest"); !strings.Contains(string(got), "seq 2 type b\n") {
		t.Errorf("manifest %s", got)
	}
}

// removalsDisk calls seen before each removal.
type removalsDisk struct {
	persist.Disk
	seen func(name string)
}

func (d *removalsDisk) Remove(name string) error {
	d.seen(name)
	return d.Disk.Remove(name)
}

// TestLogHistory: who waits for the end of a rewrite finds nothing in the manifest that the rewrite made history.
func TestLogHistory(t *testing.T) {
	t.Chdir(t.TempDir())
	d := &removalsDisk{Disk: persist.OSDisk, seen: func(string) {}}
	n := mustStart(t, d, "appendonly", "yes", "save", "")
	n.must("set a 1")
	var removed atomic.Int32
	d.seen = func(name string) {
		if strings.Contains(name, ".1.") {
			removed.Add(1)
			if !n.aof.Rewriting() {
				t.Errorf("the rewrite was over before %s was removed", name)
			}
		}
	}
	n.rewrite()
	if got, _ := os.ReadFile("appendonlydir/appendonly.aof.manifest"); strings.Contains(string(got), "type h") {
		t.Errorf("manifest %s", got)
	}
	if removed.Load() != 2 {
		t.Errorf("%d files removed", removed.Load())
	}
}

// TestLogLock: a log has one server.
func TestLogLock(t *testing.T) {
	t.Chdir(t.TempDir())
	mustStart(t, nil, "appendonly", "yes", "save", "")
	if _, err := start(t, nil, "appendonly", "yes", "save", ""); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a second server: %v", err)
	}
}

// TestLogGrows: a log that has grown is rewritten by itself.
func TestLogGrows(t *testing.T) {
	t.Chdir(t.TempDir())
	n := mustStart(t, nil, "appendonly", "yes", "save", "", "auto-aof-rewrite-min-size", "64kb")
	for range 200 {
		n.do("set", "a", strings.Repeat("x", 1000))
	}
	poll(t, "a rewrite", func() bool {
		first, _ := filepath.Glob("appendonlydir/*.1.base.rdb")
		return n.info("aof_rewrites") != "0" && !n.aof.Rewriting() && len(first) == 0
	})
}
