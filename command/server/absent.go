package server

import "kvd/command"

// MODULE LIST, which tools and client libraries ask every server, to know whether it has
// modules.

func absentRows() []*command.Row {
	return []*command.Row{
		{Name: "module", Arity: -2, Since: "4.0.0", Group: "server", Summary: "Commands about modules, of which there are none.", Complexity: "Depends on the subcommand.",
			Sub: []*command.Row{
				{Name: "list", Fn: func(c *command.Ctx) { c.W.Array(0) }, Arity: 2, Flags: command.Admin | command.NoScript, Since: "4.0.0", Summary: "Lists the modules: none.", Complexity: "O(1)", Tips: "nondeterministic_output_order"},
				command.HelpRow("5.0.0",
					"LIST",
					"    Return a list of the modules, which is empty.",
				),
			}},
	}
}
