package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// run is what a suite works with: its parameters and where its figures go.
type run struct {
	*report
	binary map[string]string // path of the server of each side
	args   map[string][]string
	tool   string // redis-benchmark

	memcached string // path of the server of the suite memcached

	rounds  int
	keys    int64
	clients int
	size    int // bytes of a value

	seconds   float64 // aimed at for each timed run
	requests  int64   // of a timed run; 0: from seconds
	pipelines []int
	tests     []string
	modes     []string
	load      string

	serverCPUs, loadCPUs, allCPUs []int

	jobScript string // text of the script that finishes a job

	conns    int
	valueMiB int
	loops    []int
	loopFlag string

	seed uint64
	step uint64 // counts the seeds handed out
}

// size of a suite's run; what a flag sets wins over it.
type extent struct {
	rounds   int
	keys     int64
	seconds  float64
	conns    int
	valueMiB int
	tests    string
	limit    time.Duration
}

// suite is one set of measurements.
type suite struct {
	name  string
	about string
	full  extent
	quick *extent // how it runs within -suite quick; nil: not at all
	run   func(context.Context, *run) error
}

const (
	defaultTests = "set,get,incr,mset"
	million      = 1_000_000
)

var suites = []suite{
	{"throughput", "commands a second and server CPU a command; pinned and free; P=1,16,64",
		extent{rounds: 5, keys: 5 * million, seconds: 2, tests: defaultTests, limit: 90 * time.Minute},
		&extent{rounds: 3, keys: million, seconds: 0.7, tests: "set,get", limit: 4 * time.Minute}, throughput},
	{"memory", "resident bytes a key, without and with a deadline",
		extent{rounds: 1, keys: 5 * million, limit: 15 * time.Minute},
		&extent{rounds: 1, keys: million, limit: time.Minute}, memory},
	{"churn", "resident memory over rewrites at other sizes and deletion of four fifths; keys is the largest step",
		extent{rounds: 1, keys: 5 * million, limit: 60 * time.Minute}, nil, churn},
	{"maxmemory", "resident memory under a limit of value-mib over writes at many sizes, rewrites, deletions and growing collections; what it costs",
		extent{rounds: 3, keys: 1, valueMiB: 512, tests: "cost,life", limit: 60 * time.Minute}, nil, maxmemory},
	{"growth", "delays of another client's GETs while the keyspace grows from nothing, and under one {tag}",
		extent{rounds: 3, keys: 10 * million, limit: 30 * time.Minute},
		&extent{rounds: 1, keys: million, limit: time.Minute}, growth},
	{"expiry", "lag behind deadlines among many volatile keys; idle CPU; all keys sharing one deadline",
		extent{rounds: 1, keys: million, seconds: 10, limit: 15 * time.Minute},
		&extent{rounds: 1, keys: 100_000, seconds: 2, limit: 2 * time.Minute}, expiry},
	{"idle", "bytes of an idle connection; server CPU of a command where few come; one huge value; MSET whole and in 1 KiB pieces; keys is the most pairs",
		extent{rounds: 3, keys: million, conns: 10_000, valueMiB: 512, limit: 20 * time.Minute},
		&extent{rounds: 1, keys: 200_000, conns: 2000, valueMiB: 64, limit: time.Minute}, idle},
	{"scaling", "commands a second by number of event loops (Redis: io-threads), P=64, own load",
		extent{rounds: 3, keys: million, seconds: 3, tests: "set,get", limit: 30 * time.Minute}, nil, scaling},
	{"multi", "transactions of ten SETs a second and server CPU of one; P=1,16, own load",
		extent{rounds: 5, keys: million, seconds: 2, limit: 20 * time.Minute}, nil, transactions},
	{"scripts", "scripts a second and server CPU of one; P=16",
		extent{rounds: 5, keys: 100_000, seconds: 1, limit: 20 * time.Minute}, nil, scriptsSuite},
	{"log", "SET at P=16 with the append-only log, by appendfsync; loading it",
		extent{rounds: 5, keys: million, seconds: 2, limit: 20 * time.Minute}, nil, appendLog},
	{"collections", "lists, sets, hashes and sorted sets, small and of keys members; set algebra; bytes",
		extent{rounds: 3, keys: million, seconds: 1.5, limit: 90 * time.Minute}, nil, collections},
	{"streams", "streams, positions and HyperLogLogs, of keys entries; P=16",
		extent{rounds: 5, keys: million, seconds: 1, limit: 60 * time.Minute}, nil, streams},
	{"memcached", "gets and sets of memcached's protocols beside memcached with one thread, of keys keys and of few; P=1,16; bytes an item",
		extent{rounds: 5, keys: million, seconds: 0.5, limit: 20 * time.Minute}, nil, memcachedSuite},
	{"order", "ranges of fields and keys in order beside redis-server's ZRANGEBYLEX, and what keeping the order costs who writes; P=1,16",
		extent{rounds: 5, keys: 5 * million, seconds: 0.5, limit: 30 * time.Minute}, nil, orderSuite},
	{"pubsub", "server CPU a delivered message: conns subscribers on one channel, and over as many channels as keys; readers that stop",
		extent{rounds: 3, keys: 10_000, conns: 1000, seconds: 2, limit: 20 * time.Minute},
		&extent{rounds: 1, keys: 10_000, conns: 1000, seconds: 0.5, limit: time.Minute}, pubsub},
	{"persist", "time of SAVE and of a start with the file: strings, then collections of 5 to 3000 members, keys in all",
		extent{rounds: 3, keys: 5 * million, limit: 20 * time.Minute}, nil, persistence},
	{"long", "what others notice of long reads and set algebra; lock holds of collections that grow or are being saved",
		extent{rounds: 1, keys: million, limit: 30 * time.Minute}, nil, long},
	{"fairness", "the longest wait of another client's GET for one client's huge command",
		extent{rounds: 1, keys: million, limit: 30 * time.Minute}, nil, fairness},
	{"requests", "memory that large requests take, and what of it is left 8 seconds later",
		extent{rounds: 1, keys: million, limit: 15 * time.Minute}, nil, requests},
	{"snapshot", "BGSAVE, SAVE and BGREWRITEAOF of keys strings and two fifths as many members each in a set and a sorted set, under full load",
		extent{rounds: 3, keys: 5 * million, seconds: 5, limit: 60 * time.Minute}, nil, snapshot},
	{"fullsync", "full synchronization under a paced load, kvd to kvd and redis to redis; lag; a kvd follower throttled for seconds",
		extent{rounds: 3, keys: 5 * million, seconds: 60, limit: 60 * time.Minute}, nil, fullSync},
}

func main() {
	code, err := bench(os.Args[1:])
	stopAll()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	os.Exit(code)
}

// options are the flags as given; zero values of a suite's extent mean the suite's own.
type options struct {
	suite, kvd, redis, tool, kvdArgs, redisArgs string
	memcached                                   string
	pipelines, modes, load                      string
	serverCPUs, loadCPUs, loops, loopFlag       string
	jsonFile, against, jobScript                string
	strict                                      bool
	clients, size                               int
	requests                                    int64
	seed                                        uint64
	over                                        extent
}

func parseFlags(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.suite, "suite", "quick", "comma-separated `suites`; quick: the small set; all: every suite in full")
	f.StringVar(&o.kvd, "kvd", "bin/kvd", "the server under test")
	f.StringVar(&o.redis, "redis", "/usr/bin/redis-server", "the server to compare with")
	f.StringVar(&o.memcached, "memcached", "/usr/bin/memcached", "the server to compare with in the suite memcached")
	f.StringVar(&o.tool, "redis-benchmark", "redis-benchmark", "the load tool")
	f.StringVar(&o.kvdArgs, "kvd-args", "", "further arguments for kvd, separated by spaces")
	f.StringVar(&o.redisArgs, "redis-args", "", "further arguments for redis-server, separated by spaces")
	f.IntVar(&o.over.rounds, "rounds", 0, "rounds; 0: the suite's own number")
	f.Int64Var(&o.over.keys, "keys", 0, "keys (or members, or pairs); 0: the suite's own number")
	f.Float64Var(&o.over.seconds, "seconds", 0, "aim of each timed load (expiry: of the idle time and the span of the probes; snapshot: of the calm; fullsync: of the throttling); 0: the suite's own")
	f.IntVar(&o.over.conns, "conns", 0, "idle: connections; 0: the suite's own number")
	f.IntVar(&o.over.valueMiB, "value-mib", 0, "idle: size of the huge value, at most 512; maxmemory: the limit; 0: the suite's own")
	f.StringVar(&o.over.tests, "tests", "", "throughput and scaling: of "+defaultTests+"; empty: the suite's own; collections: commands, and nothing else; scripts: names of scripts; empty: all; maxmemory: of cost,life")
	f.DurationVar(&o.over.limit, "limit", 0, "a suite is given up after this; 0: the suite's own limit")
	f.Int64Var(&o.requests, "n", 0, "requests of a timed load; 0: from -seconds")
	f.IntVar(&o.clients, "clients", 50, "connections of the load")
	f.IntVar(&o.size, "size", 64, "bytes of a value")
	f.StringVar(&o.pipelines, "pipelines", "", "depths of pipelining; empty: throughput 1,16,64, collections 1,16")
	f.StringVar(&o.modes, "modes", "pinned,free", "throughput: pinned (server and load on CPUs of their own), free")
	f.StringVar(&o.load, "load", "auto", "redis-benchmark, own, or auto: own from P=64 on, where redis-benchmark saturates")
	f.StringVar(&o.serverCPUs, "server-cpus", "", "CPUs of the server when pinned; empty: the first")
	f.StringVar(&o.loadCPUs, "load-cpus", "", "CPUs of the load when pinned; empty: the second")
	f.StringVar(&o.loops, "loops", "", "scaling: numbers of loops; empty: 1,2,4.. up to the number of CPUs")
	f.StringVar(&o.loopFlag, "loop-flag", "event-loops", "scaling: the flag that sets kvd's loops")
	f.StringVar(&o.jsonFile, "json", "", "write all figures to this `file` too")
	f.StringVar(&o.against, "against", "", "tell which ratios kvd/redis are worse than in this `file` of an earlier -json, or in the last one of a directory")
	f.StringVar(&o.jobScript, "job-script", "", "scripts: a `file` with the script that finishes a job, such as BullMQ's moveToFinished; empty: the bench's own")
	f.BoolVar(&o.strict, "strict", false, "exit with 1 when a figure is SHORT")
	f.Uint64Var(&o.seed, "seed", 0, "of all random choices; 0: a random one, which is printed")
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: bench [flags]\n\nsuites (rounds, keys, limit in full):\n")
		for _, s := range suites {
			quick := ""
			if s.quick != nil {
				quick = "; in quick"
			}
			fmt.Fprintf(f.Output(), "  %-12s %s (%d, %d, %v%s)\n", s.name, s.about, s.full.rounds, s.full.keys, s.full.limit, quick)
		}
		fmt.Fprintln(f.Output(), "\nflags:")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return o, nil
}

// chosen is a suite with the extent to run it in.
type chosen struct {
	suite
	extent
}

// choose resolves -suite and lets flags win over the suites' extents.
func choose(o options) ([]chosen, error) {
	var out []chosen
	for _, name := range strings.Split(o.suite, ",") {
		found := false
		for _, s := range suites {
			switch {
			case name == "quick" && s.quick != nil:
				out = append(out, chosen{s, *s.quick})
			case name == s.name || name == "all":
				out = append(out, chosen{s, s.full})
			default:
				continue
			}
			found = true
		}
		if !found {
			return nil, fmt.Errorf("no suite %q; -h lists them", name)
		}
	}
	for i := range out {
		e := &out[i].extent
		override(&e.rounds, o.over.rounds)
		override(&e.keys, o.over.keys)
		override(&e.seconds, o.over.seconds)
		override(&e.conns, o.over.conns)
		override(&e.valueMiB, o.over.valueMiB)
		override(&e.tests, o.over.tests)
		override(&e.limit, o.over.limit)
		if e.rounds < 1 || e.keys < 1 || e.seconds < 0 || e.conns < 0 || e.valueMiB < 0 || e.limit < 0 {
			return nil, errors.New("sizes and times must not be negative")
		}
	}
	return out, nil
}

func override[T comparable](dst *T, v T) {
	var zero T
	if v != zero {
		*dst = v
	}
}

// ints parses a comma-separated list of positive numbers, or from zero on when zero is allowed.
func ints(list string, least int) ([]int, error) {
	var out []int
	if list == "" {
		return nil, nil
	}
	for _, f := range strings.Split(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(f))
		if err != nil || n < least {
			return nil, fmt.Errorf("%q is not a number from %d on", f, least)
		}
		out = append(out, n)
	}
	return out, nil
}

// newRun makes what is common to all suites.
func newRun(o options, p *report) (*run, error) {
	r := &run{
		report:    p,
		jobScript: finishJob,
		binary:    map[string]string{"kvd": o.kvd, "redis": o.redis},
		args:      map[string][]string{"kvd": strings.Fields(o.kvdArgs), "redis": strings.Fields(o.redisArgs)},
		tool:      o.tool, memcached: o.memcached,
		clients: o.clients, size: o.size, requests: o.requests,
		load: o.load, loopFlag: o.loopFlag, seed: o.seed,
		modes: strings.Split(o.modes, ","),
	}
	if o.clients < 1 || o.size < 0 || o.requests < 0 {
		return nil, errors.New("-clients must be 1 or more, -size and -n not negative")
	}
	if !slices.Contains([]string{"auto", "own", "redis-benchmark"}, r.load) {
		return nil, fmt.Errorf("-load %q", r.load)
	}
	for _, m := range r.modes {
		if m != "pinned" && m != "free" {
			return nil, fmt.Errorf("-modes %q", m)
		}
	}
	if o.jobScript != "" {
		text, err := os.ReadFile(o.jobScript)
		if err != nil {
			return nil, err
		}
		r.jobScript = string(text)
	}
	var err error
	if r.pipelines, err = ints(o.pipelines, 1); err != nil {
		return nil, err
	}
	if r.loops, err = ints(o.loops, 1); err != nil {
		return nil, err
	}
	if r.serverCPUs, err = ints(o.serverCPUs, 0); err != nil {
		return nil, err
	}
	if r.loadCPUs, err = ints(o.loadCPUs, 0); err != nil {
		return nil, err
	}
	if r.allCPUs, err = allowedCPUs(); err != nil {
		return nil, err
	}
	if r.serverCPUs == nil {
		r.serverCPUs = r.allCPUs[:1]
	}
	if r.loadCPUs == nil && len(r.allCPUs) > 1 {
		r.loadCPUs = r.allCPUs[1:2]
	}
	if r.seed == 0 {
		r.seed = rand.Uint64N(1<<32) + 1
	}
	for side, b := range r.binary {
		if r.binary[side], err = exec.LookPath(b); err != nil {
			return nil, fmt.Errorf("%s (make build makes bin/kvd): %w", side, err)
		}
	}
	if r.tool, err = exec.LookPath(r.tool); err != nil {
		return nil, err
	}
	return r, nil
}

// bench is main without the exit.
func bench(args []string) (code int, err error) {
	o, err := parseFlags(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0, err
	}
	if err != nil {
		return 2, err
	}
	todo, err := choose(o)
	if err != nil {
		return 2, err
	}
	var earlier past
	if o.against != "" {
		if earlier, err = readPast(o.against); err != nil {
			return 2, err
		}
	}
	p := newReport(os.Stdout)
	base, err := newRun(o, p)
	if err != nil {
		return 2, err
	}
	files, err := raiseFiles()
	if err != nil {
		return 2, fmt.Errorf("raise the limit of open files: %w", err)
	}
	// A blocking system call that returns needs a P at once: see probe. And rare collections disturb less.
	runtime.GOMAXPROCS(runtime.NumCPU() + 2)
	debug.SetGCPercent(400)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		cancel()
		stopAll()
		os.Exit(130)
	}()

	about := map[string]any{"cpus": len(base.allCPUs), "cpu": cpuModel(), "open_files": files, "seed": base.seed, "arguments": args,
		"kvd": version(ctx, base.binary["kvd"]), "redis": version(ctx, base.binary["redis"]), "go": runtime.Version()}
	fmt.Fprintf(p.out, "# kvd against Redis\n\n- kvd: %s\n- redis: %s\n- machine: %d CPUs, %s\n- arguments: %s\n- seed: %d\n",
		about["kvd"], about["redis"], len(base.allCPUs), about["cpu"], strings.Join(args, " "), base.seed)

	failures := []string{}
	for _, c := range todo {
		r := *base // its own parameters
		r.rounds, r.keys, r.seconds, r.conns, r.valueMiB = c.rounds, c.keys, c.seconds, c.conns, c.valueMiB
		if c.tests != "" {
			r.tests = strings.Split(c.tests, ",")
		}
		start := time.Now()
		var before, after strangers
		if err := before.read(); err != nil {
			return 1, err
		}
		taken := watchTheft()
		progress("%s: %d rounds, %d keys, at most %v", c.name, c.rounds, c.keys, c.limit)
		sctx, stop := context.WithTimeout(ctx, c.limit)
		err := c.suite.run(sctx, &r)
		stop()
		stopServers()
		host := taken.end()
		if err := after.read(); err != nil {
			return 1, err
		}
		r.note("Other programs used %.2f of the machine's %d CPUs meanwhile.", after.since(before), len(r.allCPUs))
		r.note("%s", host)
		if err != nil {
			err = fmt.Errorf("suite %s: %w", c.name, err)
			failures = append(failures, err.Error())
			p.note("FAILED: %v", err)
			progress("%v", err)
		}
		p.flush(fmt.Sprintf("%s (%v)", c.name, time.Since(start).Round(time.Second)))
	}
	fmt.Fprintf(p.out, "\n%d figures held against a bound, %d SHORT; %d suites failed\n", len(p.checks), p.short(), len(failures))
	worse := 0
	if o.against != "" {
		worse = p.against(earlier)
	}
	if o.jsonFile != "" {
		if err := p.writeJSON(o.jsonFile, about, failures); err != nil {
			return 1, err
		}
	}
	if len(failures) > 0 || o.strict && p.short()+worse > 0 {
		return 1, nil
	}
	return 0, nil
}

// progress tells on standard error what goes on.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// version returns the first line of what a server says to --version.
func version(ctx context.Context, binary string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "--version").Output()
	if err != nil {
		return binary + ": " + err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// cpuModel returns the processor's name.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(strings.TrimSpace(name), ": \t")
		}
	}
	return "unknown"
}

// sides are the servers' names, in the order in which round begins: it turns from round to round.
func sides(round int) []string {
	if round%2 == 1 {
		return []string{"redis", "kvd"}
	}
	return []string{"kvd", "redis"}
}

// start starts the server of a side.
func (r *run) start(ctx context.Context, side string, cpus []int, extra ...string) (*server, error) {
	return startServer(ctx, side, r.binary[side], cpus, append(slices.Clone(r.args[side]), extra...)...)
}

// startPreloaded starts the servers of both sides on cpus (nil: anywhere) with the keys in them. stop, which is
// never nil, ends those that were started.
func (r *run) startPreloaded(ctx context.Context, cpus []int) (servers map[string]*server, stop func(), err error) {
	servers = map[string]*server{}
	stop = func() {
		for _, s := range servers {
			s.stop()
		}
	}
	for _, side := range sides(0) {
		s, err := r.start(ctx, side, cpus)
		if err != nil {
			return servers, stop, err
		}
		servers[side] = s
		if err := r.preload(ctx, s); err != nil {
			return servers, stop, err
		}
	}
	return servers, stop, nil
}

// each runs f on a fresh server of each side in each round.
func (r *run) each(ctx context.Context, f func(ctx context.Context, s *server, round int) error) error {
	for round := range r.rounds {
		for _, side := range sides(round) {
			s, err := r.start(ctx, side, nil)
			if err != nil {
				return err
			}
			err = f(ctx, s, round)
			if dead := s.alive(); dead != nil {
				err = errors.Join(err, dead)
			}
			s.stop()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// nextSeed hands out the seeds of the loads, all following from the run's.
func (r *run) nextSeed() uint64 {
	r.step++
	return r.seed + r.step
}

// value is a string value of -size bytes.
func (r *run) value() string { return strings.Repeat("x", r.size) }

// count returns how many requests fill -seconds at depth p of pipelining, for a command that costs as much as
// weight GETs. The rates are rough ones of Redis on one core; -n wins.
func (r *run) count(p int, weight float64) int64 {
	if r.requests > 0 {
		return r.requests
	}
	rate := 80e3
	switch {
	case p >= 64:
		rate = 1e6
	case p >= 8:
		rate = 450e3
	}
	return max(1000, int64(r.seconds*rate/weight))
}
