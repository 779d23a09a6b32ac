package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"kvd/command"
	"kvd/command/families"
	"kvd/persist"
)

// errDamaged ends the program after the damage has been reported.
var errDamaged = errors.New("damaged")

// checkCommand is `kvd check`.
func checkCommand(stdin io.Reader, stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "verify snapshots and logs",
		UsageText: "kvd check [--fix [--yes]] FILE-or-DIR ...",
		Description: "It verifies snapshots (RDB), logs (AOF) and their manifests, or all that a data directory holds, and says what is in them.\n" +
			"The exit status is 1 where something is damaged. No server must be using the files if --fix is given.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "fix", Usage: "cut a torn or damaged log behind its last whole command, after asking"},
			&cli.BoolFlag{Name: "yes", Usage: "do not ask"},
		},
		Action: func(ctx *cli.Context) error {
			if ctx.NArg() == 0 {
				return errors.New("kvd check needs a file or a directory; see kvd check --help")
			}
			c := &persist.Checker{Known: knownCommand(families.Table())}
			in := bufio.NewReader(stdin)
			bad := false
			for _, name := range ctx.Args().Slice() {
				ok, err := check(c, name, ctx.Bool("fix"), ctx.Bool("yes"), in, stdout)
				if err != nil {
					return err
				}
				bad = bad || !ok
			}
			if bad {
				return errDamaged
			}
			return nil
		},
	}
}

// check verifies one file or directory and, if it is wanted, fixes it; ok: all
// is well then.
func check(c *persist.Checker, name string, fix, yes bool, in *bufio.Reader, out io.Writer) (ok bool, err error) {
	reports, err := c.Check(name)
	if err != nil {
		return false, err
	}
	ok = true
	for _, r := range reports {
		r.Write(out, "")
		d := r.Damaged()
		if d == nil {
			continue
		}
		if !fix || !d.Fixable {
			ok = false
			continue
		}
		if !yes {
			fmt.Fprintf(out, "Cut %s to %d bytes? [y/N] ", d.File, d.Keep)
			answer, _ := in.ReadString('\n')
			if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
				fmt.Fprintln(out, "Nothing was changed.")
				ok = false
				continue
			}
		}
		if err := c.Fix(d); err != nil {
			return false, err
		}
		fmt.Fprintf(out, "%s was cut to %d bytes.\n", d.File, d.Keep)
	}
	if ok {
		fmt.Fprintf(out, "%s: OK\n", name)
	}
	return ok, nil
}

// knownCommand says what is wrong with a command of a log, if anything.
func knownCommand(table *command.Table) func(args int, name []byte) error {
	return func(args int, name []byte) error {
		row := table.Lookup(name)
		switch {
		case row == nil:
			return fmt.Errorf("there is no command %.40q", name)
		case row.Arity > 0 && args != row.Arity || args < -row.Arity:
			return fmt.Errorf("%s with %d arguments", row.Name, args-1)
		}
		return nil
	}
}
