package observe

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"kvd/lockrank"
)

// Latency keeps, for each kind of event, the samples that reached a threshold.
type Latency struct {
	// Least is that threshold, in nanoseconds.
	Least  atomic.Int64
	mu     lockrank.Mutex[lockrank.Latency] // protects events and what is in them
	events map[string]*Event
}

// LatencySamples is how many samples of an event are kept: the worst one of
// each second in which there was any.
const LatencySamples = 160

// Sample is the worst of a second.
type Sample struct{ At, Ms int64 } // Unix seconds, milliseconds

// Event is what is known of one kind of event.
type Event struct {
	Samples []Sample // oldest first
	Max     int64    // ms, ever
	Sum, N  int64    // of all that were entered, ms
}

// Note enters an event that took ns nanoseconds, if the threshold is reached. It takes a
// lock only then.
func (l *Latency) Note(event string, ns int64) {
	if ns >= l.Least.Load() {
		l.noteAt(time.Now().Unix(), event, ns/1e6)
	}
}

func (l *Latency) noteAt(now int64, event string, ms int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.events[event]
	if e == nil {
		if l.events == nil {
			l.events = make(map[string]*Event)
		}
		e = &Event{}
		l.events[event] = e
	}
	e.Max = max(e.Max, ms)
	e.Sum += ms
	e.N++
	if n := len(e.Samples); n > 0 && e.Samples[n-1].At == now {
		e.Samples[n-1].Ms = max(e.Samples[n-1].Ms, ms)
		return
	}
	if len(e.Samples) == LatencySamples {
		e.Samples = slices.Delete(e.Samples, 0, 1)
	}
	e.Samples = append(e.Samples, Sample{now, ms})
}

// List is a copy of the events, by name.
func (l *Latency) List() (names []string, events map[string]Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	events = make(map[string]Event, len(l.events))
	for name, e := range l.events {
		events[name] = Event{slices.Clone(e.Samples), e.Max, e.Sum, e.N}
	}
	return slices.Sorted(maps.Keys(events)), events
}

// Reset forgets the events of these names, in any case, or all if there are none, and
// tells how many it has forgotten.
func (l *Latency) Reset(names ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.events)
	if len(names) == 0 {
		clear(l.events)
	}
	for _, name := range names {
		maps.DeleteFunc(l.events, func(event string, _ *Event) bool { return strings.EqualFold(name, event) })
	}
	return before - len(l.events)
}

// Bounds are the least and the highest sample, and the sum of all, in ms.
func (e *Event) Bounds() (low, high, sum int64) {
	low = e.Samples[0].Ms
	for _, m := range e.Samples {
		low, high, sum = min(low, m.Ms), max(high, m.Ms), sum+m.Ms
	}
	return
}
