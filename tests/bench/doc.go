// Command bench measures kvd against a real redis-server on the same machine, in the same run.
//
//	go run ./tests/bench                                  # the quick set, below five minutes
//	go run ./tests/bench -suite throughput,memory -json out.json
//	go run ./tests/bench -against bench/history           # what is worse than in the last run there
//	go run ./tests/bench -h                               # suites and parameters
//
// Both servers run without persistence on free loopback ports in directories of their own. What is
// compared is interleaved: one round is one run on each server, the order turning from round to round.
// The tables on standard output are markdown. They give medians over the rounds, the median of the
// rounds' ratios kvd/redis, and the smallest and largest of these ratios as the spread. After each table
// its figures are held against the bounds in thresholds.go: PASS, or SHORT for what falls short of its bound.
// -against compares the ratios with those of an earlier run that -json wrote, and tells which are worse.
// Progress goes to standard error. The exit code is 0 unless a suite failed to run, or -strict
// was given and a figure is SHORT or worse than before.
//
// What the sources of the figures are:
//   - server CPU is the sum of /proc/PID/task/*/schedstat, in nanoseconds; threads that ended in
//     between are missing there, so /proc/PID/stat (which keeps them, in ticks) replaces it where it says more;
//   - resident memory is VmRSS of /proc/PID/status once it has stopped moving;
//   - delays are measured on a connection and a kernel thread of their own with blocking system
//     calls, so that the Go scheduler of this process is not what is measured;
//   - what a virtual machine's host takes from the CPUs (steal in /proc/stat) is told below each table, for it shows in every
//     delay; and beside times that kvd measures by a thread's CPU clock stands the longest step that
//     this clock makes where nothing is done but reading it.
//
// Nothing but the standard library is used here, and nothing of kvd's own packages: this program
// knows kvd only as a process that speaks the Redis protocol. Every wait and loop has a limit, and the
// servers are stopped by process id at the end, on failure and on an interrupt.
// It runs on Linux only, since it lives off /proc and CPU affinity.
package main
