//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"

	"kvd/config"
)

// daemonMark tells a process that it is the one in the background.
const daemonMark = "KVD_IN_BACKGROUND"

// startDir is where the program was started: dir may have led elsewhere, and relative
// paths of the arguments are from here.
var startDir, _ = os.Getwd()

// daemonize obeys daemonize: a Go program cannot fork, so it starts itself anew, in
// a session of its own and without a terminal, with the same arguments and the same
// standard input as far as it was read. parent: there is nothing left to do here.
func daemonize(cfg *config.Config, input []byte) (parent bool, err error) {
	if os.Getenv(daemonMark) != "" {
		return false, os.Unsetenv(daemonMark)
	}
	if !cfg.Daemonize.Load() || cfg.Supervised.Load() != "no" {
		return false, nil
	}
	program, err := os.Executable()
	if err != nil {
		return false, err
	}
	c := exec.Command(program, os.Args[1:]...)
	c.Args[0] = os.Args[0]
	c.Env = append(os.Environ(), daemonMark+"=1")
	c.Dir = startDir
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if len(input) > 0 {
		f, err := os.CreateTemp("", "kvd-stdin")
		if err != nil {
			return false, err
		}
		defer f.Close()
		if err := os.Remove(f.Name()); err != nil {
			return false, err
		}
		if _, err := f.WriteAt(input, 0); err != nil {
			return false, err
		}
		c.Stdin = f
	}
	return true, c.Start()
}
