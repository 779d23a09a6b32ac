package command

import (
	"slices"

	"kvd/keyspace"
)

// script-rollback: what a script changes can be taken back as a whole where it is
// killed, or fails for want of memory. Until it has ended nobody is told of anything:
// messages, keyspace events and invalidations wait in a scriptUndo, effects and clients
// to be served do so in any case.

type scriptUndo struct {
	keys *keyspace.Undo
	// later are the messages and events, in their order.
	later []func(c *Ctx)
	// Of the Ctx when the script began: in EXEC others have run before it.
	effects, ready int
	held           int   // bytes of keys' notes that the script was charged
	dirty          int64 // what the script's commands have added to Stats.DirtySinceSave
}

// beginUndo has the changes of a script noted.
func (r *scriptRun) beginUndo(c *Ctx) {
	u := &scriptUndo{keys: c.S.Keyspace.NewUndo(), effects: len(c.effects), ready: len(c.ready)}
	u.keys.Created = func(db int, key []byte) { r.undo.event(r.x.s, 'n', "new", db, key) }
	r.undo, r.rollback, c.Undo = u, true, u.keys
}

// event has a keyspace event told at the end, if its class is wanted.
func (u *scriptUndo) event(s *Server, class byte, name string, db int, key []byte) {
	if on := s.Config.NotifyKeyspaceEvents.Load(); on&eventBits[class] != 0 {
		key = slices.Clone(key)
		u.later = append(u.later, func(*Ctx) { s.publishEvent(on, name, db, key) })
	}
}

// endUndo makes the changes of a script last, or takes them back. The stripes are locked.
func (r *scriptRun) endUndo(c *Ctx, back bool) {
	u := r.undo
	if u == nil {
		return
	}
	c.Undo, r.undo = nil, nil
	if !back {
		u.keys.Commit(c.By)
		for _, f := range u.later {
			f(c)
		}
		return
	}
	u.keys.Rollback()
	clear(c.effects[u.effects:])
	c.effects, c.ready = c.effects[:u.effects], c.ready[:u.ready]
	c.S.Stats.DirtySinceSave.Add(-u.dirty)
}
