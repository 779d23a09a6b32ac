package observe

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/process"
)

// HotKeys finds, for some time, the keys that take most of a server's time, and bring
// and take most bytes.
type HotKeys struct {
	// Noting is what commands note their keys in. It is nil while they do not. Every command loads it.
	Noting atomic.Pointer[HotSession]
	mu     lockrank.Mutex[lockrank.Hotkeys] // protects last, and that one begins at a time
	last   *HotSession
}

// hotWatched is how many keys are watched for each one that is wanted.
const hotWatched = 100

// HotWanted is what is to be noted.
type HotWanted struct {
	CPU, Net bool
	Count    int           // of keys that are told, for each
	Ratio    int           // one command of so many is noted
	Duration time.Duration // 0: until Stop
}

// HotSession is what is noted from Start to Stop.
type HotSession struct {
	HotWanted
	began time.Time
	// What the process had used when it began.
	user, sys time.Duration

	mu             lockrank.Mutex[lockrank.HotSession] // protects what follows; held for a few map operations, under stripe locks
	ended          time.Time                           // zero: not yet
	endUser, endSy time.Duration
	allNs, allNet  int64
	byTime, byNet  topKeys
}

// HotReport is what a session has noted so far.
type HotReport struct {
	HotWanted
	Active        bool
	Began         time.Time
	Took          time.Duration
	User, Sys     time.Duration // that the process has used meanwhile
	AllNs, AllNet int64         // of all commands
	ByTime, ByNet []HotKey      // greatest first
}

// Note notes a command that took ns; its request and reply have so many bytes. Its keys
// share both.
func (k *HotKeys) Note(h *HotSession, keys []keyspace.Key, ns, bytes int64) {
	if h.over() {
		k.stop(h)
		return
	}
	sampled := len(keys) > 0 && (h.Ratio == 1 || rand.IntN(h.Ratio) == 0)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.allNs += ns
	h.allNet += bytes
	if !sampled {
		return
	}
	n := int64(len(keys))
	for i := range keys {
		if h.CPU {
			h.byTime.add(keys[i].B, ns/n)
		}
		if h.Net {
			h.byNet.add(keys[i].B, bytes/n)
		}
	}
}

// over tells whether the session's time is over.
func (h *HotSession) over() bool { return h.Duration > 0 && time.Since(h.began) >= h.Duration }

// stop ends a session, if it is the present one, and tells whether it was.
func (k *HotKeys) stop(h *HotSession) bool {
	if h == nil || !k.Noting.CompareAndSwap(h, nil) {
		return false
	}
	user, sys := process.CPU()
	h.mu.Lock()
	h.ended = time.Now()
	if h.Duration > 0 && h.ended.Sub(h.began) > h.Duration {
		h.ended = h.began.Add(h.Duration)
	}
	h.endUser, h.endSy = user, sys
	h.mu.Unlock()
	return true
}

// active is the session in which keys are noted now.
func (k *HotKeys) active() *HotSession {
	h := k.Noting.Load()
	if h != nil && h.over() {
		k.stop(h) // no command has come since
		return nil
	}
	return h
}

// Start begins a session; false if there is one.
func (k *HotKeys) Start(w HotWanted) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.active() != nil {
		return false
	}
	h := &HotSession{HotWanted: w, began: time.Now(), byTime: newTopKeys(w.Count * hotWatched), byNet: newTopKeys(w.Count * hotWatched)}
	h.user, h.sys = process.CPU()
	k.last = h
	k.Noting.Store(h)
	return true
}

// Stop ends the session, if there is one.
func (k *HotKeys) Stop() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stop(k.active())
}

// Reset drops what the last session has noted; false if it has not ended.
func (k *HotKeys) Reset() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.active() != nil {
		return false
	}
	k.last = nil
	return true
}

// Report is what the present session has noted, or the last one; nil if there was none.
func (k *HotKeys) Report() *HotReport {
	k.mu.Lock()
	active, h := k.active() != nil, k.last
	k.mu.Unlock()
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	end, user, sys := h.ended, h.endUser, h.endSy
	if active {
		end = time.Now()
		user, sys = process.CPU()
	}
	return &HotReport{HotWanted: h.HotWanted, Active: active, Began: h.began, Took: end.Sub(h.began), User: user - h.user, Sys: sys - h.sys,
		AllNs: h.allNs, AllNet: h.allNet, ByTime: h.byTime.top(h.Count), ByNet: h.byNet.top(h.Count)}
}
