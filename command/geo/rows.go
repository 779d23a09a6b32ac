// Package geo is the commands of positions, which are scores of sorted sets.
package geo

import (
	"slices"

	"kvd/command"
)

// Rows are the commands of the family.
func Rows() []*command.Row {
	return slices.Concat(
		geoRows(),
		geoSearchRows(),
	)
}
