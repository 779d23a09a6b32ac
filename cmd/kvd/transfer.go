package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"kvd/persist"
	"kvd/transfer"
)

// The variables of the environment that hold a password, or user:password, for addresses
// without one.
const (
	sourceAuth = "KVD_SOURCE_AUTH"
	targetAuth = "KVD_TARGET_AUTH"
)

const addressHelp = "A server is redis://[user:password@]host[:port], rediss:// for TLS, or unix:///path. Passwords may stand in the environment instead:\n" +
	sourceAuth + " and " + targetAuth + ", as password or user:password."

// errDiffer ends the program after the differences have been told, errRefused after the keys
// that a target refused have.
var (
	errDiffer  = errors.New("the two differ")
	errRefused = errors.New("not all could be imported")
)

// backupCommand is `kvd backup`.
func backupCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "backup",
		Usage:     "copy what a running server holds, while it serves",
		UsageText: "kvd backup [--from redis://127.0.0.1:6379] DIR",
		Description: "The data of one moment are written to DIR/dump.rdb, synced, and verified; DIR is new or empty. The server, kvd or any Redis, is followed for as\n" +
			"long as that takes. kvd restore, kvd import and every Redis read the file.\n" + addressHelp,
		Flags: []cli.Flag{&cli.StringFlag{Name: "from", Usage: "the server", Value: "redis://127.0.0.1:6379"}},
		Action: func(ctx *cli.Context) error {
			if ctx.NArg() != 1 {
				return errors.New("kvd backup needs a directory; see kvd backup --help")
			}
			bar := newProgressBar(stderr)
			report, err := transfer.Backup(transfer.BackupOptions{Source: ctx.String("from"), SourceLogin: os.Getenv(sourceAuth), Dir: ctx.Args().First(), Progress: bar.show})
			bar.clear()
			if err != nil {
				return err
			}
			report.Write(stdout, "")
			return nil
		},
	}
}

// restoreCommand is `kvd restore`.
func restoreCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "restore",
		Usage:     "make a data directory of a backup, as of any second",
		UsageText: "kvd restore --to DIR [--until TIME] BACKUP",
		Description: "BACKUP is a data directory, the directory of a BACKUP command or of kvd backup, or a file of one. It is only read. DIR is new or empty, and is what a\n" +
			"server is started with then. TIME is such as 2026-11-30T12:00:00Z, \"2026-11-30 12:00:00\" (local time), or Unix seconds: all that was written up\n" +
			"to the end of that second is restored. For that the log needs time stamps (aof-timestamp-enabled yes), and must begin before.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "the new data directory", Required: true},
			&cli.StringFlag{Name: "until", Usage: "the last second that counts"},
		},
		Action: func(ctx *cli.Context) error {
			if ctx.NArg() != 1 {
				return errors.New("kvd restore needs a backup; see kvd restore --help")
			}
			var until time.Time
			if text := ctx.String("until"); text != "" {
				var err error
				if until, err = parseMoment(text); err != nil {
					return err
				}
			}
			r, err := persist.Restore(persist.OSDisk, ctx.Args().First(), ctx.String("to"), until)
			if err != nil {
				return err
			}
			writeRestored(stdout, r)
			return nil
		},
	}
}

// writeRestored says what was restored, and how a server is started with it.
func writeRestored(out io.Writer, r *persist.Restored) {
	if !r.Base.IsZero() {
		fmt.Fprintf(out, "The data begins with that of %s.\n", r.Base.UTC().Format(time.RFC3339))
	}
	start := "kvd --dir " + r.Dir
	if r.AppendDirname == "" {
		fmt.Fprintf(out, "Start it: %s --appendonly no\n", start)
		return
	}
	fmt.Fprintf(out, "%d commands of the log follow", r.Commands)
	if !r.Last.IsZero() {
		fmt.Fprintf(out, ", the last ones of %s", r.Last.UTC().Format(time.RFC3339))
	}
	if r.Left > 0 {
		fmt.Fprintf(out, "; %d bytes of it are left out", r.Left)
	}
	if r.Torn {
		fmt.Fprint(out, ", which ended in the middle of a command")
	}
	fmt.Fprintf(out, ".\nStart it: %s --appendonly yes", start)
	if r.AppendFilename != "appendonly.aof" {
		fmt.Fprintf(out, " --appendfilename %s", strconv.Quote(r.AppendFilename))
	}
	fmt.Fprintln(out)
}

// parseMoment reads a time as people write it.
func parseMoment(text string) (time.Time, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, form := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%.80q is no time: 2026-11-30T12:00:00Z, \"2026-11-30 12:00:00\", or Unix seconds", text)
}

// importCommand is `kvd import`.
func importCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "bring the data of a server or of files into a server",
		UsageText: "kvd import [--to redis://127.0.0.1:6379] [--follow | --scan] [--replace] SOURCE",
		Description: "SOURCE is a server, a snapshot (dump.rdb), a log or a directory that holds one, or a file of commands as they are typed or sent. Both sides may be kvd,\n" +
			"Redis or Valkey. A server is followed: the import ends when the target has all that the source had by then, or with --follow when it is\n" +
			"interrupted (Ctrl-C), so writers can be moved over without a gap. Where following is not allowed, --scan reads key by key; what changes meanwhile\n" +
			"may be missed. An import that was interrupted goes on where it was when the same command is given again.\n" + addressHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "the server that gets the data", Value: "redis://127.0.0.1:6379"},
			&cli.BoolFlag{Name: "follow", Usage: "go on with what changes, until interrupted"},
			&cli.BoolFlag{Name: "scan", Usage: "read key by key, with SCAN and DUMP"},
			&cli.BoolFlag{Name: "replace", Usage: "into a server that has keys: those of the source take the place of others of the same name"},
			&cli.StringFlag{Name: "work", Usage: "a directory for what it takes to go on after an interruption: the size of the data, and of what changes meanwhile", Value: "kvd-import"},
			&cli.IntFlag{Name: "connections", Usage: "to the target, at once", Value: 4},
		},
		Action: func(ctx *cli.Context) error {
			if ctx.NArg() != 1 {
				return errors.New("kvd import needs a source; see kvd import --help")
			}
			if n := ctx.Int("connections"); n < 1 || n > 256 {
				return errors.New("--connections is from 1 to 256")
			}
			if ctx.Bool("follow") && (ctx.Bool("scan") || !transfer.IsAddress(ctx.Args().First())) {
				return errors.New("--follow needs a server as the source, and not --scan")
			}
			bar := newProgressBar(stderr)
			stop, over := untilInterrupted()
			defer over()
			begun := time.Now()
			r, err := transfer.Import(transfer.ImportOptions{
				Source: ctx.Args().First(), Target: ctx.String("to"), SourceLogin: os.Getenv(sourceAuth), TargetLogin: os.Getenv(targetAuth), Work: ctx.String("work"),
				Replace: ctx.Bool("replace"), Scan: ctx.Bool("scan"), Follow: ctx.Bool("follow"), Stop: stop, Lanes: ctx.Int("connections"), Progress: bar.show,
				Log: func(format string, args ...any) {
					bar.clear()
					fmt.Fprintf(stderr, format+"\n", args...)
				},
			})
			bar.clear()
			if r != nil {
				fmt.Fprintf(stdout, "%d keys and %d commands in %v\n", r.Keys, r.Commands, time.Since(begun).Round(time.Millisecond))
				if r.Failed > 0 {
					fmt.Fprintf(stdout, "The target refused %d of them:\n  %s\n", r.Failed, strings.Join(r.Failures, "\n  "))
				}
			}
			if err == nil && r.Failed > 0 {
				return errRefused
			}
			return err
		},
	}
}

// compareCommand is `kvd compare`.
func compareCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "tell the keys in which two servers, or files, differ",
		UsageText: "kvd compare [--rounds 3] [--most 100] A B",
		Description: "A and B are servers, snapshots, logs or directories that hold one (which are loaded into memory). Keys, values, deadlines and libraries of functions are\n" +
			"compared, in whatever form each keeps them. Servers may be in use: what differs is looked at again. The exit status is 1 where something does.\n" +
			addressHelp + " The first is for A, the second for B.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "rounds", Usage: "how often what differs is looked at again, a second later", Value: 3},
			&cli.IntFlag{Name: "most", Usage: "how many differences are listed", Value: 100},
		},
		Action: func(ctx *cli.Context) error {
			if ctx.NArg() != 2 {
				return errors.New("kvd compare needs two servers or files; see kvd compare --help")
			}
			bar := newProgressBar(stderr)
			stop, over := untilInterrupted()
			defer over()
			listed := 0
			r, err := transfer.Compare(transfer.CompareOptions{
				A: ctx.Args().Get(0), B: ctx.Args().Get(1), ALogin: os.Getenv(sourceAuth), BLogin: os.Getenv(targetAuth), Rounds: ctx.Int("rounds"), Stop: stop, Progress: bar.show,
				Differs: func(d transfer.Difference) {
					if listed++; listed <= ctx.Int("most") {
						bar.clear()
						fmt.Fprintf(stdout, "database %d, %s %q: %s\n", d.DB, d.Type, d.Key, d.What)
					}
				},
			})
			bar.clear()
			if err != nil {
				return err
			}
			if listed > ctx.Int("most") {
				fmt.Fprintf(stdout, "and %d more\n", listed-ctx.Int("most"))
			}
			fmt.Fprintf(stdout, "%d keys, %d differ%s\n", r.Keys, r.Differ, byType(r.ByType))
			if r.Differs {
				fmt.Fprintln(stdout, "The libraries of functions differ.")
			}
			if r.Differ > 0 || r.Differs {
				return errDiffer
			}
			return nil
		},
	}
}

// byType lists numbers by type, the largest first.
func byType(counts map[string]int64) string {
	if len(counts) == 0 {
		return ""
	}
	types := make([]string, 0, len(counts))
	for t := range counts {
		types = append(types, t)
	}
	sort.Slice(types, func(i, j int) bool {
		if counts[types[i]] != counts[types[j]] {
			return counts[types[i]] > counts[types[j]]
		}
		return types[i] < types[j]
	})
	for i, t := range types {
		types[i] = fmt.Sprintf("%d %s", counts[t], t)
	}
	return ": " + strings.Join(types, ", ")
}
