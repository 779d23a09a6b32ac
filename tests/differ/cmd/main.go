// Command cmd compares kvd with a real redis-server by random scripts:
//
//	go run ./tests/differ/cmd -full -seed 7 -families strings,generic
//	go run ./tests/differ/cmd -replay script.txt
//
// It starts both servers itself; KVD_BIN names another binary for kvd's side. It exits with 1 if
// they differed.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"kvd/tests/differ"
	"kvd/tests/harness"
)

func main() {
	families, skip := differ.Landed()
	full := flag.Bool("full", false, "go on until every command and option occurred 200 times")
	minUses := flag.Int("min", 20, "go on until every command and option occurred so often")
	seed := flag.Uint64("seed", 0, "the seed; 0 takes a new one")
	names := flag.String("families", strings.Join(families, ","), "families of commands: "+strings.Join(differ.Families(), ", ")+"; or all")
	leave := flag.String("skip", strings.Join(skip, ","), "commands to leave out")
	maxTime := flag.Duration("time", 0, "stop after so long")
	diffs := flag.Int("diffs", 5, "stop after so many differences")
	steps := flag.Int("steps", 1500, "the length of one session")
	uses := flag.Bool("uses", false, "print how often everything occurred")
	out := flag.String("out", "", "a directory for the shortest scripts, one file each")
	replay := flag.String("replay", "", "play this script instead: a step on each line")
	flag.Parse()
	if *full {
		*minUses = 200
	}
	if *seed == 0 {
		*seed = rand.Uint64N(1_000_000_000) + 1
	}
	if *names == "all" {
		*names = strings.Join(differ.Families(), ",")
	}
	cfg := differ.Config{
		Families: split(*names), Skip: split(*leave), Seed: *seed, MinUses: *minUses, MaxTime: *maxTime, MaxDiffs: *diffs, Steps: *steps,
		Log: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
	}
	os.Exit(run(cfg, *uses, *out, *replay))
}

func split(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 2
}

func run(cfg differ.Config, uses bool, out, replay string) int {
	defer harness.Clean()
	dir, err := os.MkdirTemp("", "differ-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	kvdBin, err := harness.Binary()
	if err != nil {
		return fail(err)
	}
	redisBin, err := harness.RedisBinary()
	if err != nil {
		return fail(err)
	}
	kvd, err := harness.Start("kvd", kvdBin, dir)
	if err != nil {
		return fail(err)
	}
	defer kvd.Stop()
	redis, err := harness.Start("redis", redisBin, dir)
	if err != nil {
		return fail(err)
	}
	defer redis.Stop()
	deaths := 0
	a := differ.Endpoint{Addr: kvd.Addr, Revive: func() error {
		if deaths++; deaths == 1 { // the shorter scripts kill it again
			fmt.Fprintf(os.Stderr, "kvd has died; its log ends:\n%s\n", kvd.LogTail())
		}
		return kvd.Restart()
	}}
	b := differ.Endpoint{Addr: redis.Addr, Revive: redis.Restart}

	if replay != "" {
		script, err := readScript(replay)
		if err != nil {
			return fail(err)
		}
		d, err := differ.Play(a, b, script)
		if err != nil {
			return fail(err)
		}
		if d != nil {
			fmt.Print(d)
			return 1
		}
		fmt.Printf("%d steps, no difference\n", len(script))
		return 0
	}

	fmt.Printf("seed %d, families %s\n", cfg.Seed, strings.Join(cfg.Families, ","))
	start := time.Now()
	res, err := differ.Run(a, b, cfg)
	if err != nil {
		return fail(err)
	}
	if uses {
		printUses(res.Uses)
	}
	fmt.Printf("%d steps in %d sessions, %v; %d commands and options, each at least %d times (the rarest: %s)\n",
		res.Steps, res.Sessions, time.Since(start).Round(time.Second), len(res.Uses), res.LeastUses, res.Least)
	for i, d := range res.Diffs {
		fmt.Println(d)
		if out != "" {
			if err := writeScript(filepath.Join(out, fmt.Sprintf("seed%d-%d.txt", cfg.Seed, i)), d); err != nil {
				return fail(err)
			}
		}
	}
	code := 0
	if len(res.Diffs) > 0 {
		code = 1
	}
	if err := kvd.Check(); err != nil {
		fmt.Println(err)
		code = 1
	}
	return code
}

func printUses(uses map[string]int) {
	var labels []string
	for l := range uses {
		labels = append(labels, l)
	}
	sort.Slice(labels, func(i, j int) bool { return uses[labels[i]] < uses[labels[j]] })
	for _, l := range labels {
		fmt.Printf("%6d %s\n", uses[l], l)
	}
}

func readScript(name string) ([]differ.Step, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var script []differ.Step
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if l := strings.TrimSpace(lines.Text()); l != "" {
			s, err := differ.ParseStep(l)
			if err != nil {
				return nil, err
			}
			script = append(script, s)
		}
	}
	return script, lines.Err()
}

func writeScript(name string, d *differ.Diff) error {
	script := d.Shrunk
	if script == nil {
		script = d.Script
	}
	var b strings.Builder
	for _, s := range script {
		b.WriteString(s.String() + "\n")
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}
