package persist

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// CONFIG SET dir moves the log: the next base is written into the new directory,
// and what changes from its instant on goes to the file in force and, beside it,
// to an increment in the new directory. The new directory is in force when its
// manifest names both; until then the old one has everything.

// moving is what a rewrite into another directory needs.
type moving struct {
	to    logDir
	lock  lockedDir
	files *manifest // those of the new directory
}

// moved is where the log is to go, nil where it is in its place.
func (l *Log) moved() (*moving, error) {
	to, err := l.where()
	if err != nil || to.dir == l.dir.dir {
		return nil, err
	}
	mv := &moving{to: to}
	if err = to.make(); err == nil {
		err = mv.lock.take(l.Disk, to.dir, to.of+".lock", "logs")
	}
	if err == nil {
		to.clean()
		mv.files, err = to.readTo()
	}
	if err != nil {
		mv.lock.release()
		return nil, err
	}
	return mv, nil
}

// strayed tells whether the log is not where the configuration wants it.
func (l *Log) strayed() bool {
	to, err := l.where()
	return err == nil && to.dir != l.dir.dir
}

// settleIn puts the new directory in force; its base is whole.
func (l *Log) settleIn(rw *rewriting) error {
	mv := rw.move
	if err := l.besideErr.Load(); err != nil {
		return *err
	}
	m := mv.files.clone()
	m.newBase(mv.to.of, rw.rdb)
	incr := m.newIncr(mv.to.of)
	if err := l.Disk.Rename(mv.to.path(mv.to.tempIncr()), mv.to.path(incr)); err != nil {
		return err
	}
	m.retire(1)
	if err := mv.to.write(m); err != nil {
		return err
	}
	done := make(chan error, 1)
	l.put(mark{over: true, done: done})
	if err := <-done; err != nil {
		return err
	}
	l.Log.Noticef("The append-only log has moved from %s to %s; the files of the old directory are not used any more", l.dir.dir, mv.to.dir)
	l.lock.adopt(&mv.lock)
	l.dir, l.files = mv.to, m
	return nil
}

// stay gives a move up.
func (l *Log) stay(rw *rewriting) {
	done := make(chan error, 1)
	l.put(mark{alone: true, done: done})
	<-done
	l.Disk.Remove(rw.move.to.path(rw.move.to.tempIncr()))
	rw.move.lock.release()
}

// dropBeside gives the file beside up; syncing is locked.
func (l *Log) dropBeside(err error) {
	if l.beside == nil {
		return
	}
	l.beside.Close()
	l.beside = nil
	if err != nil {
		err = fmt.Errorf("in the new directory: %w", err)
		l.besideErr.Store(&err)
	}
}

// writeBeside writes to the file beside; the writer calls it.
func (l *Log) writeBeside(b []byte) {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.beside == nil {
		return
	}
	if _, err := l.beside.Write(b); err != nil {
		l.dropBeside(err)
	}
}

// changeBeside does what a mark says of the file beside; what came before was
// synced, or err says why not. The writer calls it.
func (l *Log) changeBeside(m *mark, err error) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	switch {
	case m.beside != nil:
		l.beside, l.moves = m.beside, true
	case m.alone:
		l.dropBeside(nil)
		l.moves = false
	case err != nil:
	case l.beside == nil || l.file.Load() == nil: // it has just failed
		return errLogClosed
	default:
		to := l.beside
		size, _ := to.Size()
		(*l.file.Swap(&to)).Close()
		l.fileSize.Store(size)
		l.beside, l.moves = nil, false
	}
	return err
}

// readTo reads the manifest of a directory that is to be written into. Where
// there is none the numbers go on from those of the files that are there, so that
// none of them is replaced.
func (d *logDir) readTo() (*manifest, error) {
	m, err := d.read()
	if err != nil || !m.empty() {
		return m, err
	}
	for _, f := range d.orphans() {
		m.baseSeq, m.incrSeq = max(m.baseSeq, f.seq), max(m.incrSeq, f.seq)
	}
	return m, nil
}

// orphans are the files that are called like those of the log.
func (d *logDir) orphans() (list []logFile) {
	names, _ := d.disk.ReadDir(d.dir)
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, d.of+".")
		f := logFile{name: name}
		var kind string
		if n, _ := fmt.Sscanf(rest, "%d.%s", &f.seq, &kind); !ok || n != 2 || f.seq <= 0 {
			continue
		}
		switch kind {
		case "base.rdb", "base.aof":
			f.typ = baseFile
		case "incr.aof":
			f.typ = incrFile
		default:
			continue
		}
		list = append(list, f)
	}
	return list
}

// refuseOrphans is for a start without a manifest: files of a log that hold
// something must not be taken for nothing, and overwritten. What a crash in the
// first start of a log leaves is empty.
func (l *Log) refuseOrphans() error {
	var names []string
	for _, f := range l.dir.orphans() {
		if l.holdsSomething(f) {
			names = append(names, f.name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("the directory %s holds files of an append-only log (%s), but not its manifest %s, which says how they belong together. Restore it, or write it, with a line for each file, "+
		"the base first and then the increments in their order: file %s.1.base.rdb seq 1 type b, and file %s.1.incr.aof seq 1 type i. Or move the files away to start empty",
		l.dir.dir, strings.Join(names, ", "), l.dir.manifestName(), l.dir.of, l.dir.of)
}

// holdsSomething tells whether a file of a log is not as good as empty.
func (l *Log) holdsSomething(f logFile) bool {
	path := l.dir.path(f.name)
	size, _, err := l.Disk.Stat(path)
	if err == nil && size == 0 {
		return false
	}
	if f.typ == incrFile {
		return true
	}
	file, err := l.Disk.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return true
	}
	defer file.Close()
	var sig [sniff]byte
	n, _ := file.ReadAt(sig[:], 0)
	if !isSnapshot(sig[:n]) {
		return sig[0] != '#' || size > stampMax // more than a time stamp
	}
	keys, err := l.count(file, f.name)
	return err != nil || keys > 0
}

// stampMax is more than a time stamp takes, in bytes.
const stampMax = 32

// count is how many keys a snapshot file has.
func (s *Saver) count(r io.Reader, name string) (int64, error) {
	l := s.newLoader(r, name, manner{proof: true, keep: true})
	_, err := l.read()
	return l.keys, err
}

// refuseOldDirectory: a directory where the one file of an old log may be is
// no log, but somebody expects one there (a container's bind mount makes one
// where the file is missing).
func (l *Log) refuseOldDirectory(old string) error {
	if _, dir, err := l.Disk.Stat(old); err == nil && dir && old != filepath.Clean(l.dir.dir) {
		return errors.New("it is a directory")
	}
	return nil
}
