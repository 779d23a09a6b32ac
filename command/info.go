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
	"kvd/process"
)

// The sections of INFO that tell of the engine.

// infoSections are the engine's own; families have theirs in their rows. keysizes, the
// last one, is shown to those only who name it.
func infoSections() []Section {
	return []Section{
		{"server", false, (*InfoWriter).server},
		{"clients", false, (*InfoWriter).clients},
		{"memory", false, (*InfoWriter).memory},
		{"persistence", false, (*InfoWriter).persistence},
		{"stats", false, (*InfoWriter).stats},
		{"replication", false, (*InfoWriter).replication},
		{"cpu", false, (*InfoWriter).cpu},
		{"modules", false, func(*InfoWriter) {}},
		{"commandstats", true, (*InfoWriter).commandStats},
		{"errorstats", false, (*InfoWriter).errorStats},
		{"latencystats", true, (*InfoWriter).latencyStats},
		{"cluster", false, (*InfoWriter).cluster},
		{"keyspace", false, (*InfoWriter).keyspace},
		{"tls", true, (*InfoWriter).tls},
		{"kvd", false, (*InfoWriter).kvd},
		{keySizes, true, (*InfoWriter).keySizes},
	}
}

func (w *InfoWriter) server() {
	s, now := w.s, w.now
	up := int64(now.Sub(s.Started).Seconds())
	executable, _ := os.Executable()
	w.Field("redis_version", config.RedisVersion)
	w.Fields("redis_git_sha1:00000000", "redis_git_dirty:0", "redis_build_id:0", "redis_mode:standalone")
	w.Field("kvd_version", s.Version)
	w.Field("os", process.SystemName())
	w.Field("arch_bits", strconv.IntSize)
	w.Field("monotonic_clock", "Go runtime")
	w.Field("multiplexing_api", multiplexing)
	w.Fields("atomicvar_api:sync/atomic", "gcc_version:0.0.0") // as of a Redis that gcc did not compile
	w.Field("go_version", strings.TrimPrefix(runtime.Version(), "go"))
	w.Field("process_id", os.Getpid())
	w.Field("process_supervised", Supervisor(w.s.Config))
	w.Field("run_id", s.RunID)
	w.Field("tcp_port", w.port())
	w.Field("server_time_usec", now.UnixMicro())
	if until := w.s.shutdown.until.Load(); until != 0 {
		w.Field("shutdown_in_milliseconds", max(0, until-time.Now().UnixMilli()))
	}
	w.Field("uptime_in_seconds", up)
	w.Field("uptime_in_days", up/86400)
	w.Field("hz", s.Config.Hz.Load())
	w.Field("configured_hz", s.Config.Hz.Load())
	w.Field("lru_clock", now.Unix()&0xffffff)
	w.Field("availability_zone", s.Config.AvailabilityZone.Load())
	w.Field("executable", executable)
	w.Field("config_file", s.Config.ConfigFile())
	w.Field("io_threads_active", 0)
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

func (w *InfoWriter) clients() {
	n := w.s.countClients()
	w.Field("connected_clients", w.s.Clients()-w.s.replication.Followers())
	w.Field("cluster_connections", 0)
	w.Field("maxclients", w.s.Config.MaxClients.Load())
	w.Field("client_recent_max_input_buffer", n.maxIn)
	w.Field("client_recent_max_output_buffer", n.maxOut)
	w.Field("blocked_clients", n.blocked)
	w.Field("tracking_clients", n.tracking)
	w.Field("pubsub_clients", n.pubsub)
	w.Field("clients_in_timeout_table", 0)
	w.Field("total_watched_keys", w.s.watches.n.Load())
	why, what, left := w.s.paused()
	w.Field("paused_reason", why)
	w.Field("paused_actions", what)
	w.Field("paused_timeout_milliseconds", left)
}

func (w *InfoWriter) memory() {
	s, m := w.s, w.s.memoryUse(w.locked)
	clients := s.countClients().normal
	size := func(name string, n int64) {
		w.Field(name, n)
		w.Field(name+"_human", human(n))
	}
	size("used_memory", m.used)
	size("used_memory_rss", m.rss)
	size("used_memory_peak", m.peak)
	w.Field("used_memory_peak_time", s.Stats.PeakTime.Load())
	w.Field("used_memory_peak_perc", percent(m.used, m.peak))
	w.Field("used_memory_overhead", m.overhead())
	w.Field("used_memory_startup", m.startup)
	w.Field("used_memory_dataset", m.dataset())
	w.Field("used_memory_dataset_perc", percent(m.dataset(), m.used-m.startup))
	w.Field("allocator_allocated", m.used)
	w.Field("allocator_active", m.active)
	w.Field("allocator_resident", m.active)
	size("total_system_memory", process.SystemMemory())
	size("used_memory_lua", 0) // the machines' memory is the collector's: it is in used_memory
	cached, texts := s.scripts.size()
	libraries, functions, libs := s.scripts.functions.memory()
	size("used_memory_scripts", texts+libs)
	w.Field("used_memory_scripts_eval", texts)
	w.Field("used_memory_hash_templates", 0) // hashes do not share their fields
	w.Field("number_of_cached_scripts", cached)
	w.Field("number_of_functions", functions)
	w.Field("number_of_libraries", libraries)
	w.Fields("used_memory_vm_eval:0", "used_memory_vm_functions:0")
	w.Field("used_memory_functions", libs)
	size("used_memory_vm_total", 0)
	size("maxmemory", s.Config.MaxMemory.Load())
	w.Field("maxmemory_policy", s.Config.MaxMemoryPolicy.Load())
	w.Field("allocator_frag_ratio", ratio(m.active, m.used))
	w.Field("allocator_frag_bytes", m.active-m.used)
	w.Field("allocator_rss_ratio", ratio(m.active, m.active))
	w.Field("allocator_rss_bytes", 0)
	w.Field("rss_overhead_ratio", ratio(m.rss, m.active))
	w.Field("rss_overhead_bytes", m.rss-m.active)
	w.Field("mem_fragmentation_ratio", ratio(m.rss, m.used))
	w.Field("mem_fragmentation_bytes", m.rss-m.used)
	backlog, stream, _ := s.replication.Memory()
	w.Field("mem_not_counted_for_evict", s.limit.notCounted(&m))
	w.Field("mem_replication_backlog", backlog)
	w.Field("mem_total_replication_buffers", stream)
	w.Field("mem_clients_slaves", stream-backlog)
	w.Field("mem_clients_normal", clients)
	w.Fields("mem_cluster_links:0", fmt.Sprintf("mem_aof_buffer:%d", w.s.persist.Buffered()), "mem_allocator:slab-go", "active_defrag_running:0")
	w.Field("mem_ordered_keys", m.ks.Order)
	w.Field("hash_orders", s.HashOrders.Count.Load())
	w.Field("hash_orders_bytes", s.HashOrders.Bytes.Load())
	w.Field("lazyfree_pending_objects", s.Keyspace.LazyPending())
	w.Field("lazyfreed_objects", w.count().lazyFreed)
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

func (w *InfoWriter) persistence() {
	w.s.persist.Info(w.Field)
	w.s.persist.InfoLoading(w.Field)
}

// count adds up the counters, once for each INFO.
func (w *InfoWriter) count() *totals {
	if !w.counted {
		w.totals, w.counted = w.s.totals(), true
	}
	return &w.totals
}

func (w *InfoWriter) stats() {
	s, t := w.s, w.count()
	lately := s.rates.now(s, w.now.UnixMilli())
	kbps := func(bytes float64) string { return fmt.Sprintf("%.2f", bytes/1024) }
	w.Field("total_connections_received", t.connections)
	w.Field("total_commands_processed", t.calls)
	w.Field("instantaneous_ops_per_sec", int64(lately.calls))
	w.Field("total_net_input_bytes", t.netIn+t.links[0])
	w.Field("total_net_output_bytes", t.netOut+t.links[1])
	w.Field("total_net_repl_input_bytes", t.links[0])
	w.Field("total_net_repl_output_bytes", t.links[1])
	w.Field("instantaneous_input_kbps", kbps(lately.netIn+lately.replIn))
	w.Field("instantaneous_output_kbps", kbps(lately.netOut+lately.replOut))
	w.Field("instantaneous_input_repl_kbps", kbps(lately.replIn))
	w.Field("instantaneous_output_repl_kbps", kbps(lately.replOut))
	w.Field("rejected_connections", t.rejected)
	w.Field("acl_access_denied_tls_cert", w.s.certDenied.Load())
	w.Field("sync_full", t.links[2])
	w.Field("sync_partial_ok", t.links[3])
	w.Field("sync_partial_err", t.links[4])
	w.Field("expired_keys", t.expired)
	w.Field("expired_subkeys", t.expiredFields)
	w.Field("hash_templates", 0)
	w.Fields("expired_stale_perc:0.00", "expired_time_cap_reached_count:0")
	w.Field("expire_cycle_cpu_milliseconds", t.expireNs/1e6)
	w.Field("evicted_keys", t.evicted)
	w.Field("evicted_clients", t.evictedClients)
	total, current := s.limit.exceeded(w.now)
	w.Field("total_eviction_exceeded_time", total.Milliseconds())
	w.Field("current_eviction_exceeded_time", current.Milliseconds())
	w.Field("keyspace_hits", t.hits)
	w.Field("keyspace_misses", t.misses)
	w.Field("pubsub_channels", s.pubsub.Channels.Len())
	w.Field("pubsub_patterns", s.pubsub.Patterns.Len())
	w.Field("pubsubshard_channels", s.pubsub.Shard.Len())
	w.Fields("latest_fork_usec:0", "total_forks:0")
	w.Field("migrate_cached_sockets", s.Stats.KeptLinks.Load())
	w.Field("slave_expires_tracked_keys", s.own.count())
	w.Fields("active_defrag_hits:0", "active_defrag_misses:0", "active_defrag_key_hits:0", "active_defrag_key_misses:0",
		"total_active_defrag_time:0", "current_active_defrag_time:0")
	w.Field("tracking_total_keys", s.tracking.keys.Load())
	w.Field("tracking_total_items", s.tracking.items.Load())
	w.Field("tracking_total_prefixes", s.tracking.broadcasts.Load())
	w.Fields("unexpected_error_replies:0")
	s.errors.mu.Lock()
	all := s.errors.all
	s.errors.mu.Unlock()
	w.Field("total_error_replies", all)
	for _, d := range []acl.Reason{acl.Auth, acl.Cmd, acl.Key, acl.Channel, acl.Database} {
		w.Field("acl_access_denied_"+deniedField[d], s.rights.denied[d].Load())
	}
	w.Fields("dump_payload_sanitizations:0")
	w.Field("client_query_buffer_limit_disconnections", t.queryLimit)
	w.Field("total_reads_processed", t.reads)
	w.Field("total_writes_processed", t.writes)
	w.Fields("reply_buffer_shrinks:0", "reply_buffer_expands:0") // clients have no such buffer
	w.Fields("io_threaded_reads_processed:0", "io_threaded_writes_processed:0")
}

// deniedField names the counters of what was refused, by reason.
var deniedField = map[acl.Reason]string{acl.Auth: "auth", acl.Cmd: "cmd", acl.Key: "key", acl.Channel: "channel", acl.Database: "db"}

func (w *InfoWriter) cpu() {
	user, sys := process.CPU()
	w.Field("used_cpu_sys", fmt.Sprintf("%.6f", sys.Seconds()))
	w.Field("used_cpu_user", fmt.Sprintf("%.6f", user.Seconds()))
	w.Fields("used_cpu_sys_children:0.000000", "used_cpu_user_children:0.000000")
	// Of the thread that runs this command: on Linux, of the client's event loop.
	if user, sys, ok := process.ThreadCPU(); ok {
		w.Field("used_cpu_sys_main_thread", fmt.Sprintf("%.6f", sys.Seconds()))
		w.Field("used_cpu_user_main_thread", fmt.Sprintf("%.6f", user.Seconds()))
	}
}

// eachRow calls f for every row that was called or rejected, by name.
func (w *InfoWriter) eachRow(f func(r *Row, t *rowTotals)) {
	t := w.count()
	rows := slices.Clone(w.s.Table.rows)
	slices.SortFunc(rows, func(a, b *Row) int { return strings.Compare(a.full, b.full) })
	for _, r := range rows {
		if n := &t.rows[r.num]; n.calls != 0 || n.rejected != 0 || n.failed != 0 {
			f(r, n)
		}
	}
}

func (w *InfoWriter) commandStats() {
	w.eachRow(func(r *Row, t *rowTotals) {
		us, per := t.ns/1000, 0.0
		if t.calls > 0 {
			per = float64(t.ns) / 1000 / float64(t.calls)
		}
		fmt.Fprintf(w, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n", r.full, t.calls, us, per, t.rejected, t.failed)
	})
}

func (w *InfoWriter) errorStats() {
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

func (w *InfoWriter) latencyStats() {
	if !w.s.Config.LatencyTracking.Load() {
		return
	}
	ps := w.s.Config.LatencyTrackingInfoPercentiles.Load()
	w.eachRow(func(r *Row, _ *rowTotals) {
		sum, n := w.s.CallTimes(r)
		if n == 0 {
			return
		}
		fmt.Fprintf(w, "latency_percentiles_usec_%s:", r.full)
		for i, p := range ps {
			if i > 0 {
				w.WriteByte(',')
			}
			fmt.Fprintf(w, "p%s=%.3f", strconv.FormatFloat(p, 'g', -1, 64), float64(sum.Percentile(n, p))/1000)
		}
		w.WriteString("\r\n")
	})
}

func (w *InfoWriter) cluster() { w.Field("cluster_enabled", 0) }

func (w *InfoWriter) keyspace() {
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
func (w *InfoWriter) kvd() {
	s, ks := w.s, w.s.Keyspace
	t, m := w.count(), s.memoryUse(w.locked)
	w.Field("kvd_stripes", ks.Stripes())
	w.Field("kvd_loops", s.execs.count())
	w.Field("kvd_timing", map[bool]string{true: "on", false: "off"}[ks.Timing()])
	w.Field("kvd_max_lock_hold_us", micros(ks.Stats.MaxLockHoldNs.Load()))
	w.Field("kvd_max_command_us", micros(s.Stats.MaxCommandNs.Load()))
	w.Field("kvd_lock_contended", t.contended)
	w.Field("kvd_mem_entries", m.ks.Entries)
	w.Field("kvd_mem_tables", m.ks.Tables)
	w.Field("kvd_mem_objects", m.ks.Objects)
	w.Field("kvd_mem_deadlines", m.ks.Index-m.ks.Order)
	w.Field("kvd_mem_slabs_held", m.ks.Held)
	w.Field("kvd_mem_go_heap", m.heap)
	w.Field("kvd_tidied_bytes", t.tidied)
	w.Field("kvd_gc_cycles", m.gcCycles)
	w.Field("kvd_goroutines", runtime.NumGoroutine())
	_, _, file := s.replication.Memory()
	w.Field("kvd_repl_backlog_file_bytes", file)
	w.Field("kvd_paused", map[int32]string{pauseOff: "no", pauseWrites: "writes", pauseAll: "all"}[s.pause.mode.Load()])
}

func micros(ns int64) string { return fmt.Sprintf("%.1f", float64(ns)/1000) }
