//go:build unix

package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	started  = "started"
	external = "external"
	overTLS  = "tls" // started, with all connections over TLS
)

// A job is one unit in one mode.
type job struct{ unit, mode string }

func (j job) String() string { return j.unit + " " + j.mode }

// A level is what a job has to reach: at least passed tests pass and at most failed tests fail.
type level struct{ passed, failed int }

// floors is the floor file: for each job its level. A job that is not in it may fail nothing.
//
// The file has one line for each job, of four fields with blanks between them:
//
//	unit mode passed failed
//
// Lines that are empty or begin with # say nothing. --update-floor writes the file anew.
type floors map[job]level

func readFloor(name string) (floors, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fl := floors{}
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		var j job
		var l level
		var rest string
		if k, _ := fmt.Sscan(line, &j.unit, &j.mode, &l.passed, &l.failed, &rest); k != 4 ||
			j.mode != started && j.mode != external && j.mode != overTLS {
			return nil, fmt.Errorf("%s:%d: want `unit started|external|tls passed failed`, have %q", name, n, line)
		}
		if _, twice := fl[j]; twice {
			return nil, fmt.Errorf("%s:%d: %v stands there twice", name, n, j)
		}
		fl[j] = l
	}
	return fl, in.Err()
}

// jobs are ordered by unit, then tls, started, external.
func (fl floors) jobs() []job {
	js := make([]job, 0, len(fl))
	for j := range fl {
		js = append(js, j)
	}
	slices.SortFunc(js, func(a, b job) int {
		if c := strings.Compare(a.unit, b.unit); c != 0 {
			return c
		}
		return -strings.Compare(a.mode, b.mode)
	})
	return js
}

func (fl floors) write(name string) error {
	var b strings.Builder
	b.WriteString("# unit mode passed failed: at least so many tests pass, at most so many fail.\n" +
		"# Written by: make conformance CONFORMANCE_FLAGS=--update-floor\n")
	for _, j := range fl.jobs() {
		fmt.Fprintf(&b, "%s %s %d %d\n", j.unit, j.mode, fl[j].passed, fl[j].failed)
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}

// compare says where r is worse than the floor.
func (fl floors) compare(j job, r *result) (complaints []string) {
	want := fl[j]
	if r.passed < want.passed {
		complaints = append(complaints, fmt.Sprintf("%v: %d passed, the floor is %d", j, r.passed, want.passed))
	}
	if len(r.failed) > want.failed {
		complaints = append(complaints, fmt.Sprintf("%v: %d failed, on record are %d", j, len(r.failed), want.failed))
	}
	if !r.complete {
		complaints = append(complaints, fmt.Sprintf("%v: did not finish", j))
	}
	return complaints
}
