package families_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"kvd/command"
	"kvd/command/families"
)

var update = flag.Bool("update", false, "write docs/commands.md")

// TestCommandsDoc holds docs/commands.md, which is made of the rows.
func TestCommandsDoc(t *testing.T) {
	const path = "../../docs/commands.md"
	want := commandsDoc(families.Table())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/commands.md is not what the rows say: go test ./command/families -update")
	}
}

// commandsDoc lists the commands by group.
func commandsDoc(table *command.Table) string {
	groups := map[string][]*command.Row{}
	n := 0
	var add func(r *command.Row)
	add = func(r *command.Row) {
		if r.Fn != nil {
			groups[r.Group] = append(groups[r.Group], r)
			n++
		}
		for _, s := range r.Sub {
			add(s)
		}
	}
	for _, r := range table.Top() {
		add(r)
	}
	var names []string
	for g := range groups {
		names = append(names, g)
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "# Commands\n\nThe %d commands and subcommands of kvd, made of their rows by `go test ./command/families -update`. `COMMAND DOCS` says the same, and more.\n", n)
	for _, g := range names {
		fmt.Fprintf(&b, "\n## %s\n\n| command | arguments | since | what it does |\n|---|---|---|---|\n", g)
		for _, r := range groups[g] {
			syntax := strings.ReplaceAll(r.Syntax, "|", "\\|")
			if syntax != "" {
				syntax = "`" + syntax + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", strings.ToUpper(strings.ReplaceAll(r.FullName(), "|", " ")), syntax, r.Since, strings.ReplaceAll(r.Summary, "|", "\\|"))
		}
	}
	return b.String()
}

// TestRowsHaveOneHome: a command is in one family only, and the table has all of them.
func TestRowsHaveOneHome(t *testing.T) {
	seen := map[string]bool{}
	table, hidden := families.Table(), 0
	for _, rows := range families.All() {
		if len(rows) == 0 {
			t.Error("a family has no rows")
		}
		for _, r := range rows {
			if seen[r.Name] {
				t.Errorf("%s has two rows", r.Name)
			}
			if seen[r.Name] = true; r.Front != "" {
				hidden++
				if table.Hidden(r.Name) == nil || table.Lookup([]byte(r.Name)) != nil {
					t.Errorf("%s is not hidden", r.Name)
				}
			}
		}
	}
	if n := len(table.Top()) + hidden; n != len(seen) || hidden == 0 {
		t.Errorf("the table has %d commands, the families have %d", n, len(seen))
	}
}
