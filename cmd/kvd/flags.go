package main

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"kvd/command"
	"kvd/command/families"
	"kvd/config"
)

// newApp returns the command-line program; start is called with the finished
// configuration. The flags are for help only: the table's rules, not cli's,
// parse the arguments, because a directive takes several, and a value may
// look like a flag.
func newApp(stdin io.Reader, stdout, stderr io.Writer, start func(*config.Config) error) *cli.App {
	app := &cli.App{
		Name:                  "kvd",
		Usage:                 "a Redis-protocol data-structure server",
		UsageText:             usageText,
		Version:               Version,
		Flags:                 tableFlags(),
		CustomAppHelpTemplate: helpTemplate,
		SkipFlagParsing:       true,
		HideHelp:              true, // -h and -v count as first argument only, see below
		HideVersion:           true,
		Reader:                stdin,
		Writer:                stdout,
		ErrWriter:             stderr,
		ExitErrHandler:        func(*cli.Context, error) {}, // run reports errors
		Commands: []*cli.Command{checkCommand(stdin, stdout), memcachedCommand(stdin, start), backupCommand(stdout, stderr), restoreCommand(stdout),
			importCommand(stdout, stderr), compareCommand(stdout, stderr), topCommand(stdout)},
	}
	app.Action = func(ctx *cli.Context) error {
		args := ctx.Args().Slice()
		if len(args) > 0 {
			switch args[0] {
			case "-h", "--help":
				return cli.ShowAppHelp(ctx)
			case "-v", "--version":
				// In the form of redis-server's: tools read the v= to know which commands there are.
				fmt.Fprintf(stdout, "kvd server v=%s sha=00000000:0 malloc=go bits=%d build=0 kvd=%s go=%s\n",
					config.RedisVersion, strconv.IntSize, Version, runtime.Version())
				return nil
			}
		}
		cfg, err := loadConfig(args, stdin)
		if err != nil {
			return err
		}
		if err := command.CheckUsers(families.Table(), cfg); err != nil {
			return err
		}
		return start(cfg)
	}
	return app
}

// loadConfig reads the configuration that the arguments name: a file, if the
// first argument does not begin with '-'; standard input, if the first or
// last one is "-"; and flags.
func loadConfig(args []string, stdin io.Reader) (*config.Config, error) {
	cfg := config.New()
	file, fromStdin := "", false
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		file, args = args[0], args[1:]
	} else if len(args) > 0 && args[0] == "-" {
		fromStdin, args = true, args[1:]
	}
	if n := len(args); n > 0 && args[n-1] == "-" {
		fromStdin, args = true, args[:n-1]
	}
	if file != "" {
		if err := cfg.LoadFile(file); err != nil {
			return nil, err
		}
	}
	if fromStdin {
		if err := cfg.LoadReader(stdin); err != nil {
			return nil, err
		}
	}
	if err := cfg.LoadArgs(args); err != nil {
		return nil, err
	}
	return cfg, cfg.Finish()
}

// inertWarnings says which of the given directives do nothing.
func inertWarnings(cfg *config.Config) (warnings []string) {
	for _, name := range cfg.InertGiven() {
		warnings = append(warnings, name+" was given, but has no effect in kvd: "+cfg.Why(name))
	}
	return warnings
}

const usageText = `kvd [/path/to/redis.conf] [--directive value ...] [-]
kvd -                       (read the configuration from standard input)
kvd -v or --version
kvd -h or --help
kvd check [--fix] FILE-or-DIR ...    (verify snapshots and logs)
kvd memcached [-m 64] [-p 11211] ...    (a cache, with memcached's flags)
kvd backup [--from SERVER] DIR    (copy what a server holds, while it serves)
kvd restore --to DIR [--until TIME] BACKUP    (a data directory as of any second)
kvd import [--to SERVER] SOURCE    (from a server, a snapshot, a log, a file of commands)
kvd compare A B    (two servers or files)
kvd top [SERVER]    (what a server is doing)

examples:
kvd --port 7777 --bind 127.0.0.1 -::1
kvd /etc/redis/redis.conf --save 900 1 300 10 --loglevel verbose`

// helpTemplate is cli's, shortened: no commands, and the groups as they come.
const helpTemplate = `{{.Name}} {{.Version}} - {{.Usage}}

usage: {{wrap .UsageText 7}}

Every directive of redis.conf is a flag too. [config set] can be changed at run time,
[no effect] is accepted and warned about, with the reason why it can have none; [unsupported] is refused unless it has its
default or --ignore-unsupported is given.
{{range .VisibleFlagCategories}}
{{.Name}}
{{range .Flags}}   {{.}}
{{end}}{{end}}`

// tableFlags makes the flags shown by help from the table of directives.
func tableFlags() []cli.Flag {
	rank := make(map[string]string, len(config.Groups))
	for i, g := range config.Groups {
		// cli sorts categories by name; the space-filled number keeps our order.
		rank[g] = fmt.Sprintf("%2d. %s", i+1, g)
	}
	var flags []cli.Flag
	for _, d := range config.Directives() {
		if d.Flags&config.Hidden != 0 {
			continue
		}
		usage := strings.ReplaceAll(d.Help, "`", "'")
		if d.Changeable() {
			usage += " [config set]"
		}
		switch d.Effect {
		case config.Inert:
			usage += " [no effect: " + d.Why + "]"
		case config.Refuse:
			usage += " [unsupported]"
		}
		deflt := d.Default
		if deflt == "" {
			deflt = `""`
		}
		flag := &cli.StringFlag{Name: d.Name, Usage: usage, DefaultText: deflt, Category: rank[d.Group]}
		if d.Alias != "" {
			flag.Aliases = []string{d.Alias}
		}
		flags = append(flags, flag)
	}
	return flags
}
