package command

import (
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"

	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/process"
	"kvd/resp/wire"
)

// MEMORY DOCTOR, HELP, MALLOC-STATS, PURGE, STATS, USAGE, and the accounting
// that INFO shows too.

func memoryRows() []*Row {
	const all = "nondeterministic_output request_policy:all_shards response_policy:special"
	return []*Row{{Name: "memory", Arity: -2, Since: "4.0.0", Group: "server",
		Summary: "Commands about memory.", Complexity: "Depends on the subcommand.",
		Sub: []*Row{
			{Name: "doctor", Fn: cmdMemoryDoctor, Arity: 2, Flags: Walks, Since: "4.0.0", Summary: "Tells what is odd about the use of memory.", Complexity: "O(1)", Tips: all},
			HelpRow("4.0.0",
				"DOCTOR",
				"    Tell what is odd about the use of memory.",
				"MALLOC-STATS",
				"    Show the books of the allocators.",
				"PURGE",
				"    Give unused memory back to the system.",
				"STATS",
				"    Return what takes how much memory.",
				"USAGE <key> [SAMPLES <count>]",
				"    Return the bytes that <key> and its value take. They are accounted, so",
				"    SAMPLES changes nothing.",
			),
			{Name: "malloc-stats", Fn: cmdMemoryMallocStats, Arity: 2, Flags: Walks, Since: "4.0.0", Summary: "Shows the books of the allocators.", Complexity: "O(1)", Tips: all},
			{Name: "purge", Fn: cmdMemoryPurge, Arity: 2, Since: "4.0.0", Summary: "Gives unused memory back to the system.", Complexity: "O(N) in the size of the heap",
				Tips: "request_policy:all_shards response_policy:all_succeeded"},
			{Name: "stats", Fn: cmdMemoryStats, Arity: 2, Flags: Walks, Since: "4.0.0", Summary: "Returns what takes how much memory.", Complexity: "O(1)", Tips: all},
			{Name: "usage", Fn: cmdMemoryUsage, Arity: -3, Flags: ReadOnly, First: 2, Last: 2, Step: 1, KeyFlags: "RO", Since: "4.0.0",
				Summary: "Returns the bytes that a key and its value take.", Complexity: "O(1)", Syntax: "key [SAMPLES count]"},
		}}}
}

// memoryGauge keeps what the Go runtime last said of its memory.
type memoryGauge struct {
	startup int64 // used when the server was made

	mu      lockrank.Mutex[lockrank.MemoryGauge] // protects what follows
	at      time.Time
	samples []metrics.Sample
	// What a collection found alive beyond what the books had when its end was
	// noticed, and the number of that collection. sure is the same as of a moment
	// right after a collection: what was noticed late may be gone by then.
	beyond, cycle, sure int64
}

// goMemoryEvery is the least time between two readings of the runtime's
// metrics and of the resident size, which cost some 20 us.
const goMemoryEvery = 100 * time.Millisecond

// goMetrics are read in this order.
var goMetrics = [...]string{
	"/memory/classes/total:bytes",
	"/memory/classes/heap/released:bytes",
	"/memory/classes/heap/free:bytes",
	"/memory/classes/heap/unused:bytes",
	"/memory/classes/metadata/mcache/free:bytes",
	"/memory/classes/metadata/mspan/free:bytes",
	"/memory/classes/heap/objects:bytes",
	"/gc/cycles/total:gc-cycles",
	"/gc/heap/live:bytes",
}

// read returns the metrics, at most goMemoryEvery old, in the order of goMetrics.
func (g *memoryGauge) read() (m [len(goMetrics)]int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); now.Sub(g.at) >= goMemoryEvery {
		if g.samples == nil {
			g.samples = make([]metrics.Sample, len(goMetrics))
			for i, name := range goMetrics {
				g.samples[i].Name = name
			}
		}
		metrics.Read(g.samples)
		g.at = now
	}
	for i := range m {
		m[i] = int64(g.samples[i].Value.Uint64())
	}
	return
}

// live estimates what of the Go heap is alive, in bytes: what the books say now,
// and what the last collection found beyond them. Nobody but the collector knows
// garbage from what is in use, and it may not look for minutes.
func (g *memoryGauge) live(m *[len(goMetrics)]int64, books int64) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if cycle := m[7]; cycle != g.cycle || cycle == 0 {
		g.cycle, g.beyond = cycle, max(0, m[8]-books)
		g.sure = min(g.sure, g.beyond)
	}
	return min(m[6], books+g.beyond)
}

// known is how much more than the books have is known to live.
func (g *memoryGauge) known() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sure
}

// collected says that a collection has just ended.
func (s *Server) collected() {
	s.memory.mu.Lock()
	s.memory.at = time.Time{} // what was read is old
	s.memory.mu.Unlock()
	s.memoryUse(false)
	s.memory.mu.Lock()
	s.memory.sure = s.memory.beyond
	s.memory.mu.Unlock()
}

// memoryUse is where the memory is, in bytes.
type memoryUse struct {
	ks       keyspace.Memory
	used     int64 // the sum of all that is in use
	active   int64 // with what the allocators keep
	rss      int64
	peak     int64 // the highest used
	startup  int64
	heap     int64 // objects of the Go heap, garbage included
	garbage  int64 // of them, as far as one can tell
	suspect  int64 // of them, beyond what is known to live
	idle     int64 // of the Go heap, neither in use nor given back
	gcCycles int64
}

// dataset is the part of used that the keys and values take.
func (m *memoryUse) dataset() int64  { return m.ks.Used() }
func (m *memoryUse) overhead() int64 { return m.used - m.ks.Used() }

// memoryUse adds up. Entries and tables are slabs of the keyspace, outside the
// Go heap; values behind handles and the index of deadlines are in it.
func (s *Server) memoryUse(locked bool) memoryUse {
	g := s.memory.read()
	m := memoryUse{ks: s.Keyspace.Memory(locked), rss: process.ResidentMemory(), startup: s.memory.startup, heap: g[6], gcCycles: g[7]}
	books := m.ks.Objects + m.ks.Index + s.countClients().normal
	m.garbage = m.heap - s.memory.live(&g, books)
	m.suspect = m.heap - books - s.memory.known()
	m.idle = g[2]
	inGo := g[0] - g[1] - g[2] - g[3] - g[4] - g[5] - m.garbage
	// What was written since the runtime was asked is in the books already.
	inGo = max(inGo, m.ks.Objects+m.ks.Index)
	m.used = m.ks.Entries + m.ks.Tables + s.tracking.bytes.Load() + inGo
	m.active = max(m.ks.Held+g[0]-g[1], m.used)
	if m.used > s.Stats.PeakMemory.Load() {
		s.Stats.PeakTime.Store(time.Now().Unix())
		noteMax(&s.Stats.PeakMemory, m.used)
	}
	m.peak = s.Stats.PeakMemory.Load()
	return m
}

func cmdMemoryUsage(c *Ctx) {
	for i := 3; i < len(c.Args); i += 2 {
		if !c.Word(i, "samples") || i+1 >= len(c.Args) {
			c.Err(ErrSyntax)
			return
		}
		n, ok := c.Int(i + 1)
		if !ok {
			return
		}
		if n < 0 {
			c.Err(ErrSyntax)
			return
		}
	}
	e := c.LookupNoTouch(&c.Keys[0])
	if !e.Exists() {
		c.W.Null()
		return
	}
	c.W.Int(e.Memory())
}

func cmdMemoryStats(c *Ctx) {
	s, w := c.S, c.W
	m := s.memoryUse(c.HoldsAll())
	at := w.DeferArray()
	n := 0
	num := func(name string, v int64) {
		w.BulkString(name)
		w.Int(v)
		n++
	}
	double := func(name string, a, b int64, scale float64) {
		f := 0.0
		if b > 0 {
			f = float64(a) / float64(b) * scale
		}
		w.BulkString(name)
		w.Double(f)
		n++
	}
	num("peak.allocated", m.peak)
	num("total.allocated", m.used)
	num("startup.allocated", m.startup)
	num("replication.backlog", 0)
	num("clients.slaves", 0)
	num("clients.normal", s.countClients().normal)
	num("cluster.links", 0)
	num("aof.buffer", 0)
	num("lua.caches", 0)
	num("functions.caches", 0)
	num("ordered.keys", m.ks.Order)
	num("hash.orders", s.HashOrders.Bytes.Load())
	keys := int64(0)
	for db := range s.Keyspace.Databases() {
		k, volatile := s.Keyspace.Size(db, c.HoldsAll())
		if k == 0 {
			continue
		}
		keys += int64(k)
		w.BulkString(fmt.Sprintf("db.%d", db))
		w.Map(2)
		w.BulkString("overhead.hashtable.main")
		w.Int(int64(k) * tableBytes)
		w.BulkString("overhead.hashtable.expires")
		w.Int(int64(volatile) * deadlineBytes)
		n++
	}
	num("overhead.total", m.overhead())
	num("keys.count", keys)
	perKey := int64(0)
	if keys > 0 {
		perKey = max(0, m.used-m.startup) / keys
	}
	num("keys.bytes-per-key", perKey)
	num("dataset.bytes", m.dataset())
	double("dataset.percentage", m.dataset(), m.used-m.startup, 100)
	double("peak.percentage", m.used, m.peak, 100)
	num("allocator.allocated", m.used)
	num("allocator.active", m.active)
	num("allocator.resident", m.active)
	double("allocator-fragmentation.ratio", m.active, m.used, 1)
	num("allocator-fragmentation.bytes", m.active-m.used)
	double("allocator-rss.ratio", m.active, m.active, 1)
	num("allocator-rss.bytes", 0)
	double("rss-overhead.ratio", m.rss, m.active, 1)
	num("rss-overhead.bytes", m.rss-m.active)
	double("fragmentation", m.rss, m.used, 1)
	num("fragmentation.bytes", m.rss-m.used)
	w.SetMap(at, n)
}

// tableBytes and deadlineBytes are what a key takes on average in its table
// and in the index of deadlines.
const (
	tableBytes    = 10
	deadlineBytes = 24
)

func cmdMemoryDoctor(c *Ctx) {
	m := c.S.memoryUse(c.HoldsAll())
	var b strings.Builder
	odd := func(format string, args ...any) { fmt.Fprintf(&b, "* "+format+"\n", args...) }
	if m.used < 5<<20 {
		c.W.Verbatim("txt", "There is too little data in this server to tell anything.\n")
		return
	}
	if m.peak > m.used+m.used/2 {
		odd("Peak: at most %s were in use, now it is %s. Slabs are tidied and given back bit by bit; MEMORY PURGE does it for the rest.", human(m.peak), human(m.used))
	}
	if m.rss > m.used+m.used/2 && m.rss-m.used > 10<<20 {
		odd("Resident size: the process holds %s, %s of it in use. Many deletions, or a heap that has just been collected, look like this for a while.", human(m.rss), human(m.used))
	}
	if n := c.S.countClients(); n.normal > 200<<10*int64(max(1, c.S.Clients())) {
		odd("Clients: their buffers hold %s. Some send faster than they read.", human(n.normal))
	}
	if m.heap > m.ks.Objects*3 && m.heap > 256<<20 {
		odd("Heap: %s are on the Go heap, %s of them values. Most is garbage that waits for the collector.", human(m.heap), human(m.ks.Objects))
	}
	if b.Len() == 0 {
		c.W.Verbatim("txt", "Nothing is odd about this server's memory.\n")
		return
	}
	c.W.Verbatim("txt", "This is what is odd about this server's memory:\n\n"+b.String())
}

func cmdMemoryMallocStats(c *Ctx) {
	m := c.S.memoryUse(c.HoldsAll())
	g := c.S.memory.read()
	var b strings.Builder
	fmt.Fprintf(&b, "Slabs of the keyspace\n  entries %d\n  tables %d\n  held %d\n", m.ks.Entries, m.ks.Tables, m.ks.Held)
	fmt.Fprintf(&b, "Accounted on the Go heap\n  objects %d\n  deadlines %d\n  keys in order %d\n", m.ks.Objects, m.ks.Index-m.ks.Order, m.ks.Order)
	b.WriteString("Go runtime\n")
	for i, name := range goMetrics {
		fmt.Fprintf(&b, "  %s %d\n", name, g[i])
	}
	fmt.Fprintf(&b, "Resident %d\n", m.rss)
	c.W.Verbatim("txt", b.String())
}

func cmdMemoryPurge(c *Ctx) {
	c.Background(func(w *wire.Writer) {
		debug.FreeOSMemory()
		w.OK()
	})
}
