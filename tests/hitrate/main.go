// Command hitrate measures how many reads of a cache find their key, on several
// traces, with kvd and redis-server side by side: a client asks for a key, and sets
// it where it is missing. docs/design/eviction.md has the figures.
//
//	go run ./tests/hitrate -kvd bin/kvd -redis /usr/bin/redis-server
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

var (
	kvd    = flag.String("kvd", "bin/kvd", "the server that is measured")
	redis  = flag.String("redis", "/usr/bin/redis-server", "the server that it is measured beside; empty: none")
	policy = flag.String("policies", "allkeys-lru,allkeys-lfu", "values of maxmemory-policy")
	limit  = flag.Int64("maxmemory", 16<<20, "the limit of both, in bytes")
	size   = flag.Int("value", 200, "bytes of a value")
	ops    = flag.Int("ops", 1_000_000, "reads of each trace")
	port   = flag.Int("port", 24100, "port of the servers")
	only   = flag.String("traces", "", "names of traces, separated by commas; empty: all")
	config = flag.String("config", "", "directives for both, as name=value,...")
)

// A trace says which key comes next.
type trace struct {
	name string
	make func(r *rand.Rand, fits int) func(i int) int
}

// zipf draws from n keys, the k'th as often as 1/k^s.
func zipf(r *rand.Rand, s float64, n int) func() int {
	sums := make([]float64, n)
	sum := 0.0
	for k := range n {
		sum += math.Pow(float64(k+1), -s)
		sums[k] = sum
	}
	names := r.Perm(n)
	return func() int {
		x := r.Float64() * sum
		lo, hi := 0, n-1
		for lo < hi {
			if mid := (lo + hi) / 2; sums[mid] < x {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		return names[lo]
	}
}

// The traces; fits is about how many keys a cache holds.
var traces = []trace{
	{"zipf-0.9", func(r *rand.Rand, fits int) func(int) int {
		next := zipf(r, 0.9, 5*fits)
		return func(int) int { return next() }
	}},
	{"zipf-1.1", func(r *rand.Rand, fits int) func(int) int {
		next := zipf(r, 1.1, 5*fits)
		return func(int) int { return next() }
	}},
	// Two thirds of the reads are of a hot set that fits, the rest is one scan after another.
	{"scan", func(r *rand.Rand, fits int) func(int) int {
		hot, at := zipf(r, 0.7, fits/2), 0
		return func(i int) int {
			if i%3 < 2 {
				return hot()
			}
			at++
			return 10*fits + at%(4*fits)
		}
	}},
	{"loop", func(_ *rand.Rand, fits int) func(int) int {
		return func(i int) int { return i % (fits * 3 / 2) }
	}},
	// The hot set is another one ten times.
	{"moving", func(r *rand.Rand, fits int) func(int) int {
		next := zipf(r, 0.9, 2*fits)
		return func(i int) int { return i/(*ops/10)*fits + next() }
	}},
}

func main() {
	flag.Parse()
	log.SetFlags(0)
	servers := []string{*kvd}
	if *redis != "" {
		servers = append(servers, *redis)
	}
	fits := int(*limit) / (*size + 90)
	fmt.Printf("%-14s %-9s %9s %9s\n", "policy", "trace", "kvd", "redis")
	for _, p := range strings.Split(*policy, ",") {
		for _, t := range traces {
			if *only != "" && !strings.Contains(","+*only+",", ","+t.name+",") {
				continue
			}
			fmt.Printf("%-14s %-9s", p, t.name)
			for _, s := range servers {
				rate, err := measure(s, p, &t, fits)
				if err != nil {
					log.Fatalf("%s: %v", s, err)
				}
				fmt.Printf(" %8.2f%%", rate*100)
			}
			fmt.Println()
		}
	}
}

// pipeline is how many reads are on their way at a time. The writes of those that
// missed follow together.
const pipeline = 64

func measure(server, policy string, t *trace, fits int) (rate float64, err error) {
	dir, err := os.MkdirTemp("", "hitrate")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	args := []string{"--port", strconv.Itoa(*port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--maxmemory", strconv.FormatInt(*limit, 10),
		"--maxmemory-policy", policy, "--loglevel", "warning"}
	for _, c := range strings.Split(*config, ",") {
		if name, value, ok := strings.Cut(c, "="); ok {
			args = append(args, "--"+name, value)
		}
	}
	cmd := exec.Command(server, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var c net.Conn
	for range 100 {
		if c, err = net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(*port)); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return 0, err
	}
	defer c.Close()
	r, w := bufio.NewReaderSize(c, 1<<20), bufio.NewWriterSize(c, 1<<20)
	next := t.make(rand.New(rand.NewPCG(1, 2)), fits)
	value := strings.Repeat("v", *size)
	hits, counted := 0, 0
	keys := make([]int, 0, pipeline)
	for i := 0; i < *ops; {
		keys = keys[:0]
		for len(keys) < pipeline && i < *ops {
			k := next(i)
			keys = append(keys, k)
			name := "key:" + strconv.Itoa(k)
			fmt.Fprintf(w, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(name), name)
			i++
		}
		if err := w.Flush(); err != nil {
			return 0, err
		}
		missed := keys[:0]
		for _, k := range keys {
			hit, err := readBulk(r)
			if err != nil {
				return 0, err
			}
			if i > *ops/10 { // the cache is filled
				counted++
				if hit {
					hits++
				}
			}
			if !hit {
				missed = append(missed, k)
			}
		}
		for _, k := range missed {
			name := "key:" + strconv.Itoa(k)
			fmt.Fprintf(w, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(name), name, len(value), value)
		}
		if err := w.Flush(); err != nil {
			return 0, err
		}
		for range missed {
			if line, err := r.ReadString('\n'); err != nil || line[0] != '+' {
				return 0, fmt.Errorf("SET: %q %v", line, err)
			}
		}
	}
	return float64(hits) / float64(counted), nil
}

// readBulk reads the reply to a GET.
func readBulk(r *bufio.Reader) (there bool, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return false, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil || line[0] != '$' {
		return false, errors.New("GET: " + line)
	}
	if n < 0 {
		return false, nil
	}
	_, err = io.CopyN(io.Discard, r, int64(n)+2)
	return true, err
}
