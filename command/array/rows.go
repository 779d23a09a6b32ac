// Package array is the commands of arrays: values at indexes, most of which are empty.
package array

import "kvd/command"

// Rows are the commands of the family.
func Rows() []*command.Row { return arrayRows() }
