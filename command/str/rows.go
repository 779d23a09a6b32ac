// Package str is the commands of strings and numbers: SET, GET, INCR and their kin.
package str

import (
	"slices"

	"kvd/command"
)

// Rows are the commands of the family.
func Rows() []*command.Row {
	return slices.Concat(
		stringRows(),
		stringNewRows(),
		lcsRows(),
		throttleRows(),
	)
}
