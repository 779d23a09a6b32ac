package command

import (
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/resp/wire"
)

// A blocked client waits in the lists of its keys, one list a key, in the
// order in which they blocked. A list is protected by its key's stripe lock,
// so the command that makes a key ready serves the waiters before it frees the lock:
// no other command comes between. A waiter may touch further keys when it is served
// (BLMOVE's destination), for which others may wait in turn. So a command that is about
// to write locks those stripes, too, before it begins (widen).
//
// What ends a wait (a writer, the clock, CLIENT UNBLOCK, the connection's end)
// first claims the waiter; the others find it claimed. A writer that cannot
// serve the waiter after all gives it back, so nothing is taken from a key
// for a client that is not there any more.
//
// A reply leaves when what happened has been journaled, and before the events that
// serving its client has caused.

const (
	waiting int32 = iota
	serving       // a writer tries it
	ended
)

// waiter is one blocked client.
type waiter struct {
	c    *Client
	db   int
	keys []keyspace.Key // own memory
	all  []keyspace.Key // keys and those of wait.Needs
	args [][]byte       // the command, own memory
	row  *Row
	wait Wait

	state atomic.Int32
	timer atomic.Pointer[time.Timer] // nil: none
	until time.Time                  // when the timer ends it, by the data's clock; fixed before timer is set
	ns    int64                      // what the command took before it waited; under the keys' stripe locks
}

// Wait is what a blocking command waits for.
type Wait struct {
	// Timeout in milliseconds; 0 waits for ever.
	Timeout int64
	// Serve tries to answer from key k, whose stripe (and those of Needs) is
	// locked; ctx is set up as for the command itself, with own copies of the
	// arguments, and with the keys waited for, then Needs, as ctx.Keys. It
	// says its effects with ctx.Effect. False: nothing was done nor replied,
	// go on waiting.
	Serve func(ctx *Ctx, k *keyspace.Key) bool
	// Needs are further keys that Serve touches.
	Needs []keyspace.Key
	// TimedOut writes the reply when the time is over.
	TimedOut func(w *wire.Writer)
	// Gone: Serve is also called when a key has gone, or changed in any way.
	Gone bool
	// Claims: it waits for pending entries of a stream to become idle.
	Claims bool
	// Due: it waits for a member of a sorted set to be due. Where one such waiter
	// cannot be served from a key, no other can.
	Due bool
}

type readyKey struct {
	db  int
	key keyspace.Key
}

// waitTable holds the lists of waiters, by stripe.
type waitTable struct {
	s *Server
	perStripe[waitStripe]

	blocked  atomic.Int64  // clients that wait
	gone     atomic.Int64  // entries of lists whose waiters have Gone
	moving   atomic.Int64  // entries of lists whose waiters have Needs
	searches atomic.Uint64 // see needs
}

type waitStripe struct {
	lists map[string]*waitList // by key
	_     [56]byte
}

// waitList is the waiters for the keys of one name, in any database.
type waitList struct {
	waiters []*waiter     // in the order in which they blocked
	moving  int           // those with Needs
	gone    int           // those with Gone
	claims  int           // those with Claims
	due     int           // those with Due
	search  uint64        // the last search for needs that came by
	wake    map[int]int64 // by database, when wakeAt has them served, Unix ms
}

func (t *waitTable) init(s *Server) {
	t.s = s
	t.perStripe.init(s.Keyspace)
}

// list is the waiters for a key, nil if there are none.
func (t *waitTable) list(k *keyspace.Key) *waitList {
	ws := t.at(k.Slot)
	if len(ws.lists) == 0 {
		return nil
	}
	return ws.lists[string(k.B)]
}

// add puts a waiter at the end of a key's list.
func (t *waitTable) add(k *keyspace.Key, wt *waiter) {
	ws := t.at(k.Slot)
	l := ws.lists[string(k.B)]
	if l == nil {
		if ws.lists == nil {
			ws.lists = make(map[string]*waitList)
		}
		l = &waitList{}
		ws.lists[string(k.B)] = l
	} else if l.waiters[len(l.waiters)-1] == wt {
		return // a key that is named twice waits once
	}
	l.waiters = append(l.waiters, wt)
	if len(wt.wait.Needs) > 0 {
		l.moving++
		t.moving.Add(1)
	}
	if wt.wait.Claims {
		l.claims++
	}
	if wt.wait.Due {
		l.due++
	}
	if wt.wait.Gone {
		l.gone++
		t.gone.Add(1)
		t.s.Keyspace.Observe(true) // as with watches
	}
}

// remove takes the waiters from to up to to out of a key's list.
func (t *waitTable) remove(k *keyspace.Key, l *waitList, from, to int) {
	for _, wt := range l.waiters[from:to] {
		if len(wt.wait.Needs) > 0 {
			l.moving--
			t.moving.Add(-1)
		}
		if wt.wait.Claims {
			l.claims--
		}
		if wt.wait.Due {
			l.due--
		}
		if wt.wait.Gone {
			l.gone--
			t.gone.Add(-1)
		}
	}
	if from == 0 {
		clear(l.waiters[:to])
		l.waiters = l.waiters[to:]
	} else {
		l.waiters = slices.Delete(l.waiters, from, to)
	}
	if len(l.waiters) == 0 {
		delete(t.at(k.Slot).lists, string(k.B))
	}
}

// forget takes an ended waiter out of a key's list, if it stands there.
func (t *waitTable) forget(k *keyspace.Key, wt *waiter) {
	l := t.list(k)
	if l == nil {
		return
	}
	if i := slices.Index(l.waiters, wt); i >= 0 {
		t.remove(k, l, i, i+1)
	}
}

// CanBlock tells whether the command may wait, or work beside the loop: not inside
// EXEC and scripts, nor without a connection.
func (c *Ctx) CanBlock() bool { return !c.inExec && c.C.Conn != nil }

// Block parks the client until one of the declared keys is ready for it. The
// command must have replied nothing.
func (c *Ctx) Block(keys []keyspace.Key, w Wait) {
	c.park(keys, w).arm(c.S)
}

// park is Block but for the clock: the caller must arm the waiter, and may put it into
// other lists before.
func (c *Ctx) park(keys []keyspace.Key, w Wait) *waiter {
	wt := &waiter{c: c.C, db: c.DB(), row: c.Row, wait: w}
	for _, list := range [][]keyspace.Key{keys, w.Needs} {
		for _, k := range list {
			k.B = slices.Clone(k.B)
			wt.all = append(wt.all, k)
		}
	}
	n := len(keys)
	wt.keys, wt.wait.Needs = wt.all[:n:n], wt.all[n:]
	for _, a := range c.Args {
		wt.args = append(wt.args, slices.Clone(a))
	}
	for i := range wt.keys {
		c.S.waiters.add(&wt.keys[i], wt)
	}
	c.S.waiters.blocked.Add(1)
	c.C.set(stateBlocked, true)
	// From here on the wait may be ended from outside. That then waits for the stripe
	// locks that this command holds, to take the waiter out of the lists.
	c.C.blocked.Store(wt)
	c.outcome = Parked
	return wt
}

// arm starts the clock of a wait, when all that its end must find is in place: it
// may come before arm returns, and with no key nothing holds it back.
func (wt *waiter) arm(s *Server) {
	if wt.wait.Timeout <= 0 {
		return
	}
	d := time.Duration(min(wt.wait.Timeout, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	ahead := s.Keyspace.Ahead()
	wt.until = s.Keyspace.Now().Add(d)
	t := time.AfterFunc(d, func() { s.timeOut(wt) })
	wt.timer.Store(t)
	if s.Keyspace.Ahead() != ahead { // the clock was moved, maybe before the timer was there
		s.rearm(wt)
	}
	if wt.state.Load() == ended { // it was ended, maybe before the timer was there
		t.Stop()
	}
}

// Ready says that the command put something at k that clients may wait for.
func (c *Ctx) Ready(k *keyspace.Key) { c.ReadyIn(c.DB(), k) }

// ReadyIn is Ready for another database.
func (c *Ctx) ReadyIn(db int, k *keyspace.Key) {
	if c.S.waiters.list(k) == nil {
		return
	}
	if n := len(c.ready); n > 0 && c.ready[n-1].db == db && string(c.ready[n-1].key.B) == string(k.B) {
		return
	}
	key := *k
	key.B = slices.Clone(k.B)
	c.ready = append(c.ready, readyKey{db, key})
}

// ReadyAll is Ready for every key of a database that clients wait for: after
// SWAPDB, which holds all stripes.
func (c *Ctx) ReadyAll(db int) {
	for i := range c.S.waiters.stripes {
		for name, l := range c.S.waiters.stripes[i].lists {
			if slices.ContainsFunc(l.waiters, func(wt *waiter) bool { return wt.db == db }) {
				k := keyspace.MakeKey([]byte(name))
				c.ReadyIn(db, &k)
			}
		}
	}
}

// WaitedFor tells whether anybody waits for a key of that name.
func (c *Ctx) WaitedFor(k *keyspace.Key) bool { return c.S.waiters.list(k) != nil }

// WaitedForClaims tells whether anybody waits for a key with Wait.Claims.
func (c *Ctx) WaitedForClaims(k *keyspace.Key) bool {
	l := c.S.waiters.list(k)
	return l != nil && l.claims > 0
}

// WakeAt has the waiters for a key served at a time, Unix ms. Serving them sets the
// next such time.
func (c *Ctx) WakeAt(k *keyspace.Key, at int64) { c.S.wakeAt(c.DB(), k, at) }

// CheckIdle is for tests: it is an error if a client is in a list of waiters for keys
// or of watchers. No command may run.
func (s *Server) CheckIdle() error {
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	for i := range s.waiters.stripes {
		for name, l := range s.waiters.stripes[i].lists {
			return fmt.Errorf("%d waiters are in the list of %q", len(l.waiters), name)
		}
	}
	for i := range s.watches.stripes {
		if n := len(s.watches.stripes[i].lists); n > 0 {
			return fmt.Errorf("stripe %d has %d lists of watchers", i, n)
		}
	}
	if n := s.waiters.moving.Load(); n != 0 {
		return fmt.Errorf("%d waiters that need further keys are counted", n)
	}
	if n := s.BlockedClients(); n != 0 {
		return fmt.Errorf("%d clients count as blocked", n)
	}
	if n := s.watches.n.Load(); n != 0 {
		return fmt.Errorf("%d keys count as watched", n)
	}
	return nil
}

// widen locks, besides the stripes of keys, all stripes that serving the waiters for
// the keys may touch. x.held are the stripes of keys; they may be free for
// a moment. It returns false, with nothing locked, where a script that runs
// beside the loops has some of the stripes.
func (x *Exec) widen(keys []keyspace.Key) bool {
	t := &x.s.waiters
	// The stripes are locked, so the waiters for the keys are counted already.
	if t.moving.Load() == 0 {
		return true
	}
	var all []keyspace.Key
	for {
		search := t.searches.Add(1)
		var more []keyspace.Key
		for i := range keys {
			more = x.needs(&keys[i], search, more)
		}
		if more == nil {
			return true
		}
		// Every turn adds a stripe, so there is an end.
		if all == nil {
			all = slices.Clone(keys)
		}
		all = append(all, more...)
		x.s.Keyspace.Unlock(&x.held)
		if x.Running.C.Conn == nil {
			x.held = x.s.Keyspace.LockKeys(all)
		} else if !x.s.Keyspace.AcquireKeys(all, &x.held) {
			return false
		}
	}
}

// needs appends to more the keys that serving key k may touch and that are not
// locked. A search has a number, so that it passes each list once.
func (x *Exec) needs(k *keyspace.Key, search uint64, more []keyspace.Key) []keyspace.Key {
	l := x.s.waiters.list(k)
	if l == nil || l.moving == 0 || l.search == search {
		return more
	}
	l.search = search
	for _, wt := range l.waiters {
		for i := range wt.wait.Needs {
			if n := &wt.wait.Needs[i]; x.s.Keyspace.Holds(&x.held, n.Slot) {
				more = x.needs(n, search, more)
			} else {
				more = append(more, *n)
			}
		}
	}
	return more
}

// serveReady serves the waiters of the keys that the command made ready; each
// may make further keys ready. What the command did is journaled first, and
// every waiter's effects on their own.
func (x *Exec) serveReady(ctx *Ctx) {
	x.journal(ctx)
	save := *ctx
	// The command may have taken its time: what has expired since is gone.
	ctx.Now = max(ctx.Now, x.s.Keyspace.Now().UnixMilli())
	for i := 0; i < len(ctx.ready); i++ {
		r := ctx.ready[i]
		x.serveKey(ctx, r.db, &r.key)
	}
	effects, ready := ctx.effects, ctx.ready
	clear(ready)
	*ctx = save
	ctx.effects, ctx.ready = effects, ready[:0]
}

func (x *Exec) serveKey(ctx *Ctx, db int, k *keyspace.Key) {
	l := x.s.waiters.list(k)
	if l == nil {
		return
	}
	ctx.Use(db)
	// kept are those before i that go on waiting, in front of the list.
	i, kept := 0, 0
	noneDue, due := false, 0
	for ; i < len(l.waiters); i++ {
		if noneDue && l.due == len(l.waiters) {
			break // thousands may wait
		}
		wt := l.waiters[i]
		if wt.db == db && !(noneDue && wt.wait.Due) {
			if !wt.wait.Gone && !ctx.Exists(k) {
				if l.gone == 0 {
					break
				}
			} else if wt.wait.Due && due == DueTurn {
				noneDue = true
				x.s.wakeAt(db, k, ctx.Now) // the rest when others had their turn
			} else if x.serveOne(ctx, wt, k) || wt.state.Load() == ended {
				due++
				continue
			} else if wt.wait.Due && wt.state.Load() == waiting {
				noneDue = true
			}
		}
		l.waiters[i], l.waiters[kept] = l.waiters[kept], wt
		kept++
	}
	if kept < i {
		x.s.waiters.remove(k, l, kept, i)
	}
}

// serveOne tries to serve one waiter from k; the stripes are locked. The
// caller takes it out of the list of k.
func (x *Exec) serveOne(ctx *Ctx, wt *waiter, k *keyspace.Key) bool {
	for i := range wt.wait.Needs {
		if !x.s.Keyspace.Holds(&x.held, wt.wait.Needs[i].Slot) {
			panic("command: a blocked client would be served without its locks")
		}
	}
	if wt.row.Flags&Write != 0 && x.s.gate.Load()&gateReadOnly != 0 {
		return false // what the leader's stream brought is not for clients to take
	}
	if !wt.state.CompareAndSwap(waiting, serving) {
		return false
	}
	x.trying = wt
	x.answer = wire.Writer{Proto: wt.c.Proto()}
	ctx.W, ctx.C, ctx.Row, ctx.Args, ctx.Keys = &x.answer, wt.c, wt.row, wt.args, wt.all
	ctx.explicit, ctx.Dirty = true, 0
	ctx.Use(wt.db)
	began := clock()
	served := !x.permittedStill(wt) || wt.wait.Serve(ctx, k)
	x.trying = nil
	if !served {
		wt.state.Store(waiting)
		return false
	}
	defer x.publishEvents()
	wt.state.Store(ended)
	x.s.Stats.DirtySinceSave.Add(int64(ctx.Dirty))
	x.journal(ctx)
	x.countFailure(wt.row, x.answer.Buf)
	x.countServed(wt, clock()-began, len(x.answer.Buf))
	left := true // it stands in no list any more
	for i := range wt.keys {
		switch other := &wt.keys[i]; {
		case string(other.B) == string(k.B):
		case x.s.Keyspace.Holds(&x.held, other.Slot):
			x.s.waiters.forget(other, wt)
		default:
			left = false
		}
	}
	if !left {
		x.served = append(x.served, wt)
	}
	if wt.row.Flags&Write != 0 && x.s.persist.Losing() {
		wt.c.Conn.Kill(false) // it may be a worker who serves, of whom no loop knows
	}
	wt.release(x.s, x.answer.Buf)
	if x.gift != nil {
		wt.c.Conn.Push(x.gift)
		x.gift = nil
	}
	return true
}

// leaveServed takes the served waiters out of the lists in which they still stand. No
// stripe is locked.
func (x *Exec) leaveServed() {
	for _, wt := range x.served {
		x.s.leave(wt)
	}
	clear(x.served)
	x.served = x.served[:0]
}

// release sends the reply and lets the client go on.
func (wt *waiter) release(s *Server, reply []byte) {
	wt.stop(s)
	wt.c.Conn.Deliver(reply)
}

// stop ends what is left of a wait that the caller has claimed.
func (wt *waiter) stop(s *Server) {
	if t := wt.timer.Load(); t != nil {
		t.Stop()
	}
	s.waiters.blocked.Add(-1)
	wt.c.set(stateBlocked, false)
	wt.c.blocked.Store(nil)
}

// leave takes an ended waiter out of its lists, out of some perhaps later; no stripe is
// locked.
func (s *Server) leave(wt *waiter) {
	s.eachSoon(len(wt.keys), func(i int) uint16 { return wt.keys[i].Slot }, func(i int) { s.waiters.forget(&wt.keys[i], wt) })
}

// claim claims a waiter for anything but a writer. It returns false if the wait has ended.
func (wt *waiter) claim() bool {
	for !wt.state.CompareAndSwap(waiting, ended) {
		if wt.state.Load() == ended {
			return false
		}
		time.Sleep(10 * time.Microsecond) // a writer is trying it right now
	}
	return true
}

func (s *Server) timeOut(wt *waiter) {
	if wt.claim() {
		s.leave(wt)
		w := wire.Writer{Proto: wt.c.Proto()}
		wt.wait.TimedOut(&w)
		wt.release(s, w.Buf)
	}
}

// unblock ends a client's wait without a reply: the connection is gone. No
// stripe is locked.
func (s *Server) unblock(c *Client) {
	if wt := c.blocked.Load(); wt != nil && wt.claim() {
		s.leave(wt)
		wt.stop(s)
	}
}

// Unblock ends a client's wait as CLIENT UNBLOCK does: as if its time were
// over, or with an error. False: it does not wait. Stripes may be locked, as
// inside EXEC.
func (s *Server) Unblock(c *Client, withError bool) bool {
	wt := c.blocked.Load()
	if wt == nil || !wt.claim() {
		return false
	}
	go s.leave(wt) // it needs locks that the caller may hold
	w := wire.Writer{Proto: c.Proto()}
	if withError {
		w.Error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
	} else {
		wt.wait.TimedOut(&w)
	}
	wt.release(s, w.Buf)
	return true
}

// BlockedClients is the number of clients that wait in a blocking command.
func (s *Server) BlockedClients() int { return int(s.waiters.blocked.Load()) }

// LockedKey tells whether a key's stripe is locked by the command that runs.
func (c *Ctx) LockedKey(k *keyspace.Key) bool { return c.x.s.Keyspace.Holds(&c.x.held, k.Slot) }

// Changed makes a key ready for those of its waiters that want to know when it
// goes. It is called before the key changes; see keyspace.Observer.
func (t *waitTable) Changed(by any, db int, k *keyspace.Key) {
	if t.gone.Load() == 0 {
		return
	}
	if l := t.list(k); l != nil && l.gone > 0 {
		t.s.readyGone(execOf(by), db, k)
	}
}

// Emptied is Changed for all keys of a database; all stripes are locked.
func (t *waitTable) Emptied(by any, db int, _ func(k *keyspace.Key) bool) {
	if t.gone.Load() == 0 {
		return
	}
	for i := range t.stripes {
		for name, l := range t.stripes[i].lists {
			if l.gone > 0 && slices.ContainsFunc(l.waiters, func(wt *waiter) bool { return wt.db == db && wt.wait.Gone }) {
				k := keyspace.MakeKey([]byte(name))
				t.s.readyGone(execOf(by), db, &k)
			}
		}
	}
}

func (s *Server) readyGone(x *Exec, db int, k *keyspace.Key) {
	if x != nil && x.held != (keyspace.Held{}) {
		x.Running.ReadyIn(db, k)
		return
	}
	key := *k
	key.B = slices.Clone(k.B)
	go s.serveLater(db, key)
}

// wakeAt has the waiters for a key served at a time, in Unix milliseconds. The
// key's stripe is locked.
func (s *Server) wakeAt(db int, k *keyspace.Key, at int64) {
	l := s.waiters.list(k)
	if l == nil {
		return
	}
	if set, ok := l.wake[db]; ok && set <= at {
		return
	}
	if l.wake == nil {
		l.wake = make(map[int]int64, 1)
	}
	l.wake[db] = at
	key := *k
	key.B = slices.Clone(k.B)
	ahead := s.Keyspace.Ahead()
	time.AfterFunc(s.Keyspace.Until(at), func() { s.serveLater(db, key) })
	if s.Keyspace.Ahead() != ahead { // the clock was moved, maybe before this timer was there
		time.AfterFunc(s.Keyspace.Until(at), func() { s.serveLater(db, key) })
	}
}

// lateServer serves waiters on nobody's behalf.
type lateServer struct {
	mu lockrank.Mutex[lockrank.CommandLate] // protects x, which is made when it is first wanted
	x  *Exec
}

// serveLater serves the waiters for a key, without a command that made it
// ready. No stripe is locked by the caller. While writes are paused it waits.
func (s *Server) serveLater(db int, k keyspace.Key) {
	for s.pause.mode.Load() != pauseOff {
		time.Sleep(pausePoll)
	}
	s.late.mu.Lock()
	defer s.late.mu.Unlock()
	if s.late.x == nil {
		s.late.x = s.NewExec()
	}
	x := s.late.x
	defer func() {
		if r := recover(); r != nil {
			s.Keyspace.Unlock(&x.held)
			s.Log.Warningf("Panic while blocked clients were served: %v\n%s", r, debug.Stack())
			s.late.x = nil // another one: nothing is known of this one's state
		}
	}()
	x.SetTime(time.Now())
	keys := []keyspace.Key{k}
	s.Keyspace.LockKeysInto(keys, &x.held)
	x.widen(keys)
	l, gate := s.waiters.list(&k), s.gate.Load()
	switch {
	case l == nil || gate&gateReadOnly != 0:
	case gate&gateLog != 0: // writes are refused, and it may be one
		delete(l.wake, db)
		s.wakeAt(db, &k, s.Keyspace.Now().Add(lateAgain).UnixMilli())
	default:
		delete(l.wake, db)
		ctx := &x.Running
		ctx.Now, ctx.Clock = x.nowMs, x.clock
		ctx.LFU, ctx.CountUses = s.access.touch()
		ctx.ready = append(ctx.ready, readyKey{db, k})
		x.serveReady(ctx)
	}
	s.Keyspace.Unlock(&x.held)
	x.leaveServed()
	x.enter()
}

// lateAgain is how long serveLater waits before it tries again while writes are refused.
const lateAgain = 100 * time.Millisecond

// DueTurn is how many waiters for a key are served in one go, with its stripe locked.
const DueTurn = 64
