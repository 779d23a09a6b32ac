package main

import (
	"context"
	_ "embed" // the script
	"fmt"
	"time"
)

// jobWork is the row of the scripts suite whose script finishes a job of a queue and takes the next. Unlike the
// others it needs a queue, and each call a job of its own.
const jobWork = "finish a job"

//go:embed finish_job.lua
var finishJob string

// jobQueue is a queue of jobs under keys that begin with prefix. Of the jobs 0 to total-1 the first active ones are
// being worked at.
type jobQueue struct {
	prefix        string
	active, total int64
}

// make puts the queue into a server.
func (q jobQueue) make(ctx context.Context, s *server) error {
	job := counting("HSET", q.prefix+placeholder, "name", "send-mail", "data", `{"to":"someone@example.com","template":"welcome","lang":"en"}`,
		"opts", `{"attempts":3,"backoff":{"type":"exponential","delay":1000}}`, "timestamp", "1780000000000", "delay", "0", "priority", "0")
	if err := fill(ctx, s.addr, q.total, job); err != nil {
		return err
	}
	if err := fill(ctx, s.addr, q.active, counting("SET", q.prefix+placeholder+":lock", jobToken, "PX", "3600000")); err != nil {
		return err
	}
	// In order, by one connection.
	for list, span := range map[string][2]int64{"active": {0, q.active}, "wait": {q.active, q.total}} {
		l := load{addr: s.addr, conns: 1, workers: 1, pipeline: 128, first: span[0], requests: span[1] - span[0], gen: counting("LPUSH", q.prefix+list, placeholder)}
		if _, err := l.run(ctx); err != nil {
			return err
		}
	}
	_, err := s.do("HSET", q.prefix+"meta", "opts.maxLenEvents", "10000")
	return err
}

const jobToken = "b0b7ad6c-3d0f-4b4e-9f0a-2c5e51d8a1f4:1"

// finish is a generator of calls: request i finishes job i.
func (q jobQueue) finish(sha, opts string) generator {
	args := []string{"EVALSHA", sha, "14"}
	for _, k := range []string{"wait", "active", "prioritized", "events", "stalled", "limiter", "delayed", "paused", "meta", "pc", "completed", placeholder, "metrics:completed", "marker"} {
		args = append(args, q.prefix+k)
	}
	args = append(args, placeholder, "1780000001000", "returnvalue", `{"sent":true}`, "completed", "1", q.prefix, opts, "")
	return counting(args...)
}

// measureJobs is one round of jobWork on a server. Each request leaves a job more, so each round has a queue of its own,
// which is deleted at its end.
func (r *run) measureJobs(ctx context.Context, s *server, pipeline int) (figures, error) {
	var f figures
	sha, err := s.do("SCRIPT", "LOAD", r.jobScript)
	if err != nil {
		return f, err
	}
	opts, err := s.do("EVAL", `return cmsgpack.pack({token=ARGV[1], name="worker", keepJobs={count=-1}, lockDuration=3600000, attempts=3, maxMetricsSize="", fpof=false})`, "0", jobToken)
	if err != nil {
		return f, err
	}
	n := r.count(pipeline, 40)
	// Whoever finishes job i has a batch of others before and behind it on each connection, which may overtake it.
	q := jobQueue{prefix: fmt.Sprintf("bull:queue-%d:", r.nextSeed()), active: 2 * int64(r.clients*pipeline)}
	q.total = q.active + n
	if err := q.make(ctx, s); err != nil {
		return f, err
	}
	l := load{addr: s.addr, conns: r.clients, workers: 1, pipeline: pipeline, requests: n, gen: q.finish(sha, opts)}
	var took time.Duration
	used, err := cpuDuring(s.pid, func() (err error) {
		took, err = l.run(ctx)
		return err
	})
	if err != nil {
		return f, err
	}
	done, err := s.do("ZCARD", q.prefix+"completed")
	if err != nil {
		return f, err
	}
	if done != fmt.Sprint(n) {
		return f, fmt.Errorf("%s on %s: %s jobs of %d were finished", jobWork, s.name, done, n)
	}
	f.rps = float64(n) / took.Seconds()
	f.wall = f.rps
	f.cpu = float64(used.Nanoseconds()) / 1e3 / float64(n)
	return f, q.drop(ctx, s)
}

// drop deletes the queue.
func (q jobQueue) drop(ctx context.Context, s *server) error {
	if err := fill(ctx, s.addr, q.total, counting("UNLINK", q.prefix+placeholder, q.prefix+placeholder+":lock")); err != nil {
		return err
	}
	_, err := s.do("UNLINK", q.prefix+"wait", q.prefix+"active", q.prefix+"events", q.prefix+"completed", q.prefix+"marker", q.prefix+"meta", q.prefix+"stalled")
	return err
}
