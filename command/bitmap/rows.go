// Package bitmap is the commands that read and change the bits of strings.
package bitmap

import "kvd/command"

// Rows are the commands of the family.
func Rows() []*command.Row {
	return bitsRows()
}
