// Package metrics shows a server's figures to Prometheus: a Collector for any registry,
// and the page of metrics-port.
package metrics

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kvd/command"
)

// Collector collects the figures of a server. What needs locks of data is sampled once a
// second by Run; a scrape reads the sample, and takes no stripe.
type Collector struct {
	srv    *command.Server
	sample atomic.Pointer[command.Figures]
	fields []metric // by INFO's fields
}

// metric is a field of INFO with its description.
type metric struct {
	field
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// desc describes a metric of the exporter's names.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// What is not a field of INFO alone.
var (
	descUp         = desc("redis_up", "Whether the server answers.")
	descInstance   = desc("redis_instance_info", "What server it is.", "role", "redis_version", "redis_build_id", "redis_mode", "os", "maxmemory_policy", "tcp_port", "run_id", "process_id", "master_replid")
	descKVD        = desc("kvd_info", "What kvd it is.", "version")
	descStart      = desc("redis_start_time_seconds", "When the server was started.")
	descKeys       = desc("redis_db_keys", "Keys of a database.", "db")
	descExpiring   = desc("redis_db_keys_expiring", "Those that have a deadline.", "db")
	descAvgTTL     = desc("redis_db_avg_ttl_seconds", "How long those have on average.", "db")
	descErrors     = desc("redis_errors_total", "Error replies by their codes.", "err")
	descCalls      = desc("redis_commands_total", "Calls of a command.", "cmd")
	descDuration   = desc("redis_commands_duration_seconds_total", "Time that they took.", "cmd")
	descRejected   = desc("redis_commands_rejected_calls_total", "Calls that were rejected.", "cmd")
	descFailed     = desc("redis_commands_failed_calls_total", "Calls that failed.", "cmd")
	descLatency    = desc("kvd_command_duration_seconds", "How long calls of a command took, while latency-tracking is on.", "cmd")
	descSlaveOff   = desc("redis_connected_slave_offset_bytes", "How far a replica is.", "slave_ip", "slave_port", "slave_state")
	descSlaveLag   = desc("redis_connected_slave_lag_seconds", "When a replica was last heard of.", "slave_ip", "slave_port", "slave_state")
	descLinkUp     = desc("redis_master_link_up", "Whether the link to the leader is up.", "master_host", "master_port")
	descLinkIO     = desc("redis_master_last_io_seconds_ago", "When the leader was last heard of.", "master_host", "master_port")
	descLinkSync   = desc("redis_master_sync_in_progress", "Whether a snapshot of the leader's is being received.", "master_host", "master_port")
	descSlaveOff2  = desc("redis_slave_repl_offset", "How far this replica is.", "master_host", "master_port")
	descSlowLen    = desc("redis_slowlog_length", "Entries of the slow log.")
	descSlowID     = desc("redis_slowlog_last_id", "The number of the last entry of the slow log; 0 where there is none.")
	descSlowTime   = desc("redis_last_slow_execution_duration_seconds", "How long the call of that entry took.")
	descExpiryLag  = desc("kvd_expiry_lag_seconds", "How long the earliest deadline that has passed has been waiting to be obeyed.")
	descSampleTime = desc("kvd_sample_timestamp_seconds", "When the figures were sampled.")
)

// steps are those of the histograms of commands' latencies.
var steps = []time.Duration{
	time.Microsecond, 2 * time.Microsecond, 5 * time.Microsecond, 10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second,
}

// New makes the Collector of a server; Run follows.
func New(srv *command.Server) *Collector {
	c := &Collector{srv: srv}
	add := func(prefix string, kind prometheus.ValueType, fields []field) {
		for _, f := range fields {
			c.fields = append(c.fields, metric{f, desc(prefix+f.name, f.help), kind})
		}
	}
	add("redis_", prometheus.GaugeValue, redisGauges)
	add("redis_", prometheus.CounterValue, redisCounters)
	add("kvd_", prometheus.GaugeValue, kvdGauges)
	add("kvd_", prometheus.CounterValue, kvdCounters)
	return c
}

// Run samples until stop is closed.
func (c *Collector) Run(stop <-chan struct{}) { c.run(stop, func(*command.Figures) {}) }

// run is Run, and tells of each sample.
func (c *Collector) run(stop <-chan struct{}, sampled func(*command.Figures)) {
	c.srv.SampleFigures(stop, func(f *command.Figures) {
		c.sample.Store(f)
		sampled(f)
	})
}

// Describe describes nothing: which metrics there are depends on what happens.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	f := c.sample.Load()
	if f == nil { // nobody runs Run, or has only just begun
		f = c.srv.Figures()
		c.sample.CompareAndSwap(nil, f)
	}
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		send(d, prometheus.GaugeValue, v, labels...)
	}
	values := make(map[string]string, len(f.Fields))
	for _, g := range f.Fields {
		values[g.Name] = g.Value
		switch {
		case isNumbered(g.Name, "db"):
			db := pairs(g.Value)
			gauge(descKeys, number(db["keys"]), g.Name)
			gauge(descExpiring, number(db["expires"]), g.Name)
			gauge(descAvgTTL, number(db["avg_ttl"])/1000, g.Name)
		case isNumbered(g.Name, "slave"):
			p := pairs(g.Value)
			gauge(descSlaveOff, number(p["offset"]), p["ip"], p["port"], p["state"])
			gauge(descSlaveLag, number(p["lag"]), p["ip"], p["port"], p["state"])
		case strings.HasPrefix(g.Name, "errorstat_"):
			send(descErrors, prometheus.CounterValue, number(pairs(g.Value)["count"]), strings.ToValidUTF8(g.Name[len("errorstat_"):], "?"))
		}
	}
	for _, m := range c.fields {
		text, ok := values[m.info]
		if !ok {
			continue
		}
		v := number(text)
		if m.factor != 0 {
			v *= m.factor
		}
		send(m.desc, m.kind, v)
	}
	gauge(descUp, 1)
	gauge(descInstance, 1, values["role"], values["redis_version"], values["redis_build_id"], values["redis_mode"], values["os"], values["maxmemory_policy"],
		values["tcp_port"], values["run_id"], values["process_id"], values["master_replid"])
	gauge(descKVD, 1, values["kvd_version"])
	gauge(descStart, float64(c.srv.Started.Unix()))
	gauge(descSampleTime, float64(f.At.UnixMilli())/1000)
	gauge(descExpiryLag, c.srv.ExpiryLag().Seconds())
	n, id, took := c.srv.SlowlogFigures()
	gauge(descSlowLen, float64(n))
	gauge(descSlowID, float64(id))
	gauge(descSlowTime, took.Seconds())
	if host := values["master_host"]; host != "" {
		port := values["master_port"]
		gauge(descLinkUp, number(values["master_link_status"]), host, port)
		gauge(descLinkIO, number(values["master_last_io_seconds_ago"]), host, port)
		gauge(descLinkSync, number(values["master_sync_in_progress"]), host, port)
		gauge(descSlaveOff2, number(values["slave_repl_offset"]), host, port)
	}
	c.srv.EachCommand(steps, func(f command.CommandFigures) {
		name := strings.ReplaceAll(f.Name, "|", "_")
		send(descCalls, prometheus.CounterValue, float64(f.Calls), name)
		send(descDuration, prometheus.CounterValue, f.Took.Seconds(), name)
		send(descRejected, prometheus.CounterValue, float64(f.Rejected), name)
		send(descFailed, prometheus.CounterValue, float64(f.Failed), name)
		if f.Times != nil {
			buckets, all := make(map[float64]uint64, len(steps)), uint64(0)
			for i, s := range f.Times {
				all += uint64(s.Calls)
				if i < len(steps) {
					buckets[s.Most.Seconds()] = all
				}
			}
			out <- prometheus.MustNewConstHistogram(descLatency, all, f.Took.Seconds(), buckets, name)
		}
	})
}

// isNumbered tells whether a field's name is a word with a number behind it.
func isNumbered(name, word string) bool {
	digits, ok := strings.CutPrefix(name, word)
	if !ok || digits == "" {
		return false
	}
	_, err := strconv.Atoi(digits)
	return err == nil
}

// pairs reads "a=1,b=2".
func pairs(text string) map[string]string {
	m := map[string]string{}
	for p := range strings.SplitSeq(text, ",") {
		if k, v, ok := strings.Cut(p, "="); ok {
			m[k] = v
		}
	}
	return m
}

// number is a field's value as redis_exporter takes it: words are 1 and 0.
func number(text string) float64 {
	switch text {
	case "ok", "up", "yes", "true":
		return 1
	case "err", "fail", "down", "no", "false":
		return 0
	}
	v, _ := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	return v
}
