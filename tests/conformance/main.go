//go:build unix

// Conformance runs Redis 7.0's own Tcl test suite on a server binary and compares what passes
// with what is on record.
//
//	go run ./tests/conformance [flags] [unit ...]
//
// The suite is fetched by tests/setup/redis-src.sh and never stands in this repository. Each
// unit (a name of the suite's, such as unit/type/string) runs in two modes:
//
//	started    the suite starts the servers itself, with configuration files of its own
//	external   a server is started here and the suite connects to it; what would restart or
//	           reconfigure the server is left out by the suite's own tags
//
// Beside this file stand the records: floor (see floor.go) says how many tests of a unit have to
// pass, and skip (see skip.go) names the tests that are left out, each with its reason. slow names
// the units that -quick leaves out; it leaves out external too, which runs a part of the same
// tests. Without arguments the units of the floor run. The exit code is 1 if a unit passed fewer or failed more
// tests than the floor says, did not finish, crashed a server, or if a line of the skip file is stale.
//
// KVD_BIN names the server binary, bin/kvd if unset. This program may start and kill processes
// of its own process groups; it writes only to a temporary directory and, asked to, to the floor file.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const dir = "tests/conformance"

func main() {
	mode := flag.String("mode", "", "run only this `mode`: started, external or tls")
	tls := flag.Bool("tls", false, "run the suite over TLS, which is -mode tls; needs the package tcl-tls")
	update := flag.Bool("update-floor", false, "write what passed and failed to the floor file")
	bound := flag.Duration("bound", 10*time.Minute, "the longest that one unit may take in one mode")
	quick := flag.Bool("quick", false, "leave out the units that the file slow names, unless they are given, and the external mode")
	stall := flag.Duration("stall", 2*time.Minute, "how long the suite may go without finishing a test")
	verbose := flag.Bool("v", false, "copy the suite's output to stderr")
	keep := flag.Bool("keep", false, "keep the work directory: server logs and the suite's output")
	flag.Parse()
	if *tls {
		*mode = overTLS
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	ok, err := run(ctx, options{
		mode: *mode, update: *update, quick: *quick, bound: *bound, stall: *stall, verbose: *verbose, keep: *keep,
		units: flag.Args(),
	})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

type options struct {
	mode          string // empty for both
	units         []string
	bound, stall  time.Duration
	update, quick bool
	verbose, keep bool
}

// run reports whether everything was as the records say.
func run(ctx context.Context, o options) (ok bool, err error) {
	modes := []string{started, external}
	if o.mode != "" {
		if !slices.Contains(append(modes, overTLS), o.mode) {
			return false, fmt.Errorf("no mode %q", o.mode)
		}
		modes = []string{o.mode}
	} else if o.quick {
		modes = []string{started}
	}
	root, err := moduleRoot()
	if err != nil {
		return false, err
	}
	floorFile := filepath.Join(root, dir, "floor")
	floor, err := readFloor(floorFile)
	if err != nil {
		return false, err
	}
	skips, err := readSkips(filepath.Join(root, dir, "skip"))
	if err != nil {
		return false, err
	}
	var jobs []job
	if len(o.units) > 0 {
		for _, u := range o.units {
			for _, m := range modes {
				jobs = append(jobs, job{u, m})
			}
		}
	} else {
		slow := ""
		if o.quick {
			b, err := os.ReadFile(filepath.Join(root, dir, "slow"))
			if err != nil {
				return false, err
			}
			slow = string(b)
		}
		left := strings.Fields(slow)
		for _, j := range floor.jobs() {
			if slices.Contains(modes, j.mode) && !slices.Contains(left, j.unit) {
				jobs = append(jobs, j)
			}
		}
	}
	if len(jobs) == 0 {
		return false, fmt.Errorf("no units given, and none in %s", floorFile)
	}

	bin := os.Getenv("KVD_BIN")
	if bin == "" {
		bin = filepath.Join(root, "bin", "kvd")
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return false, err
	}
	if _, err := exec.LookPath(bin); err != nil {
		return false, err
	}
	fetch := exec.CommandContext(ctx, filepath.Join(root, "tests/setup/redis-src.sh"))
	fetch.Stderr = os.Stderr
	src, err := fetch.Output()
	if err != nil {
		return false, fmt.Errorf("fetching the suite: %w", err)
	}
	work, err := os.MkdirTemp("", "kvdc-")
	if err != nil {
		return false, err
	}
	if o.keep {
		fmt.Println("work directory:", work)
	} else {
		defer os.RemoveAll(work)
	}
	suite := &suite{src: strings.TrimSpace(string(src)), bin: bin, work: work, bound: o.bound, stall: o.stall, keep: o.keep}
	if o.verbose {
		suite.echo = os.Stderr
	}

	var total struct{ passed, failed, skipped int }
	var complaints []string
	for _, j := range jobs {
		r, err := suite.run(ctx, j, skips)
		if err != nil {
			return false, fmt.Errorf("%v: %w", j, err)
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		total.passed += r.passed
		total.failed += len(r.failed)
		total.skipped += len(r.skipped)
		fmt.Printf("%s %s passed=%d failed=%d skipped=%d seconds=%.0f\n",
			j.unit, j.mode, r.passed, len(r.failed), len(r.skipped), r.elapsed.Seconds())
		for _, f := range r.failed {
			fmt.Printf("    FAIL %s\n         %s\n", f.name, f.reason)
		}
		if o.update {
			// A record of half a unit would let the other half break unseen.
			if r.complete {
				floor[j] = level{r.passed, len(r.failed)}
			} else {
				complaints = append(complaints, fmt.Sprintf("%v did not finish: its floor stays as it was", j))
			}
			continue
		}
		complaints = append(complaints, floor.compare(j, r)...)
		complaints = append(complaints, skips.stale(j, r)...)
	}
	if o.update {
		if err := floor.write(floorFile); err != nil {
			return false, err
		}
	}
	for _, c := range complaints {
		fmt.Println("BELOW THE RECORD:", c)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped)
	return len(complaints) == 0, nil
}

// moduleRoot finds the directory of go.mod, so that the program can be started from below it.
func moduleRoot() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := wd; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no go.mod at or above %s", wd)
		}
	}
}
