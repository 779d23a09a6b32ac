package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// parseCSV reads the one result in redis-benchmark's --csv output and returns its requests per second.
// A line is the test's name, requests per second and six latencies, each in double quotes; a name that is a command
// is not escaped and may hold quotes and commas itself, so fields are counted from the end.
func parseCSV(out string) (float64, error) {
	const columns = 8
	var found []string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, `"`) || !strings.HasSuffix(line, `"`) || strings.HasPrefix(line, `"test","rps"`) {
			continue // the header, warnings
		}
		f := strings.Split(line[1:len(line)-1], `","`)
		if len(f) < columns {
			return 0, fmt.Errorf("redis-benchmark: %d fields in %q, want %d", len(f), line, columns)
		}
		found = append(found, f[len(f)-columns+1])
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("redis-benchmark: %d results in %q, want one", len(found), out)
	}
	return strconv.ParseFloat(found[0], 64)
}

// work is one thing to be measured: a command, many times.
type work struct {
	name     string
	args     []string // in redis-benchmark's notation, with placeholders
	test     string   // redis-benchmark's built-in test of it, if there is one
	pipeline int
	requests int64
	keys     int64 // placeholders are below it
}

// figures are those of one run of a work.
type figures struct {
	rps  float64 // as the load tool says; the own load says wall
	wall float64 // requests per second by our clock, with the tool's start
	cpu  float64 // server CPU, microseconds a request
}

// drive runs a work on a server with the load tool that -load names.
func (r *run) drive(ctx context.Context, s *server, w work) (figures, error) {
	before, err := cpuOf(s.pid)
	if err != nil {
		return figures{}, err
	}
	start := time.Now()
	var f figures
	if r.ownLoad(w.pipeline) {
		l := load{addr: s.addr, conns: r.clients, workers: 1, pipeline: w.pipeline, requests: w.requests, seed: r.nextSeed(), gen: random(w.keys, w.args...)}
		took, err := l.run(ctx)
		if err != nil {
			return f, fmt.Errorf("%s on %s: %w", w.name, s.name, err)
		}
		f.rps = float64(w.requests) / took.Seconds()
	} else if f.rps, err = r.redisBenchmark(ctx, s, w); err != nil {
		return f, fmt.Errorf("%s on %s: %w", w.name, s.name, err)
	}
	f.wall = float64(w.requests) / time.Since(start).Seconds()
	after, err := cpuOf(s.pid)
	if err != nil {
		return f, err
	}
	f.cpu = float64(after.since(before).Nanoseconds()) / 1e3 / float64(w.requests)
	return f, nil
}

// ownLoad reports whether the own load generator is to be used at this depth of pipelining.
func (r *run) ownLoad(pipeline int) bool {
	return r.load == "own" || r.load == "auto" && pipeline >= 64
}

// redisBenchmark runs redis-benchmark. It inherits the CPUs that this process is bound to.
func (r *run) redisBenchmark(ctx context.Context, s *server, w work) (float64, error) {
	args := []string{"-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-c", strconv.Itoa(r.clients), "-n", strconv.FormatInt(w.requests, 10),
		"-P", strconv.Itoa(w.pipeline), "-r", strconv.FormatInt(w.keys, 10), "-d", strconv.Itoa(r.size), "--csv", "-q"}
	if w.test != "" {
		args = append(args, "-t", w.test)
	} else {
		args = append(args, w.args...)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, r.tool, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w: %s", r.tool, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return parseCSV(string(out))
}
