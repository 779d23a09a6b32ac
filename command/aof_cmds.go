package command

import (
	"strconv"

	"kvd/lockrank"
	"kvd/resp/wire"
)

// BGREWRITEAOF; DEBUG LOADAOF and AOF-FLUSH-SLEEP; and what the state of the
// append-only log means for commands.

func aofRows() []*Row {
	return []*Row{{Name: "bgrewriteaof", Fn: cmdBgrewriteaof, Arity: 1, Flags: Admin | NoScript | NoAsyncLoading, Since: "1.0.0", Group: "server",
		Summary: "Makes the append-only log short: what the data is now in place of how it came about.", Complexity: "O(1)"}}
}

// AppendLog is what commands want of the append-only log. What says "at once"
// may be called with stripes locked; the others wait for files, or take locks.
type AppendLog interface {
	// Rewrite begins a rewrite; scheduled: it is begun when a snapshot that is
	// being written is whole. An error says why not.
	Rewrite() (scheduled bool, err error)
	// ScheduleRewrite has one begun as soon as possible, Rewriting tells whether
	// one is under way, Starting whether it is the first; at once.
	ScheduleRewrite()
	Rewriting() bool
	Starting() bool
	// Flush brings all that was appended to the disk.
	Flush() error
	// ReloadLog empties the databases and loads the log.
	ReloadLog() error
	// SetFlushSleep delays writes to the log, for tests; microseconds, at once.
	SetFlushSleep(us int64)
	// Broken is why the log cannot be written, Stalled tells whether it is so
	// slow that writes have to wait, Buffered how many bytes wait; at once.
	Broken() error
	Stalled() bool
	Buffered() int64
	// Distrust says that the contents have changed and the log was not told: writes
	// are refused until there is a new base. At once.
	Distrust(why error)
	// Pending is the offset up to which the log must last before a reply that is
	// written now may leave, and wait whether it does not yet; Synced is the
	// offset up to which it does; Kick has the log work on that. At once.
	Pending() (at int64, wait bool)
	Synced() int64
	Kick()
	// Losing tells whether replies wait for the log, but it takes no effects any more,
	// so that what was changed now must not be acknowledged. At once.
	Losing() bool
	// Backups, in a directory beside the log's.
	BackupStart() error
	BackupSeal() error
	BackupAbort() error
	BackupCleanup() error
	// BackupFiles are the paths of files that change no more, BackupStatus tells the
	// state, why it failed, and when it was begun and sealed, Unix seconds; at once.
	BackupFiles() []string
	BackupStatus() (state, why string, started, sealed int64)
	// Appended is how many bytes of effects the log was given, Fsynced how many of
	// them are on the disk; at once.
	Appended() int64
	Fsynced() int64
}

// AppendLog is the server's append-only log, for the front end.
func (s *Server) AppendLog() AppendLog { return s.persist }

func cmdBgrewriteaof(c *Ctx) {
	p := c.S.persist
	const scheduled = "Background append only file rewriting scheduled"
	switch {
	case p.Rewriting():
		c.Err("ERR Background append only file rewriting already in progress")
	case c.InExec(): // the instant of EXEC is none to begin at
		p.ScheduleRewrite()
		c.W.SimpleString(scheduled)
	default:
		c.Background(func(w *wire.Writer) {
			switch later, err := p.Rewrite(); {
			case err != nil && p.Rewriting():
				w.Error("ERR Background append only file rewriting already in progress")
			case err != nil: // the log says why
				w.Error("ERR Can't execute an AOF background rewriting. Please check the server logs for more information.")
			case later:
				w.SimpleString(scheduled)
			default:
				w.SimpleString("Background append only file rewriting started")
			}
		})
	}
}

func debugLoadAOF(c *Ctx, _ [][]byte) {
	if c.InExec() {
		c.Err("ERR DEBUG LOADAOF is not possible inside MULTI")
		return
	}
	p := c.S.persist
	c.aloneInBackground(func(w *wire.Writer) {
		if err := p.ReloadLog(); err != nil {
			w.Error("ERR Error trying to load the AOF files, check server logs.")
			return
		}
		w.OK()
	})
}

func debugFlushSleep(c *Ctx, args [][]byte) {
	us, err := strconv.ParseInt(string(args[0]), 10, 64)
	if err != nil {
		c.Err("ERR value is not an integer or out of range")
		return
	}
	c.S.persist.SetFlushSleep(us)
	c.W.OK()
}

// stall holds clients that write while the log is too slow; their commands are
// not run yet.
type stall struct {
	mu     lockrank.Mutex[lockrank.Stall] // protects parked; held for moments, over no lock
	parked []*Client
}

// stalled parks a client whose command writes. False: it may run after all.
func (x *Exec) stalled(ctx *Ctx) bool {
	c, st := ctx.C, &x.s.stall
	if c.Conn == nil || !ctx.mayWrite() {
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if x.s.gate.Load()&gateStalled == 0 {
		return false
	}
	c.set(stateBlocked, true)
	st.parked = append(st.parked, c)
	ctx.outcome = Again
	return true
}

// setStalled says whether clients that write have to wait.
func (s *Server) setStalled(on bool) {
	st := &s.stall
	st.mu.Lock()
	defer st.mu.Unlock()
	s.setGate(gateStalled, on)
	if on {
		return
	}
	for _, c := range st.parked {
		c.set(stateBlocked, false)
		c.Conn.Deliver(nil)
	}
	st.parked = nil
}

func (noPersistence) Rewrite() (bool, error) { return false, errNoPersistence }
func (noPersistence) ScheduleRewrite()       {}
func (noPersistence) Rewriting() bool        { return false }
func (noPersistence) Starting() bool         { return false }
func (noPersistence) Flush() error           { return nil }
func (noPersistence) ReloadLog() error       { return errNoPersistence }
func (noPersistence) SetFlushSleep(int64)    {}
func (noPersistence) Broken() error          { return nil }
func (noPersistence) Stalled() bool          { return false }
func (noPersistence) Buffered() int64        { return 0 }
func (noPersistence) Pending() (int64, bool) { return 0, false }
func (noPersistence) Synced() int64          { return 0 }
func (noPersistence) Appended() int64        { return 0 }
func (noPersistence) Fsynced() int64         { return 0 }
func (noPersistence) Kick()                  {}
func (noPersistence) Losing() bool           { return false }
func (noPersistence) Distrust(error)         {}

func (noPersistence) BackupStart() error    { return errNoPersistence }
func (noPersistence) BackupSeal() error     { return errNoPersistence }
func (noPersistence) BackupAbort() error    { return errNoPersistence }
func (noPersistence) BackupCleanup() error  { return errNoPersistence }
func (noPersistence) BackupFiles() []string { return nil }
func (noPersistence) BackupStatus() (state, why string, started, sealed int64) {
	return "idle", "", 0, 0
}
