package memcached

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"kvd/command"
	"kvd/keyspace"
	"kvd/types"
)

// Version is what clients are told: they parse it to know which commands there are.
const Version = "1.6.38"

// report is a reply to stats: names and values, in the form of the request's protocol.
type report struct {
	c    *command.Ctx
	head []byte // of a request of the binary protocol; empty: it is of the text protocol
}

func (r report) stat(name string, value any) {
	text := fmt.Sprint(value)
	if len(r.head) > 0 {
		b := AppendHead(r.c.W.Buf, r.head, StatusOK, 0, len(name), len(name)+len(text), 0)
		r.c.W.Buf = append(append(b, name...), text...)
		return
	}
	r.c.W.Buf = fmt.Appendf(r.c.W.Buf, "STAT %s %s\r\n", name, text)
}

func (r report) end() {
	if len(r.head) > 0 {
		r.c.W.Buf = AppendHead(r.c.W.Buf, r.head, StatusOK, 0, 0, 0, 0)
		return
	}
	r.c.W.Buf = append(r.c.W.Buf, "END\r\n"...)
}

// refuse is the reply to a section that there is not, or to wrong arguments.
func (r report) refuse(text string, status uint16) {
	if len(r.head) > 0 {
		r.c.W.Buf = AppendError(r.c.W.Buf, r.head, status, "")
		return
	}
	r.c.W.Buf = append(append(r.c.W.Buf, text...), "\r\n"...)
}

// stats is called with the head of a binary request, or nothing, and the words behind
// "stats".
func stats(c *command.Ctx) {
	r := report{c: c}
	var words [][]byte
	if len(c.Args) > 1 {
		r.head, words = c.Args[1], c.Args[2:]
	}
	if len(words) == 0 {
		r.general()
		r.end()
		return
	}
	switch section := string(words[0]); section {
	case "reset":
		c.S.ResetTallies()
		detailOf(c.S).reset()
		if len(r.head) > 0 {
			r.end()
			return
		}
		c.W.Buf = append(c.W.Buf, "RESET\r\n"...)
		return
	case "settings":
		r.settings()
	case "items":
		r.items()
	case "slabs":
		r.slabs()
	case "sizes":
		r.stat("sizes_status", "disabled")
	case "conns":
		r.conns()
	case "cachedump":
		r.cachedump(words[1:])
		return
	case "detail":
		r.detail(words[1:])
		return
	default:
		r.refuse("ERROR", StatusNotFound)
		return
	}
	r.end()
}

func (r report) general() {
	s := r.c.S
	t := s.Tallies()
	now := time.Now()
	user, system := cpuTimes()
	keys, _ := s.Keyspace.Size(r.c.DB(), r.c.HoldsAll())
	watchers, sent, skipped := s.Watchers()
	for _, x := range []struct {
		name  string
		value any
	}{
		{"pid", os.Getpid()},
		{"uptime", int64(now.Sub(s.Started).Seconds())},
		{"time", now.Unix()},
		{"version", Version},
		{"libevent", "none"},
		{"pointer_size", strconv.IntSize},
		{"rusage_user", user},
		{"rusage_system", system},
		{"max_connections", s.Config.MaxClients.Load()},
		{"curr_connections", s.Clients()},
		{"total_connections", s.Stats.Connections.Load()},
		{"rejected_connections", s.Stats.Rejected.Load()},
		{"connection_structures", s.Clients()},
		{"response_obj_oom", 0},
		{"response_obj_count", 0},
		{"response_obj_bytes", 0},
		{"read_buf_count", 0},
		{"read_buf_bytes", 0},
		{"read_buf_bytes_free", 0},
		{"read_buf_oom", 0},
		{"reserved_fds", 0},
		{"cmd_get", t[cmdGet]},
		{"cmd_set", t[cmdSet]},
		{"cmd_flush", t[cmdFlush]},
		{"cmd_touch", t[cmdTouch]},
		{"cmd_meta", t[cmdMeta]},
		{"get_hits", t[getHits]},
		{"get_misses", t[getMisses]},
		{"get_expired", 0},
		{"get_flushed", 0},
		{"delete_misses", t[deleteMisses]},
		{"delete_hits", t[deleteHits]},
		{"incr_misses", t[incrMisses]},
		{"incr_hits", t[incrHits]},
		{"decr_misses", t[decrMisses]},
		{"decr_hits", t[decrHits]},
		{"cas_misses", t[casMisses]},
		{"cas_hits", t[casHits]},
		{"cas_badval", t[casBadval]},
		{"touch_hits", t[touchHits]},
		{"touch_misses", t[touchMisses]},
		{"store_too_large", t[TooLargeCount]},
		{"store_no_memory", t[NoMemoryCount]},
		{"auth_cmds", t[AuthCount]},
		{"auth_errors", t[AuthErrorCount]},
		{"bytes_read", s.Stats.NetIn.Load()},
		{"bytes_written", s.Stats.NetOut.Load()},
		{"limit_maxbytes", s.Config.MaxMemory.Uint64()},
		{"accepting_conns", 1},
		{"listen_disabled_num", 0},
		{"time_in_listen_disabled_us", 0},
		{"threads", max(1, s.Config.IOThreads.Load())},
		{"conn_yields", 0},
		{"hash_power_level", 0},
		{"hash_bytes", 0},
		{"hash_is_expanding", 0},
		{"slab_reassign_rescues", 0},
		{"slab_reassign_chunk_rescues", 0},
		{"slab_reassign_evictions_nomem", 0},
		{"slab_reassign_inline_reclaim", 0},
		{"slab_reassign_busy_items", 0},
		{"slab_reassign_busy_deletes", 0},
		{"slab_reassign_running", 0},
		{"slabs_moved", 0},
		{"lru_crawler_running", 0},
		{"lru_crawler_starts", 0},
		{"lru_maintainer_juggles", 0},
		{"malloc_fails", 0},
		{"log_worker_dropped", 0},
		{"log_worker_written", 0},
		{"log_watcher_skipped", skipped},
		{"log_watcher_sent", sent},
		{"log_watchers", watchers},
		{"bytes", s.Keyspace.Used()},
		{"curr_items", keys},
		{"total_items", t[totalItems]},
		{"slab_global_page_pool", 0},
		{"expired_unfetched", 0},
		{"evicted_unfetched", 0},
		{"evicted_active", 0},
		{"evictions", s.Keyspace.Stats.Evicted.Load()},
		{"reclaimed", s.Keyspace.Stats.Expired.Load()},
		{"crawler_reclaimed", 0},
		{"crawler_items_checked", 0},
		{"lrutail_reflocked", 0},
		{"moves_to_cold", 0},
		{"moves_to_warm", 0},
		{"moves_within_lru", 0},
		{"direct_reclaims", 0},
		{"lru_bumps_dropped", 0},
	} {
		r.stat(x.name, x.value)
	}
	if s.Config.Timeout.Load() > 0 {
		r.stat("idle_kicks", s.Stats.IdleClosed.Load())
	}
}

func onOff(b bool, on, off string) string {
	if b {
		return on
	}
	return off
}

func (r report) settings() {
	cfg := r.c.S.Config
	sasl := !r.c.S.DefaultNoPass()
	for _, x := range []struct {
		name  string
		value any
	}{
		{"maxbytes", cfg.MaxMemory.Uint64()},
		{"maxconns", cfg.MaxClients.Load()},
		{"tcpport", cfg.MemcachedPort.Load()},
		{"udpport", 0},
		{"inter", strings.Join(cfg.Bind.Load(), ",")},
		{"verbosity", map[string]int{"debug": 2, "verbose": 1}[cfg.LogLevel.Load()]},
		{"oldest", 0},
		{"evictions", onOff(cfg.MaxMemoryPolicy.Load() != "noeviction", "on", "off")},
		{"domain_socket", cmp.Or(cfg.MemcachedUnixSocket.Load(), "NULL")},
		{"umask", "0"},
		{"shutdown_command", onOff(cfg.MemcachedShutdown.Load(), "yes", "no")},
		{"num_threads", max(1, cfg.IOThreads.Load())},
		{"stat_key_prefix", ":"},
		{"detail_enabled", onOff(r.c.S.Stats.ByPrefix.Load(), "yes", "no")},
		{"cas_enabled", "yes"},
		{"tcp_backlog", cfg.TCPBacklog.Load()},
		{"binding_protocol", "auto-negotiate"},
		{"auth_enabled_sasl", onOff(sasl, "yes", "no")},
		{"auth_enabled_ascii", onOff(sasl, "yes", "no")},
		{"item_size_max", cfg.MemcachedItemSizeMax.Load()},
		{"maxconns_fast", "yes"},
		{"slab_reassign", "no"},
		{"slab_automove", 0},
		{"lru_crawler", "yes"},
		{"flush_enabled", onOff(cfg.MemcachedFlushAll.Load(), "yes", "no")},
		{"dump_enabled", onOff(cfg.MemcachedDump.Load(), "yes", "no")},
		{"hash_algorithm", "siphash"},
		{"lru_maintainer_thread", "no"},
		{"lru_segmented", "no"},
		{"idle_timeout", cfg.Timeout.Load()},
		{"track_sizes", "no"},
		{"inline_ascii_response", "no"},
		{"client_flags_size", 4},
	} {
		r.stat(x.name, x.value)
	}
}

// items and slabs tell of one class that has everything, which is how tools for
// memcached add things up.
func (r report) items() {
	s := r.c.S
	keys, _ := s.Keyspace.Size(r.c.DB(), r.c.HoldsAll())
	if keys == 0 {
		return
	}
	for _, x := range []struct {
		name  string
		value int64
	}{
		{"number", int64(keys)}, {"age", 0}, {"mem_requested", s.Keyspace.Used()}, {"evicted", s.Keyspace.Stats.Evicted.Load()}, {"evicted_nonzero", 0},
		{"evicted_time", 0}, {"outofmemory", 0}, {"tailrepairs", 0}, {"reclaimed", s.Keyspace.Stats.Expired.Load()}, {"expired_unfetched", 0},
		{"evicted_unfetched", 0}, {"evicted_active", 0}, {"crawler_reclaimed", 0}, {"crawler_items_checked", 0}, {"lrutail_reflocked", 0},
	} {
		r.stat("items:1:"+x.name, x.value)
	}
}

func (r report) slabs() {
	s := r.c.S
	t := s.Tallies()
	keys, _ := s.Keyspace.Size(r.c.DB(), r.c.HoldsAll())
	const page = 1 << 20
	used := s.Keyspace.Used()
	if keys > 0 {
		chunk := max(used/int64(keys), 1)
		for _, x := range []struct {
			name  string
			value int64
		}{
			{"chunk_size", chunk}, {"chunks_per_page", max(page/chunk, 1)}, {"total_pages", (used + page - 1) / page}, {"total_chunks", int64(keys)}, {"used_chunks", int64(keys)},
			{"free_chunks", 0}, {"free_chunks_end", 0}, {"get_hits", t[getHits]}, {"cmd_set", t[cmdSet]}, {"delete_hits", t[deleteHits]}, {"incr_hits", t[incrHits]},
			{"decr_hits", t[decrHits]}, {"cas_hits", t[casHits]}, {"cas_badval", t[casBadval]}, {"touch_hits", t[touchHits]},
		} {
			r.stat("1:"+x.name, x.value)
		}
	}
	r.stat("active_slabs", min(keys, 1))
	r.stat("total_malloced", used)
}

func (r report) conns() {
	now := time.Now().UnixMilli()
	r.c.S.EachClient(func(c *command.Client) {
		if c.Front() != "memcached" {
			return
		}
		id := strconv.Itoa(c.FD)
		kind := "tcp:"
		if c.Unix {
			kind = "unix:"
		}
		state := "conn_read"
		if c == r.c.C {
			state = "conn_parse_cmd"
		} else if c.QueryLen.Load() > 0 {
			state = "conn_nread"
		}
		addr, laddr := c.Addr, c.LAddr
		if c.Unix { // where CLIENT LIST has a port
			addr, laddr = strings.TrimSuffix(addr, ":0"), strings.TrimSuffix(laddr, ":0")
		}
		r.stat(id+":addr", kind+addr)
		r.stat(id+":listen_addr", kind+laddr)
		r.stat(id+":state", state)
		r.stat(id+":secs_since_last_cmd", max(0, now-c.IdleSince())/1000)
	})
}

// dumpMax is how many bytes cachedump lists at most, as in memcached.
const dumpMax = 2 << 20

// cachedump lists some items of the class that all are in, 1; a limit of 0 is none.
func (r report) cachedump(words [][]byte) {
	c := r.c
	if !c.S.Config.MemcachedDump.Load() {
		r.refuse("CLIENT_ERROR stats cachedump not allowed", StatusNotFound)
		return
	}
	if len(r.head) > 0 {
		r.refuse("", StatusNotFound)
		return
	}
	if len(words) < 2 {
		r.refuse("CLIENT_ERROR bad command line", StatusInvalid)
		return
	}
	class, ok := ParseUint(words[0], 32)
	limit, also := ParseUint(words[1], 32)
	switch {
	case !ok || !also:
		r.refuse("CLIENT_ERROR bad command line format", StatusInvalid)
		return
	case class >= 64:
		r.refuse("CLIENT_ERROR Illegal slab id", StatusInvalid)
		return
	case class == 1:
		at, n := len(c.W.Buf), uint64(0)
		for cursor, some := uint64(0), true; some; some = cursor != 0 && len(c.W.Buf)-at < dumpMax && (limit == 0 || n < limit) {
			cursor = c.S.Keyspace.Scan(c.DB(), cursor, 64, c.Now, c.HoldsAll(), func(e *keyspace.Entry) {
				if e.Type() != types.TString || limit > 0 && n >= limit {
					return
				}
				n++
				c.W.Buf = fmt.Appendf(c.W.Buf, "ITEM %s [%d b; %d s]\r\n", e.Key(), lenOf(e), e.Deadline()/1000)
			})
		}
	}
	r.end()
}

// lenOf is the length of an entry's string.
func lenOf(e *keyspace.Entry) int {
	switch e.Encoding() {
	case types.EncInt:
		var room [20]byte
		return len(strconv.AppendInt(room[:0], e.Int(), 10))
	case types.EncChunked:
		return e.Object().(*types.BigString).Len()
	}
	return len(e.Packed())
}
