package command

import (
	"fmt"
	"strings"
)

// What containers of subcommands answer to HELP.

// HelpRow is the row of a container's HELP: each subcommand's form, with its
// description indented by four blanks on the lines behind.
func HelpRow(since string, lines ...string) *Row {
	return &Row{Name: "help", Arity: 2, Flags: Loading | Stale, Since: since, Summary: "Describes the subcommands.", Complexity: "O(1)",
		Fn: func(c *Ctx) { c.help(lines) }}
}

func (c *Ctx) help(lines []string) {
	name, _, _ := strings.Cut(c.Row.full, "|")
	c.W.Array(len(lines) + 3)
	c.W.SimpleString(strings.ToUpper(name) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, l := range lines {
		c.W.SimpleString(l)
	}
	c.W.SimpleString("HELP")
	c.W.SimpleString("    Print this help.")
}

// UnknownForm replies that a subcommand does not exist with these arguments.
func (c *Ctx) UnknownForm() {
	name, _, _ := strings.Cut(c.Row.full, "|")
	c.Err(fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", quoted(c.Args[1], 128), strings.ToUpper(name)))
}
