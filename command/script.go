package command

import (
	"container/list"
	"crypto/sha1"
	"encoding/hex"
	"slices"
	"strings"
	"sync/atomic"

	"kvd/config"
	"kvd/lockrank"
	"kvd/script/lua"
)

// EVAL, EVALSHA, EVAL_RO, EVALSHA_RO, and SCRIPT EXISTS, FLUSH, HELP, KILL, LOAD,
// SHOW. How a script runs is in script_run.go, how it goes on beside the event
// loops in script_beside.go.

func scriptRows() []*Row {
	const flags = NoScript | SkipMonitor | Stale | MovableKeys | NoMandatoryKeys
	eval := func(name, summary, since, first string, more Flag, find scriptFinder) *Row {
		r := &Row{Name: name, Fn: find.eval, FlagsFn: find.flags, AllKeys: find.allKeys, Arity: -3, Flags: flags | more, KeysFn: scriptKeys, KeyFlags: "RW access update", Since: since, Group: "scripting",
			Summary: summary, Complexity: "Depends on the script.", Syntax: first + " numkeys [key [key ...]] [arg [arg ...]]"}
		if more&ReadOnly != 0 {
			r.KeyFlags = "RO access"
		}
		return r
	}
	return []*Row{
		eval("eval", "Runs a Lua script.", "2.6.0", "script", MayReplicate, byText),
		eval("eval_ro", "Runs a Lua script that only reads.", "7.0.0", "script", ReadOnly, byText),
		eval("evalsha", "Runs a Lua script that the server knows by its SHA1.", "2.6.0", "sha1", MayReplicate, bySHA),
		eval("evalsha_ro", "Runs a Lua script by its SHA1 that only reads.", "7.0.0", "sha1", ReadOnly, bySHA),
		{Name: "script", Arity: -2, Since: "2.6.0", Group: "scripting", Summary: "Commands about scripts.", Complexity: "Depends on the subcommand.",
			Sub: []*Row{
				{Name: "exists", Fn: cmdScriptExists, Arity: -3, Flags: NoScript, Since: "2.6.0", Summary: "Tells which scripts the server knows.",
					Complexity: "O(N) in the number of scripts asked for", Syntax: "sha1 [sha1 ...]", Tips: "request_policy:all_shards response_policy:agg_logical_and"},
				{Name: "flush", Fn: cmdScriptFlush, Arity: -2, Flags: NoScript | Applied, Since: "2.6.0", Summary: "Forgets all scripts.", Complexity: "O(N) in the number of scripts",
					Syntax: "[ASYNC | SYNC]", Tips: "request_policy:all_nodes response_policy:all_succeeded"},
				HelpRow("5.0.0",
					"EXISTS <sha1> [<sha1> ...]",
					"    Tell which of the scripts the server knows.",
					"FLUSH [ASYNC|SYNC]",
					"    Forget all scripts.",
					"KILL",
					"    End the script that runs, unless it has written something.",
					"LOAD <script>",
					"    Compile a script, and know it by its SHA1 from then on.",
					"SHOW <sha1>",
					"    Return the text of a script.",
				),
				{Name: "kill", Fn: cmdScriptKill, Arity: 2, Flags: NoScript | AllowBusy, Since: "2.6.0", Summary: "Ends the script that runs, unless it has written something.",
					Complexity: "O(1)", Tips: "request_policy:all_shards response_policy:one_succeeded"},
				{Name: "load", Fn: cmdScriptLoad, Arity: 3, Flags: NoScript | Stale | Applied, Since: "2.6.0", Summary: "Compiles a script, and knows it by its SHA1 from then on.",
					Complexity: "O(N) in the length of the script", Syntax: "script", Tips: "request_policy:all_nodes response_policy:all_succeeded"},
				{Name: "show", Fn: cmdScriptShow, Arity: 3, Flags: NoScript, Since: "8.0.0", Summary: "Returns the text of a script.", Complexity: "O(1)", Syntax: "sha1"},
			}},
	}
}

// scriptFlags are what the first line of a script ("#!lua flags=...") or
// redis.register_function says of it.
type scriptFlags uint8

const (
	scriptNoWrites scriptFlags = 1 << iota
	scriptAllowOOM
	scriptAllowStale
	scriptNoCluster
	scriptCrossSlot
	// scriptPlain is a script without such a line, for which Redis's older rules
	// hold: what it may do is decided when it does it.
	scriptPlain
)

var scriptFlagNames = []struct {
	f    scriptFlags
	name string
}{
	{scriptNoWrites, "no-writes"}, {scriptAllowOOM, "allow-oom"}, {scriptAllowStale, "allow-stale"}, {scriptNoCluster, "no-cluster"},
	{scriptCrossSlot, "allow-cross-slot-keys"},
}

func scriptFlagOf(name string) (scriptFlags, bool) {
	for _, n := range scriptFlagNames {
		if n.name == name {
			return n.f, true
		}
	}
	return 0, false
}

// commandFlags are the flags of a call as the server's state judges them.
func (f scriptFlags) commandFlags(row Flag) Flag {
	if f&scriptPlain != 0 {
		return row &^ Stale // the row has it for those whose first line says so
	}
	row &^= Stale
	if f&scriptNoWrites == 0 {
		row |= Write
	} else {
		row &^= MayReplicate
	}
	row &^= DenyOOM
	if f&(scriptAllowOOM|scriptNoWrites) == 0 {
		row |= DenyOOM
	}
	if f&scriptAllowStale != 0 {
		row |= Stale
	}
	return row
}

// script is one text that EVAL or SCRIPT LOAD brought. It does not change, but
// for use.
type script struct {
	sha   string // 40 hex digits
	body  string
	proto *lua.Proto
	flags scriptFlags
	// allKeys: it may touch keys that it does not declare; see declaresItsKeys.
	allKeys bool
	// kept: log and followers know it. SCRIPT LOAD brought it, or EVALSHA has relied on it.
	kept atomic.Bool

	// Under scripts.mu: place is where it stands in the list of what EVAL
	// brought, nil if SCRIPT LOAD did.
	place *list.Element
}

// scripts are the scripts that the server knows.
type scripts struct {
	mu     lockrank.RWMutex[lockrank.Scripts] // protects what follows; held for moments, over no other lock
	bySHA  map[string]*script
	evals  list.List // of *script, those that EVAL brought; the oldest is first
	memory int64     // bytes of the texts

	evicted atomic.Int64 // scripts that gave way to others
	// changes counts the times that a script was forgotten. What an Exec
	// remembers from before may not be known any more.
	changes atomic.Uint64

	beside    beside
	functions functions
}

// evalScriptsMax is how many scripts that came with EVAL are kept; beyond that
// the oldest one is forgotten, as in Redis. Programs that write values into
// the text of their scripts would fill the memory otherwise.
const evalScriptsMax = 500

// scriptMemory is what a script takes besides its text, in bytes: a guess.
const scriptMemory = 1024

func shaOf(body []byte) string {
	sum := sha1.Sum(body)
	return hex.EncodeToString(sum[:])
}

// find is the script of a SHA1 in any case, nil if it is not known.
func (t *scripts) find(sha []byte) *script {
	var low [40]byte
	if len(sha) != len(low) {
		return nil
	}
	for i, c := range sha {
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	t.mu.RLock()
	sc := t.bySHA[string(low[:])]
	t.mu.RUnlock()
	return sc
}

// add makes a script known. eval tells that it came with EVAL.
func (t *scripts) add(sc *script, eval bool) *script {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.bySHA[sc.sha]; old != nil {
		if !eval {
			t.pin(old) // SCRIPT LOAD keeps it for good
		}
		return old
	}
	if t.bySHA == nil {
		t.bySHA = make(map[string]*script)
	}
	if eval {
		if t.evals.Len() >= evalScriptsMax {
			t.forget(t.evals.Front().Value.(*script))
			t.evicted.Add(1)
		}
		sc.place = t.evals.PushBack(sc)
	}
	t.bySHA[sc.sha] = sc
	t.memory += int64(len(sc.body)) + scriptMemory
	return sc
}

// pin has a script never give way to others; mu is locked.
func (t *scripts) pin(sc *script) {
	if sc.place != nil {
		t.evals.Remove(sc.place)
		sc.place = nil
	}
}

// forget drops a script; mu is locked.
func (t *scripts) forget(sc *script) {
	if sc.place != nil {
		t.evals.Remove(sc.place)
	}
	delete(t.bySHA, sc.sha)
	t.memory -= int64(len(sc.body)) + scriptMemory
	t.changes.Add(1)
}

// flush drops all scripts.
func (t *scripts) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bySHA, t.memory = nil, 0
	t.evals.Init()
	t.changes.Add(1)
}

// size is the number of scripts and what they take, in bytes.
func (t *scripts) size() (n int, memory int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.bySHA), t.memory
}

// Names of chunks, as error messages show them.
const (
	scriptChunk   = "@user_script"
	functionChunk = "@user_function"
)

// compileScript compiles the text of a script. The error is the reply to the client.
func compileScript(table *Table, body []byte) (*script, string) {
	sc := &script{sha: shaOf(body), body: string(body), flags: scriptPlain}
	code := sc.body
	if strings.HasPrefix(code, "#!") {
		line, _, ended := strings.Cut(code, "\n")
		if !ended {
			return nil, "ERR Invalid script shebang"
		}
		var text string
		if sc.flags, text = shebangFlags(line); text != "" {
			return nil, text
		}
		code = code[len(line):] // the line's end stays, so that lines are counted right
	}
	proto, err := lua.Compile(code, scriptChunk)
	if err != nil {
		return nil, "ERR Error compiling script (new function): " + err.Error()
	}
	sc.proto = proto
	sc.allKeys = !declaresItsKeys(table, code)
	return sc, ""
}

// shebangFlags reads a first line such as "#!lua flags=no-writes,allow-stale".
func shebangFlags(line string) (flags scriptFlags, refusal string) {
	words, err := config.SplitArgs(line)
	if err != nil {
		return 0, "ERR Invalid engine in script shebang"
	}
	if words[0] != "#!lua" {
		return 0, "ERR Unexpected engine in script shebang: " + words[0]
	}
	for _, w := range words[1:] {
		names, is := strings.CutPrefix(w, "flags=")
		if !is {
			return 0, "ERR Unknown lua shebang option: " + w
		}
		if names == "" {
			continue
		}
		for name := range strings.SplitSeq(names, ",") {
			f, known := scriptFlagOf(name)
			if !known {
				return 0, "ERR Unexpected flag in script shebang: " + name
			}
			flags |= f
		}
	}
	return flags, ""
}

// scriptKeys finds the keys of EVAL and FCALL: behind their number, which may be 0.
func scriptKeys(args [][]byte, dst []int) ([]int, bool) {
	n, ok := ParseInt(args[2])
	if !ok || n < 0 || n > int64(len(args)-3) {
		return dst, false
	}
	for i := range int(n) {
		dst = append(dst, 3+i)
	}
	return dst, true
}

// scriptFinder is how a command of the EVAL family names its script: by its text
// (false) or by its SHA1 (true).
type scriptFinder bool

const (
	byText scriptFinder = false
	bySHA  scriptFinder = true
)

// find finds the script of a command: among what is known, or what flags has just compiled; nil if
// it is not there.
func (by scriptFinder) find(x *Exec, args [][]byte) *script {
	known := &x.s.scripts
	changes := known.changes.Load() // before looking: what is found may be forgotten at once
	slot := x.recent.slot(by, args[1])
	if slot.script != nil && slot.changes == changes && by.names(slot.script, args[1]) {
		return slot.script
	}
	sha := args[1]
	if by == byText {
		sha = []byte(shaOf(args[1]))
	}
	sc := known.find(sha)
	if sc == nil && by == byText {
		if x.fresh != nil && x.fresh.body == string(args[1]) {
			return x.fresh
		}
		return x.queued[string(sha)]
	}
	if sc != nil && len(sc.body) <= recentScriptMax {
		*slot = recentScript{sc, changes}
	}
	return sc
}

// names tells whether arg is the script's text, or its SHA1 in lower case.
func (by scriptFinder) names(sc *script, arg []byte) bool {
	if by == bySHA {
		return string(arg) == sc.sha
	}
	return string(arg) == sc.body
}

// recentScripts are scripts that an Exec has found, in places that follow from what
// named them: a command is asked for its script three times, and the SHA1 of a text
// takes longer than a short script does. Whether it is the right one is told by
// comparing texts, whether it is still known by scripts.changes.
type recentScripts [64]recentScript

type recentScript struct {
	script  *script // nil: none, or it is forgotten
	changes uint64  // scripts.changes before it was found
}

// recentScriptMax is the longest text that is remembered, in bytes: scripts that the
// server has forgotten may stand here.
const recentScriptMax = 64 << 10

// slot is the place of the script that arg names. Of a text the length and some bytes
// near its end say which: many begin alike.
func (r *recentScripts) slot(by scriptFinder, arg []byte) *recentScript {
	h := uint32(len(arg))
	if by == byText {
		h += uint32(len(r)) / 2
	}
	for i, n := len(arg)-1, 0; i >= 0 && n < 8; i, n = i-1-n, n+1 {
		h = h*31 + uint32(arg[i])
	}
	return &r[h%uint32(len(r))]
}

// allKeys is Row.AllKeys.
func (by scriptFinder) allKeys(x *Exec, args [][]byte) bool {
	if sc := by.find(x, args); sc != nil {
		return sc.allKeys
	}
	// A SHA1 that is not known is not run. A text that is not known now was when flags looked,
	// and will be compiled again; or it does not compile.
	return by == byText
}

// flags is Row.FlagsFn. It comes before all else, so it compiles the script of an EVAL. The
// script becomes known when it runs: the command may still be refused, or be discarded.
func (by scriptFinder) flags(c *Ctx) Flag {
	sc := by.find(c.x, c.Args)
	if sc == nil && by == byText {
		if m := c.C.multi; m != nil {
			sc = m.scripts[shaOf(c.Args[1])]
		}
		if sc == nil {
			sc, _ = compileScript(c.S.Table, c.Args[1])
			c.x.fresh = sc
		}
	}
	if sc == nil {
		return c.Row.Flags
	}
	return sc.flags.commandFlags(c.Row.Flags)
}

const errNoScript = "NOSCRIPT No matching script. Please use EVAL."

// eval is EVAL, EVAL_RO, EVALSHA and EVALSHA_RO.
func (by scriptFinder) eval(c *Ctx) {
	if !c.numKeysFit(ErrNotInt) {
		return
	}
	sc := by.find(c.x, c.Args)
	if sc == nil && by == bySHA {
		c.Err(errNoScript)
		return
	}
	if sc == nil {
		var refusal string
		if sc, refusal = compileScript(c.S.Table, c.Args[1]); sc == nil {
			c.Err(refusal)
			return
		}
		sc = c.S.scripts.add(sc, true)
	} else if sc == c.x.fresh || c.x.queued[sc.sha] == sc {
		c.x.fresh = nil
		delete(c.x.queued, sc.sha) // it may be forgotten again before the end of the transaction
		sc = c.S.scripts.add(sc, true)
	}
	readOnly := c.Row.Flags&ReadOnly != 0
	if readOnly && sc.flags&(scriptPlain|scriptNoWrites) == 0 {
		c.Err("ERR Can not execute a script with write flag using *_ro command.")
		return
	}
	if by == bySHA {
		c.keepScript(sc)
	}
	c.runScript(&call{name: sc.sha, proto: sc.proto, flags: sc.flags, readOnly: readOnly || sc.flags&scriptNoWrites != 0})
}

// numKeysFit checks the number of keys of EVAL and FCALL, and replies where it is
// wrong, with noNumber if it is no number.
func (c *Ctx) numKeysFit(noNumber string) bool {
	n, ok := ParseInt(c.Args[2])
	switch {
	case !ok:
		c.Err(noNumber)
	case n > int64(len(c.Args)-3):
		c.Err("ERR Number of keys can't be greater than number of args")
	case n < 0:
		c.Err("ERR Number of keys can't be negative")
	default:
		return true
	}
	return false
}

func cmdScriptExists(c *Ctx) {
	c.W.Array(len(c.Args) - 2)
	for _, sha := range c.Args[2:] {
		if c.S.scripts.find(sha) != nil {
			c.W.Int(1)
		} else {
			c.W.Int(0)
		}
	}
}

func cmdScriptFlush(c *Ctx) {
	if len(c.Args) > 3 || len(c.Args) == 3 && !c.Word(2, "sync") && !c.Word(2, "async") {
		c.Err("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
		return
	}
	c.S.scripts.flush()
	if !c.S.following.Load() || c.Applies() {
		c.S.Stats.DirtySinceSave.Add(1)
		c.Effect(wordScript, wordFlush)
	}
	c.W.OK()
}

func cmdScriptLoad(c *Ctx) {
	sc := c.S.scripts.find([]byte(shaOf(c.Args[2])))
	if sc == nil {
		var refusal string
		if sc, refusal = compileScript(c.S.Table, c.Args[2]); sc == nil {
			if c.Applies() { // another server's Lua takes it; no data depend on it
				c.W.OK()
				return
			}
			c.Err(refusal)
			return
		}
	}
	sc = c.S.scripts.add(sc, false)
	c.keepScript(sc)
	c.W.BulkString(sc.sha)
}

func cmdScriptShow(c *Ctx) {
	sc := c.S.scripts.find(c.Args[2])
	if sc == nil {
		c.Err("NOSCRIPT No matching script.")
		return
	}
	c.W.BulkString(sc.body)
}

var wordScript, wordLoad, wordFlush = []byte("SCRIPT"), []byte("LOAD"), []byte("FLUSH")

// keepScript has a script known after a restart and a failover: it is in log and stream
// from now on, as SCRIPT LOAD. EVAL alone does not do that, since programs that write
// values into the texts of their scripts would fill the log with them; who uses the
// SHA1 relies on it. A follower's log has what its leader says.
func (c *Ctx) keepScript(sc *script) {
	if sc.kept.Load() || c.S.following.Load() && !c.Applies() || sc.kept.Swap(true) {
		return
	}
	c.S.scripts.add(sc, false)
	c.S.Stats.DirtySinceSave.Add(1)
	c.Effect(wordScript, wordLoad, []byte(sc.body))
}

// Scripts are the texts of the scripts that are kept, and of those that may give way to
// others, the oldest first.
func (s *Server) Scripts() (kept, evals []string) {
	t := &s.scripts
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, sc := range t.bySHA {
		if sc.place == nil {
			kept = append(kept, sc.body)
		}
	}
	slices.Sort(kept)
	for e := t.evals.Front(); e != nil; e = e.Next() {
		evals = append(evals, e.Value.(*script).body)
	}
	return kept, evals
}

// LoadScripts makes the scripts of a snapshot known, beside those that are. One that
// does not compile here is passed over.
func (s *Server) LoadScripts(kept, evals []string) {
	for i, text := range slices.Concat(kept, evals) {
		if sc, _ := compileScript(s.Table, []byte(text)); sc != nil {
			isKept := i < len(kept)
			sc = s.scripts.add(sc, !isKept)
			if isKept {
				sc.kept.Store(true)
			}
		}
	}
}

func cmdScriptKill(c *Ctx) { c.killScript(false) }

// call is one script or function to be run.
type call struct {
	name     string // as messages have it: a SHA1, or a function's name
	proto    *lua.Proto
	function *function // nil for scripts
	flags    scriptFlags
	readOnly bool // it may write nothing
}

// keysOf are the declared keys among the arguments of EVAL and FCALL, and what follows them.
func (c *Ctx) keysOf() (keys, rest [][]byte) {
	n, _ := ParseInt(c.Args[2])
	return c.Args[3 : 3+n], c.Args[3+n:]
}
