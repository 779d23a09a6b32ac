package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metric is one figure of a suite: a value for each round and side.
type metric struct {
	Name  string // suite/part/.../figure
	Unit  string
	Kvd   []float64
	Redis []float64 // nil where only kvd has the figure
}

// report gathers what the suites measure and prints it.
type report struct {
	out     io.Writer
	metrics []*metric
	byName  map[string]*metric
	checks  []check
	notes   []string
	printed int // metrics already printed
}

func newReport(out io.Writer) *report { return &report{out: out, byName: map[string]*metric{}} }

// add adds one round's value of side "kvd" or "redis" to a metric, which comes into being on first use.
func (p *report) add(name, unit, side string, v float64) {
	m := p.byName[name]
	if m == nil {
		m = &metric{Name: name, Unit: unit}
		p.byName[name] = m
		p.metrics = append(p.metrics, m)
	}
	if side == "kvd" {
		m.Kvd = append(m.Kvd, v)
	} else {
		m.Redis = append(m.Redis, v)
	}
}

// middle returns the median of a side's figure so far; NaN if there is none.
func (p *report) middle(name, side string) float64 {
	m := p.byName[name]
	if m == nil {
		return math.NaN()
	}
	if side == "kvd" {
		return median(m.Kvd)
	}
	return median(m.Redis)
}

// note adds a line above the next table, once.
func (p *report) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(p.notes, n) {
		p.notes = append(p.notes, n)
	}
}

// number prints a figure with about four significant digits and no exponent.
func number(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	digits := 0
	switch a := math.Abs(v); {
	case a < 10:
		digits = 3
	case a < 100:
		digits = 2
	case a < 1000:
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// flush prints a suite's table and verdicts: what was added since the last flush.
func (p *report) flush(title string) {
	fresh := p.metrics[p.printed:]
	p.printed = len(p.metrics)
	fmt.Fprintf(p.out, "\n## %s\n\n", title)
	for _, n := range p.notes {
		fmt.Fprintf(p.out, "%s\n\n", n)
	}
	p.notes = nil
	if len(fresh) == 0 {
		fmt.Fprintln(p.out, "nothing measured")
		return
	}
	fmt.Fprintln(p.out, "| figure | unit | kvd | redis | kvd/redis | spread |")
	fmt.Fprintln(p.out, "|---|---|---:|---:|---:|---:|")
	var verdicts []check
	for _, m := range fresh {
		ratio, spread := "", ""
		redis := "-"
		if len(m.Redis) > 0 {
			r := ratioOf(m.Kvd, m.Redis)
			redis, ratio = number(median(m.Redis)), number(r.Median)
			if len(m.Kvd) > 1 {
				spread = number(r.Min) + " .. " + number(r.Max)
			}
		}
		_, name, _ := strings.Cut(m.Name, "/")
		fmt.Fprintf(p.out, "| %s | %s | %s | %s | %s | %s |\n", name, m.Unit, number(median(m.Kvd)), redis, ratio, spread)
		if c, ok := hold(thresholds, m); ok {
			verdicts = append(verdicts, c)
		}
	}
	if len(verdicts) > 0 {
		fmt.Fprint(p.out, "\n```\n")
		for _, c := range verdicts {
			fmt.Fprintln(p.out, c)
		}
		fmt.Fprint(p.out, "```\n")
	}
	p.checks = append(p.checks, verdicts...)
}

// short counts the verdicts that fell short.
func (p *report) short() int {
	n := 0
	for _, c := range p.checks {
		if !c.Pass {
			n++
		}
	}
	return n
}

// finite is a float for JSON, which has no NaN and no infinity: these become null.
type finite float64

func (f finite) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

func finites(v []float64) []finite {
	out := make([]finite, len(v))
	for i, x := range v {
		out[i] = finite(x)
	}
	return out
}

// writeJSON writes everything to a file.
func (p *report) writeJSON(file string, about map[string]any, failures []string) error {
	type jsonMetric struct {
		Name        string   `json:"name"`
		Unit        string   `json:"unit"`
		Kvd         []finite `json:"kvd"`
		Redis       []finite `json:"redis"`
		KvdMedian   finite   `json:"kvd_median"`
		RedisMedian finite   `json:"redis_median"`
		Ratio       finite   `json:"ratio"`
		RatioMin    finite   `json:"ratio_min"`
		RatioMax    finite   `json:"ratio_max"`
	}
	type jsonCheck struct {
		Name  string `json:"name"`
		Of    string `json:"of"`
		Value finite `json:"value"`
		Op    string `json:"op"`
		Bound finite `json:"bound"`
		Pass  bool   `json:"pass"`
	}
	doc := struct {
		Time     time.Time      `json:"time"`
		About    map[string]any `json:"about"`
		Metrics  []jsonMetric   `json:"metrics"`
		Checks   []jsonCheck    `json:"checks"`
		Failures []string       `json:"failures"`
	}{Time: time.Now().UTC(), About: about, Metrics: []jsonMetric{}, Checks: []jsonCheck{}, Failures: failures}
	for _, m := range p.metrics {
		r := ratioOf(m.Kvd, m.Redis)
		doc.Metrics = append(doc.Metrics, jsonMetric{m.Name, m.Unit, finites(m.Kvd), finites(m.Redis), finite(median(m.Kvd)),
			finite(median(m.Redis)), finite(r.Median), finite(r.Min), finite(r.Max)})
	}
	for _, c := range p.checks {
		doc.Checks = append(doc.Checks, jsonCheck{c.Name, c.Of, finite(c.Value), c.Op, finite(c.Bound), c.Pass})
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
