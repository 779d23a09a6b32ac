//go:build !linux

package main

import (
	"errors"
	"io"
	"os/exec"
	"time"
)

var errNotLinux = errors.New("bench needs Linux: it reads /proc and binds threads to CPUs")

func allowedCPUs() ([]int, error) { return nil, errNotLinux }

func pinAll(int, []int) error { return errNotLinux }

func startOn(*exec.Cmd, []int) error { return errNotLinux }

func raiseFiles() (uint64, error) { return 0, errNotLinux }

func dialBlocking(string, time.Duration) (io.ReadWriteCloser, error) { return nil, errNotLinux }

func ownCPU() (time.Duration, error) { return 0, errNotLinux }

func threadCPU() time.Duration { return 0 }

func threadSleep(d time.Duration) { time.Sleep(d) }
