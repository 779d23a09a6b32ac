package command

import (
	"sync/atomic"
	"time"

	"kvd/lockrank"
)

// CLIENT PAUSE: a client that sends what is paused is parked before the
// command runs, with the command unread; when the pause ends its input is read
// again. While anything is paused nothing expires: what is past its deadline
// is only hidden, so that the contents stand still for a failover.

// Modes of a pause.
const (
	pauseOff int32 = iota
	pauseWrites
	pauseAll
)

// pause is CLIENT PAUSE's state.
type pause struct {
	mode atomic.Int32 // written by setPause alone; commands read gatePaused

	mu     lockrank.Mutex[lockrank.Pause] // protects what follows; held for moments, over no lock
	asked  int32                          // mode of CLIENT PAUSE and its like, which lasts until end
	held   bool                           // writes are paused until the end of a failover
	alone  bool                           // all is paused until one command that works alone has ended
	end    int64                          // Unix ms
	timer  *time.Timer
	parked []*Client
}

// setPause says what is paused now; p.mu is locked. Of gatePaused a command that does
// not see it has got its locks before, or looks again when it has them.
func (s *Server) setPause(mode int32) {
	s.pause.mode.Store(mode)
	s.setGate(gatePaused, mode != pauseOff)
}

// startPause begins a pause, or makes the present one longer or stricter.
func (s *Server) startPause(mode int32, end int64) {
	p := &s.pause
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = max(mode, p.asked)
	s.setPause(max(p.asked, p.mode.Load()))
	p.end = max(p.end, end)
	if p.timer != nil {
		p.timer.Stop()
	}
	s.armPause()
	s.updateExpiry()
}

// armPause sets the timer that ends a pause; p.mu is locked.
func (s *Server) armPause() {
	p := &s.pause
	// A pause of any length fits: what a Duration cannot hold has no timer.
	if left := p.end - s.Keyspace.Now().UnixMilli(); left < int64(1<<62/time.Millisecond) {
		p.timer = time.AfterFunc(time.Duration(left)*time.Millisecond, s.pauseTimer)
	}
}

// rearmPause is for when the clock was moved: a pause that is over ends.
func (s *Server) rearmPause() {
	p := &s.pause
	p.mu.Lock()
	over := p.asked != pauseOff && p.end <= s.Keyspace.Now().UnixMilli()
	if p.timer != nil && !over {
		p.timer.Stop()
		s.armPause()
	}
	p.mu.Unlock()
	if over {
		s.endPause()
	}
}

// HoldWrites pauses writes until it is called with false, whatever CLIENT PAUSE
// and UNPAUSE say.
func (s *Server) HoldWrites(on bool) {
	p := &s.pause
	p.mu.Lock()
	p.held = on
	if on {
		s.setPause(max(pauseWrites, p.mode.Load()))
		s.updateExpiry()
	} else {
		s.relaxPause()
	}
	p.mu.Unlock()
	s.askAcks()
}

// standStill pauses everything until it is called with false, whatever CLIENT
// PAUSE and UNPAUSE say. false: somebody else has the server for himself.
func (s *Server) standStill(on bool) bool {
	p := &s.pause
	p.mu.Lock()
	if on && p.alone {
		p.mu.Unlock()
		return false
	}
	p.alone = on
	if on {
		s.setPause(pauseAll)
		s.updateExpiry()
	} else {
		s.relaxPause()
	}
	p.mu.Unlock()
	s.askAcks()
	return true
}

func (s *Server) pauseTimer() {
	s.pause.mu.Lock()
	over := s.pause.end <= s.Keyspace.Now().UnixMilli()
	s.pause.mu.Unlock()
	if over {
		s.endPause()
	}
}

// endPause lets everybody go on.
func (s *Server) endPause() {
	p := &s.pause
	p.mu.Lock()
	if p.mode.Load() == pauseOff {
		p.mu.Unlock()
		return
	}
	p.asked, p.end = pauseOff, 0
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	s.relaxPause()
	p.mu.Unlock()
	s.askAcks()
}

// relaxPause lets those go on whom nothing pauses any more; p.mu is locked.
func (s *Server) relaxPause() {
	p := &s.pause
	mode := p.asked
	if p.held {
		mode = max(mode, pauseWrites)
	}
	if p.alone {
		mode = pauseAll
	}
	s.setPause(mode)
	s.updateExpiry()
	// Whoever is still paused is parked again.
	for _, c := range p.parked {
		c.set(stateBlocked, false)
		c.Conn.Deliver(nil)
	}
	p.parked = nil
}

// paused says why clients wait, which of their commands do, and for how many milliseconds
// more at most, for INFO.
func (s *Server) paused() (why, what string, left int64) {
	p := &s.pause
	p.mu.Lock()
	defer p.mu.Unlock()
	why, what = "none", map[int32]string{pauseOff: "none", pauseWrites: "write", pauseAll: "all"}[p.mode.Load()]
	switch {
	case p.alone:
		why = "command_in_progress"
	case p.held:
		why = "failover_in_progress"
	case p.asked != pauseOff:
		why, left = "client_pause", max(0, p.end-time.Now().UnixMilli())
	}
	return why, what, left
}

// updateExpiry says whether keys and fields expire by themselves: not while
// something is paused; nor while a file is loaded, whose later parts may
// prolong what is past its deadline, nor before log and history stand, where the
// end of a key would be missing; nor on a follower, which is told by its
// leader, and on one that is about to be one; nor while the data is imported, whose source
// tells. pause.mu is locked.
func (s *Server) updateExpiry() {
	follows := s.following.Load() || s.Config.ReplicaOf.Load().Host != ""
	s.updateMemoryGate()
	s.Keyspace.SetActiveExpire(s.pause.mode.Load() == pauseOff && !s.Config.ImportMode.Load() && !s.debug.noExpire.Load() && !follows && s.gate.Load()&gateLoading == 0)
}

// paused parks the client if the pause concerns the command.
func (x *Exec) paused(ctx *Ctx) bool {
	c, p := ctx.C, &x.s.pause
	if c.Conn == nil || p.mode.Load() == pauseWrites && !ctx.mayWrite() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if mode := p.mode.Load(); mode == pauseOff || mode == pauseWrites && !ctx.mayWrite() {
		return false // it has just ended, or changed
	}
	c.set(stateBlocked, true)
	p.parked = append(p.parked, c)
	ctx.outcome = Again
	return true
}

// mayWrite tells whether the command, or one of those that EXEC would run,
// may change something or be replicated.
func (c *Ctx) mayWrite() bool {
	return c.has(Write | MayReplicate)
}
