package command

import (
	"bytes"
	"strings"

	"kvd/resp/wire"
	"kvd/script/lua"
)

// Values of Lua and replies of RESP, by Redis's rules:
//
//	RESP -> Lua                               Lua -> RESP
//	integer        number                     number        integer, cut towards zero
//	bulk string    string                     string        bulk string
//	null           false (RESP3: nil)         false, nil    null
//	status         {ok=text}                  {ok=text}     status
//	error          {err=text}                 {err=text}    error
//	array          table                      table         array up to the first nil
//	boolean        true, false                true          1 (after setresp(3): boolean)
//	double         {double=n}                 {double=n}    double
//	map, set       {map=...}, {set=...}       likewise      likewise
//	big number     {big_number=text}          likewise      likewise
//	verbatim       {verbatim_string=
//	                {format=, string=}}       likewise      likewise

// oneLine keeps a text from ending a line of the protocol.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// value reads the first reply in b, which the server wrote itself, as a Lua value.
func (m *machine) value(b []byte) (v lua.Value, rest []byte, err error) {
	s := m.st
	kind := b[0]
	end := bytes.IndexByte(b, '\r')
	line := b[1:end]
	rest = b[end+2:]
	switch kind {
	case ':':
		n, _ := wire.ParseInt(line)
		return lua.Number(float64(n)), rest, nil
	case '$':
		n, _ := wire.ParseInt(line)
		if n < 0 {
			return lua.Bool(false), rest, nil
		}
		v, err = s.NewString(rest[:n])
		return v, rest[n+2:], err
	case '+':
		v, err = m.tagged("ok", line)
	case '-':
		v, err = m.failed(line)
	case '_':
		return lua.Nil, rest, nil
	case '#':
		return lua.Bool(line[0] == 't'), rest, nil
	case ',':
		f, _ := wire.ParseDouble(line)
		v, err = m.wrap("double", lua.Number(f))
	case '(':
		v, err = m.tagged("big_number", line)
	case '=':
		n, _ := wire.ParseInt(line)
		v, err = m.verbatim(rest[:n])
		rest = rest[n+2:]
	case '%', '~':
		return m.pairs(kind, line, rest)
	case '*', '>':
		n, _ := wire.ParseInt(line)
		if n < 0 {
			return lua.Bool(false), rest, nil
		}
		t, err := s.NewTable(int(n), 0)
		if err != nil {
			return lua.Nil, nil, err
		}
		for i := range int(n) {
			var item lua.Value
			if item, rest, err = m.value(rest); err != nil {
				return lua.Nil, nil, err
			}
			if err = s.RawSetInt(t, i+1, item); err != nil {
				return lua.Nil, nil, err
			}
		}
		return t.Value(), rest, nil
	case '|': // attributes of what follows: scripts do not see them
		n, _ := wire.ParseInt(line)
		for range 2 * int(n) {
			if _, rest, err = m.value(rest); err != nil {
				return lua.Nil, nil, err
			}
		}
		return m.value(rest)
	default:
		err = s.Errorf("internal error: a reply of kind %q", kind)
	}
	return v, rest, err
}

// countedField is true in the error tables of commands: INFO counts their errors where they
// happen, and not again where a script ends with one. The name is Redis's.
const countedField = "ignore_error_stats_update"

// failed is the error table of a command.
func (m *machine) failed(text []byte) (lua.Value, error) {
	v, err := m.tagged("err", text)
	if err != nil {
		return lua.Nil, err
	}
	return v, m.st.RawSetString(v.Table(), countedField, lua.Bool(true))
}

// tagged is a table with a text as its one field.
func (m *machine) tagged(field string, text []byte) (lua.Value, error) {
	v, err := m.st.NewString(text)
	if err != nil {
		return lua.Nil, err
	}
	return m.wrap(field, v)
}

// wrap is a table with one field.
func (m *machine) wrap(field string, v lua.Value) (lua.Value, error) {
	t, err := m.st.NewTable(0, 1)
	if err != nil {
		return lua.Nil, err
	}
	return t.Value(), m.st.RawSetString(t, field, v)
}

// verbatim reads "txt:text".
func (m *machine) verbatim(b []byte) (lua.Value, error) {
	t, err := m.st.NewTable(0, 2)
	if err != nil {
		return lua.Nil, err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{"format", b[:3]}, {"string", b[4:]}} {
		v, err := m.st.NewString(f.text)
		if err == nil {
			err = m.st.RawSetString(t, f.name, v)
		}
		if err != nil {
			return lua.Nil, err
		}
	}
	return m.wrap("verbatim_string", t.Value())
}

// pairs reads a map or a set.
func (m *machine) pairs(kind byte, line, rest []byte) (lua.Value, []byte, error) {
	n, _ := wire.ParseInt(line)
	t, err := m.st.NewTable(0, int(n))
	if err != nil {
		return lua.Nil, nil, err
	}
	for range n {
		var k lua.Value
		v := lua.Bool(true)
		if k, rest, err = m.value(rest); err == nil && kind == '%' {
			v, rest, err = m.value(rest)
		}
		if err == nil {
			err = m.st.RawSet(t, k, v)
		}
		if err != nil {
			return lua.Nil, nil, err
		}
	}
	name := "map"
	if kind == '~' {
		name = "set"
	}
	v, err := m.wrap(name, t.Value())
	return v, rest, err
}

// replyDepth bounds how deep tables may lie in each other in a script's result.
const replyDepth = 7998

// reply writes what a script returned. resp3 tells that it has chosen RESP3 for
// itself; w knows what the client speaks.
func (m *machine) reply(w *wire.Writer, v lua.Value, resp3 bool, depth int) {
	if depth > replyDepth {
		w.Error("ERR reached lua stack limit")
		return
	}
	switch v.Kind() {
	case lua.KindString:
		w.BulkString(v.Str())
	case lua.KindNumber:
		w.Int(lua.ToInt64(v.Num()))
	case lua.KindBoolean:
		switch {
		case resp3:
			w.Bool(v.Truth())
		case v.Truth():
			w.Int(1)
		default:
			w.Null()
		}
	case lua.KindTable:
		m.replyTable(w, v.Table(), resp3, depth)
	default:
		w.Null()
	}
}

// upToZero is the text in front of a zero byte: where Redis takes what a script says for a line of
// the protocol, it takes it as a string of C.
func upToZero(text string) string {
	before, _, _ := strings.Cut(text, "\x00")
	return before
}

func (m *machine) replyTable(w *wire.Writer, t *lua.Table, resp3 bool, depth int) {
	if v := t.GetString("err"); v.IsString() {
		w.Error(strings.TrimRight(upToZero(v.Str()), "\r\n"))
		return
	}
	if v := t.GetString("ok"); v.IsString() {
		w.SimpleString(upToZero(v.Str()))
		return
	}
	if v := t.GetString("double"); v.IsNumber() {
		w.Double(v.Num())
		return
	}
	if inner := t.GetString("map").Table(); inner != nil {
		m.replyPairs(w, inner, true, resp3, depth)
		return
	}
	if inner := t.GetString("set").Table(); inner != nil {
		m.replyPairs(w, inner, false, resp3, depth)
		return
	}
	if v := t.GetString("big_number"); v.IsString() {
		w.BigNumber(oneLine.Replace(v.Str()))
		return
	}
	if inner := t.GetString("verbatim_string").Table(); inner != nil {
		format, text := inner.GetString("format"), inner.GetString("string")
		if format.IsString() && text.IsString() {
			w.Verbatim(format.Str(), text.Str())
			return
		}
	}
	mark, n := w.DeferArray(), 0
	for {
		v := t.GetInt(n + 1)
		if v.IsNil() {
			break
		}
		n++
		m.reply(w, v, resp3, depth+1)
	}
	w.SetArray(mark, n)
}

func (m *machine) replyPairs(w *wire.Writer, t *lua.Table, isMap, resp3 bool, depth int) {
	mark, n := w.DeferArray(), 0
	for at, k, v := t.Next(0); at >= 0; at, k, v = t.Next(at) {
		n++
		m.reply(w, k, resp3, depth+1)
		if isMap {
			m.reply(w, v, resp3, depth+1)
		}
	}
	if isMap {
		w.SetMap(mark, n)
	} else {
		w.SetSet(mark, n)
	}
}
