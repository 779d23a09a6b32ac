//go:build !linux

package harness

import "syscall"

// dieWithParent is Linux's alone: elsewhere a server outlives a test that is killed.
func dieWithParent() *syscall.SysProcAttr { return nil }
