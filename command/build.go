package command

import (
	"sync/atomic"

	"kvd/keyspace"
)

// Results that take long to make, and are stored: they are made aside, from views of
// their sources and with nothing locked. Then the command runs again and puts them in
// place, if no source has changed meanwhile; else it makes them anew, under its locks.

// BuiltValue is what was made aside.
type BuiltValue interface {
	// Discard gives back the memory of one that is not used.
	Discard()
}

// Built is a collection as a BuiltValue.
type Built struct{ Collection }

// Discard see BuiltValue.
func (b Built) Discard() {
	if _, _, obj := b.Stored(); obj != nil {
		FreeAll(obj)
	}
}

// build is a result on its way; it belongs to the client whose command wants it.
type build struct {
	row   *Row
	guard Guard // of the sources
	value BuiltValue
	// state goes from buildRuns to one of the others: by the worker when value is
	// set, or by the client's loop, which wants it no more.
	state atomic.Uint32
}

const (
	buildRuns uint32 = iota
	buildDone
	buildDropped
)

// Build is what a command stores, as run makes it. Where that takes long it is made
// aside: then ok is false, and the command, which has changed and replied nothing,
// returns; it comes again. sources are the keys, of the command's own, that run reads.
// detach, called before that, has run read views or copies from then on, and returns
// what ends them. run uses no Ctx: it is called with the command's locks, or without.
func (c *Ctx) Build(long bool, sources []keyspace.Key, detach func() (free func()), run func() BuiltValue) (v BuiltValue, ok bool) {
	if b := c.C.build; b != nil {
		c.C.build = nil
		done, changed := b.state.Load() == buildDone, b.guard.Changed()
		b.guard.Release(c.S)
		if b.row == c.Row && done && !changed {
			return b.value, true
		}
		b.drop()
		return run(), true // it may change again and again
	}
	if !long || !c.CanBlock() {
		return run(), true
	}
	b := &build{row: c.Row}
	for i := range sources {
		c.S.watches.add(&b.guard.w, c.DB(), &sources[i])
	}
	free, cl, s, name := detach(), c.C, c.S, c.Row.full
	cl.build, cl.Working, c.outcome = b, true, Again
	s.readers.run(func() {
		defer cl.Conn.Deliver(nil)
		defer func() {
			if r := recover(); r != nil {
				s.LogPanic(r, "command '%s' of client %d", name, cl.ID)
				b.state.Store(buildDropped) // the command fails again, under its locks
			}
		}()
		defer free()
		b.value = run()
		if !b.state.CompareAndSwap(buildRuns, buildDone) {
			b.value.Discard()
		}
	})
	return nil, false
}

// drop ends a build that nobody wants any more.
func (b *build) drop() {
	if !b.state.CompareAndSwap(buildRuns, buildDropped) && b.state.Swap(buildDropped) == buildDone {
		b.value.Discard()
	}
}

// dropBuild forgets a result that its command has not come for: the client is gone, or
// the command was refused when it came again. No stripe is locked.
func (s *Server) dropBuild(c *Client) {
	if b := c.build; b != nil {
		c.build = nil
		b.guard.End(s)
		b.drop()
	}
}

// DetachAll has collections be views of what they are loaded with; free ends them.
func DetachAll[C Collection](all []C) (free func()) {
	views := make([]View, len(all))
	for i, v := range all {
		views[i] = ViewOf(v)
		views[i].Load(v)
	}
	return func() {
		for i := range views {
			views[i].Free()
		}
	}
}
