package replica_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
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
	"kvd/replica"
)

// follower is a server without a front end that follows.
type follower struct {
	*replica.Follower
	srv    *command.Server
	ks     *keyspace.Keyspace
	saver  *persist.Saver
	stream *replica.Stream
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex // protects b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newFollower(t *testing.T, loading string) *follower {
	t.Helper()
	t.Chdir(t.TempDir())
	cfg := config.New()
	if err := cfg.Set([]config.Pair{{Name: "save", Value: ""}, {Name: "repl-diskless-load", Value: loading}}, config.Caller{Local: true}); err != nil {
		t.Fatal(err)
	}
	f := &follower{log: &lockedBuffer{}}
	log := logf.NewWriter(f.log, logf.Notice)
	f.ks = keyspace.New(keyspace.Options{})
	f.srv = command.NewServer(families.Table(), cfg, f.ks, log, "test")
	f.stream = replica.NewStream(f.ks, cfg, log)
	f.saver = persist.New(persist.Options{Keyspace: f.ks, Config: cfg, Log: log, Dirty: &f.srv.Stats.DirtySinceSave, Version: "test", RedisVersion: "7.0.15",
		UsedMemory: func() int64 { return 0 }, Limits: f.srv.RDBLimits, Freq: f.srv.Freq, FreqClock: f.srv.FreqClock, Changed: func() {},
		Hold: func() func() { f.stream.Instant.Lock(); return f.stream.Instant.Unlock }, Facts: f.stream.Aux})
	f.Follower = replica.NewFollower(replica.FollowerOptions{In: new(atomic.Int64), Out: new(atomic.Int64), Config: cfg, Log: log, Keyspace: f.ks, Saver: f.saver, Stream: f.stream,
		Applier: f.srv.NewStreamApplier(), Changed: func() {}, Linked: func(net.Conn, func()) func() { return func() {} }, DropFollowers: func() {},
		Candidates: func() []replica.Candidate { return nil }, HoldWrites: func(bool) {}})
	t.Cleanup(func() {
		f.Close()
		f.saver.Close()
		if err := f.ks.Check(); err != nil {
			t.Error(err)
		}
		f.ks.Close()
		if t.Failed() {
			t.Logf("the log:\n%s", f.log)
		}
	})
	return f
}

// number is the value of an integer key; the stripes are locked.
func (f *follower) number(key string) int64 {
	k := keyspace.MakeKey([]byte(key))
	e := f.ks.TxOn(0).Peek(&k)
	if !e.Exists() {
		return 0
	}
	return e.Int()
}

// fakeLeader serves a history that it knows beforehand, and cuts connections
// wherever it likes.
type fakeLeader struct {
	t       *testing.T
	l       net.Listener
	id      string
	history []byte
	ends    map[int64]int64 // by the offset of each unit's end: the value of a then

	mu       sync.Mutex // protects what follows
	cutAfter func() int // bytes of the stream that a connection gets
	acked    int64
	fulls    int
	asked    []int64
	answers  []int64 // to GETACK, as ACKs came right after one
}

func newFakeLeader(t *testing.T, units int, r *rand.Rand) *fakeLeader {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeLeader{t: t, l: l, id: replica.NewID(), ends: map[int64]int64{0: 0}}
	a := int64(0)
	say := func(args ...string) {
		f.history = append(f.history, fmt.Sprintf("*%d\r\n", len(args))...)
		for _, s := range args {
			f.history = append(f.history, fmt.Sprintf("$%d\r\n%s\r\n", len(s), s)...)
		}
	}
	for range units {
		switch r.IntN(8) {
		case 0:
			say("PING")
		case 1:
			say("SELECT", "0")
		case 2:
			say("REPLCONF", "GETACK", "*")
		case 3:
			say("MULTI")
			for range r.IntN(4) {
				say("INCR", "a")
				say("SET", "big", strings.Repeat("x", r.IntN(3000)))
				a++
			}
			say("EXEC")
		default:
			say("INCR", "a")
			a++
		}
		f.ends[int64(len(f.history))] = a
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(c)
		}
	}()
	return f
}

// emptyRDB is a snapshot without keys and without a checksum.
var emptyRDB = "REDIS0010\xff" + strings.Repeat("\x00", 8)

func (f *fakeLeader) serve(c net.Conn) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		args, err := readCommand(br)
		if err != nil {
			return
		}
		switch strings.ToLower(args[0]) {
		case "ping":
			io.WriteString(c, "+PONG\r\n")
		case "psync":
			f.sync(c, br, args)
			return
		default:
			io.WriteString(c, "+OK\r\n")
		}
	}
}

func (f *fakeLeader) sync(c net.Conn, br *bufio.Reader, args []string) {
	from, _ := strconv.ParseInt(args[2], 10, 64)
	if args[1] != f.id {
		f.mu.Lock()
		f.fulls++
		f.mu.Unlock()
		from = 1
		mark := replica.NewID()
		whole := "+FULLRESYNC " + f.id + " 0\r\n\n\n$EOF:" + mark + "\r\n" + emptyRDB + mark
		for i := range whole { // in the smallest pieces
			io.WriteString(c, whole[i:i+1])
		}
	} else {
		f.mu.Lock()
		f.asked = append(f.asked, from)
		f.mu.Unlock()
		io.WriteString(c, "\n+CONTINUE "+f.id+"\r\n")
	}
	acks := make(chan struct{})
	go func() {
		defer close(acks)
		for {
			a, err := readCommand(br)
			if err != nil {
				return
			}
			if len(a) == 3 && a[1] == "ACK" {
				n, _ := strconv.ParseInt(a[2], 10, 64)
				f.mu.Lock()
				f.acked = max(f.acked, n)
				f.answers = append(f.answers, n)
				f.mu.Unlock()
			}
		}
	}()
	rest := f.history[from-1:]
	f.mu.Lock()
	n := f.cutAfter()
	f.mu.Unlock()
	for len(rest) > 0 && n > 0 {
		k := min(len(rest), n, 1+rand.IntN(700))
		if _, err := c.Write(rest[:k]); err != nil {
			return
		}
		rest, n = rest[k:], n-k
	}
	if len(rest) == 0 {
		<-acks // until the follower ends it
	}
}

func readCommand(br *bufio.Reader) ([]string, error) {
	head, err := br.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if head[0] != '*' {
		return []string{strings.TrimSpace(head)}, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(head[1:]))
	var args []string
	for range n {
		size, err := br.ReadString('\n')
		if err != nil {
			return nil, err
		}
		k, _ := strconv.Atoi(strings.TrimSpace(size[1:]))
		b := make([]byte, k+2)
		if _, err := io.ReadFull(br, b); err != nil {
			return nil, err
		}
		args = append(args, string(b[:k]))
	}
	return args, err
}

func (f *fakeLeader) port() int { return f.l.Addr().(*net.TCPAddr).Port }

// TestLinkCut cuts a link at random bytes. The follower asks for the first unit
// that it does not have as a whole, whatever was half there, so the contents are
// right in the end, and each snapshot meanwhile has the contents of its offset.
func TestLinkCut(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, loading := range []string{"disabled", "on-empty-db", "swapdb"} {
		t.Run(loading, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			leader := newFakeLeader(t, 3000, r)
			var snapshots atomic.Int64
			links := 0
			leader.cutAfter = func() int {
				if links++; links > 3 { // the stream is not to be over before there is a snapshot
					for end := time.Now().Add(10 * time.Second); snapshots.Load() == 0 && time.Now().Before(end); {
						time.Sleep(time.Millisecond)
					}
				}
				return 1 + r.IntN(len(leader.history)/8)
			}
			f := newFollower(t, loading)
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					default:
					}
					f.saver.Begin(persist.Snapshot{Stream: io.Discard, At: func() []string {
						// Between the adoption of the leader's history and now, only whole units count.
						id, _, offset, _ := f.stream.IDs()
						if id != leader.id {
							return nil
						}
						want, unit := leader.ends[offset]
						if got := f.number("a"); !unit || got != want {
							t.Errorf("at offset %d (the end of a unit: %v) a is %d, want %d", offset, unit, got, want)
						}
						snapshots.Add(1)
						return nil
					}})
					time.Sleep(time.Millisecond)
				}
			}()
			f.Follow("127.0.0.1", leader.port())
			end := int64(len(leader.history))
			for limit := time.Now().Add(20 * time.Second); f.stream.Offset() < end; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(limit) {
					t.Fatalf("at offset %d of %d", f.stream.Offset(), end)
				}
			}
			close(stop)
			<-stopped
			h := f.ks.LockAll()
			if got := f.number("a"); got != leader.ends[end] {
				t.Errorf("a is %d, want %d", got, leader.ends[end])
			}
			f.ks.Unlock(&h)
			leader.mu.Lock()
			defer leader.mu.Unlock()
			if leader.fulls != 1 {
				t.Errorf("%d full synchronizations", leader.fulls)
			}
			for _, from := range leader.asked {
				if _, ok := leader.ends[from-1]; !ok {
					t.Errorf("the follower asked for offset %d, which is inside a unit", from)
				}
			}
			for _, n := range leader.answers {
				if _, ok := leader.ends[n]; !ok {
					t.Errorf("the follower acknowledged offset %d, which is inside a unit", n)
				}
			}
			if len(leader.asked) < 3 || snapshots.Load() == 0 {
				t.Errorf("%d cuts, %d snapshots", len(leader.asked), snapshots.Load())
			}
		})
	}
}

// TestLinkEnds has a follower change its mind in every state of a link: it ends
// at once, and nothing is left behind.
func TestLinkEnds(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	f := newFollower(t, "disabled")
	for _, say := range []string{"", "+PONG\r\n", "+PONG\r\n+OK\r\n+OK\r\n", "+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC " + replica.NewID() + " 1\r\n",
		"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC " + replica.NewID() + " 1\r\n$100\r\nREDIS"} {
		accepted := make(chan net.Conn, 1)
		go func() {
			c, err := silent.Accept()
			if err == nil {
				io.WriteString(c, say)
			}
			accepted <- c
		}()
		f.Follow("127.0.0.1", silent.Addr().(*net.TCPAddr).Port)
		c := <-accepted
		time.Sleep(20 * time.Millisecond)
		begun := time.Now()
		if !f.Lead() {
			t.Error("it did not follow")
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("after %q the end took %v", say, took)
		}
		c.Close()
	}
	if left, _ := filepath.Glob("temp-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if f.Lead() {
		t.Error("it followed after all")
	}
}

// TestLinkNonsense has a leader answer with what it must not.
func TestLinkNonsense(t *testing.T) {
	id := replica.NewID()
	hello := "+PONG\r\n+OK\r\n+OK\r\n"
	for _, c := range []struct{ say, log string }{
		{"-ERR no\r\n", "Error reply to PING from master"},
		{hello + "+FULLRESYNC x y\r\n", "the leader's answer to PSYNC is not understood"},
		{hello + "+FULLRESYNC " + id + " -5\r\n", "the leader's answer to PSYNC is not understood"},
		{hello + "-NOMASTERLINK x\r\n", "Master is currently unable to PSYNC but should be in the future"},
		{hello + "$5\r\n", "Unexpected reply to PSYNC"},
		{hello + "+FULLRESYNC " + id + " 1\r\n$-1\r\n", "Bad protocol from MASTER"},
		{hello + "+FULLRESYNC " + id + " 1\r\nhello\r\n", "Bad protocol from MASTER"},
		{hello + "+FULLRESYNC " + id + " 1\r\n-ERR x\r\n", "MASTER aborted replication with an error: ERR x"},
		{hello + "+FULLRESYNC " + id + " 1\r\n$5\r\nREDIS", "Failed trying to load the MASTER synchronization DB"},
		{hello + "+FULLRESYNC " + id + " 1\r\n$18\r\n" + emptyRDB + "*1\r\n$x\r\n", "cannot be applied here"},
	} {
		f := newFollower(t, "disabled")
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() { // the follower may try again
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go io.Copy(io.Discard, conn)
				io.WriteString(conn, c.say)
			}
		}()
		f.Follow("127.0.0.1", l.Addr().(*net.TCPAddr).Port)
		for limit := time.Now().Add(20 * time.Second); !strings.Contains(f.log.String(), c.log); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("after %q the log does not say %q", c.say, c.log)
			}
		}
		f.Close()
		l.Close()
	}
}
