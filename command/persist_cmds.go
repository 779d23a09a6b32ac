package command

import (
	"errors"
	"time"

	"kvd/persist/rdb"
	"kvd/resp/wire"
	"kvd/types"
)

// BGSAVE, LASTSAVE, SAVE, SHUTDOWN; DEBUG RELOAD; and what the state of
// snapshots means for other commands.

func persistRows() []*Row {
	return []*Row{
		{Name: "bgsave", Fn: cmdBgsave, Arity: -1, Flags: Admin | NoScript | NoAsyncLoading, Since: "1.0.0", Group: "server",
			Summary: "Saves the data to a file in the background.", Complexity: "O(1)", Syntax: "[SCHEDULE | CANCEL]",
			History: []string{"3.2.2", "SCHEDULE came.", "8.1.0", "CANCEL came (Valkey)."}},
		{Name: "lastsave", Fn: cmdLastSave, Arity: 1, Flags: Loading | Stale | Fast, Since: "1.0.0", Group: "server", Categories: "admin dangerous",
			Summary: "Returns when the data was last saved, as Unix time.", Complexity: "O(1)", Tips: "nondeterministic_output"},
		{Name: "save", Fn: cmdSave, Arity: 1, Flags: Admin | NoScript | NoAsyncLoading | NoMulti, Since: "1.0.0", Group: "server",
			Summary: "Saves the data to a file and replies when it is there.", Complexity: "O(N) in the number of keys"},
		{Name: "shutdown", Fn: cmdShutdown, Arity: -1, Flags: Admin | NoScript | Loading | Stale | NoMulti | AllowBusy, Since: "1.0.0", Group: "server",
			Summary: "Ends the server.", Complexity: "O(N) in the number of keys where they are saved", Syntax: "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]"},
	}
}

// Persistence is what commands want of the room that writes and loads snapshots. What
// says "at once" may be called with stripes locked; the others wait for files,
// or take locks.
type Persistence interface {
	// Save writes a snapshot; busy: another one is being written.
	Save() (busy bool, err error)
	// SaveAfter writes a snapshot of now or later, after one that is being written.
	SaveAfter() error
	// Background starts a snapshot of this instant; busy: see Save.
	Background() (busy bool)
	// Schedule has one started as soon as possible, Unschedule takes that back and tells
	// whether there was something to take back; at once.
	Schedule()
	Unschedule() bool
	// Abort ends the one being written; at once. Wait waits for its end.
	Abort()
	Wait()
	// Saving tells whether one is being written, Busy whether any snapshot is
	// (also one for the log, say), LastSave when the last save was whole, in Unix
	// seconds, Failing whether the last one failed; at once.
	Saving() bool
	Busy() bool
	LastSave() int64
	Failing() bool
	// Loading tells whether the data is being loaded, and LoadingBehind the same
	// while the old data is served; StopLoading ends that before any of it is
	// served, false: it is too late. At once.
	Loading() bool
	LoadingBehind() bool
	StopLoading() bool
	// Reload saves, empties and loads; saved: an error came after the save.
	Reload(noSave, noFlush, merge bool) (saved bool, err error)
	// Info and InfoLoading report fields of INFO; at once.
	Info(field func(name string, value any))
	InfoLoading(field func(name string, value any))
	// ResetStats counts anew what Info counts; at once.
	ResetStats()
	AppendLog
}

// SetPersistence is called once, before the first command.
func (s *Server) SetPersistence(p Persistence) {
	s.persist = p
	for _, name := range []string{"save", "stop-writes-on-bgsave-error"} {
		s.Config.OnChange(name, func() error { s.PersistenceChanged(); return nil })
	}
	s.PersistenceChanged()
}

// PersistenceChanged is called when Loading, Failing, Broken or Stalled have
// changed. No stripe is locked.
func (s *Server) PersistenceChanged() {
	s.persistMu.Lock()
	defer s.persistMu.Unlock()
	broken := s.persist.Broken() != nil
	s.setGate(gateLog, broken)
	if broken {
		s.waitForAnswers()
	}
	s.setStalled(s.persist.Stalled())
	s.setGate(gateLoading, s.persist.Loading())
	s.setGate(gateBehind, s.persist.LoadingBehind())
	s.setGate(gateSnapshots, s.persist.Failing() && s.Config.StopWritesOnBgsaveError.Load() && len(s.Config.Save.Load()) > 0)
	s.pause.mu.Lock()
	s.updateExpiry()
	s.pause.mu.Unlock()
}

func cmdBgsave(c *Ctx) {
	if len(c.Args) == 2 && c.Word(1, "cancel") {
		cancelSave(c)
		return
	}
	schedule := len(c.Args) == 2 && c.Word(1, "schedule")
	if len(c.Args) > 1 && !schedule {
		c.Err(ErrSyntax)
		return
	}
	switch p := c.S.persist; {
	case p.Saving():
		c.Err(errSaving)
	case c.InExec(): // the instant of EXEC is none to save at
		p.Schedule()
		c.W.SimpleString("Background saving scheduled")
	case p.Rewriting() && schedule:
		p.Schedule()
		c.W.SimpleString("Background saving scheduled")
	case p.Rewriting():
		c.Err("ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.")
	case p.Background():
		c.Err(errSaving)
	default:
		c.W.SimpleString("Background saving started")
	}
}

// cancelSave is BGSAVE CANCEL.
func cancelSave(c *Ctx) {
	switch p := c.S.persist; {
	case p.Saving():
		p.Abort()
		c.W.SimpleString("Background saving cancelled")
	case p.Unschedule():
		c.W.SimpleString("Scheduled background saving cancelled")
	default:
		c.Err("ERR Background saving is currently not in progress or scheduled")
	}
}

const errSaving = "ERR Background save already in progress"

func cmdSave(c *Ctx) {
	p := c.S.persist
	c.Background(func(w *wire.Writer) {
		busy, err := p.Save()
		switch {
		case busy:
			w.Error(errSaving)
		case err != nil && p.Loading(): // which began after the command was admitted
			w.Error(errLoading)
		case err != nil: // the log says more, as Redis's does
			w.Error("ERR")
		default:
			w.OK()
		}
	})
}

func cmdLastSave(c *Ctx) { c.W.Int(c.S.persist.LastSave()) }

// Flushed is what FLUSHALL does besides: a snapshot being written is given up,
// and where there are save points the file becomes empty before the reply.
func (c *Ctx) Flushed() {
	p := c.S.persist
	if p.Saving() {
		p.Abort()
	}
	if len(c.S.Config.Save.Load()) == 0 {
		c.W.OK()
		return
	}
	if !c.CanBlock() { // Background would run under the locks
		p.Schedule()
		c.W.OK()
		return
	}
	c.Background(func(w *wire.Writer) {
		_ = p.SaveAfter() // it says in the log what failed; the databases are empty
		w.OK()
	})
}

func cmdShutdown(c *Ctx) {
	var save, nosave, now, force, abort bool
	for i := 1; i < len(c.Args); i++ {
		switch {
		case c.Word(i, "nosave"):
			nosave = true
		case c.Word(i, "save"):
			save = true
		case c.Word(i, "now"):
			now = true
		case c.Word(i, "force"):
			force = true
		case c.Word(i, "abort"):
			abort = true
		default:
			c.Err(ErrSyntax)
			return
		}
	}
	switch {
	case abort && (save || nosave || now || force) || save && nosave:
		c.Err(ErrSyntax)
	case abort && c.S.shutdown.until.Load() != 0:
		c.S.shutdown.abort.Store(true)
		c.W.OK()
	case abort: // later than that nobody is listened to
		c.Err("ERR No shutdown in progress.")
	case c.S.Shutdown == nil:
		c.Err(errShutdownReply)
	default:
		// There is no reply: the connection just ends.
		cl, s := c.C, c.S
		c.outcome = Parked
		end := func() bool {
			if s.PrepareShutdown(save, nosave, now, force) != nil {
				return false
			}
			s.Shutdown()
			return true
		}
		if cl.Conn == nil { // a test without a transport
			if !end() {
				c.outcome = Done
				c.Err(errShutdownReply)
			}
			return
		}
		go func() {
			if !end() {
				cl.Conn.Deliver([]byte("-" + errShutdownReply + "\r\n"))
			}
		}()
	}
}

const errShutdownReply = "ERR Errors trying to SHUTDOWN. Check logs."

// debugReload saves, empties and loads, with all other clients waiting.
func debugReload(c *Ctx, args [][]byte) {
	var noSave, noFlush, merge bool
	for i := range args {
		switch {
		case EqualFold(args[i], "nosave"):
			noSave = true
		case EqualFold(args[i], "noflush"):
			noFlush = true
		case EqualFold(args[i], "merge"):
			merge = true
		default:
			c.Err("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
			return
		}
	}
	if c.InExec() {
		c.Err("ERR DEBUG RELOAD is not possible inside MULTI")
		return
	}
	p := c.S.persist
	c.aloneInBackground(func(w *wire.Writer) {
		switch saved, err := p.Reload(noSave, noFlush, merge); {
		case err == nil:
			w.OK()
		case saved:
			w.Error("ERR Error trying to load the RDB dump, check server logs.")
		default:
			w.Error("ERR")
		}
	})
}

// aloneInBackground runs f on a worker, with no lock held and all other clients
// waiting. The command holds all stripes and is not inside EXEC.
func (c *Ctx) aloneInBackground(f func(w *wire.Writer)) {
	s := c.S
	if !s.standStill(true) {
		c.Err("ERR another command has the server for itself")
		return
	}
	s.Keyspace.Unlock(&c.x.held) // f locks what it needs
	c.Background(func(w *wire.Writer) {
		defer s.standStill(false)
		f(w)
	})
}

// RDBLimits are the limits of packed collections, as they are configured.
func (s *Server) RDBLimits() *rdb.Limits {
	cfg := s.Config
	return &rdb.Limits{
		List: types.ListLimits{MaxSize: int(cfg.ListMaxListpackSize.Load())},
		Set: types.SetLimits{MaxIntset: int(cfg.SetMaxIntsetEntries.Load()), MaxListpackEntries: int(cfg.SetMaxListpackEntries.Load()),
			MaxListpackValue: int(cfg.SetMaxListpackValue.Load())},
		Hash: types.HashLimits{MaxListpackEntries: int(cfg.HashMaxListpackEntries.Load()), MaxListpackValue: int(cfg.HashMaxListpackValue.Load())},
		ZSet: types.ZSetLimits{MaxListpackEntries: int(cfg.ZSetMaxListpackEntries.Load()), MaxListpackValue: int(cfg.ZSetMaxListpackValue.Load())},
	}
}

// UsedMemory is INFO's used_memory, in bytes. No stripe is locked.
func (s *Server) UsedMemory() int64 { return s.memoryUse(false).used }

// Freq is the counter of accesses of an LFU clock as of now; FreqClock is a
// clock of now with such a counter.
func (s *Server) Freq(clock uint32) byte {
	return byte(LFUDecayed(clock, s.Keyspace.Now().UnixMilli(), s.Config.LFUDecayTime.Load()))
}

// FreqClock see Freq.
func (s *Server) FreqClock(freq byte) uint32 {
	return LFUClock(s.Keyspace.Now().UnixMilli(), uint32(freq))
}

// noPersistence is for servers without files, such as tests drive.
type noPersistence struct{ started time.Time }

var errNoPersistence = errors.New("this server has no files")

func (noPersistence) Save() (bool, error)                      { return false, errNoPersistence }
func (noPersistence) SaveAfter() error                         { return errNoPersistence }
func (noPersistence) Background() bool                         { return false }
func (noPersistence) Schedule()                                {}
func (noPersistence) Unschedule() bool                         { return false }
func (noPersistence) Abort()                                   {}
func (noPersistence) Wait()                                    {}
func (noPersistence) Saving() bool                             { return false }
func (noPersistence) Busy() bool                               { return false }
func (p noPersistence) LastSave() int64                        { return p.started.Unix() }
func (noPersistence) Failing() bool                            { return false }
func (noPersistence) Loading() bool                            { return false }
func (noPersistence) LoadingBehind() bool                      { return false }
func (noPersistence) StopLoading() bool                        { return false }
func (noPersistence) Reload(bool, bool, bool) (bool, error)    { return false, errNoPersistence }
func (noPersistence) Info(field func(name string, value any))  {}
func (noPersistence) ResetStats()                              {}
func (noPersistence) InfoLoading(func(name string, value any)) {}
