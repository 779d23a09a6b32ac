package command

import (
	"errors"
	"sort"
	"strings"
	"time"

	"kvd/config"
	"kvd/glob"
	"kvd/lockrank"
	"kvd/persist/rdb"
	"kvd/resp/wire"
	"kvd/script/lua"
)

// FCALL, FCALL_RO, and FUNCTION DELETE, DUMP, FLUSH, HELP, KILL, LIST, LOAD,
// RESTORE, STATS.
//
// All functions run on one machine, since the variables that a library's
// functions share are one for the server: a counter in an upvalue counts the
// calls of all clients. What keeps the machine to one user at a time is that a
// function call holds all stripes.

func functionRows() []*Row {
	fcall := func(name, summary string, more Flag, keys string) *Row {
		return &Row{Name: name, Fn: cmdFcall, Arity: -3, Flags: NoScript | SkipMonitor | Stale | MovableKeys | NoMandatoryKeys | more, KeysFn: scriptKeys, KeyFlags: keys,
			Since: "7.0.0", Group: "scripting", Summary: summary, Complexity: "Depends on the function.",
			Syntax: "function numkeys [key [key ...]] [arg [arg ...]]", FlagsFn: fcallFlags, AllKeys: func(*Exec, [][]byte) bool { return true }}
	}
	const all, one = "request_policy:all_shards response_policy:all_succeeded", "request_policy:all_shards response_policy:one_succeeded"
	return []*Row{
		fcall("fcall", "Calls a function.", MayReplicate, "RW access update"),
		fcall("fcall_ro", "Calls a function that only reads.", ReadOnly, "RO access"),
		{Name: "function", Arity: -2, Since: "7.0.0", Group: "scripting", Summary: "Commands about functions.", Complexity: "Depends on the subcommand.",
			Sub: []*Row{
				{Name: "delete", Fn: cmdFunctionDelete, Arity: 3, Flags: Write | NoScript | LockAll, Since: "7.0.0", Summary: "Deletes a library and its functions.", Complexity: "O(1)",
					Syntax: "library-name", Tips: all},
				{Name: "dump", Fn: cmdFunctionDump, Arity: 2, Flags: NoScript, Since: "7.0.0", Summary: "Returns all libraries in the form that FUNCTION RESTORE takes.",
					Complexity: "O(N) in the number of functions"},
				{Name: "flush", Fn: cmdFunctionFlush, Arity: -2, Flags: Write | NoScript | LockAll, Since: "7.0.0", Summary: "Deletes all libraries of functions.", Complexity: "O(N) in the number of functions",
					Syntax: "[ASYNC | SYNC]", Tips: all},
				HelpRow("7.0.0",
					"DELETE <library-name>",
					"    Delete a library and its functions.",
					"DUMP",
					"    Return all libraries in the form that RESTORE takes.",
					"FLUSH [ASYNC|SYNC]",
					"    Delete all libraries.",
					"KILL",
					"    End the function that runs, unless it has written something.",
					"LIST [LIBRARYNAME PATTERN] [WITHCODE]",
					"    Describe the libraries.",
					"LOAD [REPLACE] <library-code>",
					"    Load a library from its text.",
					"RESTORE <payload> [FLUSH|APPEND|REPLACE]",
					"    Load the libraries that DUMP returned: in place of all (FLUSH), beside those",
					"    that are there (APPEND, the default), or in place of those with equal names.",
					"STATS",
					"    Return the function that runs, and how many there are.",
				),
				{Name: "kill", Fn: cmdFunctionKill, Arity: 2, Flags: NoScript | AllowBusy, Since: "7.0.0", Summary: "Ends the function that runs, unless it has written something.",
					Complexity: "O(1)", Tips: one},
				{Name: "list", Fn: cmdFunctionList, Arity: -2, Flags: NoScript, Since: "7.0.0", Summary: "Describes the libraries of functions.", Complexity: "O(N) in the number of functions",
					Syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]", Tips: "nondeterministic_output_order"},
				{Name: "load", Fn: cmdFunctionLoad, Arity: -3, Flags: Write | DenyOOM | NoScript | LockAll, Since: "7.0.0", Summary: "Loads a library of functions from its text.",
					Complexity: "O(1)", Syntax: "[REPLACE] function-code", Tips: all},
				{Name: "restore", Fn: cmdFunctionRestore, Arity: -3, Flags: Write | DenyOOM | NoScript | LockAll, Since: "7.0.0", Summary: "Loads the libraries that FUNCTION DUMP returned.",
					Complexity: "O(N) in the number of functions", Syntax: "serialized-value [FLUSH | APPEND | REPLACE]", Tips: all},
				{Name: "stats", Fn: cmdFunctionStats, Arity: 2, Flags: NoScript | AllowBusy, Since: "7.0.0", Summary: "Returns the function that runs, and how many there are.", Complexity: "O(1)",
					Tips: "nondeterministic_output request_policy:all_shards response_policy:special"},
			}},
	}
}

// library is a library of functions. It does not change once it is loaded.
type library struct {
	name  string
	code  string
	funcs []*function // by name
}

// function is one function of a library.
type function struct {
	name  string
	desc  string
	hasD  bool // it has a description
	flags scriptFlags
	lib   *library
	value lua.Value // on functions.m
}

// functions are the libraries of the server.
type functions struct {
	// mu protects libs and byName, which change with all stripes locked. It is
	// held for map operations, over no other lock.
	mu     lockrank.RWMutex[lockrank.Functions]
	libs   map[string]*library
	byName map[string]*function // in lower case

	// m and its environments are used with all stripes locked or reserved.
	m        *machine
	env      *lua.Table // of the libraries' chunks and functions: it looks in one of the following
	run      *lua.Table // the globals while functions run
	load     *lua.Table // and while a library is loaded: they hold redis and server alone
	lookHere *lua.Table // the metatable of env
}

// machine makes the machine at the first use.
func (f *functions) machine(s *Server) *machine {
	if f.m != nil {
		return f.m
	}
	m := &machine{table: s.Table}
	m.st = m.newState(s)
	st := m.st
	f.run, f.load, f.env, f.lookHere = st.Globals(), mustTable(st), mustTable(st), mustTable(st)
	api := m.redisTable(s)
	f.run.Embed("redis", api.Value())
	f.run.Embed("server", api.Value())
	loading := m.loadTable(s, api)
	guard(st, loading)
	f.load.Embed("redis", loading.Value())
	f.load.Embed("server", loading.Value())
	guard(st, f.run)
	guard(st, f.load)
	f.lookHere.Embed("__index", f.run.Value())
	f.lookHere.SetReadonly(true)
	f.env.SetMetatable(f.lookHere)
	f.env.SetReadonly(true)
	f.m = m
	return m
}

// loadTable is the table redis while a library is loaded.
func (m *machine) loadTable(s *Server, run *lua.Table) *lua.Table {
	t := mustTable(m.st)
	for at, k, v := run.Next(0); at >= 0; at, k, v = run.Next(at) {
		switch name := k.Str(); {
		case strings.HasPrefix(name, "LOG_"), strings.HasPrefix(name, "REDIS_"), name == "log":
			t.Embed(name, v)
		}
	}
	m.st.Register(t, "register_function", m.registerFunction)
	return t
}

// find is a function by name in any case, nil if there is none.
func (f *functions) find(name []byte) *function {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.byName[strings.ToLower(string(name))]
}

// list are the libraries by name.
func (f *functions) list() []*library {
	f.mu.RLock()
	all := make([]*library, 0, len(f.libs))
	for _, l := range f.libs {
		all = append(all, l)
	}
	f.mu.RUnlock()
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all
}

// Texts of errors about libraries.
const (
	errLibraryName   = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
	errNoFunctions   = "ERR No functions registered"
	errNoLibrary     = "ERR Library not found"
	errNoFunction    = "ERR Function not found"
	errRegistering   = "ERR Error registering functions: "
	errFunctionWrite = "ERR Can not execute a script with write flag using *_ro command."
)

// libraryNameOK checks the name of a library or function.
func libraryNameOK(name string) bool {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
	}
	return name != ""
}

// libraryName reads the first line of a library: "#!lua name=mylib".
func libraryName(code string) (name, refusal string) {
	if !strings.HasPrefix(code, "#!") {
		return "", "ERR Missing library metadata"
	}
	line, _, ended := strings.Cut(code, "\n")
	if !ended {
		return "", "ERR Invalid library metadata"
	}
	words, err := config.SplitArgs(line)
	if err != nil {
		return "", "ERR Invalid library metadata"
	}
	engine := words[0][2:]
	words = words[1:]
	given := false
	for _, w := range words {
		v, is := strings.CutPrefix(w, "name=")
		switch {
		case !is:
			return "", "ERR Invalid metadata value given: " + w
		case given:
			return "", "ERR Invalid metadata value, name argument was given multiple times"
		}
		name, given = v, true
	}
	switch {
	case !given:
		return "", "ERR Library name was not given"
	case !libraryNameOK(name):
		return "", "ERR " + errLibraryName
	case !strings.EqualFold(engine, "lua"):
		return "", "ERR Engine '" + engine + "' not found"
	}
	return name, ""
}

// loadTime bounds how long the chunk of a library may run, as in Redis.
const loadTime = 500 * time.Millisecond

// compile loads a library from its text, without making it known.
func (f *functions) compile(s *Server, code string) (*library, string) {
	name, refusal := libraryName(code)
	if refusal != "" {
		return nil, refusal
	}
	l := &library{name: name, code: code}
	line, _, _ := strings.Cut(code, "\n")
	proto, err := lua.Compile(code[len(line):], functionChunk)
	if err != nil {
		return nil, "ERR Error compiling function: " + err.Error()
	}
	m := f.machine(s)
	m.loading, m.loadBegan = l, time.Now()
	f.lookHere.Embed("__index", f.load.Value())
	_, err = m.st.Call(m.st.FunctionWith(proto, f.env))
	f.lookHere.Embed("__index", f.run.Value())
	m.loading = nil
	m.st.Forget(proto)
	switch e, is := err.(*lua.Error); {
	case err == lua.ErrKilled:
		return nil, errRegistering + "FUNCTION LOAD timeout"
	case is:
		text := "ERR " + e.Error()
		if t := e.Value.Table(); t != nil {
			text = errorText(t)
		}
		return nil, errRegistering + text
	case err != nil:
		s.Log.Warningf("Library %s: %v", name, err)
		return nil, "ERR internal error"
	}
	if len(l.funcs) == 0 {
		return nil, errNoFunctions
	}
	sort.Slice(l.funcs, func(i, j int) bool { return l.funcs[i].name < l.funcs[j].name })
	return l, ""
}

// clash tells why a library cannot be known beside those in libs and byName,
// where it takes the place of one with its name.
func clash(l *library, byName map[string]*function) string {
	for _, fn := range l.funcs {
		if other := byName[strings.ToLower(fn.name)]; other != nil && other.lib.name != l.name {
			return "ERR Function " + fn.name + " already exists"
		}
	}
	return ""
}

// add makes a library known; all stripes are locked.
func (f *functions) add(l *library) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.libs == nil {
		f.libs, f.byName = make(map[string]*library), make(map[string]*function)
	}
	f.drop(l.name)
	f.libs[l.name] = l
	for _, fn := range l.funcs {
		f.byName[strings.ToLower(fn.name)] = fn
	}
}

// drop forgets a library; mu is locked.
func (f *functions) drop(name string) bool {
	l := f.libs[name]
	if l == nil {
		return false
	}
	delete(f.libs, name)
	for _, fn := range l.funcs {
		delete(f.byName, strings.ToLower(fn.name))
	}
	return true
}

// flush forgets all libraries, and their machine.
func (f *functions) flush() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n = len(f.libs)
	f.libs, f.byName, f.m = nil, nil, nil
	return n
}

// registerFunction is redis.register_function.
func (m *machine) registerFunction(s *lua.State, w []lua.Value, n int) (int, error) {
	l := m.loading
	if l == nil {
		return m.raise(s, w, "ERR redis.register_function can only be called on FUNCTION LOAD command", true)
	}
	fn := &function{lib: l}
	if text := fn.read(w, n); text != "" {
		return m.raise(s, w, "ERR "+text, true)
	}
	for _, other := range l.funcs {
		if strings.EqualFold(other.name, fn.name) {
			return m.raise(s, w, "ERR Function already exists in the library", true)
		}
	}
	l.funcs = append(l.funcs, fn)
	return 0, nil
}

// read takes the arguments of redis.register_function: a name and a function, or
// a table with names. The text says what is wrong with them.
func (fn *function) read(w []lua.Value, n int) string {
	switch n {
	case 1:
		t := w[0].Table()
		if t == nil {
			return "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments)."
		}
		for at, k, v := t.Next(0); at >= 0; at, k, v = t.Next(at) {
			if !k.IsString() {
				return "named argument key given to redis.register_function is not a string"
			}
			if text := fn.named(strings.ToLower(k.Str()), v); text != "" {
				return text
			}
		}
		switch {
		case fn.name == "":
			return "redis.register_function must get a function name argument"
		case fn.value.IsNil():
			return "redis.register_function must get a callback argument"
		}
	case 2:
		name, ok := lua.AppendValue(nil, w[0])
		if !ok {
			return "first argument to redis.register_function must be a string"
		}
		if !w[1].IsFunction() {
			return "second argument to redis.register_function must be a function"
		}
		fn.name, fn.value = string(name), w[1]
	default:
		return "wrong number of arguments to redis.register_function"
	}
	if !libraryNameOK(fn.name) {
		return errLibraryName
	}
	return ""
}

// named takes one named argument of redis.register_function.
func (fn *function) named(key string, v lua.Value) string {
	switch key {
	case "function_name":
		name, ok := lua.AppendValue(nil, v)
		if !ok {
			return "function_name argument given to redis.register_function must be a string"
		}
		fn.name = string(name)
	case "description":
		text, ok := lua.AppendValue(nil, v)
		if !ok {
			return "description argument given to redis.register_function must be a string"
		}
		fn.desc, fn.hasD = string(text), true
	case "callback":
		if !v.IsFunction() {
			return "callback argument given to redis.register_function must be a function"
		}
		fn.value = v
	case "flags":
		t := v.Table()
		if t == nil {
			return "flags argument to redis.register_function must be a table representing function flags"
		}
		for i := 1; ; i++ {
			name := t.GetInt(i)
			if name.IsNil() {
				return ""
			}
			f, known := scriptFlags(0), false
			if name.IsString() {
				f, known = scriptFlagOf(name.Str())
			}
			if !known {
				return "unknown flag given"
			}
			fn.flags |= f
		}
	default:
		return "unknown argument given to redis.register_function"
	}
	return ""
}

// callFunction calls a function with its keys and other arguments.
func (m *machine) callFunction(r *scriptRun, keys, rest [][]byte) ([]lua.Value, error) {
	var args [2]lua.Value
	for i, list := range [2][][]byte{keys, rest} {
		t, err := m.st.NewTable(len(list), 0)
		if err == nil {
			err = m.fillTable(t, list)
		}
		if err != nil {
			return nil, err
		}
		args[i] = t.Value()
	}
	return m.st.Call(r.function.value, args[:]...)
}

// fcallFlags is Row.FlagsFn of FCALL and FCALL_RO.
func fcallFlags(c *Ctx) Flag {
	if fn := c.S.scripts.functions.find(c.Args[1]); fn != nil {
		return fn.flags.commandFlags(c.Row.Flags)
	}
	return c.Row.Flags
}

func cmdFcall(c *Ctx) {
	fn := c.S.scripts.functions.find(c.Args[1])
	if fn == nil {
		c.Err(errNoFunction)
		return
	}
	if !c.numKeysFit("ERR Bad number of keys provided") {
		return
	}
	readOnly := c.Row.Flags&ReadOnly != 0
	if readOnly && fn.flags&scriptNoWrites == 0 {
		c.Err(errFunctionWrite)
		return
	}
	c.runScript(&call{name: fn.name, function: fn, flags: fn.flags, readOnly: readOnly || fn.flags&scriptNoWrites != 0})
}

func cmdFunctionLoad(c *Ctx) {
	f := &c.S.scripts.functions
	replace := false
	for i := 2; i < len(c.Args)-1; i++ {
		if !c.Word(i, "replace") {
			c.Err("ERR Unknown option given: " + Quote(c.Args[i]))
			return
		}
		replace = true
	}
	code := string(c.Args[len(c.Args)-1])
	if name, _ := libraryName(code); name != "" && !replace && f.libs[name] != nil {
		c.Err("ERR Library '" + name + "' already exists")
		return
	}
	l, refusal := f.compile(c.S, code)
	if refusal == "" {
		refusal = clash(l, f.byName)
	}
	if refusal != "" {
		c.Err(refusal)
		return
	}
	f.add(l)
	c.Dirty++
	c.W.BulkString(l.name)
}

func cmdFunctionDelete(c *Ctx) {
	f := &c.S.scripts.functions
	f.mu.Lock()
	there := f.drop(string(c.Args[2]))
	f.mu.Unlock()
	if !there {
		c.Err(errNoLibrary)
		return
	}
	c.Dirty++
	c.W.OK()
}

func cmdFunctionFlush(c *Ctx) {
	if len(c.Args) > 3 {
		c.UnknownForm()
		return
	}
	if len(c.Args) == 3 && !c.Word(2, "sync") && !c.Word(2, "async") {
		c.Err("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
		return
	}
	c.S.scripts.functions.flush()
	c.Dirty++
	c.W.OK()
}

func cmdFunctionKill(c *Ctx) { c.killScript(true) }

func cmdFunctionList(c *Ctx) {
	var code bool
	var pattern *glob.Pattern
	for i := 2; i < len(c.Args); i++ {
		switch {
		case !code && c.Word(i, "withcode"):
			code = true
		case pattern == nil && c.Word(i, "libraryname"):
			if i+1 >= len(c.Args) {
				c.Err("ERR library name argument was not given")
				return
			}
			i++
			pattern = glob.CompileFold(c.Args[i])
		default:
			c.Err("ERR Unknown argument " + strings.TrimRight(Quote(c.Args[i]), "\r\n"))
			return
		}
	}
	mark, n := c.W.DeferArray(), 0
	for _, l := range c.S.scripts.functions.list() {
		if pattern != nil && !pattern.Match([]byte(l.name)) {
			continue
		}
		n++
		fields := 3
		if code {
			fields++
		}
		c.W.Map(fields)
		c.W.BulkString("library_name")
		c.W.BulkString(l.name)
		c.W.BulkString("engine")
		c.W.BulkString("LUA")
		c.W.BulkString("functions")
		c.W.Array(len(l.funcs))
		for _, fn := range l.funcs {
			c.W.Map(3)
			c.W.BulkString("name")
			c.W.BulkString(fn.name)
			c.W.BulkString("description")
			if fn.hasD {
				c.W.BulkString(fn.desc)
			} else {
				c.W.Null()
			}
			c.W.BulkString("flags")
			fn.writeFlags(c.W)
		}
		if code {
			c.W.BulkString("library_code")
			c.W.BulkString(l.code)
		}
	}
	c.W.SetArray(mark, n)
}

func (fn *function) writeFlags(w *wire.Writer) {
	mark, n := w.DeferArray(), 0
	for _, f := range scriptFlagNames {
		if fn.flags&f.f != 0 {
			w.SimpleString(f.name)
			n++
		}
	}
	w.SetSet(mark, n)
}

func cmdFunctionStats(c *Ctx) {
	c.W.Map(2)
	c.W.BulkString("running_script")
	c.S.scripts.beside.describe(c.W)
	c.W.BulkString("engines")
	c.W.Map(1)
	c.W.BulkString("LUA")
	c.W.Map(2)
	libs, funcs := c.S.scripts.functions.count()
	c.W.BulkString("libraries_count")
	c.W.Int(int64(libs))
	c.W.BulkString("functions_count")
	c.W.Int(int64(funcs))
}

// count is the number of libraries and functions.
func (f *functions) count() (libs, funcs int) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.libs), len(f.byName)
}

// memory is the number of libraries and functions, and the bytes of their texts.
func (f *functions) memory() (libs, funcs int, texts int64) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, l := range f.libs {
		texts += int64(len(l.code)) + scriptMemory
	}
	return len(f.libs), len(f.byName), texts
}

// describe is what FUNCTION STATS says of the script that has run longest.
func (b *beside) describe(w *wire.Writer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.runs) == 0 {
		w.Null()
		return
	}
	r := b.runs[0]
	w.Map(3)
	w.BulkString("name")
	w.BulkString(r.name)
	w.BulkString("command")
	w.Array(len(r.shown))
	for _, a := range r.shown {
		w.BulkString(a)
	}
	w.BulkString("duration_ms")
	w.Int(time.Duration(clock() - r.began).Milliseconds())
}

// opFunction begins a library in FUNCTION DUMP and in a snapshot, whose text follows as a string.
const opFunction = 245

func cmdFunctionDump(c *Ctx) {
	var b []byte
	e := rdb.Encoder{Compress: true}
	for _, l := range c.S.scripts.functions.list() {
		b = e.AppendString(append(b, opFunction), []byte(l.code))
	}
	c.W.Bulk(rdb.Seal(b))
}

func cmdFunctionRestore(c *Ctx) {
	policy := "append"
	if len(c.Args) > 4 {
		c.UnknownForm()
		return
	}
	if len(c.Args) == 4 {
		policy = strings.ToLower(string(c.Args[3]))
		if policy != "append" && policy != "replace" && policy != "flush" {
			c.Err("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
			return
		}
	}
	if _, err := rdb.CheckDump(c.Args[2], true); err != nil {
		c.Err("ERR DUMP payload version or checksum are wrong")
		return
	}
	codes, ok := librariesIn(c.Args[2])
	if !ok {
		c.Err("ERR failed loading functions payload")
		return
	}
	if refusal := c.S.scripts.functions.restore(c.S, codes, policy); refusal != "" {
		c.Err(refusal)
		return
	}
	c.Dirty++
	c.W.OK()
}

// librariesIn reads the texts in what FUNCTION DUMP returned.
func librariesIn(payload []byte) (codes []string, ok bool) {
	r := rdb.NewBytes(payload[:len(payload)-rdb.SealLen])
	for r.Left() > 0 {
		if r.Byte() != opFunction {
			return nil, false
		}
		codes = append(codes, string(r.String()))
	}
	return codes, r.Err() == nil
}

// Functions are the texts of the libraries, by name.
func (s *Server) Functions() (texts []string) {
	for _, l := range s.scripts.functions.list() {
		texts = append(texts, l.code)
	}
	return texts
}

// LoadFunctions makes libraries from texts, on a machine of their own, beside those
// that there are: see persist.Options. install, called with all stripes locked, puts
// them in place.
func (s *Server) LoadFunctions(texts []string, policy string) (install func(), err error) {
	var f functions
	refusal := ""
	if policy != "flush" {
		refusal = f.restore(s, s.Functions(), "flush")
	}
	if refusal == "" {
		refusal = f.restore(s, texts, policy)
	}
	if refusal != "" {
		return nil, errors.New("functions: " + refusal)
	}
	return func() {
		to := &s.scripts.functions
		to.mu.Lock()
		to.libs, to.byName, to.m, to.env, to.run, to.load, to.lookHere = f.libs, f.byName, f.m, f.env, f.run, f.load, f.lookHere
		to.mu.Unlock()
	}, nil
}

// restore makes libraries known, all or none. All stripes are locked.
func (f *functions) restore(s *Server, codes []string, policy string) (refusal string) {
	var libs []*library
	byName := make(map[string]*function)
	names := make(map[string]bool)
	if policy != "flush" {
		for name, fn := range f.byName {
			byName[name] = fn
		}
	}
	for _, code := range codes {
		l, refusal := f.compile(s, code)
		if refusal != "" {
			return refusal
		}
		if names[l.name] || policy == "append" && f.libs[l.name] != nil {
			return "ERR Library " + l.name + " already exists"
		}
		names[l.name] = true
		for key, fn := range byName { // it takes the place of the one with its name
			if fn.lib.name == l.name {
				delete(byName, key)
			}
		}
		if refusal = clash(l, byName); refusal != "" {
			return refusal
		}
		for _, fn := range l.funcs {
			byName[strings.ToLower(fn.name)] = fn
		}
		libs = append(libs, l)
	}
	if policy == "flush" {
		f.mu.Lock()
		f.libs, f.byName = nil, nil // the machine is that of the new ones
		f.mu.Unlock()
	}
	for _, l := range libs {
		f.add(l)
	}
	return ""
}
