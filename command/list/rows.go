// Package list is the commands of lists, blocking ones too.
package list

import (
	"slices"

	"kvd/command"
)

// Rows are the commands of the family.
func Rows() []*command.Row {
	return slices.Concat(
		listRows(),
		listMoveRows(),
		listBlockRows(),
	)
}
