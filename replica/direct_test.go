package replica

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// started has a reader's goroutine collect into got until it is stopped, and
// returns when it waits in Next.
func started(t *testing.T, s *Stream, r *Reader, got *collected) {
	t.Helper()
	got.done.Go(func() {
		defer r.Close()
		buf := make([]byte, slotSize)
		for {
			p, err := r.Next(buf)
			if err != nil {
				return
			}
			got.add(p, false)
		}
	})
	waitIdle(t, s, r)
}

func waitIdle(t *testing.T, s *Stream, r *Reader) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		s.mu.Lock()
		idle := r.idle && r.pos > s.end.Load()
		s.mu.Unlock()
		if idle {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the reader does not come to wait")
		}
	}
}

// collected is what a follower was sent, by whom.
type collected struct {
	mu     sync.Mutex
	b      []byte
	direct int // bytes that a loop sent
	done   sync.WaitGroup
}

func (c *collected) add(p []byte, direct bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b = append(c.b, p...)
	if direct {
		c.direct += len(p)
	}
}

// What comes in a turn is sent by EndTurn, in the place of the reader's goroutine,
// not before it; what comes outside of a turn, and what the socket does not take,
// is the goroutine's.
func TestTurn(t *testing.T) {
	s, _ := newTestStream(t)
	r, _ := s.NewReader(1, nil)
	var got collected
	takes := 1 << 30
	r.Direct(func(b []byte) int {
		n := min(len(b), takes)
		got.add(b[:n], true)
		return n
	})
	started(t, s, r, &got)
	check := func(want string, direct int) {
		t.Helper()
		got.mu.Lock()
		defer got.mu.Unlock()
		if string(got.b) != want || got.direct != direct {
			t.Errorf("got %q, %d bytes from a loop; want %q, %d", got.b, got.direct, want, direct)
		}
	}
	if !s.BeginTurn() {
		t.Fatal("there is nobody to send to")
	}
	s.AppendRaw([]byte("ab"))
	time.Sleep(20 * time.Millisecond)
	check("", 0)
	s.EndTurn()
	check("ab", 2)
	s.AppendRaw([]byte("cd")) // outside
	waitIdle(t, s, r)
	check("abcd", 2)
	takes = 1
	s.BeginTurn()
	s.AppendRaw([]byte("ef"))
	s.EndTurn()
	waitIdle(t, s, r)
	check("abcdef", 3)
	takes = 1 << 30
	s.BeginTurn()
	s.AppendRaw(bytes.Repeat([]byte("g"), shortSend+1)) // too much for a loop
	s.EndTurn()
	waitIdle(t, s, r)
	check("abcdef"+string(bytes.Repeat([]byte("g"), shortSend+1)), 3)
	r.Stop()
	got.done.Wait()
	if s.BeginTurn() {
		t.Error("there is somebody to send to after the last reader has gone")
	}
}

// Several loops append and send at the same time, sockets take parts, and
// somebody appends who has no turn: each follower gets all bytes once and in order.
func TestTurns(t *testing.T) {
	s, _ := newTestStream(t, "repl-backlog-size", "16384", "client-output-buffer-limit", "replica 0 0 0")
	var got [3]collected
	var readers []*Reader
	for i := range got {
		r, _ := s.NewReader(1, nil)
		rnd := rand.New(rand.NewPCG(uint64(i), 1)) // one loop at a time
		r.Direct(func(b []byte) int {
			n := len(b)
			if rnd.IntN(3) == 0 {
				n = rnd.IntN(n + 1)
			}
			got[i].add(b[:n], true)
			return n
		})
		started(t, s, r, &got[i])
		readers = append(readers, r)
	}
	var want []byte
	var mu sync.Mutex // keeps want in the stream's order
	add := func(b []byte) {
		mu.Lock()
		want = append(want, b...)
		s.AppendRaw(b)
		mu.Unlock()
	}
	var loops sync.WaitGroup
	for l := range 4 {
		loops.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(l), 2))
			for range 2000 {
				turn := l > 0 && s.BeginTurn()
				for range rnd.IntN(3) {
					b := make([]byte, 1+rnd.IntN(300))
					for i := range b {
						b[i] = byte(rnd.Uint32())
					}
					add(b)
				}
				if turn {
					s.EndTurn()
				}
			}
		})
	}
	loops.Wait()
	for i, r := range readers {
		waitIdle(t, s, r)
		r.Stop()
		got[i].done.Wait()
		if !bytes.Equal(got[i].b, want) {
			t.Errorf("follower %d: %d bytes, not the %d of the stream", i, len(got[i].b), len(want))
		}
		if got[i].direct == 0 {
			t.Errorf("follower %d: no loop sent anything", i)
		}
	}
}

// A reader that leaves while a loop sends in its place ends.
func TestLeaveWhileLent(t *testing.T) {
	s, _ := newTestStream(t)
	r, _ := s.NewReader(1, nil)
	var got collected
	r.Direct(func(b []byte) int {
		r.Leave()
		time.Sleep(20 * time.Millisecond) // its goroutine wakes, and has to wait for the loop
		return len(b)
	})
	started(t, s, r, &got)
	s.BeginTurn()
	s.AppendRaw([]byte("ab"))
	s.EndTurn()
	ends(t, &got)
}

// So does one that was stopped while a loop sent in its place, and leaves when that
// loop has seen to it.
func TestLeaveAfterLent(t *testing.T) {
	s, _ := newTestStream(t)
	r, _ := s.NewReader(1, nil)
	other, _ := s.NewReader(1, nil)
	var got, others collected
	r.Direct(func(b []byte) int {
		r.Stop()
		time.Sleep(20 * time.Millisecond) // its goroutine wakes, and has to wait for the loop
		s.BeginTurn()                     // another loop's, so that nobody is woken for this
		s.AppendRaw([]byte("c"))
		s.turns.Add(-1)
		return len(b)
	})
	other.Direct(func(b []byte) int {
		r.Leave()
		return len(b)
	})
	started(t, s, r, &got)
	started(t, s, other, &others)
	s.BeginTurn()
	s.AppendRaw([]byte("ab"))
	s.EndTurn()
	ends(t, &got)
	other.Stop()
	ends(t, &others)
}

// ends waits until the goroutine of a reader has come to its end.
func ends(t *testing.T, got *collected) {
	t.Helper()
	ended := make(chan bool)
	go func() {
		got.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits still")
	}
}
