//go:build !linux

package persist

import "runtime"

// rest is how a snapshot's walker makes room; see rest_linux.go.
type rest struct{}

func (*rest) begin() {}
func (*rest) end()   {}
func (*rest) turn()  { runtime.Gosched() }

// lowPriority does nothing where threads have no priority of their own.
func lowPriority() {}
