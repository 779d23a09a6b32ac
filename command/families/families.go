// Package families says which commands kvd has.
package families

import "kvd/command"

// Table makes the table of all commands. Each call makes one of its own, in which
// commands may be renamed.
func Table() *command.Table {
	t, err := command.NewTable(command.Families()...)
	if err != nil {
		panic("families: " + err.Error()) // a slip in a row, which the tests of the table find
	}
	return t
}
