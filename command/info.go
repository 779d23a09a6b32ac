package command

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"kvd/acl"
	"kvd/config"
	"kvd/resp/wire"
)

// INFO.

func infoRows() []*Row {
	return []*Row{{Name: "info", Fn: cmdInfo, Arity: -1, Flags: Loading | Stale | Walks | WalksPast, Since: "1.0.0", Group: "server", Categories: "dangerous",
		Summary: "Returns what is to know of the server, in sections.", Complexity: "O(N) in the number of commands and stripes; for keysizes, of keys", Syntax: "[section [section ...]]",
		Tips: "nondeterministic_output request_policy:all_shards response_policy:special"}}
}

// infoSection is one section; extra ones are shown by all and everything, but
// not by default.
type infoSection struct {
	name  string
	extra bool
	write func(*infoWriter)
}

var infoSections = []infoSection{
	{"server", false, (*infoWriter).server},
	{"clients", false, (*infoWriter).clients},
	{"memory", false, (*infoWriter).memory},
	{"persistence", false, (*infoWriter).persistence},
	{"stats", false, (*infoWriter).stats},
	{"replication", false, (*infoWriter).replication},
	{"cpu", false, (*infoWriter).cpu},
	{"modules", false, func(*infoWriter) {}},
	{"commandstats", true, (*infoWriter).commandStats},
	{"errorstats", false, (*infoWriter).errorStats},
	{"latencystats", true, (*infoWriter).latencyStats},
	{"cluster", false, (*infoWriter).cluster},
	{"keyspace", false, (*infoWriter).keyspace},
	{"tls", true, (*infoWriter).tls},
	{"kvd", false, (*infoWriter).kvd},
	{"keyjobs", true, (*infoWriter).keyJobs},
	{keySizes, true, (*infoWriter).keySizes},
}

// infoWriter gathers the text of INFO.
type infoWriter struct {
	strings.Builder
	s      *Server
	now    time.Time
	locked bool // all stripes are

	counted bool
	totals  totals
}

// field writes one; a bool is 1 or 0.
func (w *infoWriter) field(name string, value any) {
	switch value {
	case true:
		value = 1
	case false:
		value = 0
	}
	fmt.Fprintf(w, "%s:%v\r\n", name, value)
}

// fields writes several, each given as "name:value".
func (w *infoWriter) fields(lines ...string) {
	for _, l := range lines {
		w.WriteString(l)
		w.WriteString("\r\n")
	}
}

func cmdInfo(c *Ctx) {
	var basic, all bool
	want := map[string]bool{}
	for _, a := range c.Args[1:] {
		switch name := strings.ToLower(string(a)); name {
		case "default":
			basic = true
		case "all", "everything":
			all = true
		default:
			want[name] = true
		}
	}
	basic = basic || len(c.Args) == 1
	w := &infoWriter{s: c.S, now: c.x.now, locked: c.HoldsAll()}
	write := func(out *wire.Writer) {
		for i := range infoSections {
			sec := &infoSections[i]
			if !(all && sec.name != keySizes) && !(basic && !sec.extra) && !want[sec.name] {
				continue
			}
			if w.Len() > 0 {
				w.WriteString("\r\n")
			}
			title := strings.ToUpper(sec.name[:1]) + sec.name[1:]
			if sec.name == "cpu" || sec.name == "tls" {
				title = strings.ToUpper(sec.name)
			}
			w.fields("# " + title)
			sec.write(w)
		}
		out.Verbatim("txt", w.String())
	}
	if want[keySizes] {
		c.Background(write)
	} else {
		write(c.W)
	}
}

func (w *infoWriter) server() {
	s, now := w.s, w.now
	up := int64(now.Sub(s.Started).Seconds())
	executable, _ := os.Executable()
	w.field("redis_version", config.RedisVersion)
	w.fields("redis_git_sha1:00000000", "redis_git_dirty:0", "redis_build_id:0", "redis_mode:standalone")
	w.field("kvd_version", s.Version)
	w.field("os", systemName())
	w.field("arch_bits", strconv.IntSize)
	w.field("monotonic_clock", "Go runtime")
	w.field("multiplexing_api", multiplexing)
	w.fields("atomicvar_api:sync/atomic", "gcc_version:0.0.0") // as of a Redis that gcc did not compile
	w.field("go_version", strings.TrimPrefix(runtime.Version(), "go"))
	w.field("process_id", os.Getpid())
	w.field("process_supervised", Supervisor(w.s.Config))
	w.field("run_id", s.RunID)
	w.field("tcp_port", w.port())
	w.field("server_time_usec", now.UnixMicro())
	if until := w.s.shutdown.until.Load(); until != 0 {
		w.field("shutdown_in_milliseconds", max(0, until-time.Now().UnixMilli()))
	}
	w.field("uptime_in_seconds", up)
	w.field("uptime_in_days", up/86400)
	w.field("hz", s.Config.Hz.Load())
	w.field("configured_hz", s.Config.Hz.Load())
	w.field("lru_clock", now.Unix()&0xffffff)
	w.field("availability_zone", s.Config.AvailabilityZone.Load())
	w.field("executable", executable)
	w.field("config_file", s.Config.ConfigFile())
	w.field("io_threads_active", 0)
}

// multiplexing names how the front end waits for many connections.
var multiplexing = map[bool]string{true: "epoll", false: "goroutines"}[runtime.GOOS == "linux"]

// clientCounts are the connections by what they do.
type clientCounts struct {
	blocked, tracking, pubsub int
	normal                    int64 // bytes
	maxIn, maxOut             int64
}

func (s *Server) countClients() (n clientCounts) {
	for _, c := range s.clients.list() {
		state := c.state.Load()
		if state&stateBlocked != 0 {
			n.blocked++
		}
		if state&stateTracking != 0 {
			n.tracking++
		}
		if state&statePubSub != 0 {
			n.pubsub++
		}
		if state&stateReplica != 0 {
			continue // it has nothing of its own
		}
		n.normal += c.memory()
		n.maxIn = max(n.maxIn, c.QueryLen.Load())
		n.maxOut = max(n.maxOut, c.OutMem.Load())
	}
	return
}

func (w *infoWriter) clients() {
	n := w.s.countClients()
	w.field("connected_clients", w.s.Clients()-w.s.replication.Followers())
	w.field("cluster_connections", 0)
	w.field("maxclients", w.s.Config.MaxClients.Load())
	w.field("client_recent_max_input_buffer", n.maxIn)
	w.field("client_recent_max_output_buffer", n.maxOut)
	w.field("blocked_clients", n.blocked)
	w.field("tracking_clients", n.tracking)
	w.field("pubsub_clients", n.pubsub)
	w.field("clients_in_timeout_table", 0)
	w.field("total_watched_keys", w.s.watches.n.Load())
	why, what, left := w.s.paused()
	w.field("paused_reason", why)
	w.field("paused_actions", what)
	w.field("paused_timeout_milliseconds", left)
}

func (w *infoWriter) memory() {
	s, m := w.s, w.s.memoryUse(w.locked)
	clients := s.countClients().normal
	size := func(name string, n int64) {
		w.field(name, n)
		w.field(name+"_human", human(n))
	}
	size("used_memory", m.used)
	size("used_memory_rss", m.rss)
	size("used_memory_peak", m.peak)
	w.field("used_memory_peak_time", s.Stats.PeakTime.Load())
	w.field("used_memory_peak_perc", percent(m.used, m.peak))
	w.field("used_memory_overhead", m.overhead())
	w.field("used_memory_startup", m.startup)
	w.field("used_memory_dataset", m.dataset())
	w.field("used_memory_dataset_perc", percent(m.dataset(), m.used-m.startup))
	w.field("allocator_allocated", m.used)
	w.field("allocator_active", m.active)
	w.field("allocator_resident", m.active)
	size("total_system_memory", systemMemory())
	size("used_memory_lua", 0) // the machines' memory is the collector's: it is in used_memory
	cached, texts := s.scripts.size()
	libraries, functions, libs := s.scripts.functions.memory()
	size("used_memory_scripts", texts+libs)
	w.field("used_memory_scripts_eval", texts)
	w.field("used_memory_hash_templates", 0) // hashes do not share their fields
	w.field("number_of_cached_scripts", cached)
	w.field("number_of_functions", functions)
	w.field("number_of_libraries", libraries)
	w.fields("used_memory_vm_eval:0", "used_memory_vm_functions:0")
	w.field("used_memory_functions", libs)
	size("used_memory_vm_total", 0)
	size("maxmemory", s.Config.MaxMemory.Load())
	w.field("maxmemory_policy", s.Config.MaxMemoryPolicy.Load())
	w.field("allocator_frag_ratio", ratio(m.active, m.used))
	w.field("allocator_frag_bytes", m.active-m.used)
	w.field("allocator_rss_ratio", ratio(m.active, m.active))
	w.field("allocator_rss_bytes", 0)
	w.field("rss_overhead_ratio", ratio(m.rss, m.active))
	w.field("rss_overhead_bytes", m.rss-m.active)
	w.field("mem_fragmentation_ratio", ratio(m.rss, m.used))
	w.field("mem_fragmentation_bytes", m.rss-m.used)
	backlog, stream, _ := s.replication.Memory()
	w.field("mem_not_counted_for_evict", s.limit.notCounted(&m))
	w.field("mem_replication_backlog", backlog)
	w.field("mem_total_replication_buffers", stream)
	w.field("mem_clients_slaves", stream-backlog)
	w.field("mem_clients_normal", clients)
	w.fields("mem_cluster_links:0", fmt.Sprintf("mem_aof_buffer:%d", w.s.persist.Buffered()), "mem_allocator:slab-go", "active_defrag_running:0")
	w.field("mem_ordered_keys", m.ks.Order)
	w.field("hash_orders", s.HashOrders.Count.Load())
	w.field("hash_orders_bytes", s.HashOrders.Bytes.Load())
	w.field("lazyfree_pending_objects", s.Keyspace.LazyPending())
	w.field("lazyfreed_objects", w.count().lazyFreed)
}

// percent is part of whole as INFO prints it.
func percent(part, whole int64) string {
	if whole <= 0 {
		return "0.00%"
	}
	return fmt.Sprintf("%.2f%%", float64(part)/float64(whole)*100)
}

// human is a size as INFO shows it to people: "1.50M".
func human(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + "B"
	}
	f, units := float64(n)/1024, "KMGTP"
	for len(units) > 1 && f >= 1024 {
		f, units = f/1024, units[1:]
	}
	return fmt.Sprintf("%.2f%c", f, units[0])
}

func ratio(a, b int64) string {
	if b <= 0 {
		return "0.00"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

func (w *infoWriter) persistence() {
	w.s.persist.Info(w.field)
	w.s.persist.InfoLoading(w.field)
}

// count adds up the counters, once for each INFO.
func (w *infoWriter) count() *totals {
	if !w.counted {
		w.totals, w.counted = w.s.totals(), true
	}
	return &w.totals
}

func (w *infoWriter) stats() {
	s, t := w.s, w.count()
	lately := s.rates.now(s, w.now.UnixMilli())
	kbps := func(bytes float64) string { return fmt.Sprintf("%.2f", bytes/1024) }
	w.field("total_connections_received", t.connections)
	w.field("total_commands_processed", t.calls)
	w.field("instantaneous_ops_per_sec", int64(lately.calls))
	w.field("total_net_input_bytes", t.netIn+t.links[0])
	w.field("total_net_output_bytes", t.netOut+t.links[1])
	w.field("total_net_repl_input_bytes", t.links[0])
	w.field("total_net_repl_output_bytes", t.links[1])
	w.field("instantaneous_input_kbps", kbps(lately.netIn+lately.replIn))
	w.field("instantaneous_output_kbps", kbps(lately.netOut+lately.replOut))
	w.field("instantaneous_input_repl_kbps", kbps(lately.replIn))
	w.field("instantaneous_output_repl_kbps", kbps(lately.replOut))
	w.field("rejected_connections", t.rejected)
	w.field("acl_access_denied_tls_cert", w.s.certDenied.Load())
	w.field("sync_full", t.links[2])
	w.field("sync_partial_ok", t.links[3])
	w.field("sync_partial_err", t.links[4])
	w.field("expired_keys", t.expired)
	w.field("expired_subkeys", t.expiredFields)
	w.field("hash_templates", 0)
	w.fields("expired_stale_perc:0.00", "expired_time_cap_reached_count:0")
	w.field("expire_cycle_cpu_milliseconds", t.expireNs/1e6)
	w.field("evicted_keys", t.evicted)
	w.field("evicted_clients", t.evictedClients)
	total, current := s.limit.exceeded(w.now)
	w.field("total_eviction_exceeded_time", total.Milliseconds())
	w.field("current_eviction_exceeded_time", current.Milliseconds())
	w.field("keyspace_hits", t.hits)
	w.field("keyspace_misses", t.misses)
	w.field("pubsub_channels", s.pubsub.channels.n.Load())
	w.field("pubsub_patterns", s.pubsub.patterns.n.Load())
	w.field("pubsubshard_channels", s.pubsub.shard.n.Load())
	w.fields("latest_fork_usec:0", "total_forks:0")
	w.field("migrate_cached_sockets", s.Stats.KeptLinks.Load())
	w.field("slave_expires_tracked_keys", s.own.count())
	w.fields("active_defrag_hits:0", "active_defrag_misses:0", "active_defrag_key_hits:0", "active_defrag_key_misses:0",
		"total_active_defrag_time:0", "current_active_defrag_time:0")
	w.field("tracking_total_keys", s.tracking.keys.Load())
	w.field("tracking_total_items", s.tracking.items.Load())
	w.field("tracking_total_prefixes", s.tracking.broadcasts.Load())
	w.fields("unexpected_error_replies:0")
	s.errors.mu.Lock()
	all := s.errors.all
	s.errors.mu.Unlock()
	w.field("total_error_replies", all)
	for _, d := range []acl.Reason{acl.Auth, acl.Cmd, acl.Key, acl.Channel, acl.Database} {
		w.field("acl_access_denied_"+deniedField[d], s.rights.denied[d].Load())
	}
	w.fields("dump_payload_sanitizations:0")
	w.field("client_query_buffer_limit_disconnections", t.queryLimit)
	w.field("total_reads_processed", t.reads)
	w.field("total_writes_processed", t.writes)
	w.fields("reply_buffer_shrinks:0", "reply_buffer_expands:0") // clients have no such buffer
	w.fields("io_threaded_reads_processed:0", "io_threaded_writes_processed:0")
}

// deniedField names the counters of what was refused, by reason.
var deniedField = map[acl.Reason]string{acl.Auth: "auth", acl.Cmd: "cmd", acl.Key: "key", acl.Channel: "channel", acl.Database: "db"}

func (w *infoWriter) cpu() {
	user, sys := processCPU()
	w.field("used_cpu_sys", fmt.Sprintf("%.6f", sys.Seconds()))
	w.field("used_cpu_user", fmt.Sprintf("%.6f", user.Seconds()))
	w.fields("used_cpu_sys_children:0.000000", "used_cpu_user_children:0.000000")
	// Of the thread that runs this command: on Linux, of the client's event loop.
	if user, sys, ok := threadCPU(); ok {
		w.field("used_cpu_sys_main_thread", fmt.Sprintf("%.6f", sys.Seconds()))
		w.field("used_cpu_user_main_thread", fmt.Sprintf("%.6f", user.Seconds()))
	}
}

// eachRow calls f for every row that was called or rejected, by name.
func (w *infoWriter) eachRow(f func(r *Row, t *rowTotals)) {
	t := w.count()
	rows := slices.Clone(w.s.Table.rows)
	slices.SortFunc(rows, func(a, b *Row) int { return strings.Compare(a.full, b.full) })
	for _, r := range rows {
		if n := &t.rows[r.num]; n.calls != 0 || n.rejected != 0 || n.failed != 0 {
			f(r, n)
		}
	}
}

func (w *infoWriter) commandStats() {
	w.eachRow(func(r *Row, t *rowTotals) {
		us, per := t.ns/1000, 0.0
		if t.calls > 0 {
			per = float64(t.ns) / 1000 / float64(t.calls)
		}
		fmt.Fprintf(w, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n", r.full, t.calls, us, per, t.rejected, t.failed)
	})
}

func (w *infoWriter) errorStats() {
	w.s.errors.mu.Lock()
	defer w.s.errors.mu.Unlock()
	names := make([]string, 0, len(w.s.errors.n))
	for name := range w.s.errors.n {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "errorstat_%s:count=%d\r\n", infoName(name), w.s.errors.n[name])
	}
}

// infoName makes a name fit for a field's: a script may have chosen it.
func infoName(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("#:\n\r", r) {
			return '_'
		}
		return r
	}, s)
}

func (w *infoWriter) latencyStats() {
	if !w.s.Config.LatencyTracking.Load() {
		return
	}
	ps := w.s.Config.LatencyTrackingInfoPercentiles.Load()
	w.eachRow(func(r *Row, _ *rowTotals) {
		sum, n := w.s.latencies(r.num)
		if n == 0 {
			return
		}
		fmt.Fprintf(w, "latency_percentiles_usec_%s:", r.full)
		for i, p := range ps {
			if i > 0 {
				w.WriteByte(',')
			}
			fmt.Fprintf(w, "p%s=%.3f", strconv.FormatFloat(p, 'g', -1, 64), float64(percentile(sum, n, p))/1000)
		}
		w.WriteString("\r\n")
	})
}

func (w *infoWriter) cluster() { w.field("cluster_enabled", 0) }

func (w *infoWriter) keyspace() {
	ks := w.s.Keyspace
	for db := range ks.Databases() {
		keys, volatile := ks.Size(db, w.locked)
		if keys == 0 {
			continue
		}
		ttl := int64(0)
		if d := ks.MeanDeadline(db, w.locked); d != 0 {
			ttl = max(0, d-w.now.UnixMilli())
		}
		fmt.Fprintf(w, "db%d:keys=%d,expires=%d,avg_ttl=%d\r\n", db, keys, volatile, ttl)
	}
}

// kvd shows what only kvd has.
func (w *infoWriter) kvd() {
	s, ks := w.s, w.s.Keyspace
	t, m := w.count(), s.memoryUse(w.locked)
	w.field("kvd_stripes", ks.Stripes())
	w.field("kvd_loops", s.execs.count())
	w.field("kvd_timing", map[bool]string{true: "on", false: "off"}[ks.Timing()])
	w.field("kvd_max_lock_hold_us", micros(ks.Stats.MaxLockHoldNs.Load()))
	w.field("kvd_max_command_us", micros(s.Stats.MaxCommandNs.Load()))
	w.field("kvd_lock_contended", t.contended)
	w.field("kvd_mem_entries", m.ks.Entries)
	w.field("kvd_mem_tables", m.ks.Tables)
	w.field("kvd_mem_objects", m.ks.Objects)
	w.field("kvd_mem_deadlines", m.ks.Index-m.ks.Order)
	w.field("kvd_mem_slabs_held", m.ks.Held)
	w.field("kvd_mem_go_heap", m.heap)
	w.field("kvd_tidied_bytes", t.tidied)
	w.field("kvd_gc_cycles", m.gcCycles)
	w.field("kvd_goroutines", runtime.NumGoroutine())
	_, _, file := s.replication.Memory()
	w.field("kvd_repl_backlog_file_bytes", file)
	w.field("kvd_paused", map[int32]string{pauseOff: "no", pauseWrites: "writes", pauseAll: "all"}[s.pause.mode.Load()])
}

func micros(ns int64) string { return fmt.Sprintf("%.1f", float64(ns)/1000) }
