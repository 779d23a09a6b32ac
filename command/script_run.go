package command

import (
	"crypto/sha1"
	"encoding/hex"
	"io"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"kvd/acl"
	"kvd/config"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/script/lua"
)

// A script runs on the Lua machine of its Exec, under the stripe locks of EVAL's
// keys (or of all, see Row.AllKeys). redis.call runs a command nested in EVAL,
// as EXEC runs those of its queue: what all of them changed is journaled as one
// unit at the end, and blocked clients are served then.

// machine is a Lua state as scripts and functions find it.
type machine struct {
	table      *Table
	st         *lua.State
	keys, argv *lua.Table
	// keysHad and argvHad are the arrays of KEYS and ARGV as they were filled.
	keysHad, argvHad []lua.Value
	run              *scriptRun // what runs now; nil: nothing, or a library is being loaded
	loading          *library   // being loaded
	loadBegan        time.Time
}

// scriptRun is a script that runs.
type scriptRun struct {
	call
	x *Exec    // who runs it: a loop's, or a worker's once it has left the loop
	m *machine // on which

	outer frame // of EVAL
	db    int32 // which its client had selected

	undo     *scriptUndo // nil: what it has changed stays, however it ends
	rollback bool        // it began with an undo

	repl int // where the effects of its commands go: see setRepl

	// Of the commands that it runs: the reply, the arguments and the text of
	// those that are numbers, and the keys. Arguments of commands with effects
	// stay until the end.
	reply   wire.Writer
	argv    [][]byte
	text    []byte
	argKeys []keyspace.Key

	all   bool  // every stripe is locked or reserved
	oom   bool  // it began where memory was short, and may not be run then as far as it wants memory
	began int64 // by clock

	// reserved are its stripes since it has left the loop; nil before.
	reserved *keyspace.Reservation
	listed   bool        // in beside.runs
	shown    []string    // its command, for FUNCTION STATS; once it is listed
	wrote    atomic.Bool // it has called a command that writes
	killed   atomic.Bool // by SCRIPT KILL or FUNCTION KILL
	asked    int         // how often it was to leave its loop; a loop's own
	overtime bool        // it was ended because it could not leave the loop
}

// machine is the Exec's machine for scripts.
func (x *Exec) machine() *machine {
	if x.lua == nil {
		if x.lua = x.s.scripts.beside.freeMachine(); x.lua == nil {
			x.lua = newMachine(x.s)
		}
	}
	return x.lua
}

// newMachine makes a machine with redis, server, KEYS and ARGV among its
// globals, which no script can change.
func newMachine(s *Server) *machine {
	m := &machine{table: s.Table}
	m.st = m.newState(s)
	g := m.st.Globals()
	m.keys, m.argv = mustTable(m.st), mustTable(m.st)
	g.Embed("KEYS", m.keys.Value())
	g.Embed("ARGV", m.argv.Value())
	api := m.redisTable(s)
	g.Embed("redis", api.Value())
	g.Embed("server", api.Value())
	guard(m.st, g)
	return m
}

// newState makes the machine's State.
func (m *machine) newState(s *Server) *lua.State {
	return lua.New(lua.Options{Memory: int(s.Config.ScriptMemoryLimit.Load()), Deprecated: s.Config.LuaDeprecated.Load(), Tick: m.tick, Caught: caught})
}

// caught makes the text of an error table: pcall of redis.call gives what error('text') gives.
func caught(v lua.Value) lua.Value {
	if t := v.Table(); t != nil {
		if text := t.GetString("err"); text.IsString() || text.IsNumber() {
			return text
		}
	}
	return v
}

func mustTable(st *lua.State) *lua.Table {
	t, err := st.NewTable(0, 0)
	if err != nil {
		panic("command: no memory for a script's table: " + err.Error()) // a State without a limit yet
	}
	return t
}

// guard makes an environment of globals as Redis's: what is missing is an
// error when it is read, and nothing in it or below can be changed.
func guard(st *lua.State, g *lua.Table) {
	meta := mustTable(st)
	st.Register(meta, "__index", func(s *lua.State, w []lua.Value, n int) (int, error) {
		name := lua.Arg(w, n, 1)
		text, ok := lua.AppendValue(nil, name)
		if !ok {
			text = []byte(name.Kind().String())
		}
		return 0, s.Errorf("Script attempted to access nonexistent global variable '%s'", text)
	})
	meta.SetReadonly(true)
	g.SetMetatable(meta)
	freeze(g, map[*lua.Table]bool{})
	if st.StringMeta != nil {
		st.StringMeta.SetReadonly(true)
	}
}

// freeze makes a table and those that it holds read-only, but for KEYS and ARGV.
func freeze(t *lua.Table, seen map[*lua.Table]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	for at, k, v := t.Next(0); at >= 0; at, k, v = t.Next(at) {
		if k.IsString() && (k.Str() == "KEYS" || k.Str() == "ARGV") {
			continue
		}
		if inner := v.Table(); inner != nil {
			freeze(inner, seen)
		}
	}
	t.SetReadonly(true)
}

// runScript runs a script or function, and replies what it returns.
func (c *Ctx) runScript(what *call) {
	x := c.x
	if to := x.s.monitors.all.Load(); to != nil { // before the commands that it calls
		x.s.feedMonitors(*to, c.C, false, c.Row, c.Args)
	}
	var m *machine
	if what.function != nil {
		m = c.S.scripts.functions.m
	} else {
		m = x.machine()
	}
	m.st.SetMemory(int(c.S.Config.ScriptMemoryLimit.Load()))
	r := x.newRun()
	r.call, r.m = *what, m
	r.outer, r.db = c.outer(), c.C.db.Load()
	r.all = x.s.Keyspace.HoldsAll(&x.held)
	r.reply.Proto = 2
	r.oom = x.oom && r.flags&scriptAllowOOM == 0
	r.began = clock()
	c.W, c.inExec, c.script = &r.reply, true, r
	m.run = r
	m.st.Host = r
	if c.S.Config.ScriptRollback.Load() && !r.readOnly {
		r.beginUndo(c)
	}
	keys, rest := c.keysOf()
	var results []lua.Value
	var err error
	if r.function != nil {
		results, err = m.callFunction(r, keys, rest)
	} else if err = m.fill(keys, rest); err == nil {
		results, err = m.st.Run(r.proto)
	}
	if err == lua.ErrSuspended {
		x.leaveLoop(r)
		return
	}
	r.end(results, err)
}

// newRun is an empty run, with the memory of the last one.
func (x *Exec) newRun() *scriptRun {
	r := x.spareRun
	x.spareRun = nil
	// In EXEC the effects of a script before may still refer to its memory.
	if r == nil || len(x.Running.effects) > 0 {
		return &scriptRun{x: x, repl: replAll, argKeys: make([]keyspace.Key, 0, 4)}
	}
	clear(r.argv[:cap(r.argv)])
	clear(r.argKeys[:cap(r.argKeys)])
	*r = scriptRun{x: x, repl: replAll, argv: r.argv[:0], text: r.text[:0], argKeys: r.argKeys[:0], reply: wire.Writer{Buf: r.reply.Buf[:0]}}
	return r
}

// What an Exec keeps of a run for the next one.
const (
	keepRunArgs  = 1 << 10
	keepRunBytes = 64 << 10
)

// keepRun keeps a run's memory. Until the next run begins, what the script did may
// still be read there.
func (x *Exec) keepRun(r *scriptRun) {
	if cap(r.argv) <= keepRunArgs && cap(r.text) <= keepRunBytes && cap(r.reply.Buf) <= keepRunBytes && cap(r.argKeys) <= keepRunArgs {
		x.spareRun = r
	}
}

// end replies what a script returned, or how it failed, and gives the Ctx back
// to EVAL. The stripes are locked.
func (r *scriptRun) end(results []lua.Value, err error) {
	c := &r.x.Running
	c.resume(&r.outer)
	c.C.db.Store(r.db)
	broken := false // a command has panicked
	if err != nil {
		e, is := err.(*lua.Error)
		broken = !is && err != lua.ErrKilled
		r.endUndo(c, !is || e.Memory)
	} else {
		r.endUndo(c, false)
	}
	if broken && r.wrote.Load() {
		c.S.distrust(c.C, err)
	}
	c.outcome = Done
	r.m.run, r.m.st.Host = nil, nil
	r.x.errorCounted = errorCounted(results, err)
	if err != nil {
		r.fail(c, err)
	} else if len(results) == 0 {
		c.W.Null()
	} else {
		r.m.reply(c.W, results[0], r.reply.Proto >= 3, 0)
	}
	if r.function == nil {
		r.m.clear()
	}
	if r.listed {
		c.S.scripts.beside.unlist(r)
	} else {
		r.x.keepRun(r)
	}
}

// fail replies the error that ended a script.
func (r *scriptRun) fail(c *Ctx, err error) {
	e, is := err.(*lua.Error)
	switch {
	case err == lua.ErrKilled && r.overtime:
		c.Err("ERR Script was ended after busy-reply-threshold: it ran where it could not leave the event loop script: " + r.name)
	case err == lua.ErrKilled:
		c.Err("ERR Error running script (call to " + r.name + "): Script killed by user with " + map[bool]string{false: "SCRIPT", true: "FUNCTION"}[r.function != nil] + " KILL.")
	case !is:
		c.S.Log.Warningf("Script %s: %v", r.name, err)
		c.Err("ERR internal error")
	default:
		text := "ERR "
		source, line := e.Source, e.Line
		if t := e.Value.Table(); t != nil {
			text = errorText(t)
			if v := t.GetString("source"); v.IsString() {
				source = v.Str()
			}
			if v := t.GetString("line"); v.IsNumber() {
				line = int(v.Num())
			}
		} else if v, err := r.m.st.ToString(e.Value); err == nil {
			text += v.Str()
		}
		text = upToZero(text)
		if line > 0 {
			text += " script: " + r.name + ", on " + source + ":" + strconv.Itoa(line) + "."
		}
		c.Err(text)
	}
}

// errorCounted tells whether a script's error is that of a command which it has called.
func errorCounted(results []lua.Value, err error) bool {
	var t *lua.Table
	if e, is := err.(*lua.Error); is {
		t = e.Value.Table()
	} else if len(results) > 0 {
		t = results[0].Table()
	}
	return t != nil && t.GetString(countedField).Truth()
}

// errorText is what an error table says.
func errorText(t *lua.Table) string {
	v := t.GetString("err")
	if b, ok := lua.AppendValue(nil, v); ok {
		return string(b)
	}
	return "ERR unknown error"
}

// fill puts the arguments of EVAL into KEYS and ARGV.
func (m *machine) fill(keys, rest [][]byte) error {
	err := m.fillTable(m.keys, keys)
	if err == nil {
		err = m.fillTable(m.argv, rest)
	}
	m.keysHad, m.argvHad = m.keys.Array(), m.argv.Array()
	return err
}

// clear empties KEYS and ARGV, and has the memory of the run's tables used again.
func (m *machine) clear() {
	for _, t := range []struct {
		*lua.Table
		had []lua.Value
	}{{m.keys, m.keysHad}, {m.argv, m.argvHad}} {
		now := t.Array()
		if len(now) == len(t.had) && (len(now) == 0 || &now[0] == &t.had[0]) {
			t.Clear()
		} else { // the script has made it longer, with memory of the run
			t.Empty()
		}
	}
	m.st.Recycle()
}

func (m *machine) fillTable(t *lua.Table, args [][]byte) error {
	for i, a := range args {
		v, err := m.st.NewString(a)
		if err == nil {
			err = m.st.RawSetInt(t, i+1, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Texts of errors that redis.call raises by itself.
const (
	errCallNoArgs   = "ERR Please specify at least one argument for this redis lib call"
	errCallArgs     = "ERR Lua redis lib command arguments must be strings or integers"
	errCallUnknown  = "ERR Unknown Redis command called from script"
	errCallArity    = "ERR Wrong number of args calling Redis command from script"
	errCallNoScript = "ERR This Redis command is not allowed from script"
	errCallReadOnly = "ERR Write commands are not allowed from read-only scripts."
	errCallStale    = "ERR Can not execute the command on a stale replica"
	errCallKey      = "ERR Script attempted to access a key that it was not known to access"
	errCallOutside  = "ERR redis.call/pcall can only be called inside a script invocation"
)

// refusedKilled is no text: the script is to be ended, and may not begin to write.
const refusedKilled = "killed"

// redisCall is redis.call (raise) and redis.pcall.
func (m *machine) redisCall(s *lua.State, w []lua.Value, n int, raise bool) (int, error) {
	r := m.run
	if r == nil {
		return m.raise(s, w, errCallOutside, raise)
	}
	if n == 0 {
		return m.raise(s, w, errCallNoArgs, raise)
	}
	first, text := len(r.argv), len(r.text)
	for _, v := range w[:n] {
		switch {
		case v.IsString():
			r.argv = append(r.argv, v.Bytes())
		case v.IsNumber():
			at := len(r.text)
			r.text = appendCallNumber(r.text, v.Num())
			r.argv = append(r.argv, r.text[at:len(r.text):len(r.text)])
		default:
			r.argv, r.text = r.argv[:first], r.text[:text]
			return m.raise(s, w, errCallArgs, raise)
		}
	}
	effects := len(r.x.Running.effects)
	refusal := r.do(r.argv[first:len(r.argv):len(r.argv)])
	if len(r.x.Running.effects) == effects { // else they refer to the arguments
		r.argv, r.text = r.argv[:first], r.text[:text]
	}
	if u := r.undo; u != nil && u.keys.Bytes() > u.held {
		n := u.keys.Bytes() - u.held
		u.held += n
		if err := s.Hold(n); err != nil {
			return 0, err
		}
	}
	if refusal == refusedKilled {
		return 0, lua.ErrKilled
	}
	if refusal != "" {
		r.x.s.CountError(refusal)
		v, err := m.failed([]byte(refusal))
		if err != nil {
			return 0, err
		}
		if raise {
			return 0, s.Throw(v)
		}
		s.Window()[0] = v
		return 1, nil
	}
	v, rest, err := m.value(r.reply.Buf)
	if err != nil {
		return 0, err
	}
	if len(rest) > 0 {
		return 0, s.Errorf("internal error: a reply of several parts")
	}
	if cap(r.reply.Buf) > keepRunBytes {
		r.reply.Buf = nil
	}
	if raise && r.isError() {
		return 0, s.Throw(v)
	}
	s.Window()[0] = v
	return 1, nil
}

// isError tells whether the last reply is an error.
func (r *scriptRun) isError() bool { return len(r.reply.Buf) > 0 && r.reply.Buf[0] == '-' }

// appendCallNumber is a number as an argument of redis.call.
func appendCallNumber(b []byte, f float64) []byte {
	if f == math.Trunc(f) && math.Abs(f) < 1<<63 && !(f == 0 && math.Signbit(f)) {
		return strconv.AppendInt(b, int64(f), 10)
	}
	return lua.AppendNumber17(b, f)
}

// raise makes the error table of redis.call, and raises or returns it.
func (m *machine) raise(s *lua.State, w []lua.Value, text string, raise bool) (int, error) {
	t, err := s.NewTable(0, 1)
	if err != nil {
		return 0, err
	}
	v, err := s.CopyString(text)
	if err == nil {
		err = s.RawSetString(t, "err", v)
	}
	if err != nil {
		return 0, err
	}
	if raise {
		return 0, s.Throw(t.Value())
	}
	s.Window()[0] = t.Value()
	return 1, nil
}

// do runs a command of a script; its reply is in r.reply. The text is why it was
// not run, "" if it was.
func (r *scriptRun) do(args [][]byte) (refusal string) {
	row := r.x.s.Table.Lookup(args[0])
	if refusal = r.try(row, args); refusal != "" && row != nil {
		if row.Sub != nil && len(args) > 1 {
			if sub := row.sub(args[1]); sub != nil {
				row = sub
			}
		}
		r.x.stats[row.num].Rejected.Add(1)
	}
	return refusal
}

// try is do that counts no refusal.
func (r *scriptRun) try(row *Row, args [][]byte) (refusal string) {
	x := r.x
	c := &x.Running
	if row != nil && row.Sub != nil {
		if len(args) > 1 {
			row = row.sub(args[1])
		} else if row.Fn == nil {
			return errCallArity
		}
	}
	switch {
	case row == nil:
		return errCallUnknown
	case !row.ArityOK(len(args)):
		return errCallArity
	case row.Flags&NoScript != 0 && !x.s.debug.allowNoScr.Load():
		return errCallNoScript
	case c.C.limits.Load() != nil:
		if refusal = x.refusedInScript(c, row, args); refusal != "" {
			return refusal
		}
	}
	switch {
	case row.Flags&(Write|MayReplicate) != 0 && r.readOnly:
		return errCallReadOnly
	}
	if row.renamed {
		args[0] = []byte(row.Name) // for the journal
	}
	if r.oom && row.Flags&DenyOOM != 0 && !r.wrote.Load() {
		return errOOM // behind its first write it cannot be stopped half way
	}
	c.Row, c.Args, c.Flags = row, args, row.Flags
	if gate := x.s.gate.Load(); gate != 0 && !c.C.applies { // what is applied is admitted always
		if refusal = x.gateText(c, gate); refusal != "" {
			if refusal == errMasterDown {
				refusal = errCallStale
			}
			return refusal
		}
	}
	keys := x.keysInto(c, r.argKeys[:0])
	r.argKeys = keys
	if !r.holds(row, keys) {
		return errCallKey
	}
	if row.Flags&Write != 0 && !r.wrote.Load() && !r.beginsToWrite() {
		return refusedKilled
	}
	if r.reserved != nil {
		if row.Flags&(LockAll|Walks) != 0 || len(keys) == 0 {
			r.reserved.LockAll(&x.held)
		} else {
			r.reserved.Lock(keys, &x.held)
		}
		defer x.s.Keyspace.Unlock(&x.held)
	}
	r.reply.Buf = r.reply.Buf[:0]
	x.lap = clock()
	x.nested(c, row, args, keys)
	c.outcome = Done
	if r.undo != nil && row.Flags&(Write|MayReplicate) != 0 {
		r.undo.dirty += int64(c.Dirty)
	}
	if r.reserved != nil {
		// Messages of a script beside the loops go out as they are sent. Their order
		// is that of the journal among those of one script only.
		x.endPublish()
	}
	return ""
}

// InScript tells whether a script runs the command.
func (c *Ctx) InScript() bool { return c.script != nil }

// holds tells whether the script has the stripes that a command needs.
func (r *scriptRun) holds(row *Row, keys []keyspace.Key) bool {
	if r.all {
		return true
	}
	if row.Flags&(LockAll|Walks) != 0 {
		return false
	}
	for i := range keys {
		if r.reserved != nil && !r.reserved.Holds(keys[i].Slot) || r.reserved == nil && !r.x.s.Keyspace.Holds(&r.x.held, keys[i].Slot) {
			return false
		}
	}
	return true
}

// redisTable makes the table that scripts know as redis and server.
func (m *machine) redisTable(s *Server) *lua.Table {
	st := m.st
	t := mustTable(st)
	st.Register(t, "call", func(s *lua.State, w []lua.Value, n int) (int, error) { return m.redisCall(s, w, n, true) })
	st.Register(t, "pcall", func(s *lua.State, w []lua.Value, n int) (int, error) { return m.redisCall(s, w, n, false) })
	st.Register(t, "error_reply", m.errorReply)
	st.Register(t, "status_reply", m.statusReply)
	st.Register(t, "sha1hex", m.sha1hex)
	st.Register(t, "log", func(st *lua.State, w []lua.Value, n int) (int, error) { return m.log(s, st, w, n) })
	st.Register(t, "setresp", m.setResp)
	st.Register(t, "set_repl", m.setRepl)
	st.Register(t, "replicate_commands", func(_ *lua.State, w []lua.Value, _ int) (int, error) {
		w[0] = lua.Bool(true)
		return 1, nil
	})
	st.Register(t, "breakpoint", func(_ *lua.State, w []lua.Value, _ int) (int, error) {
		w[0] = lua.Bool(false) // no debugger is there
		return 1, nil
	})
	st.Register(t, "debug", func(*lua.State, []lua.Value, int) (int, error) { return 0, nil })
	st.Register(t, "acl_check_cmd", m.aclCheckCmd)
	for name, n := range map[string]float64{"LOG_DEBUG": 0, "LOG_VERBOSE": 1, "LOG_NOTICE": 2, "LOG_WARNING": 3,
		"REPL_NONE": 0, "REPL_AOF": 1, "REPL_SLAVE": 2, "REPL_REPLICA": 2, "REPL_ALL": 3, "REDIS_VERSION_NUM": versionNumber()} {
		t.Embed(name, lua.Number(n))
	}
	t.Embed("REDIS_VERSION", lua.String(config.RedisVersion))
	return t
}

// versionNumber is the version as scripts compare it: 0x00MMmmpp.
func versionNumber() float64 {
	n := 0
	for part := range strings.SplitSeq(config.RedisVersion, ".") {
		i, _ := strconv.Atoi(part)
		n = n<<8 | i
	}
	return float64(n)
}

// oneField makes a table with one field, as error and status replies are.
func oneField(s *lua.State, field string, text []byte) (int, error) {
	t, err := s.NewTable(0, 1)
	if err != nil {
		return 0, err
	}
	v, err := s.NewString(text)
	if err == nil {
		err = s.RawSetString(t, field, v)
	}
	if err != nil {
		return 0, err
	}
	s.Window()[0] = t.Value()
	return 1, nil
}

const errReplyArgs = "ERR wrong number or type of arguments"

func (m *machine) errorReply(s *lua.State, w []lua.Value, n int) (int, error) {
	if n != 1 || !w[0].IsString() {
		return oneField(s, "err", []byte(errReplyArgs))
	}
	text := strings.TrimPrefix(upToZero(w[0].Str()), "-")
	if !strings.Contains(text, " ") {
		text = "ERR " + text
	}
	return oneField(s, "err", []byte(text))
}

func (m *machine) statusReply(s *lua.State, w []lua.Value, n int) (int, error) {
	if n != 1 || !w[0].IsString() {
		return oneField(s, "err", []byte(errReplyArgs))
	}
	return oneField(s, "ok", []byte(w[0].Str()))
}

func (m *machine) sha1hex(s *lua.State, w []lua.Value, n int) (int, error) {
	if n != 1 {
		return m.raise(s, w, "ERR wrong number of arguments", true)
	}
	text := "" // what has no text counts as none
	if w[0].IsString() || w[0].IsNumber() {
		var err error
		if text, err = s.ArgString(w, n, 0); err != nil {
			return 0, err
		}
	}
	// In blocks: a text of megabytes must not keep an interrupt waiting.
	sum := sha1.New()
	for {
		block := text[:min(len(text), 32<<10)]
		_, _ = io.WriteString(sum, block)
		if err := s.Step(len(block)/16 + 1); err != nil {
			return 0, err
		}
		if text = text[len(block):]; text == "" {
			break
		}
	}
	v, err := s.CopyString(hex.EncodeToString(sum.Sum(nil)))
	if err != nil {
		return 0, err
	}
	s.Window()[0] = v
	return 1, nil
}

// logLevels are LOG_DEBUG to LOG_WARNING.
func (m *machine) log(srv *Server, s *lua.State, w []lua.Value, n int) (int, error) {
	if n < 2 {
		return m.raise(s, w, "ERR redis.log() requires two arguments or more.", true)
	}
	if !w[0].IsNumber() {
		return m.raise(s, w, "ERR First argument must be a number (log level).", true)
	}
	level := int(w[0].Num())
	if level < 0 || level > 3 {
		return m.raise(s, w, "ERR Invalid log level.", true)
	}
	var b []byte
	for i := 1; i < n; i++ {
		if i > 1 {
			b = append(b, ' ')
		}
		if text, ok := lua.AppendValue(b, w[i]); ok {
			b = text
		}
	}
	[]func(string, ...any){srv.Log.Debugf, srv.Log.Verbosef, srv.Log.Noticef, srv.Log.Warningf}[level]("%s", b)
	return 0, nil
}

func (m *machine) setResp(s *lua.State, w []lua.Value, n int) (int, error) {
	if n != 1 {
		return m.raise(s, w, "ERR redis.setresp() requires one argument.", true)
	}
	v, err := s.ArgNumber(w, n, 0)
	if v = math.Trunc(v); err != nil || v != 2 && v != 3 {
		return m.raise(s, w, "ERR RESP version must be 2 or 3.", true)
	}
	if m.run != nil {
		m.run.reply.Proto = int(v)
	}
	return 0, nil
}

// Where the effects of a script's commands go; the values are those of
// redis.REPL_AOF and its kin.
const (
	replLog       = 1
	replFollowers = 2
	replAll       = replLog | replFollowers
)

// setRepl is redis.set_repl: it says where the effects of the commands that follow go.
// Followers, or what is loaded from the log, differ from then on, as in Redis.
func (m *machine) setRepl(s *lua.State, w []lua.Value, n int) (int, error) {
	if n != 1 {
		return m.raise(s, w, "ERR redis.set_repl() requires one argument.", true)
	}
	v, err := s.ArgNumber(w, n, 0)
	if err != nil {
		return 0, err
	}
	if flags := int(v); flags&^3 != 0 {
		return m.raise(s, w, "ERR Invalid replication flags. Please use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.", true)
	}
	if m.run != nil {
		m.run.repl = int(v)
	}
	return 0, nil
}

// aclCheckCmd tells whether the user may run a command.
func (m *machine) aclCheckCmd(s *lua.State, w []lua.Value, n int) (int, error) {
	if n == 0 {
		return m.raise(s, w, "ERR Please specify at least one argument for this redis.acl_check_cmd() call", true)
	}
	r := m.run
	if r == nil {
		return m.raise(s, w, "ERR redis.acl_check_cmd can only be called inside a script invocation", true)
	}
	args := make([][]byte, n)
	for i := range args {
		text, err := s.ArgString(w, n, i)
		if err != nil {
			return 0, err
		}
		args[i] = []byte(text)
	}
	c := &r.x.Running
	row := c.S.Table.Find(args)
	if row == nil {
		return m.raise(s, w, "ERR Invalid command passed to redis.acl_check_cmd()", true)
	}
	may := true
	if u := c.C.limits.Load(); u != nil {
		why, _ := r.x.mayCall(u, row, args, c.C.DB())
		may = why == acl.None
	}
	s.Window()[0] = lua.Bool(may)
	return 1, nil
}
