package persist

import (
	"io"
	"path/filepath"
	"time"
)

// Replacement says how a snapshot takes the place of the contents: a follower
// gets one from its leader.
type Replacement struct {
	Name string // of the source, for messages
	Size int64  // in bytes; 0 where that is not known
	// Beside: it is loaded into fresh databases while the contents stay, and
	// the two are exchanged when it is whole. Otherwise they are emptied first.
	Beside bool
	// Serve: with Beside, the old contents are served meanwhile.
	Serve bool
	// At is called when the new contents are whole and before anybody sees them,
	// with all stripes locked.
	At func(aux map[string]string)
}

// Verify tells whether the snapshot that r yields can be loaded here: it is read
// whole, and its values are decoded one by one and dropped. name is the source,
// for messages. Errors are *LoadError. No stripe is locked, and nothing changes.
func (s *Saver) Verify(r io.Reader, name string) error {
	_, _, err := s.loadStream(r, name, 0, manner{proof: true, keep: true})
	return err
}

// Replace loads the snapshot that r yields in place of the contents. After an
// error, a *LoadError, the contents are what they were with Beside, and empty
// without. No stripe is locked; it waits for DEBUG RELOAD and DEBUG LOADAOF, and saves
// in the background stay away by themselves.
func (s *Saver) Replace(r io.Reader, o Replacement) error {
	s.contents.Lock() // else DEBUG RELOAD saves what is half loaded, and loads that
	defer s.contents.Unlock()
	s.mu.Lock()
	s.loadStart = time.Now()
	s.mu.Unlock()
	state := &s.loading
	if o.Serve {
		state = &s.behind
	}
	state.Store(true)
	s.Changed()
	defer func() {
		state.Store(false)
		s.Changed()
	}()
	if o.Beside {
		fresh := s.Keyspace.NewFresh()
		install := func() {}
		aux, _, err := s.loadStream(r, o.Name, o.Size, manner{fresh: fresh, keep: true, install: &install})
		if err != nil {
			fresh.Drop()
			return err
		}
		fresh.Exchange(s.Keyspace.Now().UnixMilli(), func() { install(); s.replaced(o, aux) })
		return nil
	}
	s.setPartial(true, true)
	// A write that was admitted before the server began to follow may have come
	// in between, so a key that is there is no error.
	aux, _, err := s.loadStream(r, o.Name, o.Size, manner{dups: replaceDuplicates, keep: true})
	if err != nil {
		s.setPartial(false, true)
		return err
	}
	h := s.Keyspace.LockAll()
	s.partial = false
	s.replaced(o, aux)
	s.Keyspace.Unlock(&h)
	return nil
}

func (s *Saver) replaced(o Replacement, aux map[string]string) {
	s.Dirty.Store(0)
	if s.Options.Replaced != nil {
		s.Options.Replaced()
	}
	if o.At != nil {
		o.At(aux)
	}
}

// setPartial says whether the contents are being replaced where they stand, from one
// moment on, in which they may be emptied. contents is held, no stripe is locked.
func (s *Saver) setPartial(on, flush bool) {
	h := s.Keyspace.LockAll()
	s.partial = on
	if s.backup != nil {
		s.backup.spoil(errReplaced)
	}
	if flush {
		s.Keyspace.FlushAll(s.Keyspace.Now().UnixMilli())
	}
	s.Keyspace.Unlock(&h)
}

// LoadingBehind tells whether contents are being loaded while the old ones are
// served. At once.
func (s *Saver) LoadingBehind() bool { return s.behind.Load() }

// Keep makes a whole snapshot file the one that the next start loads. It locks
// the working directory, which the file is in, if that is not locked yet.
func (s *Saver) Keep(path string) error {
	dir, err := s.Config.Dir.Path()
	if err != nil {
		return err
	}
	if err := s.lock.take(s.Disk, dir, LockName, "saves"); err != nil {
		return err
	}
	return replace(s.Disk, path, filepath.Join(dir, s.Config.DBFilename.Load()))
}
