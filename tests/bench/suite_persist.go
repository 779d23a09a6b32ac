package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// mixedSizes are the sizes of the collections that persistence is measured with.
var mixedSizes = []int{5, 20, 100, 100, 500, 3000}

// mixedMembers is the mean of mixedSizes.
const mixedMembers = 3725 / 6

// mixed makes collections of all kinds and of mixedSizes, one each request.
func mixed(dst []byte, i int64, _ *rand.Rand) []byte {
	kind := kinds[i%4]
	name := map[string]string{"l": "RPUSH", "s": "SADD", "h": "HSET", "z": "ZADD"}[kind]
	size := mixedSizes[i/4%int64(len(mixedSizes))]
	args := []string{name, kind + ":" + strconv.FormatInt(i, 10)}
	for j := range int64(size) {
		// Spread over all numbers of nine digits, without repetition within a collection.
		n := strconv.FormatInt((i*31+j)*618_033_989%1_000_000_007, 10)
		m := "member:" + n
		switch kind {
		case "h":
			args = append(args, m, "value:"+n)
		case "z":
			args = append(args, n, m)
		default:
			args = append(args, m)
		}
	}
	return appendCommand(dst, args...)
}

// persistence measures saving and loading: wall and CPU time. Both sides load the same file, Redis's, and kvd its own, too.
func persistence(ctx context.Context, r *run) error {
	for _, kind := range []struct {
		name string
		n    int64
		gen  generator
	}{
		{"strings", r.keys, counting("SET", "key:"+placeholder, r.value())},
		{"collections", max(24, r.keys/mixedMembers), mixed},
	} {
		for range r.rounds {
			if err := r.saveAndLoad(ctx, kind.name, kind.n, kind.gen); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) saveAndLoad(ctx context.Context, kind string, n int64, gen generator) error {
	dir, err := os.MkdirTemp("", "kvd-bench-files-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, own := filepath.Join(dir, "redis.rdb"), filepath.Join(dir, "kvd.rdb")
	progress("persist: %s on redis", kind)
	s, err := r.start(ctx, "redis", nil)
	if err != nil {
		return err
	}
	if err = fill(ctx, s.addr, n, gen); err == nil {
		err = r.save(s, s.dir, kind, file)
	}
	s.stop()
	if err != nil {
		return err
	}
	if err := r.loadFile(ctx, "redis", kind+"/load", file, nil); err != nil {
		return err
	}
	progress("persist: %s on kvd", kind)
	if err := r.loadFile(ctx, "kvd", kind+"/load", file, func(s *server, dir string) error { return r.save(s, dir, kind, own) }); err != nil {
		return err
	}
	return r.loadFile(ctx, "kvd", kind+"/load of its own file", own, nil)
}

// save measures SAVE and moves the file from the server's directory to where it is wanted.
func (r *run) save(s *server, dir, kind, to string) error {
	before, err := cpuOf(s.pid)
	if err != nil {
		return err
	}
	start := time.Now()
	c, err := dial(s.addr, 10*time.Minute)
	if err != nil {
		return err
	}
	defer c.close()
	if reply, err := c.text("SAVE"); err != nil || reply != "OK" {
		return errors.Join(fmt.Errorf("SAVE: %s", reply), err)
	}
	took := time.Since(start)
	after, err := cpuOf(s.pid)
	if err != nil {
		return err
	}
	r.add("persist/"+kind+"/save/time", "s", s.name, took.Seconds())
	r.add("persist/"+kind+"/save/cpu", "s", s.name, after.since(before).Seconds())
	return os.Rename(filepath.Join(dir, "dump.rdb"), to)
}

// loadedIn is the line of the log that tells how long loading took, the same from both servers.
var loadedIn = regexp.MustCompile(`DB loaded from disk: ([0-9.]+) seconds`)

// loadFile measures a start with the file, then calls f, if it is not nil.
func (r *run) loadFile(ctx context.Context, side, figure, file string, f func(s *server, dir string) error) error {
	dir, err := os.MkdirTemp("", "kvd-bench-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Link(file, filepath.Join(dir, "dump.rdb")); err != nil {
		return err
	}
	s, err := r.start(ctx, side, nil, "--dir", dir)
	if err != nil {
		return err
	}
	defer s.stop()
	cpu, err := cpuOf(s.pid)
	if err != nil {
		return err
	}
	log, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	m := loadedIn.FindSubmatch(log)
	if m == nil {
		return fmt.Errorf("the log of %s does not tell how long loading took: %s", s.name, s.logTail())
	}
	took, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return err
	}
	_, peak, err := residentOf(s.pid)
	if err != nil {
		return err
	}
	rss, err := settle(ctx, s.pid, time.Second, 10*time.Second)
	if err != nil {
		return err
	}
	r.add("persist/"+figure+"/time", "s", s.name, took)
	r.add("persist/"+figure+"/cpu", "s", s.name, (cpu.since(cpuTime{})).Seconds())
	r.add("persist/"+figure+"/peak by end", "", s.name, float64(peak)/float64(rss))
	if f == nil {
		return nil
	}
	return f(s, dir)
}
