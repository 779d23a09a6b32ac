// Package zset is the commands of sorted sets.
package zset

import (
	"slices"

	"kvd/command"
)

// Rows are the commands of the family.
func Rows() []*command.Row {
	return slices.Concat(
		zsetRows(),
		zsetRangeRows(),
		zsetAlgebraRows(),
		zsetBlockRows(),
		zsetDueRows(),
	)
}
