package tyrant

import (
	"encoding/binary"

	"kvd/command"
)

// The scanner of the binary protocol: a magic byte, the number of the operation, numbers
// of 32 bits of which some are lengths, then as many bytes.

const magic = 0xc8

const (
	// argMax is the longest key, value or argument, in bytes: a request that announces more
	// is malformed, and its connection is closed. It is what ttserver takes.
	argMax = 32 << 20
	// nameMax is the longest name of a function, in bytes.
	nameMax = 1023
	// listMax is how many arguments mget and misc take.
	listMax = 1 << 20
	// logMax is how much of a message of ext's log goes to the log, in bytes.
	logMax = 1 << 10
)

// form is how the arguments of an operation become those of a command.
type form uint8

const (
	formNone   form = iota // no operation
	formKey                // the key
	formKeyArg             // the key, and what stands between its length and it
	formPair               // key and value
	formShift              // key, value, and the width
	formList               // as many keys as the number says
	formBare               // nothing
	formNo                 // it is refused with the code 1
	formYes                // it is done: there is nothing to do
	formExt
	formMisc
	formRepl
)

// op is an operation.
type op struct {
	form  form
	head  int    // bytes of numbers
	sizes string // which numbers are lengths, by their places
	name  string // of the row
	quiet bool
	row   *command.Row
	arg   []byte
}

// ops are the operations by their numbers.
var ops = [256]op{
	0x10: {form: formPair, head: 8, sizes: "\x00\x01", name: "put"},
	0x11: {form: formPair, head: 8, sizes: "\x00\x01", name: "putkeep"},
	0x12: {form: formPair, head: 8, sizes: "\x00\x01", name: "putcat"},
	0x13: {form: formShift, head: 12, sizes: "\x00\x01", name: "putshl"},
	0x18: {form: formPair, head: 8, sizes: "\x00\x01", name: "put", quiet: true}, // putnr
	0x20: {form: formKey, head: 4, sizes: "\x00", name: "out"},
	0x30: {form: formKey, head: 4, sizes: "\x00", name: "get"},
	0x31: {form: formList, head: 4, name: "mget"},
	0x38: {form: formKey, head: 4, sizes: "\x00", name: "vsiz"},
	0x50: {form: formBare, name: "iterinit"},
	0x51: {form: formBare, name: "iternext"},
	0x58: {form: formKeyArg, head: 8, sizes: "\x00", name: "fwmkeys"},
	0x60: {form: formKeyArg, head: 8, sizes: "\x00", name: "addint"},
	0x61: {form: formKeyArg, head: 20, sizes: "\x00", name: "adddouble"},
	0x68: {form: formExt, head: 16, sizes: "\x00\x02\x03"},
	0x70: {form: formBare, name: "sync"},
	0x71: {form: formYes, head: 4, sizes: "\x00"}, // optimize
	0x72: {form: formBare, name: "vanish"},
	0x73: {form: formNo, head: 4, sizes: "\x00"},  // copy
	0x74: {form: formNo, head: 16, sizes: "\x00"}, // restore
	0x78: {form: formNo, head: 20, sizes: "\x00"}, // setmst
	0x80: {form: formBare, name: "rnum"},
	0x81: {form: formBare, name: "size"},
	0x88: {form: formBare, name: "stat"},
	0x90: {form: formMisc, head: 12, sizes: "\x00"},
	0xa0: {form: formRepl, head: 12},
}

// word is the i-th number of a request.
func word(buf []byte, i int) int { return int(binary.BigEndian.Uint32(buf[2+4*i:])) }

func appendInt(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

// malformed closes the connection, behind what was asked before.
func malformed(buf []byte, args [][]byte, r *request) ([][]byte, int) {
	r.row, r.abort = nil, true
	return args[:r.from], len(buf)
}

// scanBinary scans the request at the start of buf, appends its arguments to args and
// returns how long it is; 0: it is not complete.
func (s *session) scanBinary(buf []byte, args [][]byte, r *request) ([][]byte, int) {
	if buf[0] != magic {
		return malformed(buf, args, r)
	}
	if len(buf) < 2 {
		return args, 0
	}
	o := &s.p.ops[buf[1]]
	if o.form == formNone || o.form == formRepl {
		return malformed(buf, args, r)
	}
	head := 2 + o.head
	if len(buf) < head {
		s.wants(head-len(buf), len(buf))
		return args, 0
	}
	end := head
	for _, i := range []byte(o.sizes) {
		n := word(buf, int(i))
		if n > argMax {
			return malformed(buf, args, r)
		}
		end += n
	}
	if (o.form == formExt || o.form == formMisc) && word(buf, 0) > nameMax ||
		o.form == formShift && word(buf, 2) > 1<<31-1 { // it would be negative
		return malformed(buf, args, r)
	}
	if len(buf) < end {
		s.wants(end-len(buf), len(buf))
		return args, 0
	}
	if r.row, r.quiet = o.row, o.quiet; r.row != nil {
		args = append(args, o.arg)
	}
	switch o.form {
	case formKey:
		args = append(args, buf[head:end])
	case formKeyArg:
		args = append(args, buf[head:end], buf[6:head])
	case formPair, formShift:
		value := head + word(buf, 0)
		args = append(args, buf[head:value], buf[value:end])
		if o.form == formShift {
			args = append(args, buf[10:head])
		}
	case formNo:
		r.fixed = replyFail
	case formYes:
		r.fixed = replyOK
	case formExt:
		key := head + word(buf, 0)
		value := key + word(buf, 2)
		args = s.ext(buf[head:key], buf[key:value], buf[value:end], args, r)
	case formList:
		var ok bool
		if args, end, ok = s.list(buf, end, word(buf, 0), args, r); ok && len(args) == r.from+1 {
			r.row, r.fixed = nil, listNone
		}
	case formMisc:
		var ok bool
		name := buf[head:end]
		if args, end, ok = s.list(buf, end, word(buf, 2), args, r); ok {
			args = s.call(name, args, r)
		}
	}
	return args, end
}

// list appends the n arguments that begin at at, and returns where they end. Where they are
// not complete the end is 0, and ok false; where they are malformed ok is false, too.
func (s *session) list(buf []byte, at, n int, args [][]byte, r *request) (_ [][]byte, end int, ok bool) {
	if n > listMax {
		args, end = malformed(buf, args, r)
		return args, end, false
	}
	pos, left := at, n
	if s.seen > 0 {
		pos, left = s.seen, s.left
	}
	for ; left > 0; left-- {
		size := 0
		if pos+4 <= len(buf) {
			if size = int(binary.BigEndian.Uint32(buf[pos:])); size > argMax {
				args, end = malformed(buf, args, r)
				return args, end, false
			}
		}
		if next := pos + 4 + size; next > len(buf) {
			s.seen, s.left = pos, left
			s.wants(next-len(buf), len(buf))
			return args[:r.from], 0, false
		} else {
			pos = next
		}
	}
	for end, left = at, n; left > 0; left-- {
		size := int(binary.BigEndian.Uint32(buf[end:]))
		args = append(args, buf[end+4:end+4+size])
		end += 4 + size
	}
	return args, end, true
}

// ext is a function of an extension: those that there are without one. All commands are
// atomic, so its options, which lock a record or all, change nothing.
func (s *session) ext(name, key, value []byte, args [][]byte, r *request) [][]byte {
	rows := &s.p.rows
	r.wrap = asWord
	switch string(name) {
	case "put":
		r.row = rows.put
	case "putkeep":
		r.row = rows.putKeep
	case "putcat":
		r.row = rows.putCat
	case "out":
		r.row = rows.out
		return append(args, argOut, key)
	case "get":
		r.row, r.wrap = rows.get, nil
		return append(args, argGet, key)
	case "log":
		r.fixed, r.says = replyOK, key[:min(len(key), logMax)]
		return args
	default:
		r.fixed, r.wrap = echo(name, key, value), nil
		return args
	}
	return append(args, []byte(r.row.Name), key, value)
}

var (
	argOut = []byte("tt.out")
	argGet = []byte("tt.get")
)

// function is one of misc.
type function struct {
	least int // arguments that it needs
	most  int // that it takes; what is beyond does not count
	step  int // 2: they are pairs, and half a one does not count
	name  string
	fixed []byte // in place of a command
	row   *command.Row
	arg   []byte
}

const anyNumber = listMax

// functions are those of misc that a hash database has, by their names.
var functions = map[string]function{
	"put":        {least: 2, most: 2, step: 1, name: "put"},
	"putkeep":    {least: 2, most: 2, step: 1, name: "putkeep"},
	"putcat":     {least: 2, most: 2, step: 1, name: "putcat"},
	"out":        {least: 1, most: 1, step: 1, name: "out"},
	"get":        {least: 1, most: 1, step: 1, name: "getpart"},
	"getpart":    {least: 1, most: 3, step: 1, name: "getpart"},
	"putlist":    {most: anyNumber, step: 2, name: "putlist"},
	"outlist":    {most: anyNumber, step: 1, name: "outlist"},
	"getlist":    {most: anyNumber, step: 1, name: "getlist"},
	"iterinit":   {most: 1, step: 1, name: "iterinit"},
	"iternext":   {step: 1, name: "iterpair"},
	"regex":      {least: 1, most: 2, step: 1, name: "regex"},
	"sync":       {step: 1, name: "sync"},
	"vanish":     {step: 1, name: "vanish"},
	"optimize":   {step: 1, fixed: listNone},
	"cacheclear": {step: 1, fixed: listNone},
	"defrag":     {step: 1, fixed: listNone},
	"error":      {step: 1, fixed: listError},
}

// call is a function of misc with the arguments from r.from on.
func (s *session) call(name []byte, args [][]byte, r *request) [][]byte {
	f, ok := s.p.misc[string(name)]
	n := len(args) - r.from
	if !ok || n < f.least {
		r.fixed = listFail
		return args[:r.from]
	}
	n = min(n, f.most)
	n -= n % f.step
	if f.row == nil || n == 0 && f.most == anyNumber {
		if r.fixed = f.fixed; f.row != nil {
			r.fixed = listNone
		}
		return args[:r.from]
	}
	r.row, r.wrap = f.row, asList
	arg := f.arg
	if f.name == "iterinit" && n == 1 {
		r.row, arg = s.p.rows.iterAt, argIterAt
	}
	args = append(args[:r.from+n], nil)
	copy(args[r.from+1:], args[r.from:])
	args[r.from] = arg
	return args
}

var argIterAt = []byte("tt.iterat")
