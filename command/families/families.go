// Package families lists the families of commands that kvd has.
package families

import (
	"kvd/command"
	"kvd/command/array"
	"kvd/command/bitmap"
	"kvd/command/geo"
	"kvd/command/hash"
	"kvd/command/hll"
	"kvd/command/keys"
	"kvd/command/list"
	"kvd/command/memcached"
	"kvd/command/reference"
	"kvd/command/server"
	"kvd/command/set"
	"kvd/command/str"
	"kvd/command/stream"
	"kvd/command/tyrant"
	"kvd/command/zset"
)

// All are the rows of all families, made anew at each call. A new family is one line here.
func All() [][]*command.Row {
	return [][]*command.Row{
		command.Rows(),
		str.Rows(),
		bitmap.Rows(),
		hll.Rows(),
		list.Rows(),
		set.Rows(),
		hash.Rows(),
		zset.Rows(),
		geo.Rows(),
		stream.Rows(),
		array.Rows(),
		keys.Rows(),
		memcached.Rows(),
		server.Rows(),
		reference.Rows(),
		tyrant.Rows(),
	}
}

// Table makes the table of all commands. Each call makes one of its own, in which
// commands may be renamed.
func Table() *command.Table {
	t, err := command.NewTable(All()...)
	if err != nil {
		panic("families: " + err.Error()) // a slip in a row, which the tests of the table find
	}
	return t
}
