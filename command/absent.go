package command

// CLUSTER, ASKING, READONLY, READWRITE and MODULE LIST: what tools and client libraries
// ask every server, to know whether it is a cluster, or has modules.

func init() {
	off := func(name string, arity int, flags Flag, since, summary string) *Row {
		return &Row{Name: name, Fn: cmdClusterOff, Arity: arity, Flags: flags, Since: since, Group: "cluster", Summary: summary, Complexity: "O(1)"}
	}
	cluster := off("cluster", -2, 0, "3.0.0", "Commands about a cluster, which this server is not part of.")
	cluster.Syntax = "subcommand [argument [argument ...]]"
	register(
		cluster,
		off("asking", 1, Fast, "3.0.0", "Lets the next command use a slot that is on its way; here an error."),
		off("readonly", 1, Fast|Loading|Stale, "3.0.0", "Lets reads go to a replica of a cluster; here an error."),
		off("readwrite", 1, Fast|Loading|Stale, "3.0.0", "Ends READONLY; here an error."),
		&Row{Name: "module", Arity: -2, Since: "4.0.0", Group: "server", Summary: "Commands about modules, of which there are none.", Complexity: "Depends on the subcommand.",
			Sub: []*Row{
				{Name: "list", Fn: func(c *Ctx) { c.W.Array(0) }, Arity: 2, Flags: Admin | NoScript, Since: "4.0.0", Summary: "Lists the modules: none.", Complexity: "O(1)", Tips: "nondeterministic_output_order"},
				helpRow("5.0.0",
					"LIST",
					"    Return a list of the modules, which is empty.",
				),
			}},
	)
}

// cmdClusterOff replies with the text by which tools tell "no cluster" from "broken".
func cmdClusterOff(c *Ctx) { c.Err("ERR This instance has cluster support disabled") }
