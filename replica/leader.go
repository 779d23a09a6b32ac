package replica

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"kvd/config"
	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/logf"
	"kvd/persist"
)

// Snapshots is what a Leader wants of package persist's Saver.
type Snapshots interface {
	Begin(persist.Snapshot) (busy bool)
	Abort()
	Saving() bool
}

// Options wire a Leader to the server. All functions may be called from any
// goroutine, and are called with no lock held.
type Options struct {
	Stream    *Stream
	Keyspace  *keyspace.Keyspace
	Config    *config.Config
	Log       *logf.Logger
	Snapshots Snapshots
	// Acked is called after a follower has acknowledged more than before, or has
	// come or gone.
	Acked func()
	// In and Out count the bytes that come from followers and go to them.
	In, Out *atomic.Int64
}

// Leader serves followers, on a leader and on a follower that has followers of
// its own.
type Leader struct {
	Options

	fulls, partials, refused atomic.Int64 // synchronizations, for INFO

	// mu protects what follows, and the fields of followers and transfers that
	// say so. Nobody waits for a stripe, a socket or a file under it; it may be
	// taken with stripes locked.
	mu        lockrank.Mutex[lockrank.ReplicaLeader]
	followers []*follower
	transfer  *transfer // the snapshot on its way to followers, nil mostly
	aloneFrom time.Time // since when there is no follower
	removable string    // a file that only a synchronization needed (rdb-del-sync-files)

	kick chan struct{} // has the watch look at once
	stop chan struct{}
	end  sync.WaitGroup
}

// NewLeader makes a Leader; Start follows.
func NewLeader(o Options) *Leader {
	return &Leader{Options: o, aloneFrom: time.Now(), kick: make(chan struct{}, 1), stop: make(chan struct{})}
}

// watchEvery is how often followers are looked after.
const watchEvery = 100 * time.Millisecond

// Start begins to look after followers.
func (l *Leader) Start() {
	l.end.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		pinged, second := time.Now(), time.Now()
		for {
			select {
			case <-l.stop:
				return
			case <-l.kick:
				l.startTransfer(time.Now())
				continue
			case <-tick.C:
			}
			now := time.Now()
			l.Stream.CheckLimits(now)
			l.startTransfer(now)
			l.noteLags()
			if now.Sub(second) < time.Second-watchEvery/2 {
				continue
			}
			second = now
			l.dropSilent(now)
			l.dropBacklog(now)
			l.Stream.Trim()
			l.removeSyncFile()
			if every := time.Duration(l.Config.ReplPingReplicaPeriod.Load()) * time.Second; now.Sub(pinged) >= every-watchEvery/2 {
				pinged = now
				if l.Followers() > 0 {
					l.Stream.Ping()
				}
			}
			l.Acked() // which followers are good depends on the time
		}
	})
}

// Close drops all followers and ends the watch.
func (l *Leader) Close() {
	close(l.stop)
	l.end.Wait()
	l.Disconnect()
}

// Disconnect drops all followers: they are to come again, because the history
// has another name.
func (l *Leader) Disconnect() {
	l.mu.Lock()
	all := slices.Clone(l.followers)
	l.mu.Unlock()
	for _, f := range all {
		f.close()
	}
}

// Distrust has all followers synchronize in full when they come back: the contents
// have changed and the stream does not say how. Stripes may be locked.
func (l *Leader) Distrust() {
	l.Stream.ChangeID()
	l.Stream.ForgetSecond()
	l.Log.Warningf("The replication stream does not say all that has changed: it gets a new name, and replicas have to synchronize in full")
	l.Disconnect()
}

// Followers is the number of followers in any state.
func (l *Leader) Followers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.followers)
}

// ID is the name of the history.
func (l *Leader) ID() string {
	id, _, _, _ := l.Stream.IDs()
	return id
}

// ChangeID gives the history a name that nobody knows (DEBUG CHANGE-REPL-ID).
func (l *Leader) ChangeID() {
	l.Stream.ChangeID()
	l.Stream.ForgetSecond()
}

// Candidates are the followers, as a FAILOVER wants to know them.
func (l *Leader) Candidates() (all []Candidate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.followers {
		all = append(all, Candidate{Host: f.host(), Port: f.Port, Online: f.state == online, Acked: f.acked})
	}
	return
}

// BeginTurn and EndTurn are the Stream's.
func (l *Leader) BeginTurn() bool { return l.Stream.BeginTurn() }

// EndTurn see BeginTurn.
func (l *Leader) EndTurn() { l.Stream.EndTurn() }

// Offset is the number of the stream's last byte.
func (l *Leader) Offset() int64 { return l.Stream.Offset() }

// AckedBy is the number of followers that have acknowledged all bytes up to offset. One
// that has been sent the snapshot, but has not said that it is loaded, is none of them,
// not even for an offset of 0: what was written before there was a stream is in there.
func (l *Leader) AckedBy(offset int64) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.followers {
		if f.state == online && f.answered() && f.acked >= offset {
			n++
		}
	}
	return
}

// SyncedBy is the number of followers whose log has all bytes up to offset on
// their disk, as they say.
func (l *Leader) SyncedBy(offset int64) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.followers {
		if f.state == online && f.synced >= offset {
			n++
		}
	}
	return
}

// Behind describes the followers in the stream that have not acknowledged all
// bytes up to offset; all is how many are in the stream.
func (l *Leader) Behind(offset int64) (lagging []string, all int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.followers {
		if f.state != online || f.Old { // a follower that sent SYNC acknowledges nothing
			continue
		}
		if all++; f.acked < offset {
			lagging = append(lagging, fmt.Sprintf("%s reported offset %d behind master, lag=%d, state=%s.", f.name(), offset-f.acked, int64(time.Since(f.ackTime)/time.Second), f.state))
		}
	}
	return lagging, all
}

// RequestAcks asks the followers how far they are.
func (l *Leader) RequestAcks() {
	if l.Followers() > 0 {
		l.Stream.GetAck()
	}
}

// Hush is the Stream's.
func (l *Leader) Hush(on bool) { l.Stream.Hush(on) }

// Good is the number of followers heard of within min-replicas-max-lag.
func (l *Leader) Good() (n int) {
	most := l.Config.MinReplicasMaxLag.Load()
	now := time.Now().Unix()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.followers {
		if f.state == online && now-f.ackTime.Unix() <= most {
			n++
		}
	}
	return
}

// EachOnline calls f for every follower that is in the stream, as ROLE shows it.
func (l *Leader) EachOnline(f func(addr string, port int, acked int64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fo := range l.followers {
		if fo.state == online {
			f(fo.host(), fo.Port, fo.acked)
		}
	}
}

// Info reports the fields of INFO's section on replication that are about
// leading; failover is the state of one. Stripes may be locked.
func (l *Leader) Info(field func(name string, value any), failover string) {
	id, id2, offset, second := l.Stream.IDs()
	b := l.Stream.Backlog()
	good := l.Good()
	now := time.Now()
	l.mu.Lock()
	field("connected_slaves", len(l.followers))
	if l.Config.MinReplicasToWrite.Load() > 0 && l.Config.MinReplicasMaxLag.Load() > 0 {
		field("min_slaves_good_slaves", good)
	}
	for i, f := range l.followers {
		lag := int64(0)
		if f.state == online {
			lag = now.Unix() - f.ackTime.Unix()
		}
		field("slave"+strconv.Itoa(i), "ip="+f.host()+",port="+strconv.Itoa(f.Port)+",state="+f.state.String()+
			",offset="+strconv.FormatInt(f.acked, 10)+",lag="+strconv.FormatInt(lag, 10))
	}
	l.mu.Unlock()
	field("master_failover_state", failover)
	field("master_replid", id)
	field("master_replid2", id2)
	field("master_repl_offset", offset)
	field("second_repl_offset", second)
	active := 0
	if b.Active {
		active = 1
	}
	field("repl_backlog_active", active)
	field("repl_backlog_size", l.Config.ReplBacklogSize.Load())
	field("repl_backlog_first_byte_offset", b.First)
	field("repl_backlog_histlen", b.Length)
}

// Counters are INFO's counts of full synchronizations, of partial ones, and of
// requests for partial ones that were refused.
func (l *Leader) Counters() (full, partial, refused int64) {
	return l.fulls.Load(), l.partials.Load(), l.refused.Load()
}

// Memory is what INFO shows, in bytes: the backlog's own, what is held beyond
// it for slow followers, and what of the stream is in a file.
func (l *Leader) Memory() (backlog, total, file int64) {
	b := l.Stream.Backlog()
	return b.Memory - b.Beyond, b.Memory, b.InFile
}

// dropSilent drops followers that were not heard of for repl-timeout.
func (l *Leader) dropSilent(now time.Time) {
	timeout := l.timeout()
	l.mu.Lock()
	var silent []*follower
	for _, f := range l.followers {
		if f.state == online && !f.Old && now.Sub(f.ackTime) > timeout {
			silent = append(silent, f)
		}
	}
	l.mu.Unlock()
	for _, f := range silent {
		l.Log.Warningf("Disconnecting timedout replica (streaming sync): %s", f.name())
		f.close()
	}
}

func (l *Leader) timeout() time.Duration {
	return time.Duration(l.Config.ReplTimeout.Load()) * time.Second
}

// dropBacklog frees the backlog when there was no follower for repl-backlog-ttl.
func (l *Leader) dropBacklog(now time.Time) {
	ttl := l.Config.ReplBacklogTTL.Load()
	l.mu.Lock()
	idle := ttl > 0 && len(l.followers) == 0 && now.Sub(l.aloneFrom) > time.Duration(ttl)*time.Second
	l.mu.Unlock()
	if !idle || !l.Stream.Backlog().Active || l.Stream.Following() {
		return
	}
	h := l.Keyspace.LockAll()
	dropped := l.Followers() == 0 && l.Stream.Drop()
	l.Keyspace.Unlock(&h)
	if dropped {
		l.Log.Noticef("Replication backlog freed after %d seconds without connected replicas.", ttl)
	}
}

// Alone begins to count repl-backlog-ttl anew: the instance leads from now on.
func (l *Leader) Alone() {
	l.mu.Lock()
	l.aloneFrom = time.Now()
	l.mu.Unlock()
}

// noteLags tells the front end what followers lag.
func (l *Leader) noteLags() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.followers {
		if f.reader != nil && f.Lag != nil {
			f.Lag(f.reader.Lag())
		}
	}
}
