// Package hash is the commands of hashes and of the deadlines of their fields.
package hash

import (
	"slices"

	"kvd/command"
)

// Rows are the commands of the family.
func Rows() []*command.Row {
	return slices.Concat(
		hashRows(),
		hashExpireRows(),
		hashImportRows(),
		hashRangeRows(),
	)
}
