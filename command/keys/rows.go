// Package keys is the commands of keys of any type: DEL, EXPIRE, SCAN, SORT, DUMP, MIGRATE and so on.
package keys

import (
	"slices"

	"kvd/command"
)

// Rows are the commands of the family.
func Rows() []*command.Row {
	return slices.Concat(
		genericRows(),
		expireRows(),
		scanRows(),
		keyRangeRows(),
		sortRows(),
		dumpRows(),
		migrateRows(),
		keyjobRows(),
	)
}
