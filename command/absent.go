package command

// MODULE LIST, which tools and client libraries ask every server, to know whether it has
// modules.

func absentRows() []*Row {
	return []*Row{
		{Name: "module", Arity: -2, Since: "4.0.0", Group: "server", Summary: "Commands about modules, of which there are none.", Complexity: "Depends on the subcommand.",
			Sub: []*Row{
				{Name: "list", Fn: func(c *Ctx) { c.W.Array(0) }, Arity: 2, Flags: Admin | NoScript, Since: "4.0.0", Summary: "Lists the modules: none.", Complexity: "O(1)", Tips: "nondeterministic_output_order"},
				HelpRow("5.0.0",
					"LIST",
					"    Return a list of the modules, which is empty.",
				),
			}},
	}
}
