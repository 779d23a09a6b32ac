package command

import "strings"

// FUNCTION FLUSH, HELP, LIST. There are no functions yet: the list is empty,
// and emptying it succeeds.

func init() {
	register(&Row{Name: "function", Arity: -2, Since: "7.0.0", Group: "scripting",
		Summary: "Commands about functions.", Complexity: "Depends on the subcommand.",
		Sub: []*Row{
			{Name: "flush", Fn: cmdFunctionFlush, Arity: -2, Flags: Write | NoScript, Since: "7.0.0", Summary: "Deletes all libraries of functions.", Complexity: "O(1)",
				Syntax: "[ASYNC | SYNC]", Tips: "request_policy:all_shards response_policy:all_succeeded"},
			helpRow("7.0.0",
				"FLUSH [ASYNC|SYNC]",
				"    Delete all libraries.",
				"LIST [LIBRARYNAME PATTERN] [WITHCODE]",
				"    Describe the libraries.",
			),
			{Name: "list", Fn: cmdFunctionList, Arity: -2, Flags: NoScript, Since: "7.0.0", Summary: "Describes the libraries of functions.", Complexity: "O(1)",
				Syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]", Tips: "nondeterministic_output_order"},
		}})
}

func cmdFunctionFlush(c *Ctx) {
	if len(c.Args) > 3 {
		c.unknownForm()
		return
	}
	if len(c.Args) == 3 && !c.Word(2, "sync") && !c.Word(2, "async") {
		c.Err("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
		return
	}
	c.W.OK()
}

func cmdFunctionList(c *Ctx) {
	var code, pattern bool
	for i := 2; i < len(c.Args); i++ {
		switch {
		case !code && c.Word(i, "withcode"):
			code = true
		case !pattern && c.Word(i, "libraryname"):
			if i+1 >= len(c.Args) {
				c.Err("ERR library name argument was not given")
				return
			}
			pattern = true
			i++
		default:
			c.Err("ERR Unknown argument " + strings.TrimRight(quote(c.Args[i]), "\r\n"))
			return
		}
	}
	c.W.Array(0)
}
