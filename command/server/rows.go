// Package server has commands about the server as a whole that need nothing of the
// engine's insides.
package server

import (
	"slices"

	"kvd/command"
)

// Rows are the commands of this package.
func Rows() []*command.Row {
	return slices.Concat(
		serverRows(),
		absentRows(),
		clusterOffRows(),
		commandLogRows(),
		hotkeysRows(),
		latencyRows(),
	)
}
