package command_test

import (
	"kvd/command"
	"kvd/command/families"
)

func init() { command.TestTable = families.Table }
