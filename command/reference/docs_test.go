package reference

import (
	"strings"
	"testing"

	"kvd/command"
)

// printArgs prints a tree of arguments in the notation of Row.Syntax.
func printArgs(args []docArg) string {
	var parts []string
	for _, a := range args {
		body := a.name
		switch a.kind {
		case "pure-token":
			body = ""
		case "oneof":
			var alts []string
			for _, s := range a.sub {
				alts = append(alts, printArgs([]docArg{s}))
			}
			body = "<" + strings.Join(alts, "|") + ">"
		case "block":
			body = "{" + printArgs(a.sub) + "}"
		}
		one := strings.TrimSpace(a.token + " " + body)
		if a.flags&docMultipleToken != 0 {
			one += "++"
		} else if a.flags&docMultiple != 0 {
			one += "+"
		}
		if a.flags&docOptional != 0 {
			one = "[" + one + "]"
		}
		parts = append(parts, one)
	}
	return strings.Join(parts, " ")
}

func TestDocArgs(t *testing.T) {
	for _, c := range [][2]string{
		{"key value", "key value"},
		{"key [key ...]", "key+"},
		{"[key [key ...]]", "[key+]"},
		{"score member [score member ...]", "{score member}+"},
		{"[NX | XX] [GET]", "[<NX|XX>] [GET]"},
		{"[EX seconds | PX milliseconds | KEEPTTL]", "[<EX seconds|PX milliseconds|KEEPTTL>]"},
		{"[LIMIT offset count]", "[LIMIT {offset count}]"},
		{"[GET pattern [GET pattern ...]]", "[GET pattern++]"},
		{"[WEIGHTS weight [weight ...]]", "[WEIGHTS weight+]"},
		{"[AGGREGATE <SUM | MIN | MAX>]", "[AGGREGATE <SUM|MIN|MAX>]"},
		{"<LEFT | RIGHT> [COUNT count]", "<LEFT|RIGHT> [COUNT count]"},
		{"[<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id>", "[{<MAXLEN|MINID> [<=|~>] threshold [LIMIT count]}] <*|id>"},
		{"numkeys key [key ...]", "numkeys key+"},
		{"[a x | b [a x | b ...]]", "[<{a x}|b>+]"},
	} {
		if got := printArgs(docArgs(&command.Row{Syntax: c[0]})); got != c[1] {
			t.Errorf("%s\n got %s\nwant %s", c[0], got, c[1])
		}
	}
}
