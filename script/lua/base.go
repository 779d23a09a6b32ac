package lua

import (
	"math"
	"strings"
)

// library is the global table of a library, made where it is not there yet.
func (s *State) library(name string) *Table {
	if t := s.globals.GetString(name).Table(); t != nil {
		return t
	}
	t := &Table{}
	s.globals.Embed(name, tableValue(t))
	return t
}

// openBase adds the basic functions. There is no print, dofile, loadfile,
// require or debug, as scripts of Redis have none.
func openBase(s *State) {
	g := s.globals
	g.Embed("_G", tableValue(g))
	g.Embed("_VERSION", stringValue("Lua 5.1"))
	for name, fn := range map[string]GoFunction{
		"assert": baseAssert, "collectgarbage": baseCollect, "error": baseError, "gcinfo": baseGCInfo,
		"getmetatable": baseGetmetatable, "ipairs": baseIpairs, "load": baseLoad, "loadstring": baseLoadstring,
		"pairs": basePairs, "rawequal": baseRawequal, "rawget": baseRawget, "rawset": baseRawset,
		"select": baseSelect, "setmetatable": baseSetmetatable, "tonumber": baseTonumber,
		"tostring": baseTostring, "type": baseType, "unpack": baseUnpack,
	} {
		s.Register(g, name, fn)
	}
	s.nextValue = s.NewFunction(baseNext)
	g.Embed("next", s.nextValue)
	s.inext = s.NewFunction(baseInext)
	if s.opt.Deprecated {
		s.Register(g, "getfenv", baseGetfenv)
		s.Register(g, "setfenv", baseSetfenv)
		s.Register(g, "newproxy", baseNewproxy)
	}
	openCoroutine(s)
}

func baseAssert(s *State, w []Value, n int) (int, error) {
	if err := s.ArgAny(n, 0); err != nil {
		return 0, err
	}
	if w[0].Truth() {
		return n, nil
	}
	msg, err := s.OptString(w, n, 1, "assertion failed!")
	if err != nil {
		return 0, err
	}
	// The message is a C string: a zero byte ends it.
	if i, err := s.indexByte(msg, 0); err != nil {
		return 0, err
	} else if i >= 0 {
		msg = msg[:i]
	}
	return 0, s.throwAt(1, msg)
}

func baseCollect(s *State, w []Value, n int) (int, error) {
	opt, err := s.OptString(w, n, 0, "collect")
	if err != nil {
		return 0, err
	}
	if _, err := s.OptInt(w, n, 1, 0); err != nil {
		return 0, err
	}
	switch opt {
	case "count":
		w[0] = numberValue(float64(s.used) / 1024)
	case "step":
		w[0] = boolValue(true)
	case "stop", "restart", "collect", "setpause", "setstepmul":
		w[0] = numberValue(0)
	default:
		msg, err := aside(s, func() string { return "invalid option '" + opt + "'" })
		if err != nil {
			return 0, err
		}
		return 0, s.ArgError(0, msg)
	}
	return 1, nil
}

func baseGCInfo(s *State, w []Value, n int) (int, error) {
	w[0] = numberValue(math.Floor(float64(s.used) / 1024))
	return 1, nil
}

func baseError(s *State, w []Value, n int) (int, error) {
	if n == 1 && s.th.frames[s.th.n-1].kind != frameLua {
		// Called by pcall, say: there is no position.
		if w[0].isNumber() {
			_, err := s.ArgString(w, n, 0)
			if err != nil {
				return 0, err
			}
		}
		return 0, s.Throw(w[0])
	}
	level, err := s.OptInt(w, n, 1, 1)
	if err != nil {
		return 0, err
	}
	v := Arg(w, n, 0)
	if isText(v) && int32(level) > 0 {
		b := s.appendWhere(s.Scratch(), int(int32(level)))
		switch {
		case len(b) == 0 && v.isKind(KindString):
		case v.isKind(KindString):
			v, err = s.joined(string(b), v.str())
		default:
			b, _ = AppendValue(b, v)
			v, err = s.NewString(b)
		}
		s.PutScratch(b)
		if err != nil {
			return 0, err
		}
	}
	return 0, s.Throw(v)
}

func baseGetmetatable(s *State, w []Value, n int) (int, error) {
	if err := s.ArgAny(n, 0); err != nil {
		return 0, err
	}
	m := s.metatable(w[0])
	if m == nil {
		w[0] = Nil
		return 1, nil
	}
	if v := m.event(evMetatable); !v.IsNil() {
		w[0] = v
		return 1, nil
	}
	w[0] = tableValue(m)
	return 1, nil
}

func baseSetmetatable(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	if n < 2 || !(w[1].IsNil() || w[1].IsTable()) {
		return 0, s.ArgError(1, "nil or table expected")
	}
	if !t.meta.event(evMetatable).IsNil() {
		return 0, s.Errorf("cannot change a protected metatable")
	}
	if t.readonly {
		return 0, s.readonlyError()
	}
	t.meta = w[1].Table()
	return 1, nil
}

func baseInext(s *State, w []Value, n int) (int, error) {
	i, err := s.ArgInt(w, n, 1)
	if err != nil {
		return 0, err
	}
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	v := t.GetInt(int(int32(i) + 1))
	if v.IsNil() {
		w[0] = Nil
		return 1, nil
	}
	w[0], w[1] = numberValue(float64(int32(i)+1)), v
	return 2, nil
}

func baseIpairs(s *State, w []Value, n int) (int, error) {
	if _, err := s.ArgTable(w, n, 0); err != nil {
		return 0, err
	}
	w[0], w[1], w[2] = s.inext, w[0], numberValue(0)
	return 3, nil
}

func basePairs(s *State, w []Value, n int) (int, error) {
	if _, err := s.ArgTable(w, n, 0); err != nil {
		return 0, err
	}
	w[0], w[1], w[2] = s.nextValue, w[0], Nil
	return 3, nil
}

func baseNext(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	at := t.position(Arg(w, n, 1))
	if at < 0 {
		return 0, s.runError("invalid key to 'next'")
	}
	next, k, v := t.Next(at)
	if next < 0 {
		w[0] = Nil
		return 1, nil
	}
	w[0], w[1] = k, v
	return 2, nil
}

func baseLoadstring(s *State, w []Value, n int) (int, error) {
	src, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	name, err := s.OptString(w, n, 1, src)
	if err != nil {
		return 0, err
	}
	if err := s.Charge(len(src)); err != nil {
		return 0, err
	}
	return s.load(src, nil, name)
}

// load compiles a source, whose pieces after src come from more, if any.
func (s *State) load(src string, more func() (string, error), name string) (int, error) {
	if err := s.Step(500); err != nil { // beside what the lexer counts
		return 0, err
	}
	// The name may be a view of memory that the script's strings share.
	p, err := compile(src, more, strings.Clone(shownName(name)), s.th.calls, s)
	w := s.Window()
	if err != nil {
		if e, ok := err.(*Error); ok {
			w[0], w[1] = Nil, e.Value
			return 2, nil
		}
		if err == errThrown && more != nil { // by the function that gives the pieces
			w[0], w[1] = Nil, s.thrown
			return 2, nil
		}
		return 0, err
	}
	if err := s.Charge(closureSize + p.memory()); err != nil {
		return 0, err
	}
	inst := s.newInstance(p)
	inst.measure()
	w[0] = closureValue(&closure{inst: inst, env: s.th.env})
	return 1, nil
}

func baseLoad(s *State, w []Value, n int) (int, error) {
	name, err := s.OptString(w, n, 1, "=(load)")
	if err != nil {
		return 0, err
	}
	if err := s.ArgFunction(w, n, 0); err != nil {
		return 0, err
	}
	fn := w[0]
	return s.load("", func() (string, error) {
		v, err := s.call1(fn)
		if err != nil || v.IsNil() {
			return "", err
		}
		if v.isNumber() {
			if v, err = s.numberString(v.num()); err != nil {
				return "", err
			}
		}
		if !v.IsString() {
			return "", s.Throw(stringValue(s.Where(1) + "reader function must return a string"))
		}
		return v.str(), s.Charge(v.strLen())
	}, name)
}

func baseRawequal(s *State, w []Value, n int) (int, error) {
	if err := s.ArgAny(n, 0); err != nil {
		return 0, err
	}
	if err := s.ArgAny(n, 1); err != nil {
		return 0, err
	}
	same, err := s.rawEquals(w[0], w[1])
	w[0] = boolValue(same)
	return 1, err
}

func baseRawget(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	if err := s.ArgAny(n, 1); err != nil {
		return 0, err
	}
	w[0] = t.Get(w[1])
	return 1, nil
}

func baseRawset(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	if err := s.ArgAny(n, 1); err != nil {
		return 0, err
	}
	if err := s.ArgAny(n, 2); err != nil {
		return 0, err
	}
	return 1, s.RawSet(t, w[1], w[2])
}

func baseSelect(s *State, w []Value, n int) (int, error) {
	if n > 0 && w[0].isKind(KindString) && len(w[0].str()) > 0 && w[0].str()[0] == '#' {
		w[0] = numberValue(float64(n - 1))
		return 1, nil
	}
	i64, err := s.ArgInt(w, n, 0)
	if err != nil {
		return 0, err
	}
	i := int(int32(i64))
	if i < 0 {
		i = n + i
	} else if i > n {
		i = n
	}
	if i < 1 {
		return 0, s.ArgError(0, "index out of range")
	}
	copy(w, w[i:n])
	return n - i, nil
}

func baseTonumber(s *State, w []Value, n int) (int, error) {
	base, err := s.OptInt(w, n, 1, 10)
	if err != nil {
		return 0, err
	}
	if int32(base) == 10 {
		if err := s.ArgAny(n, 0); err != nil {
			return 0, err
		}
		f, ok, err := s.number(w[0])
		if err != nil {
			return 0, err
		}
		if ok {
			w[0] = numberValue(f)
		} else {
			w[0] = Nil
		}
		return 1, nil
	}
	str, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	if base := int32(base); base < 2 || base > 36 {
		return 0, s.ArgError(1, "base out of range")
	}
	f, ok, err := s.parseBase(str, int(int32(base)))
	if err != nil {
		return 0, err
	}
	w[0] = Nil
	if ok {
		w[0] = numberValue(f)
	}
	return 1, nil
}

func baseTostring(s *State, w []Value, n int) (int, error) {
	if err := s.ArgAny(n, 0); err != nil {
		return 0, err
	}
	v, err := s.ToString(w[0])
	s.Window()[0] = v
	return 1, err
}

func baseType(s *State, w []Value, n int) (int, error) {
	if err := s.ArgAny(n, 0); err != nil {
		return 0, err
	}
	w[0] = kindValues[w[0].kind()]
	return 1, nil
}

var kindValues = func() (v [len(kindNames)]Value) {
	for i, name := range kindNames {
		v[i] = stringValue(intern(name))
	}
	return
}()

func baseUnpack(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	i64, err := s.OptInt(w, n, 1, 1)
	if err != nil {
		return 0, err
	}
	i := int(int32(i64))
	var e int
	if n < 3 || w[2].IsNil() {
		e = t.Len()
	} else if e64, err := s.ArgInt(w, n, 2); err != nil {
		return 0, err
	} else {
		e = int(int32(e64))
	}
	if i > e {
		return 0, nil
	}
	count := int(int32(e - i + 1))
	if count <= 0 || !CheckStack(n, count) {
		return 0, s.Errorf("too many results to unpack")
	}
	if w, err = s.Need(count); err != nil {
		return 0, err
	}
	for j := range count {
		w[j] = t.GetInt(i + j)
	}
	return count, s.Step(count >> 2)
}

// envOf finds the function that getfenv and setfenv are about: the argument,
// or the function at a level of calls.
func (s *State) envOf(w []Value, n int, optional bool) (v Value, level int64, err error) {
	if n > 0 && w[0].IsFunction() {
		return w[0], -1, nil
	}
	if optional {
		level, err = s.OptInt(w, n, 0, 1)
	} else {
		level, err = s.ArgInt(w, n, 0)
	}
	if err != nil {
		return Nil, 0, err
	}
	level = int64(int32(level))
	if level < 0 {
		return Nil, 0, s.ArgError(0, "level must be non-negative")
	}
	f, exists := s.frameAt(int(level))
	if !exists {
		return Nil, 0, s.ArgError(0, "invalid level")
	}
	if f == nil {
		return Nil, 0, s.Errorf("no function environment for tail call at level %d", level)
	}
	return s.th.stack[f.fn], level, nil
}

func baseGetfenv(s *State, w []Value, n int) (int, error) {
	v, _, err := s.envOf(w, n, true)
	if err != nil {
		return 0, err
	}
	if v.isKind(kindClosure) {
		w[0] = tableValue(v.closure().env)
	} else {
		w[0] = tableValue(s.th.env)
	}
	return 1, nil
}

func baseSetfenv(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 1)
	if err != nil {
		return 0, err
	}
	if n > 0 && w[0].isNumber() && w[0].num() == 0 {
		s.th.env = t
		return 0, nil
	}
	v, _, err := s.envOf(w, n, false)
	if err != nil {
		return 0, err
	}
	if !v.isKind(kindClosure) {
		return 0, s.Errorf("'setfenv' cannot change environment of given object")
	}
	v.closure().env = t
	w[0] = v
	return 1, nil
}

// baseNewproxy makes userdata without a metatable, with a new one, or with that of
// another proxy. Scripts have no other userdata, so each with a metatable is a proxy.
func baseNewproxy(s *State, w []Value, n int) (int, error) {
	if err := s.Charge(userdataSize); err != nil {
		return 0, err
	}
	u := &userdata{}
	switch v := Arg(w, n, 0); {
	case v.isFalse():
	case v.kind() == KindBoolean:
		m, err := s.NewTable(0, 0)
		if err != nil {
			return 0, err
		}
		u.meta = m
	case v.kind() == KindUserdata && v.userdata().meta != nil:
		u.meta = v.userdata().meta
	default:
		return 0, s.ArgError(0, "boolean or proxy expected")
	}
	w[0] = userdataValue(u)
	return 1, nil
}
