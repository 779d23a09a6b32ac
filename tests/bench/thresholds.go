package main

import (
	"fmt"
	"math"
	"path"
)

// threshold is a bound on figures. The first one whose pattern matches a figure's name holds.
type threshold struct {
	name  string  // pattern of path.Match over suite/figure, where * does not cross a slash
	of    string  // "ratio": the median of kvd/redis; "kvd": the median of kvd's own figure
	op    string  // "<=" or ">="
	bound float64 // in the figure's unit, or a plain ratio
}

// thresholds say what counts as falling short. They restate the promise: no slower than Redis, less CPU a command,
// fewer bytes a key, no pause above a millisecond inside. Noise is not allowed for: read the spread beside a SHORT.
var thresholds = []threshold{
	{"throughput/*/P=1/*/rps", "ratio", ">=", 0.97},
	{"throughput/*/P=1/*/cpu", "ratio", "<=", 1},
	{"throughput/*/P=16/*/cpu", "ratio", "<=", 0.8},
	{"throughput/*/P=64/*/cpu", "ratio", "<=", 0.67},
	{"throughput/*/P=64/*/rps", "ratio", ">=", 1.5},
	{"throughput/*/*/*/rps", "ratio", ">=", 1},

	{"memory/*/bytes a key", "ratio", "<=", 0.7},
	{"maxmemory/*/most to bound", "kvd", "<=", 1},
	{"maxmemory/*/rps to without", "kvd", ">=", 0.9},
	{"maxmemory/*/GET p99 to without", "kvd", "<=", 2},
	{"churn/*/*/RSS", "ratio", "<=", 1},

	{"growth/*/GET worst", "ratio", "<=", 1},
	{"growth/*/kvd_max_lock_hold_us", "kvd", "<=", 1000},
	{"growth/*/kvd_max_command_us", "kvd", "<=", 1000},

	{"fairness/AR*/GET worst", "kvd", "<=", 50_000}, // Redis has no arrays
	{"fairness/*/GET worst", "ratio", "<=", 1},

	{"requests/*/peak", "ratio", "<=", 1.5},
	{"requests/*/after to allowed", "kvd", "<=", 1},

	{"expiry/probes/lag p99", "kvd", "<=", 10},
	{"expiry/probes/lag least", "kvd", ">=", 0}, // no key goes before its deadline
	{"expiry/idle CPU", "kvd", "<=", 2},
	{"expiry/shared/gone after", "kvd", "<=", 2000},
	{"expiry/shared/GET p99 then to calm", "kvd", "<=", 2},

	{"idle/connections/bytes each", "kvd", "<=", 6144},
	{"idle/value/*", "ratio", "<=", 1.1},
	{"idle/MSET/* growth", "kvd", "<=", 1.5},
	{"idle/MSET/*/time", "ratio", "<=", 1.1},

	{"pubsub/*/*/cpu", "ratio", "<=", 0.9},
	{"pubsub/stopped/GET p99 then to calm", "kvd", "<=", 2},
	{"pubsub/stopped/memory to limits", "kvd", "<=", 2}, // a buffer that grows is in memory twice for a moment

	// One loop is the base. What the machine allows depends on its cores, which the load shares: see the suite.
	{"scaling/*/share of linear", "kvd", ">=", 0.7},
	{"scaling/*/rps", "ratio", ">=", 1},

	{"scripts/P=16/*/cpu", "ratio", "<=", 0.8},
	{"scripts/*/*/cpu", "ratio", "<=", 1},

	{"multi/P=16/cpu", "ratio", "<=", 0.8},
	{"multi/*/cpu", "ratio", "<=", 1},

	{"memcached/*/P=1/*/cpu", "ratio", "<=", 1.05},
	{"memcached/*/P=16/*/cpu", "ratio", "<=", 0.8},
	{"memcached/*/multi-get/cpu", "ratio", "<=", 0.8},
	{"memcached/bytes an item", "ratio", "<=", 1},

	{"order/*/HSET indexed/cpu", "ratio", "<=", 1.5},
	{"order/*/SET ordered-keys/cpu", "ratio", "<=", 1.6},
	{"order/*/*RANGE*/cpu", "ratio", "<=", 1.1},

	{"log/everysec/*/*/rps", "ratio", ">=", 1.2},
	{"log/always/*/*/rps", "ratio", ">=", 1},
	{"log/*/load", "ratio", "<=", 1.05},

	{"streams/P=16/*/cpu", "ratio", "<=", 0.8},
	{"collections/*/P=1/*/rps", "ratio", ">=", 0.97},
	{"collections/*/P=16/*/rps", "ratio", ">=", 1},
	{"collections/*/P=1/*/cpu", "ratio", "<=", 1},
	{"collections/*/P=16/*/cpu", "ratio", "<=", 0.8},
	{"collections/algebra/SINTERCARD 2 a b LIMIT 10/time", "ratio", "<=", 1},
	{"collections/algebra/SMEMBERS a/time", "ratio", "<=", 1},
	{"collections/algebra/*/time", "ratio", "<=", 0.5},
	{"collections/bytes/small *", "ratio", "<=", 0.8},
	{"collections/bytes/*", "ratio", "<=", 1},

	{"persist/*/save/time", "ratio", "<=", 1.05},
	{"persist/*/load/time", "ratio", "<=", 1.05},
	{"persist/*/*/peak by end", "kvd", "<=", 1.1},

	{"long/*/*/p99 above", "kvd", "<=", 4000}, // a slice of the system's scheduler, which gives nobody less
	{"long/*/kvd_max_lock_hold_us", "kvd", "<=", 1000},

	{"snapshot/*/worst during", "ratio", "<=", 1}, // SAVE's against Redis's BGSAVE
	{"snapshot/*/load during to calm", "ratio", ">=", 1},
	{"snapshot/*/extra memory", "kvd", "<=", 10},
	{"snapshot/*/kvd_max_lock_hold_us", "kvd", "<=", 1000},
	{"snapshot/*/kvd_max_command_us", "kvd", "<=", 1000},

	{"fullsync/leader/worst during", "ratio", "<=", 1},
	{"fullsync/caught up", "ratio", "<=", 1.05},
	{"fullsync/lag/p99", "ratio", "<=", 1.05},
	{"fullsync/throttled/sync_full", "kvd", "<=", 1},
	{"fullsync/throttled/link up", "kvd", ">=", 1},
	{"fullsync/throttled/memory to limit", "kvd", "<=", 2}, // blocks that went to the file are garbage for a while
	{"fullsync/throttled/p99 then to calm", "kvd", "<=", 2},
	{"fullsync/throttled/windows/p99 then to calm", "kvd", "<=", 2},
}

// check is a figure held against its bound.
type check struct {
	Name  string
	Of    string
	Value float64
	Op    string
	Bound float64
	Pass  bool
}

// hold holds a metric against the first threshold that matches it.
func hold(list []threshold, m *metric) (check, bool) {
	for _, t := range list {
		if ok, err := path.Match(t.name, m.Name); err != nil || !ok {
			continue
		}
		v := median(m.Kvd)
		if t.of == "ratio" {
			v = ratioOf(m.Kvd, m.Redis).Median
		}
		c := check{Name: m.Name, Of: t.of, Value: v, Op: t.op, Bound: t.bound}
		// A comparison with NaN is false: a figure that is missing falls short.
		c.Pass = t.op == "<=" && v <= t.bound || t.op == ">=" && v >= t.bound
		return c, true
	}
	return check{}, false
}

func (c check) String() string {
	verdict := "SHORT"
	if c.Pass {
		verdict = "PASS "
	}
	if math.IsNaN(c.Value) {
		return fmt.Sprintf("%s %s: no figure (%s %s %s wanted)", verdict, c.Name, c.Of, c.Op, number(c.Bound))
	}
	return fmt.Sprintf("%s %s: %s %s %s %s", verdict, c.Name, c.Of, number(c.Value), c.Op, number(c.Bound))
}
