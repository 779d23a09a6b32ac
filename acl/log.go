package acl

import (
	"slices"

	"kvd/lockrank"
)

// Entry is something that was not allowed, as ACL LOG shows it.
type Entry struct {
	ID       int64
	Count    int64
	Reason   Reason
	Context  string // toplevel, multi or lua
	Object   string // the command, key or channel
	Username string
	Created  int64  // Unix milliseconds
	Updated  int64  // when it was counted last
	Client   string // as CLIENT LIST describes it
}

// Log is the last events that were not allowed, the newest first. It may be used by any
// number of goroutines.
type Log struct {
	mu      lockrank.Mutex[lockrank.AclLog] // protects what follows
	entries []Entry
	next    int64
}

const (
	// mergeWithin is the milliseconds within which the same event counts as one entry.
	mergeWithin = 60000
	// mergeAmong is how many of the newest entries may be the same event.
	mergeAmong = 10
	// maxLogText is how many bytes of an object or a name an entry keeps: a client that
	// is refused chooses them.
	maxLogText = 4 << 10
)

// Add notes an event at now, in Unix milliseconds, and keeps most entries. Count,
// ID and the times of e are set here.
func (l *Log) Add(e Entry, now, most int64) {
	e.Object, e.Username = clip(e.Object), clip(e.Username)
	e.Created, e.Updated, e.Count = now, now, 1
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range min(len(l.entries), mergeAmong) {
		o := l.entries[i]
		if d := now - o.Updated; o.Reason != e.Reason || o.Context != e.Context || o.Object != e.Object || o.Username != e.Username || d > mergeWithin || d < -mergeWithin {
			continue
		}
		o.Client, o.Updated = e.Client, now
		o.Count++
		copy(l.entries[1:i+1], l.entries[:i])
		l.entries[0] = o
		return
	}
	e.ID = l.next
	l.next++
	l.entries = slices.Insert(l.entries, 0, e)
	l.trim(most)
}

func clip(s string) string {
	if len(s) > maxLogText {
		return s[:maxLogText]
	}
	return s
}

// Trim drops the oldest entries until there are at most so many.
func (l *Log) Trim(most int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim(most)
}

func (l *Log) trim(most int64) {
	if int64(len(l.entries)) > most {
		clear(l.entries[most:])
		l.entries = l.entries[:most]
	}
}

// Newest are at most n entries.
func (l *Log) Newest(n int64) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries[:min(max(n, 0), int64(len(l.entries)))])
}

// Reset drops all entries. The numbering goes on.
func (l *Log) Reset() {
	l.mu.Lock()
	l.entries = nil
	l.mu.Unlock()
}
