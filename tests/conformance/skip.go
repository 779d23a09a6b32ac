//go:build unix

package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// A skip leaves one test out, or gives the suite an option.
type skip struct {
	line int    // in the file
	unit string // or * for every unit
	mode string // started, external, or both
	what string // a test's whole name; or /regexp, as runtest takes it; or --option arguments
	why  string // category: reason
}

// skipList is the skip file. Each line has four fields with " | " between them:
//
//	unit | mode | test name | category: reason
//
// Unit may be * for every unit, and mode is started, external or both. The name is the whole name
// of the test, or a regular expression after a slash. A name that begins with -- is an option
// for the suite instead, such as --ignore-encoding or --tags -needs:repl; or --unsent and
// commands that the suite's client is not to send, for those that stand outside of any test;
// or --text OLD => NEW, for what a later release answers in other words: OLD is replaced by
// NEW in the unit's file.
// The category is one of:
//
//	waits        for a capability that this server does not have yet
//	internals    the test looks at the inside of Redis's own code
//	difference   this server answers differently on purpose
type skipList []skip

var categories = []string{"waits", "internals", "difference"}

func readSkips(name string) (skipList, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list skipList
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := parseSkip(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		s.line = n
		list = append(list, s)
	}
	return list, in.Err()
}

func parseSkip(line string) (skip, error) {
	const bar = " | "
	unit, rest, _ := strings.Cut(line, bar)
	mode, rest, _ := strings.Cut(rest, bar)
	// A test's name may have a bar in it, so the reason is cut off from the end.
	i := strings.LastIndex(rest, bar)
	if i < 0 {
		return skip{}, fmt.Errorf("want `unit | mode | test name | category: reason`, have %q", line)
	}
	s := skip{unit: unit, mode: mode, what: rest[:i], why: rest[i+len(bar):]}
	if !slices.Contains([]string{started, external, overTLS, "both"}, s.mode) {
		return skip{}, fmt.Errorf("no mode %q", s.mode)
	}
	category, reason, _ := strings.Cut(s.why, ": ")
	if !slices.Contains(categories, category) || reason == "" {
		return skip{}, fmt.Errorf("want a reason of the form `%s: ...`, have %q", strings.Join(categories, "|"), s.why)
	}
	if s.what == "" {
		return skip{}, fmt.Errorf("no test name in %q", line)
	}
	if from, _, ok := s.replacement(); strings.HasPrefix(s.what, text) && (!ok || from == "") {
		return skip{}, fmt.Errorf("want --text OLD => NEW, have %q", s.what)
	}
	if re, ok := strings.CutPrefix(s.what, "/"); ok {
		if _, err := regexp.Compile(re); err != nil {
			return skip{}, err
		}
	}
	return s, nil
}

// unsent begins a line about commands that are not sent.
const unsent = "--unsent "

// text begins a line about words of the unit that are replaced.
const text = "--text "

// replacement is what is replaced by what; ok is false for other lines.
func (s skip) replacement() (from, to string, ok bool) {
	rest, ok := strings.CutPrefix(s.what, text)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, " => ")
}

// replacements are the words to be replaced in j's unit, by turns with those in their place.
func (list skipList) replacements(j job) (words []string) {
	for _, s := range list {
		if from, to, ok := s.replacement(); ok && s.applies(j) {
			words = append(words, from, to)
		}
	}
	return words
}

func (s skip) isOption() bool { return strings.HasPrefix(s.what, "--") }

func (s skip) applies(j job) bool {
	return (s.unit == "*" || s.unit == j.unit) && (s.mode == "both" || s.mode == j.mode || s.mode == started && j.mode == overTLS)
}

// names are the tests to leave out of j, as runtest's --skipfile wants them.
func (list skipList) names(j job) (names []string) {
	for _, s := range list {
		if s.applies(j) && !s.isOption() {
			names = append(names, s.what)
		}
	}
	return names
}

// options are the further arguments of runtest for j.
func (list skipList) options(j job) (args []string) {
	for _, s := range list {
		if s.applies(j) && s.isOption() && !strings.HasPrefix(s.what, unsent) && !strings.HasPrefix(s.what, text) {
			args = append(args, strings.Fields(s.what)...)
		}
	}
	return args
}

// unsent are the commands that the suite's client is not to send in j, in lower case.
func (list skipList) unsent(j job) (names []string) {
	for _, s := range list {
		if rest, ok := strings.CutPrefix(s.what, unsent); ok && s.applies(j) {
			names = append(names, strings.Fields(rest)...)
		}
	}
	return names
}

// stale complains of lines that left nothing out of j, whose test was renamed or never was in this mode.
// It cannot tell for lines about every unit, nor after a run that stopped half way.
func (list skipList) stale(j job, r *result) (complaints []string) {
	if !r.complete {
		return nil
	}
	for _, s := range list {
		if !s.applies(j) || s.isOption() || s.unit == "*" || j.mode == overTLS && s.mode != overTLS {
			continue
		}
		match := func(name string) bool { return name == s.what }
		if re, ok := strings.CutPrefix(s.what, "/"); ok {
			match = regexp.MustCompile(re).MatchString
		}
		if !slices.ContainsFunc(r.skipped, match) {
			complaints = append(complaints, fmt.Sprintf("%v: line %d of the skip file left nothing out: %s", j, s.line, s.what))
		}
	}
	return complaints
}
