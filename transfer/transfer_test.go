package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kvd"
	"kvd/persist"
	"kvd/resp/wire"
)

// open starts a server with a directory of its own, which listens at a unix socket.
func open(t *testing.T, directives ...string) (s *kvd.Server, address string) {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	s, err := kvd.Open(kvd.Options{Directives: append([]string{"dir " + dir, "unixsocket " + socket, "enable-debug-command yes", "repl-diskless-sync-delay 0"}, directives...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, "unix://" + socket
}

// client runs commands, whose errors fail the test.
type client struct {
	*conn
	t testing.TB
}

func dial(t testing.TB, address string) *client {
	t.Helper()
	a, err := ParseAddress(address, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{c, t}
}

func (c *client) run(line string) reply {
	c.t.Helper()
	r, err := c.do(strings.Fields(line)...)
	if err != nil {
		c.t.Fatalf("%s: %v", line, err)
	}
	return r
}

// fill writes keys of every type, into two databases.
func fill(c *client, keys int) {
	for i := range keys {
		n := strconv.Itoa(i)
		c.run("SELECT " + []string{"0", "3"}[i%2])
		switch i % 8 {
		case 0:
			c.run("SET s" + n + " " + strings.Repeat("v", i%200+1))
		case 1:
			c.run("RPUSH l" + n + " a b c " + n)
		case 2:
			c.run("SADD i" + n + " 1 2 3 " + n)
		case 3:
			c.run("SADD t" + n + " a b c " + n)
		case 4:
			c.run("ZADD z" + n + " 1.5 a 2.5 b inf c")
		case 5:
			c.run("HSET h" + n + " f " + n + " g " + n)
		case 6:
			c.run("XADD x" + n + " 1-" + n + "1 f v")
			c.run("XGROUP CREATE x" + n + " g 0")
			c.run("XREADGROUP GROUP g c STREAMS x" + n + " >")
		case 7:
			c.run("SET d" + n + " v PXAT " + strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli()+int64(i), 10))
			c.run("HSET e" + n + " f v")
			c.run("HPEXPIREAT e" + n + " " + strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10) + " FIELDS 1 f")
		}
	}
}

// options are those of an import in a test.
func options(t testing.TB, source, target string) ImportOptions {
	return ImportOptions{Source: source, Target: target, Work: filepath.Join(t.TempDir(), "work"), Log: t.Logf, Stop: make(chan struct{})}
}

func importAll(t *testing.T, o ImportOptions) *ImportReport {
	t.Helper()
	r, err := Import(o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed > 0 {
		t.Fatalf("%d failed: %q", r.Failed, r.Failures)
	}
	if _, err := os.Stat(o.Work); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind: %v", o.Work, err)
	}
	return r
}

// equal compares two sides.
func equal(t *testing.T, a, b string) *CompareReport {
	t.Helper()
	r, err := Compare(CompareOptions{A: a, B: b, Rounds: 1, Differs: func(d Difference) { t.Errorf("database %d, %s %q: %s", d.DB, d.Type, d.Key, d.What) }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Differs {
		t.Error("the libraries of functions differ")
	}
	return r
}

const library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"

func TestImportServer(t *testing.T) {
	_, from := open(t)
	_, to := open(t)
	source := dial(t, from)
	fill(source, 400)
	if _, err := source.do("FUNCTION", "LOAD", library); err != nil {
		t.Fatal(err)
	}
	for _, scan := range []bool{false, true} {
		o := options(t, from, to)
		o.Scan, o.Replace = scan, scan
		r := importAll(t, o)
		if r.Keys != 450 {
			t.Errorf("scan %v: %d keys", scan, r.Keys)
		}
		if r := equal(t, from, to); r.Keys != 450 {
			t.Errorf("scan %v: %d keys were compared", scan, r.Keys)
		}
	}
	if r := dial(t, to).run("CONFIG GET import-mode"); string(r.elems[1].str) != "no" {
		t.Error("the target is left in import mode")
	}
	o := options(t, from, to)
	if _, err := Import(o); err == nil || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("into a server that has keys: %v", err)
	}
}

// TestImportUnderLoad counts up at the source while an import runs, is interrupted and goes
// on: no step is missed, and none is done twice.
func TestImportUnderLoad(t *testing.T) {
	show := showEvery
	showEvery = time.Millisecond
	defer func() { showEvery = show }()
	_, from := open(t)
	_, to := open(t)
	fill(dial(t, from), 2000)
	over := make(chan struct{})
	var writers sync.WaitGroup
	defer func() {
		select {
		case <-over:
		default:
			close(over)
		}
		writers.Wait()
	}()
	// What is prolonged before it is over must not be missing because it was late here.
	source := dial(t, from)
	for i := range 50 {
		source.run(fmt.Sprintf("SET late%d v PX %d", i, 400+i))
	}
	writers.Go(func() {
		c := dial(t, from)
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
			}
			c.run("SELECT " + strconv.Itoa(i%3))
			c.run("INCR n")
			c.run("MULTI")
			c.run("LPUSH q " + strconv.Itoa(i))
			c.run("LTRIM q 0 50")
			c.run("EXEC")
			c.run("PERSIST late" + strconv.Itoa(i%50))
			c.run("APPEND log x")
		}
	})
	o := options(t, from, to)
	o.Follow = true
	for i := range 6 {
		stop := make(chan struct{})
		o.Stop = stop
		stage := ""
		var once sync.Once
		o.Progress = func(p Progress) {
			stage = p.Stage
			if p.Stage == "stream" && i < 5 && p.Commands > int64(i) || i == 0 && p.Stage == "keys" && p.Keys > 0 {
				once.Do(func() { breakLink(t, to) })
			}
			if p.Stage == "stream" && i == 5 {
				once.Do(func() { close(over); writers.Wait(); close(stop) })
			}
		}
		_, err := Import(o)
		if i < 5 && err == nil {
			t.Fatalf("round %d: the import was not interrupted", i)
		}
		if i == 5 && err != nil {
			t.Fatalf("in the stage %s: %v", stage, err)
		}
	}
	equal(t, from, to)
	if r := dial(t, to).run("KEYS kvd:import:*"); len(r.elems) > 0 {
		t.Errorf("%q is left behind", r.elems[0].str)
	}
}

// TestImportBeginsAnew: the link breaks in the middle of a snapshot of which the target has
// keys already. Those that the source has deleted since are not in the target at the end.
func TestImportBeginsAnew(t *testing.T) {
	sync, batch := syncEvery, batchBytes
	syncEvery, batchBytes = 1, 1
	defer func() { syncEvery, batchBytes = sync, batch }()
	_, from := open(t)
	_, to := open(t)
	c := dial(t, from)
	fill(c, 400)
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := Backup(BackupOptions{Source: from, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	snapshot, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target, watch := dial(t, to), dial(t, to)
	// The first connection is served here: a part of the snapshot. Others go to the source.
	go func() {
		for first := true; ; first = false {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if !first {
				up, err := net.Dial("unix", strings.TrimPrefix(from, "unix://"))
				if err != nil {
					nc.Close()
					continue
				}
				go func() { io.Copy(up, nc); up.Close() }()
				go func() { io.Copy(nc, up); nc.Close() }()
				continue
			}
			for r := bufio.NewReader(nc); ; {
				line, err := r.ReadString('\n')
				if err != nil {
					break
				}
				switch strings.TrimSpace(line) {
				case "PING", "REPLCONF":
					io.WriteString(nc, "+OK\r\n")
				case "PSYNC":
					fmt.Fprintf(nc, "+FULLRESYNC %040d 0\r\n$%d\r\n", 1, len(snapshot))
					nc.Write(snapshot[:len(snapshot)*3/4])
					for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
						r, err := watch.do("INFO", "keyspace")
						if err != nil || bytes.Contains(r.str, []byte("db0:")) || time.Now().After(end) {
							break
						}
					}
					nc.Close()
				}
			}
		}
	}()
	o := options(t, "unix://"+socket, to)
	if _, err := Import(o); err == nil {
		t.Fatal("half a snapshot is no error")
	} else {
		t.Log(err)
	}
	if dbs, err := databases(target.conn); err != nil || len(dbs) == 0 {
		t.Fatalf("the target has nothing of the half snapshot: %v", err)
	}
	m := &importer{}
	b, err := os.ReadFile(filepath.Join(o.Work, stateName))
	if err == nil {
		err = json.Unmarshal(b, &m.state)
	}
	if err != nil || m.Keys < 100 {
		t.Errorf("%d keys came for sure: %v", m.Keys, err)
	}
	// It may have ended between bringing the last key and noting that all have come.
	name := filepath.Join(o.Work, stateName)
	state, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(state, []byte(`"Loaded":false`), []byte(`"Loaded":true`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, db := range []string{"0", "3"} {
		c.run("SELECT " + db)
		c.run("FLUSHDB")
	}
	fill(c, 40)
	importAll(t, o)
	if r := equal(t, from, to); r.Keys != 45 {
		t.Errorf("%d keys were compared", r.Keys)
	}
}

// breakLink ends the connections of an import at the target.
func breakLink(t testing.TB, to string) {
	dial(t, to).run("CLIENT KILL TYPE normal")
}

func TestImportFiles(t *testing.T) {
	for _, commands := range []string{"yes", "no"} {
		s, from := open(t, "appendonly yes", "aof-use-rdb-preamble "+commands, "auto-aof-rewrite-percentage 0")
		source := dial(t, from)
		fill(source, 200)
		source.run("BGREWRITEAOF")
		for deadline := time.Now().Add(20 * time.Second); !strings.Contains(string(source.run("INFO persistence").str), "aof_rewrite_in_progress:0"); {
			if time.Now().After(deadline) {
				t.Fatal("the rewrite does not end")
			}
			time.Sleep(10 * time.Millisecond)
		}
		source.run("SELECT 5")
		for range 500 {
			source.run("INCR n")
		}
		source.run("SAVE")
		dir := filepath.Join(filepath.Dir(strings.TrimPrefix(from, "unix://")))
		expect := copyOf(t, dir)
		s.Close()
		_, to := open(t)
		importAll(t, options(t, filepath.Join(dir, "dump.rdb"), to))
		equal(t, expect, to)
		equal(t, filepath.Join(dir, "dump.rdb"), to)
		dial(t, to).run("FLUSHALL")
		importAll(t, options(t, filepath.Join(dir, "appendonlydir"), to))
		equal(t, expect, to)
	}
}

// copyOf copies a data directory's log.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(filepath.Join(dir, "appendonlydir"))); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestImportCommands(t *testing.T) {
	_, to := open(t)
	file := filepath.Join(t.TempDir(), "commands")
	text := "XADD x MAXLEN = 2 LIMIT 9 1-1 f v\r\nXADD x NOMKSTREAM MAXLEN = 1 LIMIT 0 2-1 LIMIT v\nSET in3 x\nSELECT 3\nSET in0 x\nSWAPDB 0 3\nSELECT 0\nDEL in0\nSELECT 3\nDEL in3\nSELECT 0\nSET a 1\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\nSELECT 2\nset 'b c' \"x\\ny\"\nnosuch command\nLPUSH a\n\nLPUSH l 1 2\nINCR l\nSET last 1"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Import(options(t, file, to))
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 3 || len(r.Failures) != 3 {
		t.Errorf("%d failed: %q", r.Failed, r.Failures)
	}
	c := dial(t, to)
	if got := c.run("INFO keyspace"); !strings.Contains(string(got.str), "db0:keys=1,") || !strings.Contains(string(got.str), "db3:keys=1,") || strings.Contains(string(got.str), "db1:") {
		t.Errorf("%s", got.str)
	}
	c.run("SELECT 3")
	if got := c.run("XRANGE x - +"); len(got.elems) != 1 || string(got.elems[0].elems[1].elems[0].str) != "LIMIT" {
		t.Errorf("the stream has %d entries: %+v", len(got.elems), got)
	}
	c.run("SELECT 0")
	if got := c.run("GET a"); string(got.str) != "2" {
		t.Errorf("a is %q", got.str)
	}
	c.run("SELECT 2")
	if got, _ := c.do("GET", "b c"); string(got.str) != "x\ny" {
		t.Errorf("b c is %q", got.str)
	}
	if got := c.run("LLEN l"); got.n != 2 {
		t.Errorf("l has %d elements", got.n)
	}
	if got := c.run("GET last"); string(got.str) != "1" {
		t.Errorf("last is %q", got.str)
	}
	if err := os.WriteFile(file, []byte("SELECT 16\nSET a 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(t, file, to)
	o.Replace = true
	if _, err := Import(o); err == nil || !strings.Contains(err.Error(), "database 16") {
		t.Errorf("a database that the target does not have: %v", err)
	}
}

func TestCompareTells(t *testing.T) {
	_, a := open(t)
	_, b := open(t)
	ca, cb := dial(t, a), dial(t, b)
	fill(ca, 100)
	importAll(t, options(t, a, b))
	for _, c := range []*client{ca, cb} {
		c.run("SELECT 1")
		c.run("CONFIG SET hash-max-listpack-entries 512")
		c.run("HSET form f v g w")
		c.run("SADD ints 1 2 3")
		c.run("XADD x 1-1 f v")
	}
	equal(t, a, b)
	// Another form of the same values is no difference.
	cb.run("SADD ints x")
	cb.run("SREM ints x")
	cb.run("CONFIG SET hash-max-listpack-entries 1")
	cb.run("DEL form")
	cb.run("HSET form g w f v")
	equal(t, a, b)
	for _, line := range []string{"SET one 1", "SET value 1", "SET type 1", "SET dead 1 PX 10000000", "XGROUP CREATE x g 0"} {
		ca.run(line)
	}
	for _, line := range []string{"SET two 1", "SET value 2", "LPUSH type 1", "SET dead 1 PX 20000000"} {
		cb.run(line)
	}
	var got []string
	r, err := Compare(CompareOptions{A: a, B: b, Rounds: 1, Differs: func(d Difference) {
		what, _, _ := strings.Cut(d.What, ":")
		got = append(got, fmt.Sprintf("%d %s %s %s", d.DB, d.Type, d.Key, what))
	}})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	want := []string{"1 stream x groups, or the last id", "1 string dead deadlines", "1 string one only the first has it", "1 string two only the second has it",
		"1 string type types", "1 string value values"}
	if !slices.Equal(got, want) || r.Differ != 6 || r.ByType["string"] != 5 {
		t.Errorf("%q, %+v", got, r)
	}
	if _, err := ca.do("FUNCTION", "LOAD", library); err != nil {
		t.Fatal(err)
	}
	if r, err := Compare(CompareOptions{A: a, B: b}); err != nil || !r.Differs {
		t.Errorf("a library on one side: %+v, %v", r, err)
	}
}

func TestBackup(t *testing.T) {
	_, from := open(t)
	fill(dial(t, from), 300)
	dir := filepath.Join(t.TempDir(), "backup")
	r, err := Backup(BackupOptions{Source: from, Dir: dir})
	if err != nil || r.Err != nil {
		t.Fatal(err, r)
	}
	equal(t, from, dir)
	restored := filepath.Join(t.TempDir(), "data")
	if _, err := persist.Restore(persist.OSDisk, dir, restored, time.Time{}); err != nil {
		t.Fatal(err)
	}
	equal(t, from, restored)
	if _, err := Backup(BackupOptions{Source: from, Dir: dir}); err == nil {
		t.Error("a backup into a directory that is not empty")
	}
}

// TestRestoreUntil restores each of a hundred seconds of a log, and compares with what was
// there then.
func TestRestoreUntil(t *testing.T) {
	const begin, seconds = 1_700_000_000, 100
	r := rand.New(rand.NewPCG(1, 2))
	model := map[string]int{}
	var states []map[string]int // by second
	var files [3]bytes.Buffer
	for s := range seconds {
		f := &files[s*len(files)/seconds]
		if s%7 != 3 { // a second without writes has no stamp
			fmt.Fprintf(f, "#TS:%d\r\n", begin+s)
			for range r.IntN(5) + 1 {
				key := "k" + strconv.Itoa(r.IntN(20))
				switch r.IntN(4) {
				case 0:
					fmt.Fprintf(f, "*2\r\n$3\r\nDEL\r\n$%d\r\n%s\r\n", len(key), key)
					delete(model, key)
				case 1:
					fmt.Fprintf(f, "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n*2\r\n$4\r\nINCR\r\n$1\r\nm\r\n*1\r\n$4\r\nEXEC\r\n", len(key), key)
					model[key]++
					model["m"]++
				default:
					fmt.Fprintf(f, "*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n", len(key), key)
					model[key]++
				}
			}
		}
		now := map[string]int{}
		for k, v := range model {
			now[k] = v
		}
		states = append(states, now)
	}
	dir := filepath.Join(t.TempDir(), "appendonlydir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	manifest := ""
	for i := range files {
		name := fmt.Sprintf("log.%d.incr.aof", i+1)
		manifest += fmt.Sprintf("file %s seq %d type i\n", name, i+1)
		if err := os.WriteFile(filepath.Join(dir, name), files[i].Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "log.manifest"), []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
	for s, want := range states {
		to := filepath.Join(t.TempDir(), "to")
		if _, err := persist.Restore(persist.OSDisk, dir, to, time.Unix(int64(begin+s), 999e6)); err != nil {
			t.Fatalf("second %d: %v", s, err)
		}
		srv, err := kvd.Open(kvd.Options{Directives: []string{"dir " + to, "appendonly yes", "appendfilename log", "auto-aof-rewrite-percentage 0"}})
		if err != nil {
			t.Fatalf("second %d: %v", s, err)
		}
		nc, err := srv.Dial()
		if err != nil {
			t.Fatal(err)
		}
		c := &client{newConn(nc), t}
		if n := c.run("DBSIZE").n; n != int64(len(want)) {
			t.Errorf("second %d: %d keys, want %d", s, n, len(want))
		}
		for k, v := range want {
			if got := c.run("GET " + k); string(got.str) != strconv.Itoa(v) {
				t.Errorf("second %d: %s is %q, want %d", s, k, got.str, v)
			}
		}
		srv.End()
	}
	if _, err := persist.Restore(persist.OSDisk, dir, filepath.Join(t.TempDir(), "newest"), time.Time{}); err != nil {
		t.Error(err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	s, from := open(t, "appendonly yes")
	c := dial(t, from)
	c.run("SET a 1")
	c.run("BGSAVE")
	dir := filepath.Dir(strings.TrimPrefix(from, "unix://"))
	s.Close()
	for name, until := range map[string]time.Time{"no time stamps": time.Now(), "after the moment": time.Unix(1e9, 0)} {
		if _, err := persist.Restore(persist.OSDisk, dir, filepath.Join(t.TempDir(), "to"), until); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := persist.Restore(persist.OSDisk, dir, full, time.Time{}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("into a directory with a file: %v", err)
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{"redis://h": "h:6379 - -", "redis://u:p%40@h:1": "h:1 u p@", "redis://:p@[::1]:2": "[::1]:2 - p", "unix:///a/b": "/a/b - -"} {
		a, err := ParseAddress(text, "")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		dash := func(s string) string {
			if s == "" {
				return "-"
			}
			return s
		}
		if got := a.host + " " + dash(a.user) + " " + dash(a.password); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if a, err := ParseAddress("redis://h", "me:secret"); err != nil || a.user != "me" || a.password != "secret" || strings.Contains(a.String(), "secret") {
		t.Errorf("%+v, %v", a, err)
	}
	for _, text := range []string{"h:6379", "http://h", "redis://h/3", "redis://h:x"} {
		if _, err := ParseAddress(text, ""); err == nil {
			t.Errorf("%s passes", text)
		}
	}
}

// source is a leader in a test: serve gets a connection on which it has announced the
// snapshot as head says.
func source(t *testing.T, head string, serve func(nc net.Conn)) (address string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	serveOne := func(nc net.Conn) {
		defer nc.Close()
		for r := bufio.NewReader(nc); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			switch strings.TrimSpace(line) {
			case "PING", "REPLCONF":
				io.WriteString(nc, "+OK\r\n")
			case "INFO":
				io.WriteString(nc, "$22\r\nmaster_repl_offset:0\r\n\r\n")
			case "PSYNC":
				fmt.Fprintf(nc, "+FULLRESYNC %040d 0\r\n%s\r\n", 1, head)
				serve(nc)
				return
			}
		}
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go serveOne(nc)
		}
	}()
	return "unix://" + socket
}

// snapshotOf is a snapshot of a server.
func snapshotOf(t *testing.T, from string) []byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := Backup(BackupOptions{Source: from, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// importSoon fails the test if an import does not end.
func importSoon(t *testing.T, o ImportOptions) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := Import(o)
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(time.Minute):
		t.Fatal("the import does not end")
		return nil
	}
}

// TestImportLosesTheMark: the connection breaks behind the snapshot's own end and before the
// mark that ends what is sent. Libraries, which are not undone, do not come before it.
func TestImportLosesTheMark(t *testing.T) {
	_, from := open(t)
	_, to := open(t)
	c := dial(t, from)
	fill(c, 100)
	if _, err := c.do("FUNCTION", "LOAD", library); err != nil {
		t.Fatal(err)
	}
	snapshot := snapshotOf(t, from)
	sync, seen := syncEvery, seenEvery
	syncEvery, seenEvery = 1, 0
	defer func() { syncEvery, seenEvery = sync, seen }()
	mark := strings.Repeat("m", 40)
	whole := append(snapshot, bytes.Repeat([]byte{'x'}, 2*len(mark))...) // what may begin the mark is held back
	o := options(t, source(t, "$EOF:"+mark, func(nc net.Conn) {
		nc.Write(whole)
		io.WriteString(nc, mark[1:])
	}), to)
	if err := importSoon(t, o); err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("half a mark: %v", err)
	}
	// Nor does one end that waits for the mark, but by Stop.
	stop := make(chan struct{})
	o.Stop = stop
	if err := os.RemoveAll(o.Work); err != nil {
		t.Fatal(err)
	}
	target, watch := dial(t, to), dial(t, to)
	target.run("FLUSHALL")
	o.Source = source(t, "$EOF:"+mark, func(nc net.Conn) {
		nc.Write(whole)
		// Keys of the last database come when all are read.
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if r, err := watch.do("INFO", "keyspace"); err != nil || bytes.Contains(r.str, []byte("db3:")) {
				break
			}
		}
		close(stop)
		nc.Read(make([]byte, 1))
	})
	if err := importSoon(t, o); !errors.Is(err, errStopped) {
		t.Errorf("stopped: %v", err)
	}
	if r := target.run("FUNCTION LIST"); len(r.elems) > 0 {
		t.Error("a library of a snapshot that was not whole")
	}
}

// TestImportKnowsItsTarget: what is half in one server is not gone on with in another.
func TestImportKnowsItsTarget(t *testing.T) {
	_, from := open(t)
	_, a := open(t)
	_, b := open(t)
	fill(dial(t, from), 1000)
	o := options(t, from, a)
	stop := make(chan struct{})
	close(stop)
	o.Stop = stop
	if _, err := Import(o); !errors.Is(err, errStopped) {
		t.Fatalf("stopped: %v", err)
	}
	o.Target, o.Stop = b, nil
	if _, err := Import(o); err == nil || !strings.Contains(err.Error(), "into "+strings.TrimPrefix(a, "unix://")) {
		t.Errorf("into another: %v", err)
	}
	o.Target = a
	importAll(t, o)
	equal(t, from, a)
}

// TestImportUndoes removes what a half snapshot has brought, and nothing else.
func TestImportUndoes(t *testing.T) {
	_, from := open(t)
	_, to := open(t)
	fill(dial(t, from), 200)
	snapshot := snapshotOf(t, from)
	importAll(t, options(t, from, to))
	target := dial(t, to)
	size := func() (n int64) {
		for _, db := range []string{"0", "3"} {
			target.run("SELECT " + db)
			n += target.run("DBSIZE").n
		}
		return n
	}
	all := size()
	a, err := ParseAddress(to, "")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	f, err := os.Create(filepath.Join(work, snapshotName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	half := snapshot[:len(snapshot)-20]
	if _, err := f.Write(half); err != nil {
		t.Fatal(err)
	}
	nowhere := "unix://" + filepath.Join(t.TempDir(), "s")
	stopped := make(chan struct{})
	close(stopped)
	m := &importer{ImportOptions: options(t, nowhere, to), target: a}
	m.Lanes, m.Work, m.Stop = 2, work, stopped
	m.ID, m.state.Source, m.state.Target, m.Begun, m.Had, m.Keys = "x", nowhere, a.String(), true, true, 90
	if err := m.save(); err != nil {
		t.Fatal(err)
	}
	o := m.ImportOptions
	o.Replace, o.Stop = true, nil
	if _, err := Import(o); err == nil || size() != all {
		t.Errorf("the source cannot be reached (%v): %d keys are left of %d", err, size(), all)
	}
	s := &spool{File: f, size: int64(len(half))}
	if err := m.undo(s); !errors.Is(err, errStopped) || size() < all-64 || !m.Begun {
		t.Errorf("stopped: %v, %d keys are left of %d", err, size(), all)
	}
	m.Stop = nil
	if err := m.undo(s); err != nil || size() != all-90 || m.Begun {
		t.Errorf("90 keys were sent: %v, %d keys are left of %d", err, size(), all)
	}
	m.Begun, m.Keys = true, 100
	m.failed.note("a key", replyError("ERR Bad data format"))
	if err := m.save(); err != nil {
		t.Fatal(err)
	}
	left := size()
	again := &importer{ImportOptions: m.ImportOptions, target: a}
	if err := again.begin(); err != nil {
		t.Fatal(err)
	}
	if err := again.undo(s); err != nil || size() != left || again.Begun {
		t.Errorf("one was refused, which may be the target's own: %v, %d keys are left of %d", err, size(), left)
	}
	m.Begun, m.Had = true, false
	if err := m.undo(s); err != nil || size() > 1 {
		t.Errorf("into an empty server: %v, %d keys are left", err, size())
	}
}

// TestImportSlowly: the snapshot comes slowly, in less than is synced at once. What has come
// is brought, and no connection to the target is idle.
func TestImportSlowly(t *testing.T) {
	idle, seen := laneIdle, seenEvery
	laneIdle, seenEvery = 20*time.Millisecond, 20*time.Millisecond
	defer func() { laneIdle, seenEvery = idle, seen }()
	_, from := open(t)
	_, to := open(t)
	fill(dial(t, from), 400)
	snapshot := snapshotOf(t, from)
	target := dial(t, to)
	var came, asked atomic.Bool
	ping := regexp.MustCompile(`cmdstat_ping:calls=(\d+)`)
	o := options(t, source(t, "$"+strconv.Itoa(len(snapshot)), func(nc net.Conn) {
		at := len(snapshot) / 2
		nc.Write(snapshot[:at])
		for begun := time.Now(); time.Since(begun) < 30*time.Second && !(came.Load() && asked.Load()); time.Sleep(10 * time.Millisecond) {
			if at < len(snapshot)-100 {
				nc.Write(snapshot[at : at+1])
				at++
			}
			r, err := target.do("INFO", "keyspace", "commandstats")
			if err != nil {
				continue
			}
			if bytes.Contains(r.str, []byte("db0:")) {
				came.Store(true)
			}
			if m := ping.FindSubmatch(r.str); m != nil {
				n, _ := strconv.Atoi(string(m[1]))
				asked.Store(n > 20*lanesDefault) // those of new connections are few
			}
		}
		nc.Write(snapshot[at:])
		nc.Read(make([]byte, 1)) // the end
	}), to)
	if err := importSoon(t, o); err != nil {
		t.Fatal(err)
	}
	if !came.Load() || !asked.Load() {
		t.Errorf("before the rest, what had come was seen: %v, connections were in use: %v", came.Load(), asked.Load())
	}
	equal(t, from, to)
}

// TestImportGoal: an import ends when the target has what the source had when the last key
// came, with what was written while the keys came.
func TestImportGoal(t *testing.T) {
	_, from := open(t)
	_, to := open(t)
	c := dial(t, from)
	fill(c, 400)
	o := options(t, from, to)
	var once sync.Once
	o.Progress = func(p Progress) {
		once.Do(func() {
			if p.Stage != "keys" {
				t.Errorf("the stage is %s", p.Stage)
			}
			for i := range 2 * unitCommands {
				c.run("RPUSH during " + strconv.Itoa(i))
			}
		})
	}
	importAll(t, o)
	equal(t, from, to)
}

// TestImportStopsBehind: Stop ends an import that is behind all the time, with what the
// source had then, or at once where it does not follow.
func TestImportStopsBehind(t *testing.T) {
	for _, following := range []bool{true, false} {
		work := t.TempDir()
		f, err := os.Create(filepath.Join(work, streamName))
		if err != nil {
			t.Fatal(err)
		}
		const commands = 5 * unitCommands
		for i := range commands {
			fmt.Fprintf(f, "*3\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$5\r\n%05d\r\n", i)
		}
		f.Seek(0, io.SeekStart)
		_, to := open(t)
		a, err := ParseAddress(to, "")
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		m := &importer{ImportOptions: options(t, "", to), target: a}
		m.Stop, m.Follow, m.Work = stop, following, work
		if !following {
			m.Offset = -1 << 40 // the end is far away
		}
		var once sync.Once
		m.Progress = func(p Progress) { once.Do(func() { close(stop) }) }
		w, err := newCommandWriter(a, "mark", &m.failed)
		if err != nil {
			t.Fatal(err)
		}
		leader, err := ParseAddress(source(t, "", nil), "") // which is at 0
		if err != nil {
			t.Fatal(err)
		}
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		err = m.stream(w, &spool{File: f, size: st.Size(), more: make(chan struct{}, 1)}, leader)
		n := dial(t, to).run("LLEN l").n
		if following && err != nil || !following && !errors.Is(err, errStopped) || n > 2*unitCommands {
			t.Errorf("following %v: %v, %d of %d commands were applied", following, err, n, commands)
		}
		w.Close()
		f.Close()
	}
}

// TestRefusedAll: batches behind an error that ends everything are not sent, nor are their
// replies waited for.
func TestRefusedAll(t *testing.T) {
	_, to := open(t)
	a, err := ParseAddress(to, "")
	if err != nil {
		t.Fatal(err)
	}
	failed := &failures{}
	w, err := newKeyWriter(a, 2, failed)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	failed.note("a key", replyError("OOM no memory"))
	_ = w.command(&persist.SnapshotKey{Name: []byte("k")}, [][]byte{wordSet, []byte("k"), []byte("v")})
	over := make(chan error, 1)
	go func() { over <- w.drain() }()
	select {
	case err := <-over:
		if err == nil || !strings.Contains(err.Error(), "OOM") {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for replies to what it has not sent")
	}
}

// TestCompareApart: a part of a cluster refuses a command of keys of several slots.
func TestCompareApart(t *testing.T) {
	_, a := open(t)
	_, b := open(t)
	fill(dial(t, a), 40)
	importAll(t, options(t, a, b))
	dial(t, b).run("SET more 1")
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("unix", strings.TrimPrefix(a, "unix://"))
			if err != nil {
				nc.Close()
				return
			}
			go func() { io.Copy(nc, up); nc.Close() }()
			go func() {
				defer up.Close()
				for r := newConn(nc); ; {
					command, err := r.value(0)
					if err != nil {
						return
					}
					var args [][]byte
					for _, e := range command.elems {
						args = append(args, e.str)
					}
					if len(args) > 2 && string(args[0]) == "EXISTS" {
						args[0] = []byte("nosuch") // whose error is as good
					}
					up.Write(wire.AppendCommand(nil, args...))
				}
			}()
		}
	}()
	var got []string
	r, err := Compare(CompareOptions{A: "unix://" + socket, B: b, Differs: func(d Difference) { got = append(got, string(d.Key)+": "+d.What) }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Differ != 1 || !slices.Equal(got, []string{"more: only the second has it"}) {
		t.Errorf("%q", got)
	}
}

// TestImportCountsWhatWasTaken: a key that did not come to the target because its database
// could not be selected is not taken for one that is there.
func TestImportCountsWhatWasTaken(t *testing.T) {
	_, from := open(t)
	_, to := open(t, "databases 1")
	c := dial(t, from)
	c.run("SET a 1")
	c.run("SELECT 5")
	c.run("SET b 2")
	file := filepath.Join(t.TempDir(), "dump.rdb")
	if err := os.WriteFile(file, snapshotOf(t, from), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(t, file, to)
	if _, err := Import(o); err == nil {
		t.Fatal("a database that the target does not have is no error")
	}
	b, err := os.ReadFile(filepath.Join(o.Work, stateName))
	if err != nil {
		t.Fatal(err)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil || s.Keys != 1 || s.Loaded {
		t.Errorf("the state says %d keys, all: %v (%v)", s.Keys, s.Loaded, err)
	}
}

// TestImportEndsOnce: an import that was interrupted after all was applied applies nothing
// again, though its mark is gone.
func TestImportEndsOnce(t *testing.T) {
	_, to := open(t)
	file := filepath.Join(t.TempDir(), "commands.aof")
	if err := os.WriteFile(file, wire.AppendCommand(nil, "INCR", "n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(t, file, to)
	importAll(t, o)
	a, err := ParseAddress(to, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(o.Work, 0o700); err != nil {
		t.Fatal(err)
	}
	m := &importer{ImportOptions: o, target: a}
	m.ID, m.state.Source, m.state.Target = "x", file, a.String()
	w, err := newCommandWriter(a, m.mark(), &m.failed)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.end(w); err != nil { // and then it was killed
		t.Fatal(err)
	}
	w.Close()
	importAll(t, o)
	if r := dial(t, to).run("GET n"); string(r.str) != "1" {
		t.Errorf("INCR was applied %s times", r.str)
	}
}
