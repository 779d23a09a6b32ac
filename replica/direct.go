package replica

// A follower that has all bytes but the newest is sent those by the event loop
// that made them, at the end of its turn: to wake the follower's own goroutine
// for each of them, and have it find a processor, takes longer than the system
// call. What the socket does not take at once, and what is long, is the
// goroutine's.

// directTries is how often a loop sends in a goroutine's place where more has come
// meanwhile. More than shortSend bytes it leaves to the goroutine.
const directTries = 4

// Direct gives the reader a way to send a few bytes without a wait: send tells
// how many it took. It is called from event loops while Next waits, by one at a
// time.
func (r *Reader) Direct(send func([]byte) int) {
	s := r.s
	s.mu.Lock()
	r.send = send
	s.direct.Add(1)
	s.mu.Unlock()
}

// BeginTurn tells that an event loop begins to run commands. Where it returns
// true, EndTurn must follow.
func (s *Stream) BeginTurn() bool {
	if s.direct.Load() == 0 {
		return false
	}
	s.turns.Add(1)
	return true
}

// EndTurn has what was appended sent. No stripe is locked.
func (s *Stream) EndTurn() {
	s.turns.Add(-1)
	if !s.owed.Load() || !s.owed.Swap(false) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; i < len(s.readers); i++ { // those of now: sendFor lets go of mu
		s.sendFor(s.readers[i])
	}
	for _, r := range s.readers {
		if r.idle && !r.lent && (r.stopped || r.pos <= s.end.Load()) {
			s.more.Broadcast()
			return
		}
	}
}

// sendFor sends in the place of a reader's goroutine that waits; mu is locked,
// but not while bytes are sent.
func (s *Stream) sendFor(r *Reader) {
	for range directTries {
		left := s.end.Load() - r.pos + 1
		if !r.idle || r.lent || r.stopped || r.send == nil || left <= 0 || left > shortSend {
			return
		}
		b := s.blockOf(r.pos)
		if b.data == nil {
			return
		}
		at := int(r.pos - b.first)
		bytes, send := b.data[at:b.n:b.n], r.send
		// The block stays: r.pos, which does not move meanwhile, keeps it.
		r.lent = true
		s.mu.Unlock()
		n := send(bytes)
		s.mu.Lock()
		r.lent = false
		r.advance(n)
		if r.stopped { // its goroutine waits for this loop; if it has left, EndTurn does not see it
			s.more.Broadcast()
			return
		}
		if n < len(bytes) {
			return
		}
	}
}
