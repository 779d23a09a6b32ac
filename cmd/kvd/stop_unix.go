//go:build unix

package main

import "syscall"

// stopSelf stops the process until its supervisor goes on with it, which tells
// Upstart that it is ready.
func stopSelf() { _ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) }
