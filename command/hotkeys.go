package command

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"kvd/lockrank"
)

// HOTKEYS, of Redis 8.6: for some time the server notes which keys take most of its time,
// and bring and take most bytes.

func hotkeysRows() []*Row {
	const flags = Admin | NoScript
	return []*Row{{Name: "hotkeys", Arity: -2, Since: "8.6.0", Group: "server", Summary: "Commands about the keys that are used most.", Complexity: "Depends on the subcommand.",
		Sub: []*Row{
			{Name: "get", Fn: cmdHotkeysGet, Arity: 2, Flags: flags, Since: "8.6.0", Summary: "Returns which keys were used most.",
				Complexity: "O(N) in the number of keys that are noted", Tips: "request_policy:special nondeterministic_output"},
			HelpRow("8.6.1",
				"GET",
				"    Return what is noted, or what was until STOP.",
				"RESET",
				"    Drop what was noted.",
				"START METRICS <count> [CPU] [NET] [COUNT <keys>] [DURATION <seconds>]",
				"      [SAMPLE <ratio>]",
				"    Begin to note which <keys> (default: 10) take most time, or bring and take most",
				"    bytes, for <seconds> (default: 0, until STOP), by one command of <ratio>.",
				"STOP",
				"    Note no more.",
			),
			{Name: "reset", Fn: cmdHotkeysReset, Arity: 2, Flags: flags, Since: "8.6.0", Summary: "Drops what was noted of the keys that are used most.", Complexity: "O(1)",
				Tips: "request_policy:special"},
			{Name: "start", Fn: cmdHotkeysStart, Arity: -4, Flags: flags, Since: "8.6.0", Summary: "Begins to note which keys are used most.", Complexity: "O(1)",
				Syntax: "METRICS count [CPU] [NET] [COUNT k] [DURATION seconds] [SAMPLE ratio] [SLOTS count slot [slot ...]]", Tips: "request_policy:special"},
			{Name: "stop", Fn: cmdHotkeysStop, Arity: 2, Flags: flags, Since: "8.6.0", Summary: "Notes no longer which keys are used most.", Complexity: "O(1)", Tips: "request_policy:special"},
		}}}
}

// hotkeys is the present or last time in which keys are noted.
type hotkeys struct {
	// noting is what commands note their keys in. It is nil while they do not. Every command loads it.
	noting atomic.Pointer[hotSession]
	mu     lockrank.Mutex[lockrank.Hotkeys] // protects last, and that one begins at a time
	last   *hotSession
}

const (
	hotKeysDefault = 10
	hotKeysMax     = 64  // COUNT, as Redis
	hotWatched     = 100 // so many keys are watched for each one that is wanted
)

// hotSession is what is noted from START to STOP.
type hotSession struct {
	cpu, net bool
	count    int
	ratio    int
	began    time.Time
	duration time.Duration // 0: until STOP
	// What the process had used when it began.
	user, sys time.Duration

	mu             lockrank.Mutex[lockrank.HotSession] // protects what follows; held for a few map operations, under stripe locks
	ended          time.Time                           // zero: not yet
	endUser, endSy time.Duration
	allNs, allNet  int64
	byTime, byNet  topKeys
}

// topKeys finds the keys with the greatest sums. Of as many keys as it has room for it
// knows the sum; where another one comes, the least of them makes way and bequeaths its
// sum (Metwally's Space-Saving), so a key with more than its share is never missed, and no
// sum is too small.
type topKeys struct {
	room  int
	place map[string]int // in heap
	heap  []hotKey       // the least first
}

type hotKey struct {
	key string
	sum int64
}

func (t *topKeys) add(key []byte, n int64) {
	if i, ok := t.place[string(key)]; ok {
		t.heap[i].sum += n
		t.down(i)
		return
	}
	if len(t.heap) < t.room {
		t.heap = append(t.heap, hotKey{string(key), n})
		t.place[string(key)] = len(t.heap) - 1
		t.up(len(t.heap) - 1)
		return
	}
	least := &t.heap[0]
	delete(t.place, least.key)
	least.key = string(key)
	least.sum += n
	t.place[least.key] = 0
	t.down(0)
}

func (t *topKeys) swap(i, j int) {
	h := t.heap
	h[i], h[j] = h[j], h[i]
	t.place[h[i].key], t.place[h[j].key] = i, j
}

func (t *topKeys) up(i int) {
	for i > 0 && t.heap[i].sum < t.heap[(i-1)/2].sum {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (t *topKeys) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(t.heap); c++ {
			if t.heap[c].sum < t.heap[least].sum {
				least = c
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}

// top are the n keys with the greatest sums, greatest first.
func (t *topKeys) top(n int) []hotKey {
	all := slices.Clone(t.heap)
	slices.SortFunc(all, func(a, b hotKey) int {
		if a.sum != b.sum {
			return int(min(max(b.sum-a.sum, -1), 1))
		}
		return 0
	})
	return all[:min(n, len(all))]
}

// note notes a command that took ns and whose reply has so many bytes. Its keys share both.
// What a script calls counts as the script's, what EXEC runs is noted without EXEC.
func (h *hotSession) note(s *Server, ctx *Ctx, ns int64, reply int) {
	if h.duration > 0 && time.Since(h.began) >= h.duration {
		s.hotkeys.stop(h)
		return
	}
	keys := ctx.Keys
	bytes := requestLen(ctx.Args) + int64(reply)
	sampled := len(keys) > 0 && (h.ratio == 1 || rand.IntN(h.ratio) == 0)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.allNs += ns
	h.allNet += bytes
	if !sampled {
		return
	}
	n := int64(len(keys))
	for i := range keys {
		if h.cpu {
			h.byTime.add(keys[i].B, ns/n)
		}
		if h.net {
			h.byNet.add(keys[i].B, bytes/n)
		}
	}
}

// stop ends a session, if it is the present one, and tells whether it was.
func (k *hotkeys) stop(h *hotSession) bool {
	if h == nil || !k.noting.CompareAndSwap(h, nil) {
		return false
	}
	user, sys := processCPU()
	h.mu.Lock()
	h.ended = time.Now()
	if h.duration > 0 && h.ended.Sub(h.began) > h.duration {
		h.ended = h.began.Add(h.duration)
	}
	h.endUser, h.endSy = user, sys
	h.mu.Unlock()
	return true
}

// active is the session in which keys are noted now.
func (k *hotkeys) active() *hotSession {
	h := k.noting.Load()
	if h != nil && h.duration > 0 && time.Since(h.began) >= h.duration {
		k.stop(h) // no command has come since
		return nil
	}
	return h
}

func cmdHotkeysStart(c *Ctx) {
	h := &hotSession{count: hotKeysDefault, ratio: 1}
	if !h.parse(c) {
		return
	}
	k := &c.S.hotkeys
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.active() != nil {
		c.Err("ERR hotkeys collection is already in progress")
		return
	}
	h.began = time.Now()
	h.user, h.sys = processCPU()
	h.byTime = topKeys{room: h.count * hotWatched, place: map[string]int{}}
	h.byNet = topKeys{room: h.count * hotWatched, place: map[string]int{}}
	k.last = h
	k.noting.Store(h)
	c.W.OK()
}

// parse reads the arguments of START. It returns false after replying with an error.
func (h *hotSession) parse(c *Ctx) bool {
	if !c.Word(2, "metrics") {
		c.Err("ERR METRICS parameter is required")
		return false
	}
	metrics, ok := ParseInt(c.Args[3])
	if !ok || metrics < 1 || metrics > 2 {
		c.Err("ERR METRICS count must be 1 or 2")
		return false
	}
	i := 4
	for ; i < len(c.Args) && i < 4+int(metrics); i++ {
		switch {
		case c.Word(i, "cpu") && !h.cpu:
			h.cpu = true
		case c.Word(i, "net") && !h.net:
			h.net = true
		default:
			c.Err("ERR METRICS no valid metrics passed")
			return false
		}
	}
	if i < 4+int(metrics) {
		c.Err(ErrSyntax)
		return false
	}
	number := func(least, most int64, bad string) (int64, bool) {
		if i+1 == len(c.Args) {
			c.Err(ErrSyntax)
			return 0, false
		}
		n, ok := ParseInt(c.Args[i+1])
		if !ok || n < least || n > most {
			c.Err(bad)
			return 0, false
		}
		return n, true
	}
	for ; i < len(c.Args); i += 2 {
		switch {
		case c.Word(i, "count"):
			n, ok := number(1, hotKeysMax, "ERR COUNT must be between 1 and 64")
			if !ok {
				return false
			}
			h.count = int(n)
		case c.Word(i, "duration"):
			n, ok := number(0, 1<<31, "ERR DURATION must be between 0 and 2147483648")
			if !ok {
				return false
			}
			h.duration = time.Duration(n) * time.Second
		case c.Word(i, "sample"):
			n, ok := number(1, 1<<31-1, "ERR SAMPLE ratio must be positive")
			if !ok {
				return false
			}
			h.ratio = int(n)
		case c.Word(i, "slots"):
			c.Err("ERR SLOTS parameter cannot be used in non-cluster mode")
			return false
		default:
			c.Err(ErrSyntax)
			return false
		}
	}
	return true
}

func cmdHotkeysStop(c *Ctx) {
	k := &c.S.hotkeys
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stop(k.active()) {
		c.W.OK()
	} else {
		c.W.Null()
	}
}

func cmdHotkeysReset(c *Ctx) {
	k := &c.S.hotkeys
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.active() != nil {
		c.Err("ERR hotkeys collection is in progress; HOTKEYS STOP ends it")
		return
	}
	k.last = nil
	c.W.OK()
}

func cmdHotkeysGet(c *Ctx) {
	k := &c.S.hotkeys
	k.mu.Lock()
	active, h := k.active() != nil, k.last
	k.mu.Unlock()
	if h == nil {
		c.W.Null()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	end, user, sys := h.ended, h.endUser, h.endSy
	if active {
		end = time.Now()
		user, sys = processCPU()
	}
	w := c.W
	fields := 7
	for _, metric := range []struct {
		on     bool
		fields int
	}{{h.cpu, 3}, {h.net, 2}} {
		if metric.on {
			fields += metric.fields
		}
	}
	number := func(name string, n int64) { w.BulkString(name); w.Int(n) }
	list := func(name string, t *topKeys, unit int64) {
		top := t.top(h.count)
		w.BulkString(name)
		w.Array(2 * len(top))
		for _, e := range top {
			w.BulkString(e.key)
			w.Int(e.sum / unit)
		}
	}
	w.Array(1)
	w.Map(fields)
	flag := int64(0)
	if active {
		flag = 1
	}
	number("tracking-active", flag)
	number("sample-ratio", int64(h.ratio))
	w.BulkString("selected-slots")
	w.Array(1)
	w.Array(2)
	w.Int(0)
	w.Int(16383)
	number("all-commands-all-slots-us", h.allNs/1000)
	number("net-bytes-all-commands-all-slots", h.allNet)
	number("collection-start-time-unix-ms", h.began.UnixMilli())
	number("collection-duration-ms", end.Sub(h.began).Milliseconds())
	if h.cpu {
		number("total-cpu-time-user-ms", (user - h.user).Milliseconds())
		number("total-cpu-time-sys-ms", (sys - h.sys).Milliseconds())
	}
	if h.net {
		number("total-net-bytes", h.allNet)
	}
	if h.cpu {
		list("by-cpu-time-us", &h.byTime, 1000)
	}
	if h.net {
		list("by-net-bytes", &h.byNet, 1)
	}
}
