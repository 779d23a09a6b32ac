package keyspace

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"kvd/lockrank"
)

// A Reservation keeps stripes for one user over a time that is too long to hold
// their locks: a script that runs on beside the event loops. The locks are
// free, but AcquireKeys and AcquireAll find the stripes taken, LockKeys and
// LockAll wait for the end, and nothing expires there by itself. What only
// reads sizes, moves entries within their arena or changes lists of clients
// goes on. A user who holds the locks for long nevertheless (LockLong, EndLocked) has
// that wait, but nobody else.
//
// Invariant: stripe.reserved changes under the stripe's lock, and is true
// exactly for the stripes of the reservations that have not ended.
type Reservation struct {
	ks   *Keyspace
	held Held
}

// reservations lets callers that need a reserved stripe wait for it.
type reservations struct {
	n     atomic.Int32                          // reservations that have not ended
	mu    lockrank.Mutex[lockrank.Reservations] // protects ends; held for moments, over no other lock
	ends  uint64                                // how many have ended
	ended *sync.Cond                            // ends has changed
}

func (r *reservations) init() { r.ended = sync.NewCond(&r.mu) }

// Reserved tells whether there is a reservation.
func (ks *Keyspace) Reserved() bool { return ks.reserved.n.Load() != 0 }

// Reserve makes a reservation of the stripes that are locked, and unlocks them.
func (ks *Keyspace) Reserve(h *Held) *Reservation {
	r := &Reservation{ks: ks, held: *h}
	ks.reserved.n.Add(1)
	for st := range ks.each(&r.held) {
		st.reserved.Store(true)
	}
	ks.Unlock(h)
	return r
}

// Holds tells whether the stripe of a slot is reserved by r.
func (r *Reservation) Holds(slot uint16) bool { return r.ks.Holds(&r.held, slot) }

// Lock locks stripes of the reservation for a moment: those of the keys, which
// must be among them. Unlock ends it.
func (r *Reservation) Lock(keys []Key, h *Held) {
	for i := range keys {
		h.add(int(keys[i].Slot) >> r.ks.shift)
	}
	r.ks.lock(h)
}

// LockAll locks all stripes of the reservation for a moment. Unlock ends it.
func (r *Reservation) LockAll(h *Held) {
	*h = r.held
	r.ks.lock(h)
}

// LockLong is LockAll for a user who keeps the locks until EndLocked, which may last: from
// now on nobody waits for them but who must (see lockSoon). Who waits already goes first.
func (r *Reservation) LockLong(h *Held) {
	*h = r.held
	for st := range r.ks.each(h) {
		// Of a reserved stripe they stay so until its user changes it.
		st.lock()
		st.busyAt.Store(st.figures())
		st.unlock()
		st.busy.Store(true)
		for st.coming.Load() > 0 {
			time.Sleep(10 * time.Microsecond)
		}
	}
	r.ks.lock(h)
}

// End ends the reservation: its stripes are locked, and noted in h.
func (r *Reservation) End(h *Held) {
	r.LockAll(h)
	r.EndLocked(h)
}

// EndLocked is End for who has locked all stripes of the reservation: they stay so.
func (r *Reservation) EndLocked(h *Held) {
	for st := range r.ks.each(h) {
		st.reserved.Store(false)
		st.busy.Store(false)
	}
	r.ks.reserved.mu.Lock()
	r.ks.reserved.n.Add(-1)
	r.ks.reserved.ends++
	r.ks.reserved.ended.Broadcast()
	r.ks.reserved.mu.Unlock()
	r.ks.expiry.signal()
}

// AcquireKeys is LockKeysInto that does not wait for reserved stripes: it
// returns false, with nothing locked, where one of the keys' is reserved.
func (ks *Keyspace) AcquireKeys(keys []Key, h *Held) bool {
	if len(keys) == 1 {
		s := int(keys[0].Slot) >> ks.shift
		st := &ks.stripes[s]
		if st.reserved.Load() || !st.lockSoon() {
			return false
		}
		if st.reserved.Load() {
			st.unlock()
			return false
		}
		h.add(s)
		return true
	}
	for i := range keys {
		h.add(int(keys[i].Slot) >> ks.shift)
	}
	return ks.acquire(h)
}

// AcquireAll is LockAll that does not wait for reserved stripes: it returns
// false, with nothing locked, where there are any.
func (ks *Keyspace) AcquireAll(h *Held) bool {
	for i := range ks.stripes {
		h.add(i)
	}
	return ks.acquire(h)
}

// acquire locks the stripes in h, or none and empties h.
func (ks *Keyspace) acquire(h *Held) bool {
	if ks.anyReserved(h) {
		*h = Held{}
		return false
	}
	var got Held
	for st := range ks.each(h) {
		if !st.lockSoon() {
			ks.Unlock(&got)
			*h = Held{}
			return false
		}
		got.add(st.number)
	}
	if ks.anyReserved(h) {
		ks.Unlock(h)
		return false
	}
	return true
}

// anyReserved tells whether one of the stripes in h is reserved. While they are
// locked, that does not change.
func (ks *Keyspace) anyReserved(h *Held) bool {
	if ks.reserved.n.Load() == 0 {
		return false // to reserve one of these takes its lock
	}
	for st := range ks.each(h) {
		if st.reserved.Load() {
			return true
		}
	}
	return false
}

// awaitFree waits until acquire succeeds; nothing is locked.
func (ks *Keyspace) awaitFree(acquire func() bool) {
	r := &ks.reserved
	for {
		r.mu.Lock()
		ends := r.ends
		r.mu.Unlock()
		if acquire() {
			return
		}
		// What was in the way is ended by an end that ends does not count yet.
		r.mu.Lock()
		for r.ends == ends {
			r.ended.Wait()
		}
		r.mu.Unlock()
	}
}

// each visits the stripes in h.
func (ks *Keyspace) each(h *Held) func(yield func(*stripe) bool) {
	return func(yield func(*stripe) bool) {
		for w, v := range h {
			for ; v != 0; v &= v - 1 {
				if !yield(&ks.stripes[w<<6+bits.TrailingZeros64(v)]) {
					return
				}
			}
		}
	}
}
