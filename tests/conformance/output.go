//go:build unix

package main

import (
	"regexp"
	"strings"
	"time"
)

// A failure is one failed test, or something else that went wrong during the unit.
type failure struct{ name, reason string }

// A result is what one job came to.
type result struct {
	passed   int
	failed   []failure
	skipped  []string // names, by the skip file; for tests left out by a tag: name and reason, or the reason alone
	complete bool     // the suite came to the unit's end
	last     string   // the last test that the suite reported on
	elapsed  time.Duration
}

func (r *result) fail(name, reason string) { r.failed = append(r.failed, failure{name, reason}) }

var (
	// The suite's reports begin a line with a status in brackets.
	reportLine = regexp.MustCompile(`^\[(ok|err|skip|ignore|exception|ready|TIMEOUT|\d+/\d+ done)\]: ?(.*)$`)
	// A failed test is reported as `name in tests/unit/file.tcl`, its reason on the lines after.
	failedTest = regexp.MustCompile(`^(.*) in tests/\S+\.tcl$`)
	// Milliseconds stand after the name of a test that passed.
	tookTime = regexp.MustCompile(` \(\d+ ms\)$`)
	// The suite's state report names the test at which it timed out.
	inProgress = regexp.MustCompile(`(?m)\(IN PROGRESS\) (.*)$`)
)

// parseOutput reads the suite's output, which may end anywhere.
func parseOutput(out string) *result {
	r := &result{}
	var status string // of the report whose lines are being collected
	var body []string
	flush := func() {
		text := strings.Join(body, "\n")
		switch {
		case status == "ok":
			r.passed++
			r.last = tookTime.ReplaceAllString(text, "")
		case status == "skip" || status == "ignore":
			// Only the first line can be the name: a server's log may be printed after it.
			r.skipped = append(r.skipped, body[0])
		case status == "err":
			if m := failedTest.FindStringSubmatch(body[0]); m != nil {
				r.last = m[1]
				r.fail(m[1], brief(body[1:]))
			} else {
				// Durable mode cuts the first ten characters off an error outside any test.
				r.fail("(outside any test)", brief(body))
			}
		case status == "exception":
			r.fail("(the suite stopped, after: "+r.last+")", brief(body))
		case status == "TIMEOUT":
			name := "(no progress, after: " + r.last + ")"
			if m := inProgress.FindStringSubmatch(text); m != nil {
				name = m[1]
			}
			r.fail(name, "timed out")
		case strings.HasSuffix(status, " done"):
			r.complete = true
		}
		status, body = "", nil
	}
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "The End" {
			break // what follows repeats the failures
		}
		if m := reportLine.FindStringSubmatch(line); m != nil {
			flush()
			status, body = m[1], []string{m[2]}
		} else if status != "" {
			body = append(body, line)
		}
	}
	flush()
	return r
}

// brief is the start of a reason, on one line: the rest is a Tcl stack trace or a whole configuration file.
func brief(lines []string) string {
	var kept []string
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" && l != "while executing" {
			kept = append(kept, l)
		}
		if len(kept) == 3 {
			break
		}
	}
	const limit = 400
	s := strings.Join(kept, " / ")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}
