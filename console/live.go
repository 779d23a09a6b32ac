package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"kvd/command"
	"kvd/lockrank"
)

const (
	maxWatchers = 64
	// watcherAhead is how many events wait for a browser before it is let go; it comes again.
	watcherAhead = 8
	// writeTime is how long a browser may take for an event.
	writeTime = 10 * time.Second
)

// heatSteps are the rows of the heat map of latencies; calls that took longer are one more.
var heatSteps = []time.Duration{
	2 * time.Microsecond, 5 * time.Microsecond, 10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond,
	200 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
}

// live tells browsers what the server does, as server-sent events. Every event is made
// once, however many watch; it holds what is not as it was.
type live struct {
	srv *command.Server

	mu       lockrank.Mutex[lockrank.ConsoleLive] // protects what follows; held while an event is made
	watchers map[chan []byte]struct{}
	state    event            // what was told so far
	last     *command.Figures // nil: none were sampled yet
}

// event is what has changed, or with All everything.
type event struct {
	At       int64                 `json:"at"` // milliseconds
	All      bool                  `json:"all,omitempty"`
	Fields   map[string]string     `json:"fields,omitempty"`   // INFO's; "" is one that is there no more
	Commands map[string][2]float64 `json:"commands,omitempty"` // calls, and seconds that they took
	Heat     []int64               `json:"heat"`               // calls by how long they took, since the start
	Lag      float64               `json:"lag"`                // of expiry, in seconds
	Timed    bool                  `json:"timed"`              // latency-tracking is on, without which Heat stands still
}

func (l *live) init(srv *command.Server) {
	l.srv, l.watchers = srv, make(map[chan []byte]struct{})
}

// Sampled is called with each sample of the server's figures.
func (c *Console) Sampled(f *command.Figures) {
	l := &c.live
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = f
	if len(l.watchers) == 0 {
		l.state.Fields = nil
		return
	}
	text := l.next(f)
	for w := range l.watchers {
		select {
		case w <- text:
		default: // it does not read
			l.drop(w)
		}
	}
}

// drop lets a watcher go; l.mu is held.
func (l *live) drop(w chan []byte) {
	if _, there := l.watchers[w]; there {
		delete(l.watchers, w)
		close(w)
	}
}

// paths are fields that tell where things are on the machine: figures do not need them.
var paths = map[string]bool{"config_file": true, "executable": true}

// next is the event of a sample; l.mu is held.
func (l *live) next(f *command.Figures) []byte {
	was, now := l.state, event{At: f.At.UnixMilli(), Fields: map[string]string{}, Commands: map[string][2]float64{}, Heat: make([]int64, len(heatSteps)+1), Lag: l.srv.ExpiryLag().Seconds(), Timed: l.srv.Config.LatencyTracking.Load()}
	e := event{At: now.At, Fields: map[string]string{}, Commands: map[string][2]float64{}, Heat: now.Heat, Lag: now.Lag, Timed: now.Timed}
	for _, g := range f.Fields {
		if paths[g.Name] {
			continue
		}
		now.Fields[g.Name] = g.Value
		if old, there := was.Fields[g.Name]; !there || old != g.Value {
			e.Fields[g.Name] = g.Value
		}
	}
	for name := range was.Fields {
		if _, there := now.Fields[name]; !there {
			e.Fields[name] = ""
		}
	}
	l.srv.EachCommand(heatSteps, func(f command.CommandFigures) {
		for i, t := range f.Times {
			now.Heat[i] += t.Calls
		}
		v := [2]float64{float64(f.Calls), f.Took.Seconds()}
		if now.Commands[f.Name] = v; was.Commands[f.Name] != v {
			e.Commands[f.Name] = v
		}
	})
	l.state = now
	return encode(e)
}

func encode(e event) []byte {
	text, _ := json.Marshal(e) // texts and numbers only; JSON has no line feeds
	return fmt.Appendf(nil, "data: %s\n\n", text)
}

// watch adds a watcher, and returns what it is to be told first; false: there are enough.
func (l *live) watch() (w chan []byte, first []byte, ok bool) {
	l.mu.Lock()
	sampled := l.last != nil
	l.mu.Unlock()
	var f *command.Figures
	if !sampled {
		f = l.srv.Figures() // it takes locks that come before
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.watchers) >= maxWatchers {
		return nil, nil, false
	}
	if l.last == nil {
		l.last = f
	}
	if l.state.Fields == nil { // nobody has watched
		l.state = event{}
		l.next(l.last)
	}
	all := l.state
	all.All = true
	w = make(chan []byte, watcherAhead)
	l.watchers[w] = struct{}{}
	return w, encode(all), true
}

// getLive sends events until the browser goes.
func (c *Console) getLive(w http.ResponseWriter, r *http.Request) {
	if !c.admits(r, c.sessionOf(r)) {
		fail(w, http.StatusUnauthorized, errSignIn.text)
		return
	}
	events, text, ok := c.live.watch()
	if !ok {
		fail(w, http.StatusServiceUnavailable, "too many look at this server already")
		return
	}
	defer func() {
		c.live.mu.Lock()
		c.live.drop(events)
		c.live.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // else the request would end when its reading may last no longer
	for {
		if rc.SetWriteDeadline(time.Now().Add(writeTime)) != nil {
			return
		}
		if _, err := w.Write(text); err != nil || rc.Flush() != nil {
			return
		}
		select {
		case text, ok = <-events:
			if !ok || !c.admits(r, c.sessionOf(r)) { // he has signed out, or a token is wanted now
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
