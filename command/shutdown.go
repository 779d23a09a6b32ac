package command

import (
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// A shutdown first waits for followers that lag, so that what is acknowledged is
// not lost with this server: writes wait meanwhile, reads go on, and SHUTDOWN
// ABORT ends it. Then all clients wait, and the data is saved.

// shutdown is its state.
type shutdown struct {
	under atomic.Bool  // PrepareShutdown is under way
	until atomic.Int64 // it waits for followers, until then, Unix ms; 0 means that it does not wait
	hurry atomic.Bool  // SHUTDOWN NOW: do not wait any more
	abort atomic.Bool  // SHUTDOWN ABORT
}

var (
	// errShutdown: the server is being ended already.
	errShutdown = errors.New("a shutdown is already under way")
	// errFirstLog: without the log's first base the data would be lost.
	errFirstLog = errors.New("the first base of the append-only log is not written yet")
	// errAborted: by SHUTDOWN ABORT.
	errAborted = errors.New("the shutdown was aborted")
)

// shutdownPoll is how often a shutdown looks how far the followers are.
const shutdownPoll = 5 * time.Millisecond

// PrepareShutdown does what must be done before the server may end: followers
// get what is acknowledged, unless now says not to wait for that, nobody is
// served any more, loading and a running snapshot are given up, and the data is
// saved if save points are configured. save and nosave say otherwise. After an
// error, which force does not let happen, everything goes on. It waits; no
// stripe is locked.
func (s *Server) PrepareShutdown(save, nosave, now, force bool) error {
	d := &s.shutdown
	if !d.under.CompareAndSwap(false, true) {
		if now {
			d.hurry.Store(true)
		}
		for d.until.Load() != 0 { // it may be aborted, and nobody is told so before
			time.Sleep(shutdownPoll)
		}
		return errShutdown
	}
	s.Log.Warningf("User requested shutdown...")
	p := s.persist
	if p.StopLoading() {
		return nil // nobody was served, so there is nothing to be saved or flushed
	}
	hushed := false
	goOn := func(err error) error {
		if hushed {
			s.replication.Hush(false)
		}
		s.endPause()
		s.spareScripts()
		d.under.Store(false)
		return err
	}
	// Behind a script that cannot be ended SHUTDOWN NOSAVE goes at once: nothing of it is kept.
	hard := s.endScripts() && nosave
	if !now && !hard && !s.catchUp() {
		s.Log.Noticef("Shutdown manually aborted.")
		return goOn(errAborted)
	}
	// From here on commands wait, so that what is acknowledged is saved.
	s.startPause(pauseAll, math.MaxInt64)
	// Nor does a PING come behind the offset that is saved: a follower that has it would be
	// ahead of the file, and the next start could not go on with it.
	hushed = true
	s.replication.Hush(true)
	if p.Starting() && !nosave && !force {
		s.Log.Warningf("Writing initial AOF, can't exit.")
		return goOn(errFirstLog)
	}
	if p.Busy() {
		s.Log.Warningf("There is a snapshot being written. It is given up.")
		p.Abort()
		p.Wait()
	}
	if s.Config.AppendOnly.Load() {
		s.Log.Noticef("Calling fsync() on the AOF file.")
		if err := p.Flush(); err != nil {
			s.Log.Warningf("Fail to fsync the AOF file: %v.", err)
		}
	}
	if !save && (nosave || len(s.Config.Save.Load()) == 0) {
		return nil
	}
	s.Log.Noticef("Saving the final RDB snapshot before exiting.")
	// A command that was admitted just before the pause may run just after the
	// instant; it has long ended when the file is there, and was counted.
	for range 3 {
		err := p.SaveAfter()
		if err != nil && p.StopLoading() {
			return nil // a leader's contents began to be loaded meanwhile
		}
		if err != nil && !force {
			s.Log.Warningf("Error trying to save the DB, can't exit.")
			return goOn(err)
		}
		if err != nil {
			s.Log.Warningf("Error trying to save the DB, exiting anyway: FORCE was given.")
			return nil
		}
		if s.Stats.DirtySinceSave.Load() == 0 {
			break
		}
	}
	return nil
}

// catchUp waits until the followers have all that was acknowledged, for
// shutdown-timeout at most; false: the shutdown was aborted meanwhile.
func (s *Server) catchUp() bool {
	r, d := &s.replication, &s.shutdown
	timeout := time.Duration(min(s.Config.ShutdownTimeout.Load(), math.MaxInt64/int64(time.Second))) * time.Second
	if timeout == 0 || r.Followers() == 0 {
		return true
	}
	s.startPause(pauseWrites, math.MaxInt64)
	h := s.Keyspace.LockAll() // who was admitted before is done then
	offset := r.Offset()
	s.Keyspace.Unlock(&h)
	behind, all := r.Behind(offset)
	if len(behind) > 0 {
		s.Log.Noticef("Waiting for replicas before shutting down.")
		end := time.Now().Add(timeout)
		d.hurry.Store(false)
		d.abort.Store(false)
		d.until.Store(end.UnixMilli())
		defer d.until.Store(0)
		r.RequestAcks()
		for len(behind) > 0 && time.Now().Before(end) && !d.hurry.Load() {
			if d.abort.Load() {
				return false
			}
			time.Sleep(shutdownPoll)
			behind, all = r.Behind(offset)
		}
	}
	for _, text := range behind {
		s.Log.Warningf("Lagging replica %s", text)
	}
	if all > 0 {
		s.Log.Noticef("%d of %d replicas are in sync when shutting down.", all-len(behind), all)
	}
	return true
}

// Ending tells whether the server is about to end.
func (s *Server) Ending() bool { return s.shutdown.under.Load() }
