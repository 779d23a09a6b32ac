// Package set is the commands of sets.
package set

import (
	"slices"

	"kvd/command"
)

// Rows are the commands of the family.
func Rows() []*command.Row {
	return slices.Concat(
		setRows(),
		setAlgebraRows(),
	)
}
