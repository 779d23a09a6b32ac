//go:build !linux

package persist

import "runtime"

// rest is how a snapshot's walker makes room; see rest_linux.go.
type rest struct{}

func (*rest) begin() {}
func (*rest) end()   {}
func (*rest) turn()  { runtime.Gosched() }
