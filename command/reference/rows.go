// Package reference has COMMAND, which tells what the rows of all commands say.
package reference

import "kvd/command"

// Rows are the commands of this package.
func Rows() []*command.Row { return commandRows() }
