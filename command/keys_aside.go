package command

import "kvd/keyspace"

// keysAsideFrom is from how many arguments on a worker computes a command's keys, before
// anything is locked: a million of them take a quarter of a second, for which the event
// loop would stand still. Only what must be of one moment is then done under the locks.
const keysAsideFrom = 8192

// madeKeys are the keys of a command that comes again for them; they belong to its client.
type madeKeys struct {
	row  *Row
	pos  []int
	keys []keyspace.Key // nil until they are computed
}

// setManyKeys is setKeys for a command with many arguments. It returns false where a
// worker does it: the command comes again then.
func (x *Exec) setManyKeys(ctx *Ctx) bool {
	row, c := ctx.Row, ctx.C
	made := c.made
	c.made = nil // x takes the memory
	if made == nil && x.Own && ctx.CanBlock() && !c.applies && !row.notKeys && (row.KeysFn != nil || row.First > 0 && row.Last != row.First) {
		made, args := &madeKeys{row: row}, ctx.Args
		c.made = made
		ready := ctx.ComeAgain()
		ctx.Assist(func() {
			defer ready()
			made.make(args)
		})
		return false
	}
	if made != nil && made.row == row && made.keys != nil {
		x.keys, x.pos, ctx.Keys = made.keys, made.pos, made.keys
		return true
	}
	x.setKeys(ctx)
	return true
}

func (m *madeKeys) make(args [][]byte) {
	pos, ok := m.row.KeyPositions(args, nil)
	m.pos, m.keys = pos, []keyspace.Key{} // not nil
	if ok {
		m.keys = appendKeys(m.keys, args, pos)
	}
}
