package replica

import (
	"errors"
	"strings"
	"time"
)

// Candidate is a follower that could take over.
type Candidate struct {
	Host   string // as it announces itself
	Port   int
	Online bool  // it gets the stream
	Acked  int64 // the offset that it has told
}

// The states of a failover, as INFO shows them.
const (
	noFailover         = "no-failover"
	failoverWaits      = "waiting-for-sync"
	failoverInProgress = "failover-in-progress"
)

// failoverPoll is how often a failover looks whether its target has everything.
const failoverPoll = 5 * time.Millisecond

// handOver is a FAILOVER on its way. Its fields are under Follower.mu.
type handOver struct {
	state string
	host  string // empty: any follower
	port  int
	force bool      // at the end of the time even without everything
	end   time.Time // zero: never
	gone  bool      // aborted
}

// FailoverState is what INFO shows of a failover. At once.
func (f *Follower) FailoverState() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handOver == nil {
		return noFailover
	}
	return f.handOver.state
}

// candidate finds a follower by its address.
func (f *Follower) candidate(host string, port int) *Candidate {
	for _, c := range f.Candidates() {
		if c.Port == port && strings.EqualFold(c.Host, host) {
			return &c
		}
	}
	return nil
}

// Failover begins to hand over to the follower at host and port, or to any if
// host is empty: writes wait until one has the whole stream, and it is asked to
// lead then. After timeoutMs (0: never) it is given up, or with force gone
// through with. An error says why it cannot begin. At once.
func (f *Follower) Failover(host string, port int, force bool, timeoutMs int64) error {
	if len(f.Candidates()) == 0 {
		return errors.New("FAILOVER requires connected replicas.")
	}
	if force && (timeoutMs == 0 || host == "") {
		return errors.New("FAILOVER with force option requires both a timeout and target HOST and IP.")
	}
	if host != "" {
		switch c := f.candidate(host, port); {
		case c == nil:
			return errors.New("FAILOVER target HOST and PORT is not a replica.")
		case !c.Online:
			return errors.New("FAILOVER target replica is not online.")
		}
		f.Log.Noticef("FAILOVER requested to %s:%d.", host, port)
	} else {
		f.Log.Noticef("FAILOVER requested to any replica.")
	}
	h := &handOver{state: failoverWaits, host: host, port: port, force: force}
	if timeoutMs > 0 {
		h.end = time.Now().Add(time.Duration(timeoutMs) * time.Millisecond)
	}
	f.mu.Lock()
	if f.handOver != nil {
		f.mu.Unlock()
		return errors.New("FAILOVER already in progress.")
	}
	f.handOver = h
	f.mu.Unlock()
	f.HoldWrites(true)
	f.Stream.Hush(true)
	go f.handOverWhenSynced(h)
	return nil
}

// handOverWhenSynced waits for a follower that has everything.
func (f *Follower) handOverWhenSynced(h *handOver) {
	// Commands that have their locks now are done when this returns; commands that get
	// them later find writes held.
	held := f.Keyspace.LockAll()
	f.Keyspace.Unlock(&held)
	for {
		f.mu.Lock()
		over := f.handOver != h
		f.mu.Unlock()
		if over { // aborted
			return
		}
		if !h.end.IsZero() && time.Now().After(h.end) {
			if !h.force {
				f.abort(h, "Replica never caught up before timeout")
				return
			}
			f.Log.Noticef("FAILOVER to %s:%d time out exceeded, failing over.", h.host, h.port)
			f.goOver(h, h.host, h.port)
			return
		}
		offset := f.Stream.Offset()
		for _, c := range f.Candidates() {
			if c.Acked == offset && (h.host == "" || strings.EqualFold(c.Host, h.host) && c.Port == h.port) {
				f.Log.Noticef("Failover target %s:%d is synced, failing over.", c.Host, c.Port)
				f.goOver(h, c.Host, c.Port)
				return
			}
		}
		time.Sleep(failoverPoll)
	}
}

// goOver follows the new leader.
func (f *Follower) goOver(h *handOver, host string, port int) {
	f.mu.Lock()
	if f.handOver != h {
		f.mu.Unlock()
		return
	}
	h.state, h.host, h.port = failoverInProgress, host, port
	f.mu.Unlock()
	f.follow(host, port, func(err error) {
		if err == nil {
			f.clear(h)
			return
		}
		go f.abort(h, "Failover target rejected psync request") // it ends the link that calls this
	})
	f.mu.Lock()
	aborted := h.gone
	f.mu.Unlock()
	if aborted { // while this server was about to follow
		f.Lead()
	}
}

// clear ends a failover; false: it has ended already.
func (f *Follower) clear(h *handOver) bool {
	f.mu.Lock()
	mine := f.handOver == h
	if mine {
		f.handOver = nil
	}
	f.mu.Unlock()
	if mine {
		f.Stream.Hush(false)
		f.HoldWrites(false)
	}
	return mine
}

// AbortFailover gives a failover up. It waits; no stripe is locked.
func (f *Follower) AbortFailover() error {
	f.mu.Lock()
	h := f.handOver
	f.mu.Unlock()
	if h == nil {
		return errors.New("No failover in progress.")
	}
	f.abort(h, "Failover manually aborted")
	return nil
}

// abort gives a failover up and leads on.
func (f *Follower) abort(h *handOver, why string) {
	f.mu.Lock()
	mine, state, host, port := f.handOver == h, h.state, h.host, h.port
	h.gone = h.gone || mine
	f.mu.Unlock()
	if !mine {
		return
	}
	if host != "" {
		f.Log.Noticef("FAILOVER to %s:%d aborted: %s", host, port, why)
	} else {
		f.Log.Noticef("FAILOVER to any replica aborted: %s", why)
	}
	if state == failoverInProgress {
		f.Lead()
	}
	f.clear(h)
}
