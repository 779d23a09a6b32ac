// Package hll is the commands of HyperLogLogs.
package hll

import "kvd/command"

// Rows are the commands of the family.
func Rows() []*command.Row {
	return hllRows()
}
