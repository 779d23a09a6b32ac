package observe

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"kvd/lockrank"
)

// Entry is a command in a log.
type Entry struct {
	ID    int64
	At    int64 // Unix seconds
	Value int64 // microseconds, or bytes
	Kept
	Addr, Name string // of the client
}

// Kept is what a log keeps of a command's arguments.
type Kept struct {
	Args []string
	Argc int // how many there were
}

// CommandLog keeps the last commands that were remarkable.
type CommandLog struct {
	mu      lockrank.Mutex[lockrank.Slowlog] // protects entries and next
	entries []Entry
	next    int64        // id of the next entry; it goes on after Reset
	most    atomic.Int64 // how many entries are kept

	// Least is from which value on a command is logged: nanoseconds, or bytes.
	Least atomic.Int64
}

// Logs are those of a server.
type Logs struct {
	Slow, Requests, Replies CommandLog
	// Least is how long a request and its reply are together, at least, where one of them
	// stands in a log. Every command loads it.
	Least atomic.Int64
}

// SetLarge says from how many bytes on requests or replies stand in a log; negative: none do.
func (l *Logs) SetLarge(log *CommandLog, least int64) {
	if least < 0 {
		least = math.MaxInt64
	}
	log.Least.Store(least)
	l.Least.Store(min(l.Requests.Least.Load(), l.Replies.Least.Load()))
}

// SetLength says how many entries are kept, and drops others.
func (l *CommandLog) SetLength(n int64) {
	l.most.Store(n)
	l.mu.Lock()
	l.trim()
	l.mu.Unlock()
}

// Add enters a command of a client.
func (l *CommandLog) Add(addr, name string, value int64, kept Kept) {
	e := Entry{At: time.Now().Unix(), Value: value, Kept: kept, Addr: addr, Name: name}
	l.mu.Lock()
	e.ID = l.next
	l.next++
	l.entries = append(l.entries, e)
	l.trim()
	l.mu.Unlock()
}

// trim drops the oldest entries beyond those that are kept; l.mu is held.
func (l *CommandLog) trim() {
	if over := int64(len(l.entries)) - l.most.Load(); over > 0 {
		clear(l.entries[:over])
		l.entries = l.entries[over:]
	}
}

// Last copies the last entries, oldest first: n at most, or all of them if n is negative.
func (l *CommandLog) Last(n int64) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.entries
	if n >= 0 {
		all = all[len(all)-int(min(n, int64(len(all)))):]
	}
	return slices.Clone(all)
}

// Len is the number of entries.
func (l *CommandLog) Len() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.entries))
}

// Reset drops all entries.
func (l *CommandLog) Reset() {
	l.mu.Lock()
	l.entries = nil
	l.mu.Unlock()
}
