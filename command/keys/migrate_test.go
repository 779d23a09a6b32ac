package keys_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/commandtest"
	"kvd/command/keys"
	"kvd/keyspace"
	"kvd/persist/rdb"
	"kvd/types"
)

// target is a server that migrations go to: it notes what it is told and
// answers +OK, or what answer says.
type target struct {
	port string

	mu     sync.Mutex // protects what follows
	told   []string   // payloads as their contents, if strings
	values map[string]string
	conns  []net.Conn
	answer func(args []string) string // called without mu
}

func newTarget(t *testing.T) *target {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	g := &target{port: port, values: map[string]string{}}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			g.mu.Lock()
			g.conns = append(g.conns, conn)
			g.mu.Unlock()
			go g.serve(conn)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		g.hangUp()
	})
	return g
}

// hangUp closes all connections.
func (g *target) hangUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		c.Close()
	}
}

func (g *target) connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

// heard are the commands since the last call.
func (g *target) heard() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := strings.Join(g.told, "\n")
	g.told = nil
	return s
}

func (g *target) value(key string) (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v, ok := g.values[key]
	return v, ok
}

func (g *target) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	number := func() int {
		line, err := r.ReadString('\n')
		if err != nil {
			return -1
		}
		n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
		return n
	}
	for {
		n := number()
		if n < 0 {
			return
		}
		args := make([]string, n)
		for i := range args {
			b := make([]byte, number()+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			args[i] = string(b[:len(b)-2])
		}
		if args[0] == "RESTORE" {
			args[3] = payloadText([]byte(args[3]))
		}
		g.mu.Lock()
		answer := g.answer
		g.told = append(g.told, strings.Join(args, " "))
		g.mu.Unlock()
		reply := ""
		if answer != nil {
			reply = answer(args)
		}
		if reply == "" {
			reply = "+OK"
			g.mu.Lock()
			switch args[0] {
			case "RESTORE":
				g.values[args[1]] = args[3]
			case "DEL":
				delete(g.values, args[1])
				reply = ":1"
			}
			g.mu.Unlock()
		}
		if _, err := io.WriteString(conn, reply+"\r\n"); err != nil {
			return
		}
	}
}

// payloadText is a payload's string, or the type of another value.
func payloadText(payload []byte) string {
	if _, err := rdb.CheckDump(payload, true); err != nil {
		return err.Error()
	}
	v, err := rdb.DecodeDump(payload, &rdb.Limits{})
	switch {
	case err != nil:
		return err.Error()
	case v.Obj != nil:
		defer command.FreeAll(v.Obj)
		return fmt.Sprint(v.Type)
	case v.Type != types.TString:
		return fmt.Sprint(v.Type)
	}
	return string(stringOf(v))
}

func stringOf(v rdb.Value) []byte {
	if v.Enc == types.EncInt {
		n := int64(0)
		for i := range 8 {
			n |= int64(v.Packed[i]) << (8 * i)
		}
		return command.IntArg(n)
	}
	return v.Packed
}

// other is a second runner on the same server, for another goroutine.
func other(s *commandtest.Server) *commandtest.Server {
	o := &commandtest.Server{Server: s.Server, T: s.T, Now: time.Now()}
	o.X = s.NewExec()
	o.C = s.NewClient(commandtest.NewConn(), "127.0.0.1:1", "127.0.0.1:2", 5)
	return o
}

// migrate runs MIGRATE with what follows the port on a client that parks.
func migrate(s *commandtest.Server, g *target, rest ...string) string {
	s.T.Helper()
	conn := commandtest.NewConn()
	c := s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 5)
	defer s.DropClient(c)
	mine := s.C
	s.C = c
	got := s.Do(append([]string{"MIGRATE", "127.0.0.1", g.port}, rest...)...)
	s.C = mine
	if got != "" {
		return got
	}
	return conn.Wait(s.T)
}

func migrated(s *commandtest.Server, want string, g *target, rest ...string) {
	s.T.Helper()
	if got := migrate(s, g, rest...); got != want+"\r\n" {
		s.T.Errorf("MIGRATE %q: got %q, want %q", rest, got, want)
	}
	if err := s.CheckIdle(); err != nil {
		s.T.Errorf("after MIGRATE %q: %v", rest, err)
	}
}

func wantHeard(t *testing.T, g *target, want ...string) {
	t.Helper()
	if got := g.heard(); got != strings.Join(want, "\n") {
		t.Errorf("the target was told:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func TestMigrate(t *testing.T) {
	s, g := commandtest.New(t), newTarget(t)
	s.Run("MSET a 1 b x c y")
	s.Run("PEXPIREAT c 99999999999999")
	s.Run("RPUSH l 1 2 3")
	dirty := s.Stats.DirtySinceSave.Load()
	s.Effects = nil
	migrated(s, "+OK", g, "a", "9", "5000")
	wantHeard(t, g, "SELECT 9", "RESTORE a 0 1")
	s.WantEffects("DEL a")
	// The connection is kept, with its database.
	migrated(s, "+OK", g, "", "9", "5000", "COPY", "REPLACE", "KEYS", "none", "b", "l")
	wantHeard(t, g, "RESTORE b 0 x REPLACE", "RESTORE l 0 list REPLACE")
	s.WantEffects()
	migrated(s, "+OK", g, "", "2", "0", "AUTH2", "u", "p", "KEYS", "b", "l")
	wantHeard(t, g, "AUTH u p", "SELECT 2", "RESTORE b 0 x", "RESTORE l 0 list")
	s.WantEffects("DEL b l")
	migrated(s, "+NOKEY", g, "b", "9", "5000")
	migrated(s, "+OK", g, "c", "2", "5000", "AUTH", "p")
	heard := strings.Split(g.heard(), "\n")
	ttl := "0"
	if len(heard) == 2 {
		ttl = strings.Fields(heard[1])[2]
	}
	if n, _ := strconv.ParseInt(ttl, 10, 64); n < 9e13 || n > 99999999999999-time.Now().UnixMilli()+1000 {
		t.Errorf("the target was told %q", heard)
	}
	if n := g.connections(); n != 1 {
		t.Errorf("%d connections were made", n)
	}
	if n := s.Stats.DirtySinceSave.Load() - dirty; n != 4 {
		t.Errorf("%d changes were counted, want 4", n)
	}
	s.Want("DBSIZE", ":0\n")
	if !strings.Contains(s.Run("INFO stats"), "migrate_cached_sockets:1\r\n") {
		t.Error("INFO shows no kept connection")
	}
}

func TestMigrateErrors(t *testing.T) {
	s, g := commandtest.New(t), newTarget(t)
	s.Run("SET k v")
	s.Effects = nil
	const port = "-ERR value is not an integer or out of range\n"
	for line, want := range map[string]string{
		"MIGRATE h 1 k 0 z":                    port,
		"MIGRATE h 1 k z 0":                    port,
		"MIGRATE h 1 k z 0 FOO":                "-ERR syntax error\n",
		"MIGRATE h 1 k z 0 AUTH":               "-ERR syntax error\n",
		"MIGRATE h 1 k z 0 AUTH2 u":            "-ERR syntax error\n",
		"MIGRATE h 1 k z 0 KEYS k":             "-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string\n",
		"MIGRATE h 1 none 0 0":                 "+NOKEY\n",
		"MIGRATE 127.0.0.1 x k 0 0":            "-IOERR error or timeout writing to target instance\n",
		"COMMAND GETKEYS MIGRATE h 1 k 0 0":    "*1\n$1\nk\n",
		"COMMAND GETKEYS MIGRATE h 1 k 0 0 x":  "*1\n$1\nk\n",
		"COMMAND GETKEYS MIGRATE h 1 k 0 KEYS": "*1\n$1\nk\n",
	} {
		s.Want(line, want)
	}
	for _, c := range []struct{ line, want string }{
		{"MIGRATE h 1 | 0 0 KEYS", "+NOKEY\n"},
		{"MIGRATE | 1 k 0 10", "-IOERR error or timeout connecting to the client\n"},
		{"COMMAND GETKEYS MIGRATE h 1 | 0 0 AUTH keys KEYS a b", "*2\n$1\na\n$1\nb\n"},
		{"COMMAND GETKEYS MIGRATE h 1 | 0 0 AUTH2 keys keys copy KEYS a", "*1\n$1\na\n"},
		{"COMMAND GETKEYS MIGRATE h 1 | 0 0 KEYS", "-ERR Invalid arguments specified for command\n"},
		{"COMMAND GETKEYS MIGRATE h 1 k 0 0 KEYS a", "-ERR Invalid arguments specified for command\n"},
	} {
		args := strings.Fields(c.line)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "|", "")
		}
		if got := s.Do(args...); got != strings.ReplaceAll(c.want, "\n", "\r\n") {
			t.Errorf("%s: got %q, want %q", c.line, got, c.want)
		}
	}
	// What the target says.
	refuse := func(what, reply string) {
		g.mu.Lock()
		g.answer = func(args []string) string {
			if strings.HasPrefix(strings.Join(args, " "), what) {
				return reply
			}
			return ""
		}
		g.mu.Unlock()
	}
	refuse("AUTH", "-WRONGPASS no")
	migrated(s, "-ERR Target instance replied with error: WRONGPASS no", g, "k", "9", "5000", "AUTH", "x")
	wantHeard(t, g, "AUTH x", "SELECT 9")
	refuse("SELECT", "-ERR DB index is out of range")
	migrated(s, "-ERR Target instance replied with error: ERR DB index is out of range", g, "k", "9", "5000")
	wantHeard(t, g, "SELECT 9")
	refuse("RESTORE", "HTTP/1.1 400 Bad Request")
	migrated(s, "-IOERR error or timeout reading to target instance", g, "k", "9", "5000")
	refuse("RESTORE", "-BUSYKEY there")
	migrated(s, "-ERR Target instance replied with error: BUSYKEY there", g, "k", "9", "5000")
	s.WantEffects()
	// Only what was acknowledged is deleted.
	s.Run("MSET a 1 b 2 c 3")
	s.Effects = nil
	refuse("RESTORE b", "-BUSYKEY b")
	migrated(s, "-ERR Target instance replied with error: BUSYKEY b", g, "", "9", "5000", "KEYS", "a", "b", "c")
	s.WantEffects("DEL a c")
	s.Want("EXISTS a b c k", ":2\n")
	// A key that is named twice.
	refuse("none", "")
	migrated(s, "+OK", g, "", "9", "5000", "REPLACE", "KEYS", "b", "b")
	s.WantEffects("DEL b")
	if v, _ := g.value("b"); v != "2" {
		t.Errorf("the target has b as %q", v)
	}
}

func TestMigrateConnections(t *testing.T) {
	s, g := commandtest.New(t), newTarget(t)
	s.Run("MSET a 1 b 2 c 3")
	migrated(s, "+OK", g, "a", "9", "5000")
	g.hangUp() // the kept connection is dead, but a new one is not
	migrated(s, "+OK", g, "b", "9", "5000")
	if n := g.connections(); n != 2 {
		t.Errorf("%d connections were made, want 2", n)
	}
	// A target that says nothing is not asked twice.
	silence := make(chan bool)
	g.mu.Lock()
	g.answer = func([]string) string { <-silence; return "" }
	g.mu.Unlock()
	start := time.Now()
	if got := migrate(s, g, "c", "9", "200"); got != "-IOERR error or timeout reading to target instance\r\n" && got != "-IOERR error or timeout writing to target instance\r\n" {
		t.Errorf("MIGRATE to a target that says nothing: %q", got)
	}
	if d := time.Since(start); d < 200*time.Millisecond || d > 20*time.Second {
		t.Errorf("a timeout of 200 ms came after %v", d)
	}
	if n := g.connections(); n != 2 || s.Stats.KeptLinks.Load() != 0 {
		t.Errorf("%d connections were made, want 2; %d are kept", n, s.Stats.KeptLinks.Load())
	}
	s.Want("EXISTS c", ":1\n")
	close(silence)
}

// TestMigrateChanged has the key change between the target's acknowledgement
// and the deletion.
func TestMigrateChanged(t *testing.T) {
	s, g := commandtest.New(t), newTarget(t)
	o := other(s)
	during := func(times int, change func(i int)) {
		n := 0
		g.mu.Lock()
		g.answer = func(args []string) string {
			if args[0] == "RESTORE" && args[1] == "k" && n < times {
				n++
				change(n)
			}
			return ""
		}
		g.mu.Unlock()
	}
	s.Run("MSET k old other x")
	s.Effects = nil
	during(2, func(i int) { o.Run(fmt.Sprint("SET k new", i)) })
	migrated(s, "+OK", g, "", "9", "5000", "KEYS", "other", "k")
	wantHeard(t, g, "SELECT 9", "RESTORE other 0 x", "RESTORE k 0 old", "RESTORE k 0 new1 REPLACE", "RESTORE k 0 new2 REPLACE")
	s.WantEffects("SET k new1", "DEL other", "SET k new2", "DEL k")
	s.Want("DBSIZE", ":0\n")

	// Deleted meanwhile: it must not come back over there.
	s.Run("SET k old")
	during(1, func(int) { o.Run("DEL k") })
	migrated(s, "+OK", g, "k", "9", "5000")
	wantHeard(t, g, "RESTORE k 0 old", "DEL k")
	if _, ok := g.value("k"); ok {
		t.Error("a deleted key lives on at the target")
	}

	// A deadline that is over before the value is sent again.
	s.Run("SET k old")
	during(1, func(int) {
		o.Run("PEXPIREAT k " + fmt.Sprint(time.Now().Add(time.Second/50).UnixMilli()))
		time.Sleep(time.Second / 10)
	})
	migrated(s, "+OK", g, "k", "9", "5000")
	wantHeard(t, g, "RESTORE k 0 old", "DEL k")

	// All the time: it stays.
	s.Run("SET k 0")
	during(1000, func(int) { o.Run("INCR k") })
	migrated(s, "-IOERR the key changed too often while it was migrated, it is still here", g, "k", "9", "5000")
	if n := strings.Count(g.heard(), "RESTORE"); n != keys.MigrateTries {
		t.Errorf("it was sent %d times, want %d", n, keys.MigrateTries)
	}
	s.Want("GET k", fmt.Sprintf("$2\n%d\n", keys.MigrateTries))

	// The connection breaks when the new value is to be sent.
	during(1, func(int) {
		o.Run("SET k new")
		go func() { time.Sleep(10 * time.Millisecond); g.hangUp() }()
	})
	migrate(s, g, "k", "9", "5000")
	if here, there := s.Run("EXISTS k") == ":1\r\n", false; !here {
		if v, ok := g.value("k"); ok && v == "new" {
			there = true
		}
		if !there {
			t.Error("the key is nowhere")
		}
	}

	// With COPY nothing is deleted, so changes do not matter.
	s.Run("SET k old")
	g.heard()
	during(1, func(int) { o.Run("SET k new") })
	migrated(s, "+OK", g, "k", "9", "5000", "COPY", "REPLACE")
	s.Want("GET k", "$3\nnew\n")
}

// TestMigratePaused: nothing may change while writes are paused.
func TestMigratePaused(t *testing.T) {
	s, g := commandtest.New(t), newTarget(t)
	s.Run("SET k v")
	g.answer = func(args []string) string {
		if args[0] == "RESTORE" {
			s.HoldWrites(true)
			time.AfterFunc(100*time.Millisecond, func() {
				k := keyspace.MakeKey([]byte("k"))
				h := s.Keyspace.LockKeys([]keyspace.Key{k})
				tx := s.Keyspace.TxOn(0)
				if tx.Use(0); !tx.Exists(&k) {
					t.Error("the key was deleted during the pause")
				}
				s.Keyspace.Unlock(&h)
				s.HoldWrites(false)
			})
		}
		return ""
	}
	migrated(s, "+OK", g, "k", "9", "5000")
	s.Want("EXISTS k", ":0\n")
}

type otherEnd = command.Following

// follows is a Following that begins to follow when it is told.
type follows struct {
	otherEnd
	on atomic.Bool
}

func (f *follows) Up() bool { return true }

func (f *follows) Following() (string, int, bool) { return "127.0.0.1", 1, f.on.Load() }

// TestMigrateDemoted: where the server becomes a follower that takes no writes, the keys are
// still here, and that is replied; nothing watches them any more.
func TestMigrateDemoted(t *testing.T) {
	s, g := commandtest.New(t), newTarget(t)
	s.Run("SET k v")
	var f follows
	s.SetFollowing(&f)
	g.answer = func(args []string) string {
		if args[0] == "RESTORE" {
			f.on.Store(true)
			s.FollowingChanged()
		}
		return ""
	}
	migrated(s, "-READONLY You can't write against a read only replica.", g, "k", "9", "5000")
	s.Want("EXISTS k", ":1\n")
	if err := s.CheckIdle(); err != nil {
		t.Error(err)
	}
}

func TestMigrateExec(t *testing.T) {
	s, g := commandtest.New(t), newTarget(t)
	s.Run("MSET a 1 b 2")
	s.Run("MULTI")
	s.Run("SET a 3")
	s.Do("MIGRATE", "127.0.0.1", g.port, "", "9", "5000", "KEYS", "a", "b")
	s.Run("EXISTS a b")
	s.Effects = nil
	s.Want("EXEC", "*3\n+OK\n+OK\n:0\n")
	s.WantEffects("MULTI", "SET a 3", "DEL a b", "EXEC")
	wantHeard(t, g, "SELECT 9", "RESTORE a 0 3", "RESTORE b 0 2")
	if err := s.CheckIdle(); err != nil {
		t.Error(err)
	}
}

// TestMigrateBig moves values behind handles, which are sent without locks.
func TestMigrateBig(t *testing.T) {
	s, g := commandtest.New(t), newTarget(t)
	for i := range 5000 {
		s.Run(fmt.Sprintf("RPUSH l element-%d", i))
		s.Run(fmt.Sprintf("SADD s element-%d", i))
	}
	s.Do("SET", "str", strings.Repeat("x", 300000))
	o, once := other(s), true
	g.answer = func(args []string) string {
		if args[0] == "RESTORE" && args[1] == "l" && once {
			once = false
			o.Run("LPOP l")
		}
		return ""
	}
	migrated(s, "+OK", g, "", "0", "5000", "KEYS", "l", "s", "str")
	wantHeard(t, g, "SELECT 0", "RESTORE l 0 list", "RESTORE s 0 set", "RESTORE str 0 string", "RESTORE l 0 list REPLACE")
	s.Want("DBSIZE", ":0\n")
}

// TestMigrateLosesNothing counts on a key while it is migrated again and
// again: what was counted is here, or was moved.
func TestMigrateLosesNothing(t *testing.T) {
	s, g := commandtest.New(t), newTarget(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	stop := make(chan bool)
	counted := make(chan int)
	for i := range 2 {
		o := other(s)
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		go func() {
			n := 0
			for {
				select {
				case <-stop:
					counted <- n
					return
				default:
				}
				o.Run("INCR k")
				n++
				time.Sleep(time.Duration(random.IntN(400)) * time.Microsecond)
			}
		}()
	}
	moved, times, resent := 0, 0, 0
	for end := time.Now().Add(20 * time.Second); times < 500 && time.Now().Before(end); {
		g.heard()
		if migrate(s, g, "k", "9", "5000", "REPLACE") == "+OK\r\n" {
			v, _ := g.value("k")
			n, _ := strconv.Atoi(v)
			moved += n
			times++
			if strings.Count(g.heard(), "RESTORE") > 1 {
				resent++
			}
		}
	}
	close(stop)
	total := <-counted + <-counted
	left := 0
	fmt.Sscanf(strings.Join(strings.Fields(s.Run("GET k"))[1:], ""), "%d", &left)
	if moved+left != total {
		t.Errorf("%d were counted, but %d migrations moved %d and %d are left", total, times, moved, left)
	}
	if times < 50 || resent == 0 {
		t.Errorf("%d migrations succeeded, %d of them met a change", times, resent)
	}
	if err := s.CheckIdle(); err != nil {
		t.Error(err)
	}
}
