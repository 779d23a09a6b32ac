package command

import (
	"bytes"

	"kvd/keyspace"
	"kvd/resp/wire"
)

// What the front end has read ahead of a pipeline: keys and members are brought nearer, all of them side by side, before the commands run.

// Pending is a command of a pipeline that has been read but not run.
type Pending struct {
	Args  [][]byte
	End   int           // where it ends in the input; 0: its arguments do not lie there
	row   *Row          // see SetRow
	key   keyspace.Key  // of the first argument, which mostly is the key
	keyed *keyspace.Key // that one, or the same of a command before; nil if it is not known
	// follows: nothing but commands ran since x.lap; more: another one follows this.
	follows, more bool
}

// Set makes p a command that nothing is foreseen of.
func (p *Pending) Set(args [][]byte, end int) {
	p.Args, p.End, p.row = args, end, nil
	p.keyed, p.follows, p.more = nil, false, false
}

// SetRow is Set for a command whose row the session knows: the first argument stands for
// it in the slow log and what MONITOR shows, and is looked up nowhere.
func (p *Pending) SetRow(row *Row, args [][]byte, end int) {
	p.Set(args, end)
	p.row = row
}

// first tells whether no command right before has the same key.
func (p *Pending) first() bool { return p.keyed == &p.key }

// Foresee brings the keys of commands that were Set and are about to run nearer, all of
// them side by side; see keyspace.PrefetchTable.
func (x *Exec) Foresee(c *Client, cmds []Pending) {
	ks, db := x.s.Keyspace, int(c.db.Load())
	more := false
	for i := range cmds {
		p := &cmds[i]
		p.follows, p.more = i > 0, i+1 < len(cmds)
		if len(p.Args) < 2 {
			continue
		}
		if i > 0 && cmds[i-1].keyed != nil && bytes.Equal(p.Args[1], cmds[i-1].Args[1]) {
			p.keyed = cmds[i-1].keyed
			continue
		}
		p.key.Set(p.Args[1])
		p.keyed = &p.key
		if ks.PrefetchTable(db, &p.key) {
			more = true
		}
	}
	if more {
		for i := range cmds {
			if cmds[i].first() {
				ks.PrefetchSegment(db, &cmds[i].key)
			}
		}
	}
	for i := range cmds {
		if cmds[i].first() {
			ks.PrefetchEntry(db, &cmds[i].key)
		}
	}
	for i := 0; i < len(cmds); {
		n := 1
		for i+n < len(cmds) && cmds[i].first() && cmds[i+n].keyed == cmds[i].keyed {
			n++
		}
		if n > 1 {
			x.foreseeMembers(db, cmds[i:i+n])
		}
		i += n
	}
}

// foreseeMembers does the same for members of a big collection that several
// commands in a row ask for.
func (x *Exec) foreseeMembers(db int, cmds []Pending) {
	members := &x.members
	n := 0
	var row *Row
	for i := range cmds {
		args := cmds[i].Args
		if cmds[i].row != nil {
			continue
		}
		if row == nil || !EqualFold(args[0], row.Name) {
			if row = x.s.Table.Lookup(args[0]); row == nil {
				continue
			}
		}
		if at := int(row.MemberAt); at > 0 && at < len(args) && n < len(members) {
			members[n] = args[at]
			n++
		}
	}
	if n > 1 {
		x.s.Keyspace.PrefetchMembers(db, &cmds[0].key, members[:n])
	}
	clear(members[:n]) // they alias the input
}

// RunPending is Run for a command that Foresee has seen.
func (x *Exec) RunPending(c *Client, p *Pending, w *wire.Writer) Outcome {
	x.foreseen = p.keyed
	if !p.follows {
		x.lap = clock()
	}
	if x.requestMost = unknownRequest; p.End > 0 {
		x.requestMost = requestMost(p.End)
	}
	out := x.timedRun(c, p.row, p.Args, w)
	x.foreseen = nil
	if !p.more || out != Done {
		x.enter()
	}
	return out
}
