package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// The system shows as a process's title what stands where its arguments were. That
// memory is the process's own, so it is written through /proc/self/mem. Source of the
// fields: proc_pid_stat(5).

// keepArgs makes the arguments independent of that memory, in which they stand.
func keepArgs() {
	for i, a := range os.Args {
		os.Args[i] = strings.Clone(a)
	}
}

// writeTitle sets the process's title, cut off where the arguments ended.
func writeTitle(title string) error {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from the third on
	const argStart, argEnd = 48 - 3, 49 - 3
	if len(fields) <= argEnd {
		return os.ErrInvalid
	}
	from, err1 := strconv.ParseInt(string(fields[argStart]), 10, 64)
	to, err2 := strconv.ParseInt(string(fields[argEnd]), 10, 64)
	if err1 != nil || err2 != nil || from <= 0 || to <= from {
		return os.ErrInvalid
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	b := make([]byte, to-from) // the rest is zeros
	copy(b[:len(b)-1], title)
	_, err = mem.WriteAt(b, from)
	return err
}
