package replica

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"kvd/persist"
)

// transfer is one snapshot on its way to the followers that waited for it:
// straight to their sockets, or by way of the file.
type transfer struct {
	l       *Leader
	disk    bool
	noData  bool
	rdbOnly bool // nobody of them goes on with the stream
	path    string
	mark    []byte // 40 bytes that end a snapshot of unknown length

	// members changes under Leader.mu; to sockets, only before the instant.
	members []*follower
	eof     bool // all of them take a snapshot of unknown length

	// id and offset are set at the instant, before begun is closed.
	id     string
	offset int64
	begun  chan struct{}

	once sync.Once
	over chan struct{} // closed when the snapshot has ended
	err  error         // then
}

// askTransfer has a newcomer join the snapshot that is being written, or a new
// one begun soon.
func (l *Leader) askTransfer(f *follower) {
	l.mu.Lock()
	t := l.transfer
	joined := t != nil && t.join(f)
	l.mu.Unlock()
	switch {
	case joined:
		l.Log.Noticef("Waiting for end of BGSAVE for SYNC")
	case t != nil && t.disk:
		l.Log.Noticef("Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC")
	case t != nil:
		l.Log.Noticef("Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC")
	case l.Snapshots.Saving():
		l.Log.Noticef("Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC")
	case l.Config.ReplDisklessSync.Load() && f.EOF && l.Config.ReplDisklessSyncDelay.Load() > 0:
		l.Log.Noticef("Delay next BGSAVE for diskless SYNC")
	}
	l.look()
}

// look has the watch look at once.
func (l *Leader) look() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// join adds a follower to a snapshot whose instant is past, which a file allows
// while the stream from there on is held; Leader.mu is locked.
func (t *transfer) join(f *follower) bool {
	select {
	case <-t.begun:
	default:
		return false
	}
	if f.removed || !t.disk || f.NoData != t.noData || t.rdbOnly && !f.RDBOnly {
		return false
	}
	select {
	case <-t.over:
		return false
	default:
	}
	r, ok := t.l.Stream.NewReader(t.offset+1, f.overrun)
	if !ok {
		return false
	}
	f.reader, f.state = r, waitEnd
	t.members = append(t.members, f)
	f.begin <- t
	return true
}

// startTransfer begins a snapshot if somebody waits for one long enough.
func (l *Leader) startTransfer(now time.Time) {
	diskless := l.Config.ReplDisklessSync.Load()
	delay := time.Duration(l.Config.ReplDisklessSyncDelay.Load()) * time.Second
	most := int(l.Config.ReplDisklessSyncMaxReplicas.Load())
	t := &transfer{l: l, eof: true, rdbOnly: true, begun: make(chan struct{}), over: make(chan struct{})}
	due := !diskless
	l.mu.Lock()
	if l.transfer != nil || l.Snapshots.Saving() {
		l.mu.Unlock()
		return
	}
	for _, f := range l.followers {
		if f.state != waitStart || f.isGone() {
			continue
		}
		if len(t.members) == 0 {
			t.noData = f.NoData
		} else if t.noData != f.NoData {
			continue // its turn comes
		}
		t.members = append(t.members, f)
		t.eof = t.eof && f.EOF
		t.rdbOnly = t.rdbOnly && f.RDBOnly
		due = due || now.Sub(f.since) >= delay || !f.EOF
	}
	if len(t.members) == 0 || !due && (most == 0 || len(t.members) < most) {
		l.mu.Unlock()
		return
	}
	for _, f := range t.members {
		f.state = waitEnd
	}
	l.transfer = t
	l.mu.Unlock()

	t.disk = !t.eof || !diskless && !t.noData
	target := "replicas sockets"
	s := persist.Snapshot{At: t.at, Done: t.finish, NoData: t.noData}
	if t.disk {
		target = "disk"
		t.path = l.Config.DBFilename.Load()
		s.Path = t.path
	} else {
		t.mark = []byte(NewID())
		s.Stream = t
	}
	if l.Snapshots.Begin(s) { // somebody was quicker; the next look tries again
		l.mu.Lock()
		l.transfer = nil
		for _, f := range t.members {
			f.state = waitStart
		}
		l.mu.Unlock()
		return
	}
	l.Log.Noticef("Starting BGSAVE for SYNC with target: %s", target)
	if t.disk {
		l.Log.Noticef("Background saving started by pid %d", os.Getpid())
	} else {
		l.Log.Noticef("Background RDB transfer started by pid %d", os.Getpid())
	}
	l.mu.Lock()
	l.giveUp(t)
	l.mu.Unlock()
}

// giveUp ends the snapshot if it has lost its last follower and is of no other
// use; mu is locked.
func (l *Leader) giveUp(t *transfer) {
	select {
	case <-t.begun:
	default:
		return // another snapshot may be the one that runs
	}
	if l.transfer != t || t.disk && len(l.Config.Save.Load()) > 0 { // it has ended, or is as good as a save
		return
	}
	for _, f := range t.members {
		if !f.isGone() {
			return
		}
	}
	t.lost()
	l.Snapshots.Abort()
}

// lost logs that no follower is left.
func (t *transfer) lost() {
	t.once.Do(func() {
		if !t.disk {
			t.l.Log.Warningf("Diskless rdb transfer, last replica dropped, killing fork child.")
		}
	})
}

// at is called at the instant, with all stripes locked.
func (t *transfer) at() []string {
	t.id, t.offset = t.l.Stream.instant()
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	for _, f := range t.members {
		if !f.removed {
			f.reader, _ = t.l.Stream.NewReader(t.offset+1, f.overrun)
		}
	}
	close(t.begun)
	for _, f := range t.members {
		f.begin <- t
	}
	return nil
}

// instant makes the stream select its database anew, for the readers that begin here.
func (s *Stream) instant() (id string, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.following {
		s.selected = -1
	}
	return s.id, s.end.Load()
}

var errNoFollower = errors.New("no replica is left that waits for the snapshot")

// Write sends a part of the snapshot to all sockets. A socket that fails is dropped, and
// the others go on.
func (t *transfer) Write(b []byte) (int, error) {
	alive := 0
	for _, f := range t.members {
		select {
		case <-f.headed:
		case <-f.gone:
		}
		if f.isGone() {
			continue
		}
		if err := f.write(b); err != nil {
			t.drop(f, err)
			continue
		}
		alive++
	}
	if alive == 0 {
		t.lost()
		return 0, errNoFollower
	}
	return len(b), nil
}

// Close ends a Write in progress: the snapshot is given up.
func (t *transfer) Close() error {
	for _, f := range t.members {
		f.close()
	}
	return nil
}

func (t *transfer) drop(f *follower, err error) {
	if f.isGone() {
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.l.Log.Warningf("Disconnecting timedout replica (full sync): %s", f.name())
	} else {
		t.l.Log.Warningf("Diskless rdb transfer, write error sending DB to replica: %v", err)
	}
	f.close()
}

// finish is called when the snapshot has ended, one way or the other, and
// before another one may begin.
func (t *transfer) finish(err error) {
	l := t.l
	select {
	case <-t.begun:
	default: // it failed before the instant
		for _, f := range t.members {
			_ = f.write([]byte("-ERR BGSAVE failed, replication can't continue\r\n"))
			f.close()
		}
		l.Log.Warningf("BGSAVE for replication failed")
	}
	l.mu.Lock()
	l.transfer = nil
	members := t.members
	switch {
	case err != nil:
	case t.disk:
		if l.Config.RDBDelSyncFiles.Load() {
			l.removable = t.path
		}
		for _, f := range members {
			if f.removed {
				continue
			}
			if f.file, err = os.Open(l.inDir(t.path)); err != nil {
				l.Log.Warningf("SYNC failed. Can't open/stat DB after BGSAVE: %v", err)
				break
			}
			f.state = sendBulk
		}
	}
	l.mu.Unlock()
	if err != nil {
		for _, f := range members {
			if !f.isGone() {
				l.Log.Warningf("SYNC failed. BGSAVE child returned an error")
			}
			f.close()
		}
	}
	t.err = err
	close(t.over)
	if err == nil && !t.disk {
		up := 0
		for _, f := range members {
			if !f.isGone() {
				up++
			}
		}
		l.Log.Warningf("Diskless rdb transfer, done reading from pipe, %d replicas still up.", up)
	}
	l.look()
}

// fullSync sends a snapshot and puts the follower online; false: the connection
// is over.
func (f *follower) fullSync() bool {
	var t *transfer
	for t == nil {
		select {
		case t = <-f.begin:
		case <-f.gone:
			return false
		case <-time.After(time.Second):
			if f.beat() != nil {
				return false
			}
		}
	}
	if t.disk {
		return f.fromFile(t)
	}
	head := t.head(f) + "$EOF:" + string(t.mark) + "\r\n"
	if f.write([]byte(head)) != nil {
		return false
	}
	close(f.headed)
	select {
	case <-t.over:
	case <-f.gone:
		return false
	}
	if t.err != nil || f.write(t.mark) != nil {
		return false
	}
	f.l.Log.Noticef("Streamed RDB transfer with replica %s succeeded (socket). Waiting for REPLCONF ACK from slave to enable streaming", f.name())
	if !f.putOnline() {
		return false
	}
	// It looks for the mark at the end of what it reads, so nothing may follow
	// before it has answered.
	select {
	case <-f.ready:
		return true
	case <-f.gone:
		return false
	}
}

// beat tells the follower that this server is alive. A server that stands still,
// with its keyspace locked, is not, and waits here.
func (f *follower) beat() error {
	h := f.l.Keyspace.LockAll()
	f.l.Keyspace.Unlock(&h)
	return f.write([]byte("\n"))
}

// head is the reply to PSYNC.
func (t *transfer) head(f *follower) string {
	if f.Old {
		return ""
	}
	return fmt.Sprintf("+FULLRESYNC %s %d\r\n", t.id, t.offset)
}

// fromFile waits for the file and sends it.
func (f *follower) fromFile(t *transfer) bool {
	if f.write([]byte(t.head(f))) != nil {
		return false
	}
	for waiting := true; waiting; {
		select {
		case <-t.over:
			waiting = false
		case <-f.gone:
			return false
		case <-time.After(time.Second):
			if f.beat() != nil {
				return false
			}
		}
	}
	if t.err != nil || f.file == nil {
		return false
	}
	st, err := f.file.Stat()
	if err == nil {
		err = f.write(fmt.Appendf(nil, "$%d\r\n", st.Size()))
	}
	buf := make([]byte, 256<<10)
	for left := int64(0); err == nil && left < st.Size(); {
		var n int
		if n, err = f.file.Read(buf); err == nil {
			err = f.write(buf[:n])
			left += int64(n)
		}
	}
	if err != nil {
		if !f.isGone() {
			f.l.Log.Warningf("Write error sending DB to replica: %v", err)
		}
		return false
	}
	return f.putOnline()
}

// putOnline says that the follower has the snapshot; false: it wants no more.
func (f *follower) putOnline() bool {
	l := f.l
	l.mu.Lock()
	f.state, f.ackTime = online, time.Now()
	if f.RDBOnly {
		f.state = sent
	}
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
	l.mu.Unlock()
	if f.RDBOnly {
		l.Log.Noticef("RDB transfer completed, rdb only replica (%s) should be disconnected asap", f.name())
		return false
	}
	l.Log.Noticef("Synchronization with replica %s succeeded", f.name())
	l.Acked()
	return f.reader != nil
}

// removeSyncFile removes a file that only a synchronization needed, where
// rdb-del-sync-files is set and nothing else is saved.
func (l *Leader) removeSyncFile() {
	l.mu.Lock()
	name := l.removable
	if !l.Config.RDBDelSyncFiles.Load() {
		l.removable, name = "", ""
	}
	for _, f := range l.followers {
		if f.state == waitStart || f.state == waitEnd || f.state == sendBulk {
			name = ""
		}
	}
	if name != "" && len(l.Config.Save.Load()) > 0 {
		name = ""
	}
	if name != "" {
		l.removable = ""
	}
	l.mu.Unlock()
	if name != "" {
		l.Log.Noticef("Removing the RDB file used to feed replicas in a persistence-less instance")
		_ = os.Remove(l.inDir(name))
	}
}

// inDir is a path relative to the directory of data files.
func (l *Leader) inDir(name string) string {
	if dir, err := l.Config.Dir.Path(); err == nil && !filepath.IsAbs(name) {
		return filepath.Join(dir, name)
	}
	return name
}
