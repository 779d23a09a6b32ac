package command

import (
	"fmt"
	"testing"
	"time"

	"kvd/keyspace"
)

// TestKeptStripesAreLeftLater: who ends a wait, a watch or a guard does not wait for
// stripes that are kept for long; the lists are tidied when those are free.
func TestKeptStripesAreLeftLater(t *testing.T) {
	s := newTestServer(t)
	keys := []keyspace.Key{keyspace.MakeKey([]byte("kept")), keyspace.MakeKey([]byte("free"))}
	for i := 0; s.watches.at(keys[0].Slot) == s.watches.at(keys[1].Slot); i++ { // of another stripe
		keys[1] = keyspace.MakeKey(fmt.Appendf(nil, "free%d", i))
	}
	s.want("watch kept "+string(keys[1].B), "+OK\n")
	h := s.Keyspace.LockKeys(keys)
	guard := s.Guard(0, &keys[0])
	wt := &waiter{c: s.c, keys: keys, wait: Wait{TimedOut: nil}}
	for i := range keys {
		s.waiters.add(&keys[i], wt)
	}
	s.Keyspace.Unlock(&h)

	h = s.Keyspace.LockKeys(keys[:1])
	r := s.Keyspace.Reserve(&h)
	r.LockLong(&h)
	waits := time.AfterFunc(20*time.Second, func() { panic("somebody waits for a kept stripe") })
	s.unwatch(s.c)
	s.leave(wt)
	guard.End(s.Server)
	s.c.watchKey(&s.watches, 0, &keys[0]) // as whose stripe is locked
	waits.Stop()
	if n := len(s.waiters.at(keys[1].Slot).lists); n != 0 {
		t.Errorf("%d lists of waiters in the free stripe", n)
	}
	if n := s.watches.n.Load(); n != 3 {
		t.Errorf("%d keys are watched, not the guard's, the kept and the new one", n)
	}
	s.watches.Changed(nil, 0, &keys[0])
	if !s.c.watchDirty() {
		t.Error("the new watch does not know of a change")
	}
	r.EndLocked(&h)
	s.Keyspace.Unlock(&h)
	within(t, "the lists are not tidied", func() bool {
		h := s.Keyspace.LockKeys(keys[:1])
		defer s.Keyspace.Unlock(&h)
		return s.watches.n.Load() == 1 && len(s.waiters.at(keys[0].Slot).lists) == 0
	})
	s.want("multi", "+OK\n")
	s.want("exec", "*-1\n")
}
