package lua

import (
	"math"
	"strconv"
	"strings"
)

// cjson: JSON as lua-cjson 2.1 of Redis writes and reads it, with its settings and messages.

// cjsonConfig is what the settings of one cjson table say.
type cjsonConfig struct {
	sparseConvert  bool
	sparseRatio    int32
	sparseSafe     int32
	encodeDepth    int32
	decodeDepth    int32
	encodeInvalid  int // 0 an error, 1 as printf writes them, 2 null
	decodeInvalid  bool
	keepBuffer     bool
	precision      int32
	markArrays     bool   // decoded empty arrays get arrayMetatable
	arrayMetatable *Table // nil until it was asked for
}

// arrayMark is the field of a metatable that makes an empty table an array.
const arrayMark = "__is_cjson_array"

// OpenCjson makes the table cjson.
func OpenCjson(s *State) {
	t, err := newCjson(s)
	if err != nil {
		panic("lua: " + err.Error()) // no bound of memory is in force while a State is made
	}
	s.globals.Embed("cjson", t.Value())
}

const cjsonFunctions, cjsonFields = 11, 14

func newCjson(s *State) (*Table, error) {
	s.steps -= 500
	if err := s.Charge(cjsonFunctions * goFunctionSize); err != nil {
		return nil, err
	}
	t, err := s.NewTable(0, cjsonFields)
	if err != nil {
		return nil, err
	}
	c := &cjsonConfig{
		sparseRatio: 2, sparseSafe: 10, encodeDepth: 1000, decodeDepth: 1000,
		decodeInvalid: true, keepBuffer: true, precision: 14,
	}
	s.Register(t, "encode", c.encode)
	s.Register(t, "decode", c.decode)
	s.Register(t, "encode_sparse_array", c.setSparse)
	s.Register(t, "encode_max_depth", integerSetting(&c.encodeDepth, 1, math.MaxInt32))
	s.Register(t, "decode_max_depth", integerSetting(&c.decodeDepth, 1, math.MaxInt32))
	s.Register(t, "encode_number_precision", integerSetting(&c.precision, 1, 14))
	s.Register(t, "encode_keep_buffer", boolSetting(&c.keepBuffer))
	s.Register(t, "encode_invalid_numbers", c.setEncodeInvalid)
	s.Register(t, "decode_invalid_numbers", boolSetting(&c.decodeInvalid))
	s.Register(t, "decode_array_with_array_mt", c.setArrayMetatable)
	s.Register(t, "new", func(s *State, w []Value, n int) (int, error) {
		t, err := newCjson(s)
		if err != nil {
			return 0, err
		}
		w[0] = t.Value()
		return 1, nil
	})
	t.Embed("null", LightUserdata(0))
	t.Embed("_NAME", String("cjson"))
	t.Embed("_VERSION", String("2.1.0"))
	return t, nil
}

// settingArgs fails for more arguments than a setting has.
func settingArgs(s *State, n, most int) error {
	if n > most {
		return s.ArgError(most, "found too many arguments")
	}
	return nil
}

// setInteger sets from the argument i, unless it is nil, and puts the setting into w[i].
func setInteger(s *State, w []Value, n, i int, setting *int32, least, most int32) error {
	if i < n && !w[i].IsNil() {
		v, err := s.ArgInt(w, n, i)
		if err != nil {
			return err
		}
		if v := int32(v); v < least || v > most {
			return s.ArgError(0, "expected integer between "+strconv.Itoa(int(least))+" and "+strconv.Itoa(int(most)))
		}
		*setting = int32(v)
	}
	w[i] = Number(float64(*setting))
	return nil
}

// setOption sets from a boolean or one of the words, the first two of which mean false and
// true, and puts the setting into w[i].
func setOption(s *State, w []Value, n, i int, setting *int, words ...string) error {
	if i < n && !w[i].IsNil() {
		if w[i].Kind() == KindBoolean {
			*setting = 0
			if w[i].Truth() {
				*setting = 1
			}
		} else {
			word, err := s.ArgString(w, n, i)
			if err != nil {
				return err
			}
			// A word is a C string.
			if end := strings.IndexByte(word, 0); end >= 0 {
				word = word[:end]
			}
			k := 0
			for k < len(words) && words[k] != word {
				k++
			}
			if k == len(words) {
				return s.ArgError(i, "invalid option '"+word+"'")
			}
			*setting = k
		}
	}
	if *setting < 2 {
		w[i] = Bool(*setting == 1)
	} else {
		w[i] = String(words[*setting])
	}
	return nil
}

func integerSetting(setting *int32, least, most int32) GoFunction {
	return func(s *State, w []Value, n int) (int, error) {
		if err := settingArgs(s, n, 1); err != nil {
			return 0, err
		}
		return 1, setInteger(s, w, n, 0, setting, least, most)
	}
}

func setBool(s *State, w []Value, n, i int, setting *bool) error {
	v := 0
	if *setting {
		v = 1
	}
	err := setOption(s, w, n, i, &v, "off", "on")
	*setting = v == 1
	return err
}

func boolSetting(setting *bool) GoFunction {
	return func(s *State, w []Value, n int) (int, error) {
		if err := settingArgs(s, n, 1); err != nil {
			return 0, err
		}
		return 1, setBool(s, w, n, 0, setting)
	}
}

func (c *cjsonConfig) setSparse(s *State, w []Value, n int) (int, error) {
	if err := settingArgs(s, n, 3); err != nil {
		return 0, err
	}
	if err := setBool(s, w, n, 0, &c.sparseConvert); err != nil {
		return 0, err
	}
	if err := setInteger(s, w, n, 1, &c.sparseRatio, 0, math.MaxInt32); err != nil {
		return 0, err
	}
	return 3, setInteger(s, w, n, 2, &c.sparseSafe, 0, math.MaxInt32)
}

func (c *cjsonConfig) setEncodeInvalid(s *State, w []Value, n int) (int, error) {
	if err := settingArgs(s, n, 1); err != nil {
		return 0, err
	}
	return 1, setOption(s, w, n, 0, &c.encodeInvalid, "off", "on", "null")
}

func (c *cjsonConfig) setArrayMetatable(s *State, w []Value, n int) (int, error) {
	if err := settingArgs(s, n, 1); err != nil {
		return 0, err
	}
	if err := setBool(s, w, n, 0, &c.markArrays); err != nil {
		return 0, err
	}
	if c.markArrays && c.arrayMetatable == nil {
		// All empty arrays of all scripts share it, so it is made outside of the run's
		// memory, and no script can change it.
		c.arrayMetatable = &Table{}
		c.arrayMetatable.Embed(arrayMark, Bool(true))
		c.arrayMetatable.SetReadonly(true)
	}
	return 1, nil
}

func (c *cjsonConfig) encode(s *State, w []Value, n int) (int, error) {
	if n != 1 {
		return 0, s.ArgError(0, "expected 1 argument")
	}
	e := jsonEncoder{out: newStrbuf(s), c: c, used: 1}
	if err := e.value(w[0], 0); err != nil {
		e.out.drop()
		return 0, err
	}
	if err := s.Step(e.steps); err != nil {
		e.out.drop()
		return 0, err
	}
	var err error
	w[0], err = e.out.value()
	return 1, err
}

type jsonEncoder struct {
	out   strbuf
	c     *cjsonConfig
	used  int // what the original has on the stack
	steps int
}

func (e *jsonEncoder) fail(kind Kind, reason string) error {
	return e.out.s.Errorf("Cannot serialise %s: %s", kind, reason)
}

func (e *jsonEncoder) value(v Value, depth int32) error {
	switch v.Kind() {
	case KindString:
		return e.text(v.str())
	case KindNumber:
		return e.number(v.num())
	case KindTable:
		return e.table(v.table(), depth+1)
	case KindBoolean:
		if v.Truth() {
			return e.out.add("true")
		}
		return e.out.add("false")
	case KindNil:
		return e.out.add("null")
	case KindLightUserdata:
		if id, _ := v.LightID(); id == 0 {
			return e.out.add("null")
		}
	}
	return e.fail(v.Kind(), "type not supported")
}

// jsonEscapes has the text for each byte that JSON strings escape, as lua-cjson does.
var jsonEscapes = func() (t [256]string) {
	const hex = "0123456789abcdef"
	for c := range 32 {
		t[c] = "\\u00" + string(hex[c>>4]) + string(hex[c&15])
	}
	t['\b'], t['\t'], t['\n'], t['\f'], t['\r'] = `\b`, `\t`, `\n`, `\f`, `\r`
	t['"'], t['/'], t['\\'], t[127] = `\"`, `\/`, `\\`, `\u007f`
	return t
}()

// jsonPlain tells the bytes that stand for themselves.
var jsonPlain = func() (t [256]bool) {
	for c := range t {
		t[c] = jsonEscapes[c] == ""
	}
	return t
}()

func (e *jsonEncoder) text(str string) error {
	if e.steps += 1 + len(str)/16; e.steps >= 2000 {
		if err := e.out.s.Step(e.steps); err != nil {
			return err
		}
		e.steps = 0
	}
	if err := e.out.room(len(str) + 16); err != nil {
		return err
	}
	b := append(e.out.b, '"')
	from := 0
	for i := 0; i < len(str); i++ {
		if jsonPlain[str[i]] {
			if i&0x7fff == 0x7fff {
				b = append(b, str[from:i]...)
				from = i
				if err := e.out.s.Step(0x8000 / 16); err != nil {
					return err
				}
			}
			continue
		}
		b = append(b, str[from:i]...)
		e.out.b = b
		if err := e.out.room(len(str) - i + 16); err != nil {
			return err
		}
		b = append(e.out.b, jsonEscapes[str[i]]...)
		from = i + 1
	}
	b = append(b, str[from:]...)
	e.out.b = append(b, '"')
	return nil
}

func (e *jsonEncoder) number(f float64) error {
	if e.steps++; e.steps >= 2000 {
		if err := e.out.s.Step(e.steps); err != nil {
			return err
		}
		e.steps = 0
	}
	if err := e.out.room(32); err != nil {
		return err
	}
	if math.IsInf(f, 0) || f != f {
		switch {
		case e.c.encodeInvalid == 0:
			return e.fail(KindNumber, "must not be NaN or Inf")
		case e.c.encodeInvalid == 2:
			e.out.b = append(e.out.b, "null"...)
			return nil
		case f != f:
			e.out.b = append(e.out.b, "nan"...)
			return nil
		}
	}
	if e.c.precision == 14 {
		e.out.b = AppendNumber(e.out.b, f)
	} else {
		e.out.b = appendG(e.out.b, f, int(e.c.precision))
	}
	return nil
}

// arrayLength is the greatest index of an array, -1 for a table that is none.
func (e *jsonEncoder) arrayLength(t *Table) (int32, error) {
	var most, items int32
	for i := range t.arr {
		if !t.arr[i].IsNil() {
			most = int32(i + 1)
			items++
		}
	}
	for i := range t.nodes {
		if t.nodes[i].val.IsNil() {
			continue
		}
		k := t.nodes[i].key
		if !k.IsNumber() {
			return -1, nil
		}
		f := k.num()
		if f < 1 || f != math.Floor(f) {
			return -1, nil
		}
		if f > float64(most) {
			most = truncInt32(f)
		}
		items++
	}
	if e.c.sparseRatio > 0 && most > items*e.c.sparseRatio && most > e.c.sparseSafe {
		if !e.c.sparseConvert {
			return 0, e.fail(KindTable, "excessively sparse array")
		}
		return -1, nil
	}
	return most, nil
}

func (e *jsonEncoder) table(t *Table, depth int32) error {
	if depth > e.c.encodeDepth || e.used+3 > maxFrame {
		return e.out.s.Errorf("Cannot serialise, excessive nesting (%d)", depth)
	}
	if e.steps += 1 + (len(t.arr)+len(t.nodes))/4; e.steps >= 2000 {
		if err := e.out.s.Step(e.steps); err != nil {
			return err
		}
		e.steps = 0
	}
	n, err := e.arrayLength(t)
	if err != nil {
		return err
	}
	if n > 0 || n == 0 && t.meta != nil && RawEquals(t.meta.GetString(arrayMark), Bool(true)) {
		if err := e.out.addByte('['); err != nil {
			return err
		}
		e.used++
		for i := 1; i <= int(n); i++ {
			if i > 1 {
				if err := e.out.addByte(','); err != nil {
					return err
				}
			}
			var v Value
			if i <= len(t.arr) {
				v = t.arr[i-1]
			} else {
				v = t.GetInt(i)
				e.steps++
			}
			if v.IsNil() {
				e.steps++ // a sparse array may be long with few values
				if err := e.counted(); err != nil {
					return err
				}
			}
			if err := e.value(v, depth); err != nil {
				return err
			}
		}
		e.used--
		return e.out.addByte(']')
	}
	if err := e.out.addByte('{'); err != nil {
		return err
	}
	e.used += 2
	comma := false
	for at := 0; ; {
		next, k, v := t.Next(at)
		if next < 0 {
			break
		}
		at = next
		if comma {
			if err := e.out.addByte(','); err != nil {
				return err
			}
		}
		comma = true
		switch {
		case k.IsString():
			if err := e.text(k.str()); err != nil {
				return err
			}
		case k.IsNumber():
			if err := e.out.addByte('"'); err != nil {
				return err
			}
			if err := e.number(k.num()); err != nil {
				return err
			}
			if err := e.out.addByte('"'); err != nil {
				return err
			}
		default:
			return e.fail(k.Kind(), "table key must be a number or string")
		}
		if err := e.out.addByte(':'); err != nil {
			return err
		}
		if err := e.value(v, depth); err != nil {
			return err
		}
	}
	e.used -= 2
	return e.out.addByte('}')
}

// counted hands the steps on where they are many.
func (e *jsonEncoder) counted() error {
	if e.steps < 2000 {
		return nil
	}
	n := e.steps
	e.steps = 0
	return e.out.s.Step(n)
}

func (c *cjsonConfig) decode(s *State, w []Value, n int) (int, error) {
	if n != 1 {
		return 0, s.ArgError(0, "expected 1 argument")
	}
	text, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	if len(text) >= 2 && (text[0] == 0 || text[1] == 0) {
		return 0, s.Errorf("JSON parser does not support UTF-16 or UTF-32")
	}
	d := jsonDecoder{s: s, c: c, text: text, used: 1}
	base := len(s.building)
	v, err := d.value(d.token())
	s.built(base)
	if err != nil {
		return 0, err
	}
	if t := d.token(); t != jsonEnd {
		return 0, d.expected("the end", t)
	}
	w[0] = v
	return 1, s.Step(d.steps)
}

type jsonToken uint8

const (
	jsonObjectBegin jsonToken = iota
	jsonObjectEnd
	jsonArrayBegin
	jsonArrayEnd
	jsonString
	jsonNumber
	jsonBoolean
	jsonNull
	jsonColon
	jsonComma
	jsonEnd
	jsonError
)

var jsonTokenNames = [...]string{"T_OBJ_BEGIN", "T_OBJ_END", "T_ARR_BEGIN", "T_ARR_END", "T_STRING",
	"T_NUMBER", "T_BOOLEAN", "T_NULL", "T_COLON", "T_COMMA", "T_END"}

// A jsonDecoder reads one text. A zero byte ends it, as in the original.
type jsonDecoder struct {
	s     *State
	c     *cjsonConfig
	text  string
	pos   int
	depth int32
	used  int // what the original has on the stack
	steps int

	at     int    // where the last token begins, or its error is
	value_ Value  // of a string, number or boolean
	fault  string // of an error
	failed error  // a failure that has nothing to do with JSON: memory, the interrupt
}

func (d *jsonDecoder) expected(what string, found jsonToken) error {
	if d.failed != nil {
		return d.failed
	}
	name := d.fault
	if found != jsonError {
		name = jsonTokenNames[found]
	}
	return d.s.Errorf("Expected %s but found %s at character %d", what, name, int32(d.at+1))
}

// errorAt is an error token with its place.
func (d *jsonDecoder) errorAt(pos int, fault string) jsonToken {
	d.at, d.fault = pos, fault
	return jsonError
}

func (d *jsonDecoder) token() jsonToken {
	text, i := d.text, d.pos
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
		if i++; i&0x7fff == 0 && !d.look() {
			return jsonError
		}
	}
	if d.steps += 1 + (i-d.pos)/16; d.steps >= 2000 {
		n := d.steps
		d.steps = 0
		if d.failed = d.s.Step(n); d.failed != nil {
			return jsonError
		}
	}
	d.pos, d.at = i, i
	if i >= len(text) {
		return jsonEnd
	}
	switch c := text[i]; c {
	case '{':
		d.pos++
		return jsonObjectBegin
	case '}':
		d.pos++
		return jsonObjectEnd
	case '[':
		d.pos++
		return jsonArrayBegin
	case ']':
		d.pos++
		return jsonArrayEnd
	case ',':
		d.pos++
		return jsonComma
	case ':':
		d.pos++
		return jsonColon
	case 0:
		return jsonEnd
	case '"':
		return d.string()
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if !d.c.decodeInvalid && d.notJSON() {
			return d.errorAt(i, "invalid number")
		}
		return d.number()
	case 't':
		if strings.HasPrefix(text[i:], "true") {
			d.pos += 4
			d.value_ = Bool(true)
			return jsonBoolean
		}
	case 'f':
		if strings.HasPrefix(text[i:], "false") {
			d.pos += 5
			d.value_ = Bool(false)
			return jsonBoolean
		}
	case 'n', 'N', 'i', 'I', '+':
		if strings.HasPrefix(text[i:], "null") {
			d.pos += 4
			return jsonNull
		}
		if d.c.decodeInvalid && d.notJSON() {
			return d.number()
		}
	}
	return d.errorAt(i, "invalid token")
}

// look asks, in the midst of a long token, whether the run goes on.
func (d *jsonDecoder) look() bool {
	d.failed = d.s.Step(0x8000 / 8)
	return d.failed == nil
}

// notJSON tells whether a number that strtod may read is none of JSON's.
func (d *jsonDecoder) notJSON() bool {
	p := d.text[d.pos:]
	if p[0] == '+' {
		return true
	}
	if p[0] == '-' {
		p = p[1:]
	}
	var c, next byte
	if len(p) > 0 {
		c = p[0]
	}
	if len(p) > 1 {
		next = p[1]
	}
	if c == '0' {
		return next|0x20 == 'x' || isDigit(next)
	}
	if c <= '9' {
		return false
	}
	return hasFold(p, "inf") || hasFold(p, "nan")
}

func (d *jsonDecoder) number() jsonToken {
	text, i := d.text, d.pos
	// Most numbers are a few digits.
	neg := text[i] == '-'
	if neg {
		i++
	}
	begin := i
	n := int64(0)
	for i < len(text) && isDigit(text[i]) && i-begin < 16 {
		n = n*10 + int64(text[i]-'0')
		i++
	}
	if i > begin && i-begin < 16 && (i == len(text) || text[i] != '.' && text[i]|0x20 != 'e' && text[i]|0x20 != 'x') {
		d.pos = i
		f := float64(n)
		if neg {
			f = -f
		}
		d.value_ = Number(f)
		return jsonNumber
	}
	f, end, err := d.s.strtod(text[d.pos:])
	if err != nil {
		d.failed = err
		return jsonError
	}
	if end == 0 {
		return d.errorAt(d.pos, "invalid number")
	}
	d.pos += end
	d.steps += end / 8
	d.value_ = Number(f)
	return jsonNumber
}

// string reads a string. Without escapes it is a view of the text.
func (d *jsonDecoder) string() jsonToken {
	text := d.text
	from := d.pos + 1
	for i := from; i < len(text); i++ {
		if i&0x7fff == 0 && i > from && !d.look() {
			return jsonError
		}
		switch text[i] {
		case '"':
			d.pos = i + 1
			d.steps += (i - from) & 0x7fff / 32
			d.value_, d.failed = d.s.View(text, text[from:i])
			if d.failed != nil {
				return jsonError
			}
			return jsonString
		case '\\':
			return d.escaped(from, i)
		case 0:
			return d.errorAt(i, "unexpected end of string")
		}
	}
	return d.errorAt(len(text), "unexpected end of string")
}

// hex4 reads four hexadecimal digits, or gives -1.
func (d *jsonDecoder) hex4(i int) int {
	if i+4 > len(d.text) {
		return -1
	}
	v := 0
	for _, c := range []byte(d.text[i : i+4]) {
		h := hexValue(c)
		if h == 255 {
			return -1
		}
		v = v<<4 | int(h)
	}
	return v
}

// escaped reads a string from its first escape on.
func (d *jsonDecoder) escaped(from, i int) jsonToken {
	text := d.text
	// What is made is not longer than what is left of the text.
	out := newStrbuf(d.s)
	fault := func(pos int, what string) jsonToken {
		out.drop()
		return d.errorAt(pos, what)
	}
	fail := func(err error) jsonToken {
		out.drop()
		d.failed = err
		return jsonError
	}
	if err := out.add(text[from:i]); err != nil {
		return fail(err)
	}
	for looked := i; ; {
		if i-looked >= 0x8000 {
			if looked = i; !d.look() {
				return fail(d.failed)
			}
		}
		if i >= len(text) || text[i] == 0 {
			return fault(i, "unexpected end of string")
		}
		if err := out.room(8); err != nil {
			return fail(err)
		}
		c := text[i]
		switch c {
		case '"':
			d.pos = i + 1
			d.steps += (i - from) / 4
			v, err := out.value()
			if err != nil {
				d.failed = err
				return jsonError
			}
			d.value_ = v
			return jsonString
		case '\\':
			var e byte
			if i+1 < len(text) {
				e = text[i+1]
			}
			switch e {
			case '"', '\\', '/':
			case 'b':
				e = '\b'
			case 't':
				e = '\t'
			case 'n':
				e = '\n'
			case 'f':
				e = '\f'
			case 'r':
				e = '\r'
			case 'u':
				code, size := d.unicode(i)
				if size == 0 {
					return fault(i, "invalid unicode escape code")
				}
				out.b = appendUTF8(out.b, code)
				i += size
				continue
			default:
				return fault(i, "invalid escape code")
			}
			out.b = append(out.b, e)
			i += 2
		default:
			out.b = append(out.b, c)
			i++
		}
	}
}

// unicode reads \uXXXX at i, or two of them that are a surrogate pair; size 0 is an error.
func (d *jsonDecoder) unicode(i int) (code, size int) {
	code = d.hex4(i + 2)
	if code < 0 {
		return 0, 0
	}
	if code&0xF800 != 0xD800 {
		return code, 6
	}
	if code&0x400 != 0 || !strings.HasPrefix(d.text[i+6:], "\\u") {
		return 0, 0
	}
	low := d.hex4(i + 8)
	if low < 0 || low&0xFC00 != 0xDC00 {
		return 0, 0
	}
	return code&0x3FF<<10 | low&0x3FF + 0x10000, 12
}

// appendUTF8 appends a code point; unlike Go's own it takes every one.
func appendUTF8(b []byte, c int) []byte {
	switch {
	case c <= 0x7F:
		return append(b, byte(c))
	case c <= 0x7FF:
		return append(b, byte(c>>6)|0xC0, byte(c&0x3F)|0x80)
	case c <= 0xFFFF:
		return append(b, byte(c>>12)|0xE0, byte(c>>6&0x3F)|0x80, byte(c&0x3F)|0x80)
	}
	return append(b, byte(c>>18)|0xF0, byte(c>>12&0x3F)|0x80, byte(c>>6&0x3F)|0x80, byte(c&0x3F)|0x80)
}

// descend enters an array or object, which puts slots values on the original's stack.
func (d *jsonDecoder) descend(slots int) error {
	d.depth++
	if d.depth <= d.c.decodeDepth && d.used+slots <= maxFrame {
		return nil
	}
	return d.s.Errorf("Found too many nested data structures (%d) at character %d", d.depth, int32(d.pos))
}

func (d *jsonDecoder) value(t jsonToken) (Value, error) {
	switch t {
	case jsonString, jsonNumber, jsonBoolean:
		return d.value_, nil
	case jsonNull:
		return LightUserdata(0), nil
	case jsonObjectBegin:
		return d.object()
	case jsonArrayBegin:
		return d.array()
	}
	return Nil, d.expected("value", t)
}

func (d *jsonDecoder) array() (Value, error) {
	if err := d.descend(2); err != nil {
		return Nil, err
	}
	t := d.token()
	if t == jsonArrayEnd {
		d.depth--
		v, err := d.s.newArray(nil)
		if err == nil && d.c.markArrays {
			v.table().meta = d.c.arrayMetatable
		}
		return v, err
	}
	base := len(d.s.building)
	d.used++
	for {
		v, err := d.value(t)
		if err != nil {
			return Nil, err
		}
		if err := d.s.build(v); err != nil {
			return Nil, err
		}
		t = d.token()
		if t == jsonArrayEnd {
			break
		}
		if t != jsonComma {
			return Nil, d.expected("comma or array end", t)
		}
		t = d.token()
	}
	d.used--
	d.depth--
	v, err := d.s.newArray(d.s.building[base:])
	d.s.building = d.s.building[:base]
	return v, err
}

func (d *jsonDecoder) object() (Value, error) {
	if err := d.descend(3); err != nil {
		return Nil, err
	}
	t := d.token()
	if t == jsonObjectEnd {
		d.depth--
		v, err := d.s.NewTable(0, 0)
		if err != nil {
			return Nil, err
		}
		return v.Value(), nil
	}
	base := len(d.s.building)
	d.used += 2
	for {
		if t != jsonString {
			return Nil, d.expected("object key string", t)
		}
		if err := d.s.build(d.value_); err != nil {
			return Nil, err
		}
		if t = d.token(); t != jsonColon {
			return Nil, d.expected("colon", t)
		}
		v, err := d.value(d.token())
		if err != nil {
			return Nil, err
		}
		if err := d.s.build(v); err != nil {
			return Nil, err
		}
		t = d.token()
		if t == jsonObjectEnd {
			break
		}
		if t != jsonComma {
			return Nil, d.expected("comma or object end", t)
		}
		t = d.token()
	}
	d.used -= 2
	d.depth--
	pairs := d.s.building[base:]
	obj, err := d.s.NewTable(0, len(pairs)/2)
	if err != nil {
		return Nil, err
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := obj.set(d.s, pairs[i], pairs[i+1]); err != nil {
			return Nil, err
		}
	}
	d.s.building = d.s.building[:base]
	return obj.Value(), nil
}
