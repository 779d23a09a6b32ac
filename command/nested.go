package command

import (
	"kvd/keyspace"
	"kvd/resp/wire"
)

// Commands inside commands: what EXEC has queued, what a script calls, what serves
// blocked clients. All run on the Ctx of the command around them, with its locks, and
// what they change is journaled with it.

// frame is what a Ctx knows of the command that it runs, while it runs others.
type frame struct {
	out    *wire.Writer
	client *Client
	row    *Row
	args   [][]byte
	keys   []keyspace.Key
	flags  Flag
	inExec bool
	script *scriptRun
}

// outer is the frame of the command that runs now, for resume.
func (c *Ctx) outer() frame {
	return frame{out: c.W, client: c.C, row: c.Row, args: c.Args, keys: c.Keys, flags: c.Flags, inExec: c.inExec, script: c.script}
}

// resume makes f the command that runs again. What those inside have done is said
// already, so it has no effect of its own and has changed nothing besides.
func (c *Ctx) resume(f *frame) {
	c.W, c.C, c.Row, c.Args, c.Keys, c.Flags, c.inExec, c.script = f.out, f.client, f.row, f.args, f.keys, f.flags, f.inExec, f.script
	c.explicit, c.Dirty = true, 0
}

// nested runs a command inside another one, which has locked what both need and
// resumes its own frame afterwards.
func (x *Exec) nested(ctx *Ctx, row *Row, args [][]byte, keys []keyspace.Key) {
	ctx.Row, ctx.Args, ctx.Keys = row, args, keys
	ctx.explicit, ctx.Dirty = false, 0
	x.requestMost = unknownRequest // what is queued may be longer than the EXEC that runs it
	x.start(ctx)
	x.run(ctx)
	x.finish(ctx)
}
