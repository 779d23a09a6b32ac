package wire

import (
	"errors"
	"strconv"
)

// Reply is a reply, or a part of one, in either protocol: a view of memory that somebody
// else may use again. The zero Reply is none.
type Reply struct {
	b   []byte // from the reply's first byte on; what is behind its end is another's
	err error
}

// ReplyIn is the first reply in b; what is behind it follows (see Next).
func ReplyIn(b []byte) Reply { return Reply{b: b} }

// Failed is no reply, because of err.
func Failed(err error) Reply { return Reply{err: err} }

// ReplyError is an error that a command has replied.
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// Code is the error's first word, such as WRONGTYPE.
func (e ReplyError) Code() string {
	for i := range e {
		if e[i] == ' ' {
			return string(e[:i])
		}
	}
	return string(e)
}

// ErrNil is the error of a reply that is null, where a value is asked for.
var ErrNil = errors.New("kvd: the reply is null")

// errKind: the reply is of another kind than was asked for.
var errKind = errors.New("kvd: the reply is of another kind")

// Kind is the reply's first byte in the protocol: '+' status, '-' error, ':' integer,
// '$' string, '*' array, '_' null, ',' double, '#' boolean, '%' map, '~' set, '>' push,
// '=' verbatim string, '(' big number; 0 where there is no reply.
func (r Reply) Kind() byte {
	if len(r.b) == 0 {
		return 0
	}
	return r.b[0]
}

// Raw is the reply in the protocol, with what follows it if it is one of several.
func (r Reply) Raw() []byte { return r.b }

// line is the text of the first line, and what follows it.
func (r Reply) line() (text, rest []byte) {
	for i := 1; i+1 < len(r.b); i++ {
		if r.b[i] == '\r' && r.b[i+1] == '\n' {
			return r.b[1:i], r.b[i+2:]
		}
	}
	return nil, nil
}

// count is the number on the first line, and what follows it.
func (r Reply) count() (n int, rest []byte) {
	text, rest := r.line()
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return -1, rest
	}
	return n, rest
}

// Err is what went wrong, nil if nothing did: a ReplyError that the command has replied,
// ErrClosed, or the context's.
func (r Reply) Err() error {
	switch {
	case r.err != nil:
		return r.err
	case r.Kind() == '-', r.Kind() == '!':
		b, err := r.bytes()
		if err != nil {
			return err
		}
		return ReplyError(b)
	}
	return nil
}

// IsNull tells whether the reply is null, in either protocol.
func (r Reply) IsNull() bool {
	switch r.Kind() {
	case '_':
		return true
	case '$', '*':
		return len(r.b) > 1 && r.b[1] == '-'
	}
	return false
}

// bytes is the text of any reply that has one.
func (r Reply) bytes() ([]byte, error) {
	switch r.Kind() {
	case '$', '=', '!':
		n, rest := r.count()
		if n < 0 {
			return nil, ErrNil
		}
		if n > len(rest) {
			return nil, errKind
		}
		if r.b[0] == '=' && n >= 4 {
			return rest[4:n:n], nil // behind its format, such as "txt:"
		}
		return rest[:n:n], nil
	case '+', ':', ',', '-', '(', '#':
		text, _ := r.line()
		return text, nil
	case '_':
		return nil, ErrNil
	}
	return nil, errKind
}

// Bytes is the text of a string, a status or a number: a view.
func (r Reply) Bytes() ([]byte, error) {
	if err := r.Err(); err != nil {
		return nil, err
	}
	return r.bytes()
}

// Text is Bytes as a string of its own.
func (r Reply) Text() (string, error) {
	b, err := r.Bytes()
	return string(b), err
}

// Int is an integer, or a string or a boolean that is one.
func (r Reply) Int() (int64, error) {
	b, err := r.Bytes()
	if err != nil {
		return 0, err
	}
	if r.b[0] == '#' {
		if string(b) == "t" {
			return 1, nil
		}
		return 0, nil
	}
	if n, ok := ParseInt(b); ok {
		return n, nil
	}
	return 0, errKind
}

// Float is a double, or a string or an integer that is one.
func (r Reply) Float() (float64, error) {
	b, err := r.Bytes()
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(string(b), 64)
}

// Len is the number of elements of an array, a set or a push, and twice the number of
// pairs of a map; 0 for anything else.
func (r Reply) Len() int {
	switch r.Kind() {
	case '*', '~', '>':
		n, _ := r.count()
		return max(n, 0)
	case '%':
		n, _ := r.count()
		return 2 * max(n, 0)
	}
	return 0
}

// Each calls f for each element, in order, until it returns false. In a map keys and
// values take turns.
func (r Reply) Each(f func(i int, e Reply) bool) error {
	if err := r.Err(); err != nil {
		return err
	}
	n := r.Len()
	_, rest := r.line()
	for i := range n {
		e := Reply{b: rest}
		if !f(i, e) {
			return nil
		}
		next, ok := e.Next()
		if !ok && i+1 < n {
			return errKind
		}
		rest = next.b
	}
	return nil
}

// Texts are the elements as strings; null is "".
func (r Reply) Texts() ([]string, error) {
	out := make([]string, 0, r.Len())
	var bad error
	err := r.Each(func(_ int, e Reply) bool {
		b, err := e.bytes()
		if err != nil && err != ErrNil {
			bad = err
			return false
		}
		out = append(out, string(b))
		return true
	})
	return out, errors.Join(err, bad)
}

// Next is the reply that follows this one; false: there is none.
func (r Reply) Next() (Reply, bool) {
	rest := r.skip(1)
	return Reply{b: rest}, len(rest) > 0
}

// skip is what is behind n replies; nil if they are not whole.
func (r Reply) skip(n int) []byte {
	b := r.b
	for ; n > 0 && len(b) > 0; n-- {
		e := Reply{b: b}
		switch e.Kind() {
		case '$', '=', '!':
			k, rest := e.count()
			if b = rest; k >= 0 {
				if k+2 > len(rest) {
					return nil
				}
				b = rest[k+2:]
			}
		case '*', '~', '>', '%':
			_, b = e.line()
			n += e.Len()
		case '|': // attributes stand before what they are about
			k, rest := e.count()
			b = rest
			n += 2*max(k, 0) + 1
		default:
			_, b = e.line()
		}
	}
	return b
}

// Value is the reply as Go values that are independent of the client: nil, string (also
// for statuses), int64, float64, bool, []any (arrays, sets, pushes), map[string]any
// (maps; keys as text) or ReplyError.
func (r Reply) Value() any {
	if r.err != nil {
		return r.err
	}
	if r.IsNull() {
		return nil
	}
	switch r.Kind() {
	case '-', '!':
		return r.Err()
	case ':':
		n, _ := r.Int()
		return n
	case ',':
		f, _ := r.Float()
		return f
	case '#':
		n, _ := r.Int()
		return n == 1
	case '*', '~', '>':
		out := make([]any, 0, r.Len())
		_ = r.Each(func(_ int, e Reply) bool { out = append(out, e.Value()); return true })
		return out
	case '%':
		out := make(map[string]any, r.Len()/2)
		key := ""
		_ = r.Each(func(i int, e Reply) bool {
			if i%2 == 0 {
				b, _ := e.bytes()
				key = string(b)
			} else {
				out[key] = e.Value()
			}
			return true
		})
		return out
	case 0:
		return nil
	}
	b, _ := r.bytes()
	return string(b)
}
