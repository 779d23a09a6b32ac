//go:build !linux

package keyspace

import "runtime"

// Rest paces a walk over all keys; see rest_linux.go.
type Rest struct{}

// Begin and End do nothing.
func (*Rest) Begin() {}

// End see Begin.
func (*Rest) End() {}

// Turn ends a turn; nothing is locked.
func (*Rest) Turn() { runtime.Gosched() }
