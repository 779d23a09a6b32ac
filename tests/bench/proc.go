package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of utime and stime in /proc/PID/stat: USER_HZ, which is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// parseSchedstat reads the first field of a schedstat file: the time that the thread has spent on a CPU.
// Format: Documentation/scheduler/sched-stats.rst of Linux, "/proc/<pid>/schedstat".
func parseSchedstat(text []byte) (time.Duration, error) {
	f := bytes.Fields(text)
	if len(f) != 3 {
		return 0, fmt.Errorf("schedstat: %d fields in %q, want 3", len(f), text)
	}
	ns, err := strconv.ParseInt(string(f[0]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("schedstat: %w", err)
	}
	return time.Duration(ns), nil
}

// parseStat reads utime+stime, fields 14 and 15, from the text of /proc/PID/stat (proc(5)). The second field
// is the program's name in parentheses and may hold anything, so fields are counted from the last one closing.
func parseStat(text []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return 0, fmt.Errorf("stat: no program name in %q", text)
	}
	f := bytes.Fields(text[end+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("stat: %d fields after the name, want 13 or more", len(f))
	}
	var sum time.Duration
	for _, x := range f[11:13] {
		n, err := strconv.ParseInt(string(x), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat: %w", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// parseKB reads a line "Name:   123 kB" of /proc/PID/status or /proc/meminfo and returns bytes.
func parseKB(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		if len(f) != 2 || f[1] != "kB" {
			return 0, fmt.Errorf("unexpected line %q", line)
		}
		n, err := strconv.ParseInt(f[0], 10, 64)
		return n * 1024, err
	}
	return 0, fmt.Errorf("no line %s", name)
}

// cpuTime is what a process has used so far, by both sources.
type cpuTime struct {
	threads time.Duration // exact, but only of threads that live now
	group   time.Duration // in ticks, with the threads that ended
}

// cpuOf reads a process's CPU time.
func cpuOf(pid int) (cpuTime, error) {
	var t cpuTime
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return t, err
	}
	if t.group, err = parseStat(text); err != nil {
		return t, err
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return t, err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) || err == nil && len(text) == 0 {
			continue // the thread has just ended
		}
		if err != nil {
			return t, err
		}
		d, err := parseSchedstat(text)
		if err != nil {
			return t, err
		}
		t.threads += d
	}
	return t, nil
}

// since returns the CPU time used between before and t.
func (t cpuTime) since(before cpuTime) time.Duration {
	threads, group := t.threads-before.threads, t.group-before.group
	if group > threads+3*tick { // threads ended in between, or the kernel keeps no schedstat
		return group
	}
	return threads
}

// parseCPU reads from the text of /proc/stat (proc(5)) for how long the machine's CPUs have been used, by whomever, and taken
// away by a hypervisor; stolen is the latter alone.
func parseCPU(text string) (busy, stolen time.Duration, err error) {
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, 0, fmt.Errorf("unexpected first line of /proc/stat: %q", line)
	}
	for i, x := range f[1:9] { // user nice system idle iowait irq softirq steal
		if i == 3 || i == 4 {
			continue
		}
		n, err := strconv.ParseInt(x, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		}
		stolen = time.Duration(n) * tick // the last one stays
		busy += stolen
	}
	return busy, stolen, nil
}

func readCPU() (busy, stolen time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	return parseCPU(string(text))
}

// strangers measures what others than this program and its children use of the machine.
type strangers struct {
	start     time.Time
	busy, own time.Duration
}

func (s *strangers) read() (err error) {
	if s.busy, _, err = readCPU(); err != nil {
		return err
	}
	s.start = time.Now()
	s.own, err = ownCPU()
	return err
}

// since returns how many CPUs they have used on average since before. The children must have ended.
func (s strangers) since(before strangers) float64 {
	return max(0, ((s.busy-before.busy)-(s.own-before.own)).Seconds()/s.start.Sub(before.start).Seconds())
}

// residentOf returns a process's VmRSS and VmHWM in bytes.
func residentOf(pid int) (rss, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	if rss, err = parseKB(string(text), "VmRSS"); err != nil {
		return 0, 0, err
	}
	peak, err = parseKB(string(text), "VmHWM")
	return rss, peak, err
}

// privateOf returns the bytes of memory that a process shares with no other one, as with the process that it was forked from.
// Format: Documentation/filesystems/proc.rst of Linux, "/proc/PID/smaps_rollup". It walks the page tables: tens of milliseconds a GB.
func privateOf(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	clean, err := parseKB(string(text), "Private_Clean")
	if err != nil {
		return 0, err
	}
	dirty, err := parseKB(string(text), "Private_Dirty")
	return clean + dirty, err
}

// childrenOf returns the ids of a process's children.
func childrenOf(pid int) (pids []int, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has just ended
		}
		if err != nil {
			return nil, err
		}
		for _, word := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f, err)
			}
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// peakDuring returns the most memory that a process and its children have while f runs: the process's VmRSS, read
// every 20 ms, and what is the children's own, read twice a second because reading it costs.
func peakDuring(pid int, f func() error) (peak int64, err error) {
	const (
		step  = 20 * time.Millisecond
		apart = 25 // steps
	)
	err = during(func(stop <-chan struct{}) error {
		children := int64(0)
		for i := 0; ; i++ {
			rss, _, err := residentOf(pid)
			if err != nil {
				return err
			}
			if i%apart == apart/2 {
				pids, err := childrenOf(pid)
				if err != nil {
					return err
				}
				children = 0
				for _, child := range pids {
					// A child that has just ended has no memory, and either no file or one that says nothing.
					if own, err := privateOf(child); err == nil {
						children += own
					}
				}
			}
			peak = max(peak, rss+children)
			select {
			case <-stop:
				return nil
			case <-time.After(step):
			}
		}
	}, f)
	return peak, err
}

// availableMemory returns MemAvailable of the machine in bytes.
func availableMemory() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	return parseKB(string(text), "MemAvailable")
}

// settle waits until VmRSS has moved by less than half a percent during window, at most limit, and returns it.
func settle(ctx context.Context, pid int, window, limit time.Duration) (int64, error) {
	const step = 200 * time.Millisecond
	var seen []int64
	for stop := time.Now().Add(limit); ; {
		rss, _, err := residentOf(pid)
		if err != nil {
			return 0, err
		}
		seen = append(seen, rss)
		if n := int(window/step) + 1; len(seen) >= n {
			last := seen[len(seen)-n:]
			if hi := slices.Max(last); float64(hi-slices.Min(last)) <= 0.005*float64(hi) {
				return rss, nil
			}
		}
		if time.Now().After(stop) {
			return rss, nil
		}
		if err := pause(ctx, step); err != nil {
			return 0, err
		}
	}
}

// pause sleeps for d unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
