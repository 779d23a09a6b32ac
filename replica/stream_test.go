package replica

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
)

// newTestStream is a leader's stream with a backlog; pairs are directives.
func newTestStream(t *testing.T, pairs ...string) (*Stream, *keyspace.Keyspace) {
	t.Helper()
	cfg := config.New()
	for i := 0; i < len(pairs); i += 2 {
		if err := cfg.SetInitial(pairs[i], []string{pairs[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	ks := keyspace.New(keyspace.Options{Stripes: 16})
	t.Cleanup(ks.Close)
	t.Chdir(t.TempDir())
	s := NewStream(ks, cfg, logf.NewWriter(io.Discard, logf.Nothing))
	locked(ks, s.Create)
	return s, ks
}

func locked(ks *keyspace.Keyspace, f func()) {
	h := ks.LockAll()
	defer ks.Unlock(&h)
	f()
}

// held is all that the backlog still has.
func held(t *testing.T, s *Stream) (first int64, b []byte) {
	t.Helper()
	info := s.Backlog()
	r, ok := s.NewReader(info.First, nil)
	if !ok {
		t.Fatal("the first byte of the backlog cannot be read")
	}
	defer r.Close()
	buf := make([]byte, slotSize)
	for int64(len(b)) < info.Length {
		p, err := r.Next(buf)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, p...)
	}
	return info.First, b
}

func TestEncoding(t *testing.T) {
	s, ks := newTestStream(t)
	j := &ks.Journal
	word := func(w ...string) (b [][]byte) {
		for _, a := range w {
			b = append(b, []byte(a))
		}
		return
	}
	j.Append(0, word("SET", "a", "1")...)
	j.AppendAll([]keyspace.Effect{{DB: 12, Args: word("SET", "b", "2")}, {DB: 12, Args: word("DEL", "c")}})
	j.AppendAll([]keyspace.Effect{{DB: 12, Args: word("DEL", "")}})
	s.Ping()
	s.GetAck()
	_, got := held(t, s)
	want := "*2\n$6\nSELECT\n$1\n0\n*3\n$3\nSET\n$1\na\n$1\n1\n" +
		"*2\n$6\nSELECT\n$2\n12\n*1\n$5\nMULTI\n*3\n$3\nSET\n$1\nb\n$1\n2\n*2\n$3\nDEL\n$1\nc\n*1\n$4\nEXEC\n" +
		"*2\n$3\nDEL\n$0\n\n*1\n$4\nPING\n*3\n$8\nREPLCONF\n$6\nGETACK\n$1\n*\n"
	if want = strings.ReplaceAll(want, "\n", "\r\n"); string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if s.Offset() != int64(len(want)) {
		t.Errorf("offset %d after %d bytes", s.Offset(), len(want))
	}
}

// With no backlog nothing is numbered, and the journal has no reader.
func TestWithoutBacklog(t *testing.T) {
	s, ks := newTestStream(t)
	id, _, _, _ := s.IDs()
	locked(ks, func() {
		if !s.Drop() {
			t.Error("the backlog was not dropped")
		}
	})
	if ks.Journal.Active() {
		t.Error("the journal still has a reader")
	}
	if now, _, _, _ := s.IDs(); now == id {
		t.Error("the id stayed, though changes are not numbered any more")
	}
}

func TestHistories(t *testing.T) {
	s, ks := newTestStream(t)
	a, _, _, _ := s.IDs()
	ks.Journal.Append(0, []byte("PING"))
	locked(ks, s.Follow)
	before := s.Offset()
	ks.Journal.Append(0, []byte("PING")) // own effects do not count any more
	if s.Offset() != before {
		t.Error("an effect went into the stream of a follower")
	}
	s.Rename("b")
	s.AppendRaw([]byte("0123456789"))
	id, id2, offset, second := s.IDs()
	if id != "b" || id2 != a || offset != before+10 || second != before+1 {
		t.Errorf("after +CONTINUE b: %q %q %d %d", id, id2, offset, second)
	}
	for _, v := range []struct {
		id   string
		pos  int64
		want Refusal
	}{{"b", offset + 1, Resumed}, {"b", offset + 2, NoBacklog}, {"b", 0, NoBacklog}, {a, before + 1, Resumed}, {a, before + 2, BeyondSecond}, {"c", 1, OtherHistory}, {noID, 1, OtherHistory}} {
		r, why := s.Resume(v.id, v.pos, nil)
		if why != v.want {
			t.Errorf("%s from %d: %v, want %v", v.id, v.pos, why, v.want)
		}
		if r != nil {
			r.Close()
		}
	}
	locked(ks, s.Promote)
	if id, id2, _, second := s.IDs(); id == "b" || id2 != "b" || second != offset+1 {
		t.Errorf("promoted: %q %q %d", id, id2, second)
	}
	ks.Journal.Append(0, []byte("PING"))
	if s.Offset() == offset {
		t.Error("promoted, but effects do not go into the stream")
	}
	r, _ := s.NewReader(s.Offset()+1, nil)
	s.Adopt("d", 1000)
	if _, err := r.Next(make([]byte, slotSize)); err != ErrStopped {
		t.Error("a reader of the old history was not stopped")
	}
	r.Close()
	if id, id2, offset, second := s.IDs(); id != "d" || id2 != noID || offset != 1000 || second != -1 {
		t.Errorf("adopted: %q %q %d %d", id, id2, offset, second)
	}
}

// Many bytes, few of them in memory, readers of all speeds: everyone reads what
// was appended.
func TestReaders(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s, ks := newTestStream(t, "repl-backlog-size", "200kb", "repl-backlog-file-limit", "10mb", "client-output-buffer-limit", "replica 0 0 0")
	s.ahead = 1 << 20
	all := make([]byte, 6<<20)
	for i := range all {
		all[i] = byte(r.Uint32())
	}
	locked(ks, s.Follow)
	results := make(chan error, 3)
	late := make(chan struct{})
	for i := range 3 {
		rd, ok := s.NewReader(1, nil)
		if !ok {
			t.Fatal("no reader at the first byte")
		}
		go func() {
			defer rd.Close()
			buf := make([]byte, slotSize)
			at := 0
			for at < len(all) {
				if i > 0 && at == 0 { // the slow ones begin when all is there
					<-late
				}
				p, err := rd.Next(buf)
				if err != nil {
					results <- err
					return
				}
				if !bytes.Equal(p, all[at:at+len(p)]) {
					results <- io.ErrUnexpectedEOF
					return
				}
				at += len(p)
			}
			results <- nil
		}()
	}
	for at := 0; at < len(all); {
		n := min(1+r.IntN(300<<10), len(all)-at)
		s.AppendRaw(all[at : at+n])
		at += n
	}
	info := s.Backlog()
	for end := time.Now().Add(10 * time.Second); info.Memory > 2<<20 && time.Now().Before(end); info = s.Backlog() {
		time.Sleep(time.Millisecond)
	}
	close(late)
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if info.InFile < 3<<20 {
		t.Errorf("too little went to the file: %+v", info)
	}
	for s.Backlog().Readers > 0 || s.Backlog().InFile > 0 { // the readers go in a moment
		time.Sleep(time.Millisecond)
	}
	if after := s.Backlog(); after.Length > 400<<10 || after.InFile != 0 {
		t.Errorf("after the slow readers have gone: %+v", after)
	}
	first, b := held(t, s)
	if !bytes.Equal(b, all[first-1:]) {
		t.Error("the backlog is not the end of the stream")
	}
}

// A reader that makes us hold more than client-output-buffer-limit allows is stopped.
func TestOutputLimit(t *testing.T) {
	s, ks := newTestStream(t, "repl-backlog-file-limit", "0", "client-output-buffer-limit", "replica "+strconv.Itoa(5<<20)+" 0 0")
	locked(ks, s.Follow)
	s.ahead = 1 << 20
	stopped := make(chan bool, 1)
	r, _ := s.NewReader(1, func() { stopped <- true })
	block := make([]byte, 1<<20)
	for range 4 {
		s.AppendRaw(block)
	}
	select {
	case <-stopped:
		t.Error("stopped within the limit")
	default:
	}
	s.AppendRaw(block)
	s.AppendRaw(block)
	<-stopped
	if !r.Over() {
		t.Error("Over is false")
	}
	r.Close()
	if m := s.Backlog().Memory; m > 4<<20 {
		t.Errorf("%d bytes in memory without a reader", m)
	}
}

// A reader that leaves is not waited for: the backlog is as short as the directive
// says. What it had in hand stays as it was until it is closed.
func TestLeave(t *testing.T) {
	s, ks := newTestStream(t, "repl-backlog-size", "16384")
	locked(ks, s.Follow)
	r, _ := s.NewReader(1, nil)
	s.AppendRaw(bytes.Repeat([]byte("a"), 16384))
	p, err := r.Next(make([]byte, slotSize))
	if err != nil {
		t.Fatal(err)
	}
	was := bytes.Clone(p)
	s.AppendRaw(bytes.Repeat([]byte("b"), 200_000))
	if b := s.Backlog(); b.First != 1 || b.Readers != 1 {
		t.Fatalf("a slow reader is not waited for: %+v", b)
	}
	r.Leave()
	r.Leave()
	if b := s.Backlog(); b.First < 150_000 || b.Readers != 0 {
		t.Errorf("after it has left: %+v", b)
	}
	for range 20 {
		s.AppendRaw(bytes.Repeat([]byte("c"), 16384))
	}
	if !bytes.Equal(p, was) {
		t.Error("the bytes that it has in hand were changed")
	}
	if _, err := r.Next(make([]byte, slotSize)); err != ErrStopped {
		t.Errorf("Next: %v", err)
	}
	r.Close()
	if s.left != 0 {
		t.Error("blocks are not used again after it was closed")
	}
}
