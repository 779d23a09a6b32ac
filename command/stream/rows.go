// Package stream is the commands of streams and of their consumer groups.
package stream

import (
	"slices"

	"kvd/command"
)

// Rows are the commands of the family.
func Rows() []*command.Row {
	return slices.Concat(
		streamRows(),
		streamReadRows(),
		streamGroupRows(),
		streamInfoRows(),
	)
}
