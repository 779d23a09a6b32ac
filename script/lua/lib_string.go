package lua

import (
	"strings"
)

// stringLib is what the functions of the string library share in one State.
type stringLib struct {
	patterns patternCache
}

// OpenString makes the table string, and the metatable by which strings have its functions
// as methods.
func OpenString(s *State) {
	l := &stringLib{}
	t := &Table{}
	for _, f := range []struct {
		name string
		fn   GoFunction
	}{
		{"byte", stringByte},
		{"char", stringChar},
		{"dump", stringDump},
		{"find", l.find},
		{"format", stringFormat},
		{"gmatch", l.gmatch},
		{"gsub", l.gsub},
		{"len", stringLen},
		{"lower", stringLower},
		{"match", l.match},
		{"rep", stringRep},
		{"reverse", stringReverse},
		{"sub", stringSub},
		{"upper", stringUpper},
	} {
		s.Register(t, f.name, f.fn)
	}
	t.Embed("gfind", t.GetString("gmatch"))
	s.globals.Embed("string", t.Value())
	if s.StringMeta == nil {
		s.StringMeta = &Table{}
	}
	s.StringMeta.Embed("__index", t.Value())
}

// fromEnd makes a position of one that counts from the end if it is negative.
func fromEnd(pos int64, n int) int64 {
	if pos < 0 {
		pos += int64(n) + 1
	}
	return max(pos, 0)
}

func stringLen(s *State, w []Value, n int) (int, error) {
	str, err := s.ArgString(w, n, 0)
	w[0] = Number(float64(len(str)))
	return 1, err
}

func stringSub(s *State, w []Value, n int) (int, error) {
	str, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	from, err := s.ArgInt(w, n, 1)
	if err != nil {
		return 0, err
	}
	to, err := s.OptInt(w, n, 2, -1)
	if err != nil {
		return 0, err
	}
	from = max(fromEnd(from, len(str)), 1)
	to = min(fromEnd(to, len(str)), int64(len(str)))
	if from > to {
		w[0] = String("")
		return 1, nil
	}
	w[0], err = s.View(str, str[from-1:to])
	return 1, err
}

func stringReverse(s *State, w []Value, n int) (int, error) {
	return stringBytes(s, w, n, func(to []byte, from string) {
		for i := range to {
			to[i] = from[len(from)-1-i]
		}
	})
}

func stringLower(s *State, w []Value, n int) (int, error) {
	return stringBytes(s, w, n, func(to []byte, from string) {
		for i := range to {
			c := from[i]
			if c-'A' < 26 {
				c += 'a' - 'A'
			}
			to[i] = c
		}
	})
}

func stringUpper(s *State, w []Value, n int) (int, error) {
	return stringBytes(s, w, n, func(to []byte, from string) {
		for i := range to {
			c := from[i]
			if c-'a' < 26 {
				c -= 'a' - 'A'
			}
			to[i] = c
		}
	})
}

// stringBytes makes a string of the same length.
func stringBytes(s *State, w []Value, n int, fill func(to []byte, from string)) (int, error) {
	str, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	if err := s.Step(len(str) / 8); err != nil {
		return 0, err
	}
	b, err := s.Alloc(len(str))
	if err != nil {
		return 0, err
	}
	if len(str) < longText {
		fill(b, str)
	} else if _, err := aside(s, func() struct{} { fill(b, str); return struct{}{} }); err != nil {
		return 0, err
	}
	w[0] = Made(b)
	return 1, nil
}

func stringRep(s *State, w []Value, n int) (int, error) {
	str, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	count, err := s.ArgInt(w, n, 1)
	if err != nil {
		return 0, err
	}
	times := int(int32(count))
	if times <= 0 || len(str) == 0 {
		w[0] = String("")
		return 1, nil
	}
	if times > maxStringSize/len(str) {
		return 0, s.memoryError()
	}
	size := len(str) * times
	b, err := s.Alloc(size)
	if err != nil {
		return 0, err
	}
	// What was filled is doubled, a megabyte at a time so that the interrupt is looked at.
	done := len(str)
	if err := copyAll(s, b, stringValue(str).bytes(), bytesPerStep); err != nil {
		return 0, err
	}
	for done < size {
		k := min(size-done, done, max(len(str), 1<<20/len(str)*len(str)))
		if err := copyAll(s, b[done:], b[:k], bytesPerStep); err != nil {
			return 0, err
		}
		done += k
		if err := s.Step(k % copyBlock / bytesPerStep); err != nil {
			return 0, err
		}
	}
	w[0] = Made(b)
	return 1, nil
}

func stringByte(s *State, w []Value, n int) (int, error) {
	str, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	from, err := s.OptInt(w, n, 1, 1)
	if err != nil {
		return 0, err
	}
	from = fromEnd(from, len(str))
	to, err := s.OptInt(w, n, 2, from)
	if err != nil {
		return 0, err
	}
	to = min(fromEnd(to, len(str)), int64(len(str)))
	from = max(from, 1)
	if from > to {
		return 0, nil
	}
	if to-from >= 1<<31-1 {
		return 0, s.Errorf("string slice too long")
	}
	count := int(to - from + 1)
	if !CheckStack(n, count) {
		return 0, s.Errorf("stack overflow (string slice too long)")
	}
	if count > len(w) {
		if w, err = s.Need(count); err != nil {
			return 0, err
		}
	}
	for i := range count {
		w[i] = Number(float64(str[int(from)-1+i]))
	}
	return count, s.Step(count / 8)
}

func stringChar(s *State, w []Value, n int) (int, error) {
	b, err := s.Alloc(n)
	if err != nil {
		return 0, err
	}
	for i := range b {
		c, err := s.ArgInt(w, n, i)
		if err != nil {
			return 0, err
		}
		if c := int32(c); c != int32(byte(c)) {
			return 0, s.ArgError(i, "invalid value")
		}
		b[i] = byte(c)
	}
	w[0] = Made(b)
	return 1, nil
}

// bytecodeHead is how bytecode of Lua 5.1 begins.
const bytecodeHead = "\x1bLuaQ\x00\x01\x04\x08\x04\x08\x00"

// stringDump returns the head of a function's bytecode. There is no more of it:
// load and loadstring refuse whatever begins so, as Redis's do.
func stringDump(s *State, w []Value, n int) (int, error) {
	if err := s.ArgFunction(w, n, 0); err != nil {
		return 0, err
	}
	if !w[0].isKind(kindClosure) {
		return 0, s.Errorf("unable to dump given function")
	}
	w[0] = String(bytecodeHead)
	return 1, nil
}

// compiled is the pattern p, translated.
func (l *stringLib) compiled(s *State, p string) (*pattern, error) {
	if len(p) > maxCachedPattern {
		if err := s.Charge(len(p) * patItemSize); err != nil {
			return nil, err
		}
	}
	return l.patterns.get(s, p)
}

// error is what match's matchError and captured's false mean.
func (m *matcher) error() error {
	if m.err != nil {
		return m.err
	}
	return m.state.Errorf("%s", m.fail)
}

// end counts the steps that are left when the work is done.
func (m *matcher) end() error {
	if m.err != nil {
		return m.err
	}
	return m.state.Step(m.steps)
}

// captures puts all captures of the match of src[from:to] into the window from w[at] on;
// the whole match counts as one if there are none and whole is set.
func (m *matcher) captures(w []Value, at, from, to int, whole bool) (int, error) {
	count := m.level
	if count == 0 && whole {
		count = 1
	}
	if at+count > len(w) {
		var err error
		if w, err = m.state.Need(at + count); err != nil {
			return 0, err
		}
	}
	for i := range count {
		v, err := m.value(i, from, to)
		if err != nil {
			return 0, err
		}
		w[at+i] = v
	}
	return count, nil
}

// value is capture i as a value.
func (m *matcher) value(i, from, to int) (Value, error) {
	text, pos, ok := m.captured(i, from, to)
	if !ok {
		return Nil, m.error()
	}
	if pos > 0 {
		return Number(float64(pos)), nil
	}
	return m.state.View(m.src, text)
}

func (l *stringLib) find(s *State, w []Value, n int) (int, error) { return l.search(s, w, n, true) }

func (l *stringLib) match(s *State, w []Value, n int) (int, error) { return l.search(s, w, n, false) }

func (l *stringLib) search(s *State, w []Value, n int, find bool) (int, error) {
	src, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	p, err := s.ArgString(w, n, 1)
	if err != nil {
		return 0, err
	}
	from := int64(1)
	if n > 2 {
		if from, err = s.OptInt(w, n, 2, 1); err != nil {
			return 0, err
		}
		from = fromEnd(from, len(src))
	}
	init := int(min(max(from-1, 0), int64(len(src))))
	plain := find && n > 3 && w[3].Truth()
	if find && !plain {
		if plain, err = s.isPlain(p); err != nil {
			return 0, err
		}
	}
	if plain {
		if err := s.Step((len(src) - init + len(p)) / 16); err != nil {
			return 0, err
		}
		i, err := s.indexOf(src[init:], p)
		if err != nil {
			return 0, err
		}
		if i < 0 {
			w[0] = Nil
			return 1, nil
		}
		w[0] = Number(float64(init + i + 1))
		w[1] = Number(float64(init + i + len(p)))
		return 2, nil
	}
	anchor := len(p) > 0 && p[0] == '^'
	if anchor {
		p = p[1:]
	}
	pat, err := l.compiled(s, p)
	if err != nil {
		return 0, err
	}
	var m matcher
	m.src, m.items, m.state = src, pat.items, s
	for at := init; ; at++ {
		if !anchor {
			if at = m.start(pat.first, at); at < 0 {
				break
			}
		}
		m.level, m.depth = 0, 0
		switch end := m.match(at, 0); {
		case end >= 0:
			if err := m.end(); err != nil {
				return 0, err
			}
			if !find {
				return m.captures(w, 0, at, end, true)
			}
			w[0] = Number(float64(at + 1))
			w[1] = Number(float64(end))
			count, err := m.captures(w, 2, 0, 0, false)
			return count + 2, err
		case end == matchError:
			return 0, m.error()
		}
		if anchor || at >= len(src) {
			break
		}
	}
	w[0] = Nil
	return 1, m.end()
}

func (l *stringLib) gmatch(s *State, w []Value, n int) (int, error) {
	src, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	p, err := s.ArgString(w, n, 1)
	if err != nil {
		return 0, err
	}
	pat, err := l.compiled(s, p)
	if err != nil {
		return 0, err
	}
	at := 0
	w[0], err = s.NewFunctionHolding(func(s *State, w []Value, n int) (int, error) {
		var m matcher
		m.src, m.items, m.state = src, pat.items, s
		for ; at <= len(src); at++ {
			next := m.start(pat.first, at)
			if next < 0 {
				at = len(src) + 1
				break
			}
			at = next
			m.level, m.depth = 0, 0
			switch end := m.match(at, 0); {
			case end >= 0:
				from := at
				if at = end; end == from {
					at++ // an empty match: on by one at least
				}
				if err := m.end(); err != nil {
					return 0, err
				}
				return m.captures(w, 0, from, end, true)
			case end == matchError:
				return 0, m.error()
			}
		}
		return 0, m.end()
	}, pat.size(), w[0])
	return 1, err
}

func (l *stringLib) gsub(s *State, w []Value, n int) (int, error) {
	src, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	p, err := s.ArgString(w, n, 1)
	if err != nil {
		return 0, err
	}
	repl := Arg(w, n, 2)
	most := int64(len(src) + 1)
	if n > 3 {
		if most, err = s.OptInt(w, n, 3, most); err != nil {
			return 0, err
		}
		most = int64(int32(most))
	}
	anchor := len(p) > 0 && p[0] == '^'
	if anchor {
		p = p[1:]
	}
	var text string
	plain := false
	switch repl.Kind() {
	case KindNumber, KindString:
		if text, err = s.ArgString(w, n, 2); err != nil {
			return 0, err
		}
		i, err := s.indexByte(text, '%')
		if err != nil {
			return 0, err
		}
		plain = i < 0
	case KindFunction, KindTable:
	default:
		return 0, s.ArgError(2, "string/function/table expected")
	}
	pat, err := l.compiled(s, p)
	if err != nil {
		return 0, err
	}
	var m matcher
	m.src, m.items, m.state = src, pat.items, s
	out := newStrbuf(s)
	count := 0
	copied := 0 // src up to here is in out
	for at := 0; int64(count) < most; {
		if !anchor {
			if at = m.start(pat.first, at); at < 0 {
				if m.err != nil {
					out.drop()
					return 0, m.err
				}
				break
			}
		}
		m.level, m.depth = 0, 0
		end := m.match(at, 0)
		if end == matchError {
			out.drop()
			return 0, m.error()
		}
		if end >= 0 {
			count++
			if err = out.add(src[copied:at]); err == nil {
				copied = end
				switch {
				case plain:
					err = out.add(text)
				case text != "":
					err = m.expand(&out, text, at, end)
				default:
					err = m.replace(&out, repl, at, end)
				}
			}
			if err != nil {
				out.drop()
				return 0, err
			}
		}
		switch {
		case end > at:
			at = end
		case at < len(src):
			at++
		default:
			at = -1
		}
		if at < 0 || anchor {
			break
		}
	}
	w = s.Window()
	if count == 0 {
		out.drop()
		w[0], w[1] = String(src), Number(0)
		return 2, m.end()
	}
	if err = out.add(src[copied:]); err != nil {
		out.drop()
		return 0, err
	}
	if w[0], err = out.value(); err != nil {
		return 0, err
	}
	w[1] = Number(float64(count))
	return 2, m.end()
}

// expand appends gsub's replacement text with its %0 to %9 filled in.
func (m *matcher) expand(out *strbuf, text string, from, to int) error {
	for i, looked := 0, 0; i < len(text); i++ {
		if i-looked >= 0x1000 {
			looked = i
			if err := out.s.Step(0x1000 / 4); err != nil {
				return err
			}
		}
		c := text[i]
		if c == '%' {
			i++
			c = 0 // behind the last byte PUC sees C's end of the string
			if i < len(text) {
				c = text[i]
			}
			if isDigit(c) {
				piece := m.src[from:to]
				if c != '0' {
					var pos int
					var ok bool
					if piece, pos, ok = m.captured(int(c-'1'), from, to); !ok {
						return m.error()
					}
					if pos > 0 {
						if err := out.room(32); err != nil {
							return err
						}
						out.b = AppendNumber(out.b, float64(pos))
						continue
					}
				}
				if err := out.add(piece); err != nil {
					return err
				}
				continue
			}
		}
		if err := out.addByte(c); err != nil {
			return err
		}
	}
	return nil
}

// replace appends what gsub's function or table has for the match.
func (m *matcher) replace(out *strbuf, repl Value, from, to int) error {
	s := m.state
	var result Value
	var err error
	if t := repl.Table(); t != nil {
		key, err := m.value(0, from, to)
		if err != nil {
			return err
		}
		if result, err = s.Index(repl, key); err != nil {
			return err
		}
	} else {
		var args [maxCaptures]Value
		count := max(m.level, 1)
		for i := range count {
			if args[i], err = m.value(i, from, to); err != nil {
				return err
			}
		}
		results, err := s.Call(repl, args[:count]...)
		if err != nil {
			return err
		}
		if len(results) > 0 {
			result = results[0]
		}
	}
	switch {
	case !result.Truth():
		return out.add(m.src[from:to])
	case result.IsString():
		return out.add(result.str())
	case result.IsNumber():
		if err := out.room(32); err != nil {
			return err
		}
		out.b = AppendNumber(out.b, result.num())
		return nil
	}
	return s.Errorf("invalid replacement value (a %s)", result.Kind())
}

func stringFormat(s *State, w []Value, n int) (int, error) {
	format, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	out := newStrbuf(s)
	if err := formatTo(s, &out, format, w, n); err != nil {
		out.drop()
		return 0, err
	}
	w[0], err = out.value()
	return 1, err
}

// maxItem is more than any single conversion is long: %99.99f of the greatest number.
const maxItem = 512

func formatTo(s *State, out *strbuf, format string, w []Value, n int) error {
	arg := 0
	for i := 0; i < len(format); {
		if err := s.Step(1); err != nil {
			return err
		}
		j, err := s.indexByte(format[i:], '%')
		if err != nil {
			return err
		}
		if j < 0 {
			return out.add(format[i:])
		}
		if err := out.add(format[i : i+j]); err != nil {
			return err
		}
		i += j + 1
		if i < len(format) && format[i] == '%' {
			if err := out.addByte('%'); err != nil {
				return err
			}
			i++
			continue
		}
		if arg++; arg >= n {
			return s.ArgError(arg, "no value")
		}
		if err := s.Step(8); err != nil {
			return err
		}
		c := conversion{prec: -1}
		verb := byte(0)
		// The commonest conversions have neither flags nor widths.
		if i < len(format) && format[i]|0x20-'a' < 26 {
			verb = format[i]
			i++
		} else {
			var message string
			if i, message = c.scan(format, i); message != "" {
				return s.Errorf("%s", message)
			}
			if i < len(format) {
				verb = format[i]
			}
			i++
		}
		if err := out.room(maxItem); err != nil {
			return err
		}
		switch verb {
		case 'c', 'd', 'i', 'o', 'u', 'x', 'X', 'e', 'E', 'f', 'g', 'G':
			f, err := s.ArgNumber(w, n, arg)
			if err != nil {
				return err
			}
			switch verb {
			case 'c':
				out.b = c.appendChar(out.b, byte(truncInt32(f)))
			case 'd', 'i':
				out.b = c.appendInt(out.b, ToInt64(f))
			case 'o', 'u', 'x', 'X':
				out.b = c.appendUint(out.b, truncUint(f), verb)
			default:
				if c.prec > 20 || f > 1e20 || f < -1e20 { // exact digits of many are slow
					if err := s.Step(1000); err != nil {
						return err
					}
				}
				out.b = c.appendFloat(out.b, f, verb)
			}
		case 'q':
			str, err := s.ArgString(w, n, arg)
			if err != nil {
				return err
			}
			if err := appendQuoted(out, str); err != nil {
				return err
			}
		case 's':
			str, err := s.ArgString(w, n, arg)
			if err != nil {
				return err
			}
			// Text of 100 bytes or more goes as it is, also with zero bytes.
			if c.prec < 0 && (len(str) >= 100 || c.width == 0 && strings.IndexByte(str, 0) < 0) {
				err = out.add(str)
			} else {
				out.b = c.appendText(out.b, str)
			}
			if err != nil {
				return err
			}
		default:
			letter := string(rune(verb))
			if verb >= 0x80 {
				letter = string([]byte{verb})
			}
			if verb == 0 {
				letter = ""
			}
			return s.Errorf("invalid option '%%%s' to 'format'", letter)
		}
	}
	return nil
}

// scan reads flags, width and precision from format[i] on, with PUC's bounds.
func (c *conversion) scan(format string, i int) (next int, message string) {
	begin := i
flags:
	for i < len(format) {
		switch format[i] {
		case '-':
			c.minus = true
		case '+':
			c.plus = true
		case ' ':
			c.space = true
		case '#':
			c.alt = true
		case '0':
			c.zero = true
		default:
			break flags
		}
		i++
	}
	if i-begin > 5 {
		return i, "invalid format (repeated flags)"
	}
	number := func() (v int) {
		for k := 0; k < 2 && i < len(format) && isDigit(format[i]); k++ {
			v = v*10 + int(format[i]-'0')
			i++
		}
		return v
	}
	c.width = number()
	if i < len(format) && format[i] == '.' {
		i++
		c.prec = number()
	}
	if i < len(format) && isDigit(format[i]) {
		return i, "invalid format (width or precision too long)"
	}
	return i, ""
}

// appendQuoted appends s as %q, which the compiler reads back.
func appendQuoted(out *strbuf, s string) error {
	if err := out.room(len(s) + 2); err != nil {
		return err
	}
	out.b = append(out.b, '"')
	for i := 0; i < len(s); i++ {
		if i&0xfff == 0xfff {
			if err := out.s.Step(0x1000 / 4); err != nil {
				return err
			}
		}
		piece := ""
		switch c := s[i]; c {
		case '"', '\\', '\n':
			if err := out.addByte('\\'); err != nil {
				return err
			}
			if err := out.addByte(c); err != nil {
				return err
			}
			continue
		case '\r':
			piece = "\\r"
		case 0:
			piece = "\\000"
		default:
			if err := out.addByte(c); err != nil {
				return err
			}
			continue
		}
		if err := out.add(piece); err != nil {
			return err
		}
	}
	return out.addByte('"')
}
