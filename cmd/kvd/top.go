package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"kvd/transfer"
)

// topCommand is `kvd top`.
func topCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "top",
		Usage:     "show what a server is doing",
		UsageText: "kvd top [--every 1s] [--count N] [redis://127.0.0.1:6379]",
		Description: "Commands a second, hits, memory, clients, traffic, and the commands that take the most time, of kvd or any Redis. On a terminal the page is drawn\n" +
			"again and again, elsewhere each look is a line. Ctrl-C ends it.\n" + addressHelp,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "every", Usage: "how often the server is looked at", Value: time.Second},
			&cli.IntFlag{Name: "count", Usage: "how often in all; 0: until interrupted"},
		},
		Action: func(ctx *cli.Context) error {
			address := "redis://127.0.0.1:6379"
			if ctx.NArg() > 0 {
				address = ctx.Args().First()
			}
			every := ctx.Duration("every")
			if ctx.NArg() > 1 || every < 100*time.Millisecond {
				return errors.New("kvd top takes one address, and looks every 100ms at most; see kvd top --help")
			}
			c, err := transfer.Dial(address, os.Getenv(sourceAuth))
			if err != nil {
				return err
			}
			defer c.Close()
			terminal := isTerminal(stdout)
			stop, over := untilInterrupted()
			defer over()
			last, err := look(c)
			if err != nil {
				return err
			}
			tick := time.NewTicker(every)
			defer tick.Stop()
			for n := 0; ctx.Int("count") == 0 || n < ctx.Int("count"); n++ {
				select {
				case <-stop:
					return nil
				case <-tick.C:
				}
				now, err := look(c)
				if err != nil {
					return err
				}
				if terminal {
					fmt.Fprint(stdout, "\x1b[H\x1b[2J", topPage(address, last, now))
				} else {
					fmt.Fprintln(stdout, topLine(last, now))
				}
				last = now
			}
			return nil
		},
	}
}

// glance is what INFO said at a moment.
type glance struct {
	at       time.Time
	fields   map[string]string
	commands map[string]commandGlance
}

// commandGlance is a line of commandstats.
type commandGlance struct{ calls, usec float64 }

func look(c *transfer.Client) (*glance, error) {
	text, err := c.Text("INFO", "all")
	if err != nil {
		return nil, err
	}
	return readInfo(text, time.Now()), nil
}

// readInfo reads what INFO replies.
func readInfo(text string, at time.Time) *glance {
	g := &glance{at: at, fields: map[string]string{}, commands: map[string]commandGlance{}}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		g.fields[name] = value
		if command, ok := strings.CutPrefix(name, "cmdstat_"); ok {
			g.commands[command] = commandGlance{partOf(value, "calls"), partOf(value, "usec")}
		}
	}
	return g
}

// partOf is a number among values such as "calls=1,usec=2".
func partOf(value, name string) float64 {
	for part := range strings.SplitSeq(value, ",") {
		if text, ok := strings.CutPrefix(part, name+"="); ok {
			f, _ := strconv.ParseFloat(text, 64)
			return f
		}
	}
	return 0
}

func (g *glance) number(name string) float64 {
	f, _ := strconv.ParseFloat(g.fields[name], 64)
	return f
}

// databases are the numbers of those that have keys, in ascending order.
func (g *glance) databases() (dbs []int) {
	for name := range g.fields {
		if text, ok := strings.CutPrefix(name, "db"); ok {
			if n, err := strconv.Atoi(text); err == nil {
				dbs = append(dbs, n)
			}
		}
	}
	slices.Sort(dbs)
	return dbs
}

// rates are what happens a second between two looks.
type rates struct {
	last, now *glance
	seconds   float64
}

func ratesOf(last, now *glance) rates {
	return rates{last, now, max(now.at.Sub(last.at).Seconds(), 1e-3)}
}

// of is how much a counter grows a second; one that was reset counts from 0.
func (r rates) of(names ...string) (sum float64) {
	for _, name := range names {
		if d := r.now.number(name) - r.last.number(name); d >= 0 {
			sum += d / r.seconds
		} else {
			sum += r.now.number(name) / r.seconds
		}
	}
	return sum
}

// hits is the part of lookups that found something, "-" if there were none.
func (r rates) hits() string {
	hits, misses := r.of("keyspace_hits"), r.of("keyspace_misses")
	if hits+misses == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", hits/(hits+misses)*100)
}

// busy is a command's part of the time that commands take.
type busy struct {
	name        string
	calls, usec float64 // a second, and a call
	part        float64
}

// busiest are the commands that took the most time between two looks.
func (r rates) busiest(most int) (list []busy) {
	total := 0.0
	for name, now := range r.now.commands {
		last := r.last.commands[name]
		if now.calls < last.calls {
			last = commandGlance{}
		}
		if calls := now.calls - last.calls; calls > 0 {
			took := max(now.usec-last.usec, 0)
			total += took
			list = append(list, busy{name, calls / r.seconds, took / calls, took})
		}
	}
	for i := range list {
		list[i].part /= max(total, 1)
	}
	slices.SortFunc(list, func(a, b busy) int { return cmp.Or(cmp.Compare(b.part, a.part), cmp.Compare(a.name, b.name)) })
	return list[:min(len(list), most)]
}

// topLine is a look as one line.
func topLine(last, now *glance) string {
	r := ratesOf(last, now)
	return fmt.Sprintf("%s ops/s=%.0f hits=%s clients=%s memory=%s rss=%s in/s=%s out/s=%s cpu=%.0f%%", now.at.UTC().Format(time.RFC3339), r.of("total_commands_processed"), r.hits(),
		now.fields["connected_clients"], sizeText(int64(now.number("used_memory"))), sizeText(int64(now.number("used_memory_rss"))),
		sizeText(int64(r.of("total_net_input_bytes"))), sizeText(int64(r.of("total_net_output_bytes"))), r.of("used_cpu_sys", "used_cpu_user")*100)
}

const (
	topCommands  = 12
	topDatabases = 8
)

// topPage is a look as a page.
func topPage(address string, last, now *glance) string {
	var b strings.Builder
	r := ratesOf(last, now)
	up, _ := strconv.Atoi(now.fields["uptime_in_seconds"])
	version := "Redis " + now.fields["redis_version"]
	if v := now.fields["kvd_version"]; v != "" {
		version = "kvd " + v
	} else if v := now.fields["valkey_version"]; v != "" {
		version = "Valkey " + v
	}
	fmt.Fprintf(&b, "%s at %s, %s, up %v\n\n", version, hidePassword(address), now.fields["role"], time.Duration(up)*time.Second)
	fmt.Fprintf(&b, "commands %12.0f /s    hits %s    expired %.0f /s    evicted %.0f /s\n", r.of("total_commands_processed"), r.hits(), r.of("expired_keys"), r.of("evicted_keys"))
	fmt.Fprintf(&b, "traffic  %12s /s in, %s /s out\n", sizeText(int64(r.of("total_net_input_bytes"))), sizeText(int64(r.of("total_net_output_bytes"))))
	limit := "no limit"
	if m := now.number("maxmemory"); m > 0 {
		limit = "of " + sizeText(int64(m)) + ", " + now.fields["maxmemory_policy"]
	}
	fmt.Fprintf(&b, "memory   %12s %s, %s resident, highest %s\n", sizeText(int64(now.number("used_memory"))), limit, sizeText(int64(now.number("used_memory_rss"))), sizeText(int64(now.number("used_memory_peak"))))
	fmt.Fprintf(&b, "clients  %12s connected, %s blocked, %.0f new /s\n", now.fields["connected_clients"], now.fields["blocked_clients"], r.of("total_connections_received"))
	fmt.Fprintf(&b, "CPU      %11.0f%% of a core\n", r.of("used_cpu_sys", "used_cpu_user")*100)
	fmt.Fprintf(&b, "disk     %s\n", diskText(now))
	if now.fields["role"] == "slave" {
		fmt.Fprintf(&b, "leader   %s:%s, link %s, %s s silent\n", now.fields["master_host"], now.fields["master_port"], now.fields["master_link_status"], now.fields["master_last_io_seconds_ago"])
	}
	for i := range 64 {
		if line := now.fields["slave"+strconv.Itoa(i)]; strings.HasPrefix(line, "ip=") {
			offset := partOf(line, "offset")
			fmt.Fprintf(&b, "follower %s, %s behind\n", strings.Split(line, ",")[0][len("ip="):], sizeText(int64(max(now.number("master_repl_offset")-offset, 0))))
		}
	}
	for i, db := range now.databases() {
		if i == topDatabases {
			fmt.Fprintln(&b, "database ...")
			break
		}
		line := now.fields["db"+strconv.Itoa(db)]
		fmt.Fprintf(&b, "database %d: %.0f keys, %.0f with a deadline\n", db, partOf(line, "keys"), partOf(line, "expires"))
	}
	fmt.Fprintf(&b, "\n%-24s %12s %12s %8s\n", "command", "calls /s", "us a call", "time")
	for _, c := range r.busiest(topCommands) {
		fmt.Fprintf(&b, "%-24s %12.0f %12.2f %7.1f%%\n", strings.ReplaceAll(c.name, "|", " "), c.calls, c.usec, c.part*100)
	}
	return b.String()
}

// diskText is what is being written, loaded, or was last.
func diskText(g *glance) string {
	var parts []string
	if g.fields["loading"] == "1" {
		parts = append(parts, fmt.Sprintf("loading, %s%%, %s s left", g.fields["loading_loaded_perc"], g.fields["loading_eta_seconds"]))
	}
	if g.fields["rdb_bgsave_in_progress"] == "1" {
		parts = append(parts, "snapshot being written")
	}
	if g.fields["aof_rewrite_in_progress"] == "1" {
		parts = append(parts, "log being rewritten")
	}
	if g.fields["rdb_last_bgsave_status"] == "err" {
		parts = append(parts, "THE LAST SNAPSHOT FAILED")
	}
	if g.fields["aof_last_write_status"] == "err" {
		parts = append(parts, "THE LOG CANNOT BE WRITTEN")
	}
	parts = append(parts, g.fields["rdb_changes_since_last_save"]+" changes since the last snapshot")
	if g.fields["aof_enabled"] == "1" {
		parts = append(parts, "log "+sizeText(int64(g.number("aof_current_size"))))
	}
	return strings.Join(parts, ", ")
}

// hidePassword is an address as it may be shown.
func hidePassword(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if at := strings.LastIndexByte(rest, '@'); ok && at >= 0 {
		return scheme + "://" + rest[at+1:]
	}
	return address
}
