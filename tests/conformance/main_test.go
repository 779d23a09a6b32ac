//go:build unix

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const outputOfAUnit = `Cleanup: may take some time... OK
Starting test server at port 20579
[ready]: 4711
Testing unit/type/string
[ok]: SET and GET an item (1 ms)
[ok]: a name (with brackets) (12 ms)
[err]: GETEX without argument in tests/unit/type/string.tcl
Expected '1' to be equal to '0' (context: somewhere)
    while executing
"assert_equal 1 0"
[skip]: left out
[ignore]: big: large memory flag not provided
[ignore]: Not supported on external server
[err]: own command'
    while executing
"r foo"
[1/1 done]: unit/type/string (7 seconds)

                   The End

Execution time of different units:
  7 seconds - unit/type/string

!!! WARNING The following tests failed:

*** [err]: GETEX without argument in tests/unit/type/string.tcl
[err]: a repetition in tests/unit/type/string.tcl
`

func TestParseOutput(t *testing.T) {
	r := parseOutput(outputOfAUnit)
	if r.passed != 2 || len(r.failed) != 2 || len(r.skipped) != 3 || !r.complete {
		t.Fatalf("%+v", r)
	}
	if want := (failure{"GETEX without argument",
		`Expected '1' to be equal to '0' (context: somewhere) / "assert_equal 1 0"`}); r.failed[0] != want {
		t.Errorf("have %+v", r.failed[0])
	}
	if r.failed[1].name != "(outside any test)" {
		t.Errorf("have %+v", r.failed[1])
	}
	if r.skipped[0] != "left out" {
		t.Errorf("have %q", r.skipped[0])
	}
}

// The output may end at any byte; counts never grow by it, and only the whole unit is complete.
func TestParseTornOutput(t *testing.T) {
	end := strings.Index(outputOfAUnit, "[1/1 done]")
	for i := range end {
		if r := parseOutput(outputOfAUnit[:i]); r.complete || r.passed > 2 || len(r.failed) > 2 {
			t.Fatalf("%d bytes: %+v", i, r)
		}
	}
}

func TestParseTrouble(t *testing.T) {
	r := parseOutput("[ok]: one (1 ms)\n[exception]: Executing test client: I/O error reading reply.\nI/O error\n")
	if r.complete || len(r.failed) != 1 || r.failed[0].name != "(the suite stopped, after: one)" {
		t.Errorf("%+v", r)
	}
	r = parseOutput("[ok]: one (1 ms)\n[TIMEOUT]: clients state report follows.\nsock5 => (IN PROGRESS) BLPOP hangs\nKilling still running Redis server 12\n\n   The End\n")
	if r.complete || len(r.failed) != 1 || r.failed[0].name != "BLPOP hangs" {
		t.Errorf("%+v", r)
	}
}

func TestFloor(t *testing.T) {
	name := filepath.Join(t.TempDir(), "floor")
	a, b := job{"unit/a", started}, job{"unit/a", external}
	if err := (floors{b: {3, 1}, a: {5, 0}}).write(name); err != nil {
		t.Fatal(err)
	}
	fl, err := readFloor(name)
	if err != nil {
		t.Fatal(err)
	}
	if js := fl.jobs(); !slices.Equal(js, []job{a, b}) {
		t.Errorf("have %v", js)
	}
	one := []failure{{"x", "y"}}
	for _, c := range []struct {
		job        job
		r          result
		complaints int
	}{
		{a, result{passed: 5, complete: true}, 0},
		{a, result{passed: 6, complete: true}, 0},
		{a, result{passed: 4, complete: true}, 1},
		{a, result{passed: 5, complete: true, failed: one}, 1},
		{a, result{passed: 5}, 1},
		{b, result{passed: 3, complete: true, failed: one}, 0},
		{job{"unit/new", started}, result{passed: 1, complete: true}, 0},
		{job{"unit/new", started}, result{passed: 1, complete: true, failed: one}, 1},
	} {
		if have := fl.compare(c.job, &c.r); len(have) != c.complaints {
			t.Errorf("%v %+v: %q", c.job, c.r, have)
		}
	}
	for _, bad := range []string{"unit/a started 5\n", "unit/a sideways 5 0\n", "unit/a started 5 0 0\n", "u started 1 0\nu started 1 0\n"} {
		os.WriteFile(name, []byte(bad), 0o644)
		if _, err := readFloor(name); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestSkip(t *testing.T) {
	var list skipList
	for _, line := range []string{
		"unit/a | both | a | b | waits: for streams",
		"unit/a | started | /^SRAND.* chain$ | internals: chains",
		"* | external | --tags -needs:repl | waits: for replication",
	} {
		s, err := parseSkip(line)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	a, b := job{"unit/a", started}, job{"unit/b", external}
	if have := list.names(a); !slices.Equal(have, []string{"a | b", "/^SRAND.* chain$"}) {
		t.Errorf("have %q", have)
	}
	if have := append(list.names(b), list.options(b)...); !slices.Equal(have, []string{"--tags", "-needs:repl"}) {
		t.Errorf("have %q", have)
	}
	full := &result{complete: true, skipped: []string{"a | b", "SRANDMEMBER with a long chain"}}
	if have := list.stale(a, full); len(have) != 0 {
		t.Errorf("have %q", have)
	}
	if have := list.stale(a, &result{complete: true, skipped: []string{"a | b"}}); len(have) != 1 {
		t.Errorf("have %q", have)
	}
	for _, bad := range []string{"unit/a | both | a", "unit/a | never | a | waits: x", "unit/a | both | a | because", "unit/a | both | /( | waits: x"} {
		if _, err := parseSkip(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// The files that stand in the repository can be read.
func TestRecords(t *testing.T) {
	if _, err := readFloor("floor"); err != nil {
		t.Error(err)
	}
	if _, err := readSkips("skip"); err != nil {
		t.Error(err)
	}
}
