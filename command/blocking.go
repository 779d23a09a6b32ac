package command

import (
	"sync/atomic"
	"time"

	"kvd/keyspace"
	"kvd/resp/wire"
)

// A blocked client waits in the lists of its keys, one list a key, in the
// order in which they blocked. A list is protected by its key's stripe lock,
// so whoever makes a key ready serves those who wait for it before the lock is
// free again: nobody comes between.
//
// Who ends a wait (a writer, the clock, CLIENT UNBLOCK, the connection's end)
// first claims the waiter; the losers find it claimed.

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
	args [][]byte       // the command, own memory
	row  *Row
	wait Wait

	state atomic.Int32
	timer *time.Timer
}

// Wait is what a blocking command waits for.
type Wait struct {
	// Timeout in milliseconds; 0 waits for ever.
	Timeout int64
	// Serve tries to answer from key k, whose stripe (and those of Needs) is
	// locked; ctx is set up as for the command itself. False: go on waiting.
	Serve func(ctx *Ctx, k *keyspace.Key) bool
	// Needs are further keys that Serve touches.
	Needs []keyspace.Key
	// TimedOut writes the reply when the time is over.
	TimedOut func(w *wire.Writer)
}

type readyKey struct {
	db  int
	key keyspace.Key
}

// waitTable holds the lists of waiters, by stripe.
type waitTable struct {
	ks      *keyspace.Keyspace
	stripes []waitStripe
}

type waitStripe struct {
	lists map[string][]*waiter // by database and key
	_     [48]byte
}

func (t *waitTable) init(ks *keyspace.Keyspace) {
	t.ks = ks
	t.stripes = make([]waitStripe, ks.Stripes())
}

func (t *waitTable) at(k *keyspace.Key) *waitStripe {
	return &t.stripes[int(k.Slot)*len(t.stripes)/keyspace.Slots]
}

func waitName(db int, k *keyspace.Key) string {
	return string(append([]byte{byte(db), byte(db >> 8)}, k.B...))
}

// CanBlock tells whether the command may wait: not inside EXEC.
func (c *Ctx) CanBlock() bool { return !c.inExec && c.C.Conn != nil }

// Block parks the client until one of the declared keys is ready for it. The
// command must have replied nothing.
func (c *Ctx) Block(keys []keyspace.Key, w Wait) {
	wt := &waiter{c: c.C, db: c.DB(), row: c.Row, wait: w}
	for i := range keys {
		k := keys[i]
		k.B = append([]byte(nil), k.B...)
		wt.keys = append(wt.keys, k)
	}
	for _, a := range c.Args {
		wt.args = append(wt.args, append([]byte(nil), a...))
	}
	for i := range w.Needs {
		wt.wait.Needs[i].B = append([]byte(nil), w.Needs[i].B...)
	}
	c.C.blocked.Store(wt)
	c.C.set(stateBlocked, true)
	if w.Timeout > 0 {
		wt.timer = time.AfterFunc(time.Duration(w.Timeout)*time.Millisecond, func() { c.S.timeOut(wt) })
	}
	for i := range wt.keys {
		ws := c.S.waiters.at(&wt.keys[i])
		if ws.lists == nil {
			ws.lists = make(map[string][]*waiter)
		}
		name := waitName(wt.db, &wt.keys[i])
		// A key that is named twice waits once.
		if l := ws.lists[name]; len(l) == 0 || l[len(l)-1] != wt {
			ws.lists[name] = append(l, wt)
		}
	}
	c.outcome = Parked
}

// Ready says that the command put something at k that clients may wait for.
func (c *Ctx) Ready(k *keyspace.Key) { c.ReadyIn(c.DB(), k) }

// ReadyIn is Ready for another database.
func (c *Ctx) ReadyIn(db int, k *keyspace.Key) {
	ws := c.S.waiters.at(k)
	if len(ws.lists) == 0 {
		return
	}
	if _, ok := ws.lists[waitName(db, k)]; !ok {
		return
	}
	key := *k
	key.B = append([]byte(nil), k.B...)
	c.ready = append(c.ready, readyKey{db, key})
}

// serveReady serves the waiters of the keys that the command made ready; each
// may make further keys ready.
func (x *Exec) serveReady(ctx *Ctx) {
	save := *ctx
	for len(ctx.ready) > 0 {
		r := ctx.ready[0]
		ctx.ready = ctx.ready[1:]
		x.serveKey(ctx, r.db, &r.key)
	}
	effects := ctx.effects
	*ctx = save
	ctx.effects, ctx.ready = effects, save.ready[:0]
}

func (x *Exec) serveKey(ctx *Ctx, db int, k *keyspace.Key) {
	ws := x.s.waiters.at(k)
	name := waitName(db, k)
	list := ws.lists[name]
	for i := 0; i < len(list); i++ {
		wt := list[i]
		if wt.state.Load() == waiting && !x.holdsAll(wt) {
			x.retake = append(x.retake, wt)
			continue
		}
		if x.serveOne(ctx, wt, k) || wt.state.Load() == ended {
			list = append(list[:i:i], list[i+1:]...)
			i--
		}
	}
	if len(list) == 0 {
		delete(ws.lists, name)
	} else {
		ws.lists[name] = list
	}
}

func (x *Exec) holdsAll(wt *waiter) bool {
	for i := range wt.wait.Needs {
		if !x.s.Keyspace.Holds(&x.held, wt.wait.Needs[i].Slot) {
			return false
		}
	}
	return true
}

// serveOne tries to serve one waiter from k; the stripes are locked.
func (x *Exec) serveOne(ctx *Ctx, wt *waiter, k *keyspace.Key) bool {
	if !wt.state.CompareAndSwap(waiting, serving) {
		return false
	}
	var w wire.Writer
	w.Proto = wt.c.Proto()
	ctx.W, ctx.C, ctx.Row, ctx.Args, ctx.Keys = &w, wt.c, wt.row, wt.args, wt.keys
	ctx.explicit, ctx.Dirty = true, 0
	ctx.Use(wt.db)
	if !wt.wait.Serve(ctx, k) {
		wt.state.Store(waiting)
		return false
	}
	x.s.Stats.DirtySinceSave.Add(int64(ctx.Dirty))
	wt.state.Store(ended)
	wt.release(w.Buf)
	return true
}

// release sends the reply and lets the client go on.
func (wt *waiter) release(reply []byte) {
	if wt.timer != nil {
		wt.timer.Stop()
	}
	wt.c.blocked.Store(nil)
	wt.c.set(stateBlocked, false)
	wt.c.Conn.Deliver(reply)
}

// serveForeign serves a waiter whose command also touches stripes that the
// writer did not hold: it takes the locks of all its keys anew, in order.
func (x *Exec) serveForeign(ctx *Ctx) {
	wt := x.retake[0]
	x.retake = x.retake[1:]
	if wt.state.Load() != waiting {
		return
	}
	save := *ctx
	keys := append(append([]keyspace.Key(nil), wt.keys...), wt.wait.Needs...)
	x.held = x.s.Keyspace.LockKeys(keys)
	for i := range wt.keys {
		if x.serveOne(ctx, wt, &wt.keys[i]) {
			x.s.forget(wt)
			break
		}
	}
	if len(ctx.ready) > 0 {
		x.serveReady(ctx)
	}
	x.s.Keyspace.Journal.AppendAll(ctx.effects)
	x.s.Keyspace.Unlock(&x.held)
	*ctx = save
	ctx.effects, ctx.ready = nil, nil
}

// forget takes an ended waiter out of its lists; its keys are locked.
func (s *Server) forget(wt *waiter) {
	for i := range wt.keys {
		ws := s.waiters.at(&wt.keys[i])
		name := waitName(wt.db, &wt.keys[i])
		list := ws.lists[name]
		for j, v := range list {
			if v == wt {
				list = append(list[:j:j], list[j+1:]...)
				break
			}
		}
		if len(list) == 0 {
			delete(ws.lists, name)
		} else {
			ws.lists[name] = list
		}
	}
}

// end claims a waiter for whoever is not a writer; false: it has ended.
func (s *Server) end(wt *waiter) bool {
	for !wt.state.CompareAndSwap(waiting, ended) {
		if wt.state.Load() == ended {
			return false
		}
		time.Sleep(10 * time.Microsecond) // a writer is trying it right now
	}
	h := s.Keyspace.LockKeys(wt.keys)
	s.forget(wt)
	s.Keyspace.Unlock(&h)
	return true
}

func (s *Server) timeOut(wt *waiter) {
	if s.end(wt) {
		w := wire.Writer{Proto: wt.c.Proto()}
		wt.wait.TimedOut(&w)
		wt.release(w.Buf)
	}
}

// unblock ends a client's wait without a reply: the connection is gone.
func (s *Server) unblock(c *Client) {
	if wt := c.blocked.Load(); wt != nil && s.end(wt) {
		if wt.timer != nil {
			wt.timer.Stop()
		}
		c.blocked.Store(nil)
		c.set(stateBlocked, false)
	}
}

// Unblock ends a client's wait as CLIENT UNBLOCK does: as if its time were
// over, or with an error. False: it does not wait.
func (s *Server) Unblock(c *Client, withError bool) bool {
	wt := c.blocked.Load()
	if wt == nil || !s.end(wt) {
		return false
	}
	w := wire.Writer{Proto: c.Proto()}
	if withError {
		w.Error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
	} else {
		wt.wait.TimedOut(&w)
	}
	wt.release(w.Buf)
	return true
}
