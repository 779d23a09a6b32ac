package command

import (
	"kvd/observe"
	"slices"
	"strings"
	"time"
)

// Figures for who watches the server from outside (package metrics). What needs stripes
// is sampled once a second, however many watch, so that a scrape takes none.

// figuresEvery is how often the figures are sampled.
const figuresEvery = time.Second

// Figures are INFO's fields at one moment, in INFO's order.
type Figures struct {
	At     time.Time
	Fields []Figure
}

// Figure is a field of INFO.
type Figure struct{ Name, Value string }

// Get is a field's value; "" if there is none.
func (f *Figures) Get(name string) string {
	if i := slices.IndexFunc(f.Fields, func(g Figure) bool { return g.Name == name }); i >= 0 {
		return f.Fields[i].Value
	}
	return ""
}

// Figures takes a sample; it locks one stripe after another.
func (s *Server) Figures() *Figures {
	w := &InfoWriter{s: s, now: s.Keyspace.Now()}
	for _, sec := range s.Table.sections {
		if !sec.Extra {
			sec.Write(w)
		}
	}
	f := &Figures{At: time.Now()}
	for line := range strings.SplitSeq(w.String(), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
			f.Fields = append(f.Fields, Figure{name, value})
		}
	}
	return f
}

// SampleFigures hands figures to use once a second, until stop is closed.
func (s *Server) SampleFigures(stop <-chan struct{}, use func(*Figures)) {
	tick := time.NewTicker(figuresEvery)
	defer tick.Stop()
	for {
		use(s.Figures())
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// CommandFigures are what a command has done since the start, or CONFIG RESETSTAT.
type CommandFigures struct {
	Name                    string // "config|get"
	Calls, Rejected, Failed int64
	Took                    time.Duration
	// Times counts calls by how long they took, as far as latency-tracking was on:
	// those of at most Times[i].Most, and less than that of the one before.
	Times []CallTimes
}

// CallTimes is one step of a histogram.
type CallTimes struct {
	Most  time.Duration
	Calls int64
}

// EachCommand calls f for every command that was called, in the order of their names. No
// stripe is locked for it. most are the steps of the histograms.
func (s *Server) EachCommand(most []time.Duration, f func(CommandFigures)) {
	w := &InfoWriter{s: s}
	w.eachRow(func(r *Row, t *rowTotals) {
		c := CommandFigures{Name: r.full, Calls: t.calls, Rejected: t.rejected, Failed: t.failed, Took: time.Duration(t.ns)}
		if sum, n := s.CallTimes(r); n > 0 {
			c.Times = make([]CallTimes, len(most)+1)
			step := 0
			for i, v := range sum {
				for step < len(most) && observe.BucketTop(i) > int64(most[step]) {
					step++
				}
				c.Times[step].Calls += v
			}
			for i, m := range most {
				c.Times[i].Most = m
			}
		}
		f(c)
	})
}

// ExpiryLag is how long the earliest deadline that has passed has been waiting; 0 where
// nothing is due. It locks nothing.
func (s *Server) ExpiryLag() time.Duration { return s.Keyspace.ExpiryLag() }

// SlowlogFigures are how many entries the slow log has, the number of the last one, and
// how long its call took.
func (s *Server) SlowlogFigures() (n int, id int64, took time.Duration) {
	for _, e := range s.Logs.Slow.Last(1) {
		id, took = e.ID, time.Duration(e.Value)*time.Microsecond
	}
	return int(s.Logs.Slow.Len()), id, took
}
