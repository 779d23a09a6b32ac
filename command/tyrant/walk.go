package tyrant

import (
	"bytes"
	"encoding/binary"
	"math"
	"regexp"
	"slices"
	"strconv"

	"kvd/command"
	"kvd/config"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// What goes over the records of a database: the iterator, fwmkeys and regex. They go by
// SCAN's cursor, a few keys at a time, and hold no view of the whole.

// State is what a connection has beside its bytes; it is the Client's FrontState. Only
// the command that runs for the connection touches it.
type State struct {
	// Wrap, if not nil, turns the reply to the request that runs, which is appended to
	// dst, into what the protocol of the request has: see background.
	Wrap func(dst, reply []byte) []byte

	on     bool     // iterinit has come, and the end has not
	cursor uint64   // where the iterator goes on; see keyspace.Scan
	ahead  []record // that were met together with one that is delivered already

	from types.LexBound // where the iterator of a tree goes on
}

func stateOf(c *command.Ctx) *State {
	if st, ok := c.C.FrontState.(*State); ok {
		return st
	}
	return new(State) // nobody's: the command was not sent by a session
}

// background is Ctx.Background for a reply that may have to be wrapped.
func background(c *command.Ctx, f func(w *wire.Writer)) {
	wrap := stateOf(c).Wrap
	if wrap == nil || !c.CanBlock() {
		c.Background(f)
		return
	}
	c.Background(func(w *wire.Writer) {
		whole := wire.InParts(2)
		f(whole)
		w.Buf = wrap(w.Buf, slices.Concat(whole.Parts()...))
	})
}

// record is one that was met on the way, as it was then.
type record struct {
	key   []byte
	value []byte
	big   *types.BigString // in place of value
}

// recordOf copies a record; the value of a long one is a view, to be freed by append.
func recordOf(e *keyspace.Entry, values bool) (r record) {
	r.key = bytes.Clone(e.Key())
	if !values {
		return r
	}
	switch e.Encoding() {
	case types.EncInt:
		r.value = strconv.AppendInt(nil, e.Int(), 10)
	case types.EncChunked:
		r.big = e.Object().(*types.BigString).Copy().(*types.BigString)
	default:
		r.value = bytes.Clone(e.Packed())
	}
	return r
}

// drop gives back what recordOf has taken.
func (r *record) drop() {
	if r.big != nil {
		r.big.Free(int64(r.big.Len()))
		r.big = nil
	}
}

// pair appends key and value as elements of a list.
func (r *record) pair(b []byte) []byte {
	b = append(appendInt(b, len(r.key)), r.key...)
	if r.big != nil {
		b = r.big.AppendRange(appendInt(b, r.big.Len()), 0, r.big.Len())
		r.drop()
		return b
	}
	return append(appendInt(b, len(r.value)), r.value...)
}

// said tells whether the protocol can say the length of a value.
func said(e *keyspace.Entry) bool {
	return e.Encoding() != types.EncChunked || e.Object().(*types.BigString).Len() <= math.MaxInt32
}

func iterInit(c *command.Ctx) {
	st := stateOf(c)
	st.rewind(0)
	code(c, codeOK)
}

// rewind has the iterator begin at a cursor.
func (st *State) rewind(cursor uint64) {
	for i := range st.ahead {
		st.ahead[i].drop()
	}
	st.on, st.cursor, st.ahead = true, cursor, nil
}

// iterAt has the iterator begin at a record.
func iterAt(c *command.Ctx) {
	k := &c.Keys[0]
	e := c.Peek(k)
	if e.Type() != types.TString {
		code(c, codeFail)
		return
	}
	stateOf(c).rewind(keyspace.CursorOf(k))
	code(c, codeOK)
}

// iterAtOnce is how many keys of other types an iternext passes over before it goes on
// beside the event loop.
const iterAtOnce = 512

const errNotAll = "NOPERM No permissions to read every key"

// iterNext replies with the next record: its key, or, for misc, a list of key and value.
func iterNext(pair bool) func(c *command.Ctx) {
	return func(c *command.Ctx) {
		if pair && !c.MayReadAll() {
			c.Err(errNotAll)
			return
		}
		s, db, now, locked, st := c.S, c.DB(), c.Now, c.HoldsAll(), stateOf(c)
		step := func(w *wire.Writer) bool {
			if st.on && len(st.ahead) == 0 {
				st.cursor = s.Keyspace.Scan(db, st.cursor, 1, now, locked, func(e *keyspace.Entry) {
					if e.Type() == types.TString && said(e) {
						st.ahead = append(st.ahead, recordOf(e, pair))
					}
				})
				st.on = st.cursor != 0
			}
			if len(st.ahead) == 0 {
				if !st.on {
					w.Buf = append(w.Buf, codeFail)
				}
				return !st.on
			}
			r := &st.ahead[0]
			w.Buf = append(w.Buf, codeOK)
			if pair {
				w.Buf = r.pair(appendInt(w.Buf, 2))
			} else {
				r.drop()
				w.Buf = append(appendInt(w.Buf, len(r.key)), r.key...)
			}
			if st.ahead = st.ahead[1:]; len(st.ahead) == 0 {
				st.ahead = nil
			}
			return true
		}
		for range iterAtOnce {
			if step(c.W) {
				return
			}
		}
		background(c, func(w *wire.Writer) {
			var r keyspace.Rest
			if !locked {
				r.Begin()
				defer r.End()
			}
			for i := 1; !step(w); i++ {
				if i%iterAtOnce == 0 && !locked {
					r.Turn()
				}
			}
		})
	}
}

// walkStep is how many keys are visited without giving others a turn.
const walkStep = 512

// walk visits the strings of a database; then is called between two steps, with no stripe
// locked, and says whether to go on.
func walk(s *command.Server, db int, now int64, locked bool, visit func(e *keyspace.Entry), then func() bool) {
	var r keyspace.Rest
	if !locked {
		r.Begin()
		defer r.End()
	}
	for cursor := uint64(0); ; {
		if !locked {
			r.Turn()
		}
		cursor = s.Keyspace.Scan(db, cursor, walkStep, now, locked, func(e *keyspace.Entry) {
			if e.Type() == types.TString {
				visit(e)
			}
		})
		if !then() || cursor == 0 {
			return
		}
	}
}

// tooLong tells whether a reply of n bytes is longer than a client's output may be, by
// client-output-buffer-limit: making more of it is in vain, for the client is closed when
// it is sent. The transport counts what is above its own buffers.
func tooLong(s *command.Server, n int) bool {
	hard := s.Config.ClientOutputBufferLimit.Load()[config.ClassNormal].Hard
	return hard > 0 && int64(n) > int64(hard)+outputSlack
}

const outputSlack = 64 << 10

// list is a reply of a code, a number and elements, made on a worker.
type list struct {
	s    *command.Server
	w    *wire.Writer
	at   int // where it begins
	n    int
	done int // bytes of the parts that were put aside
	most int64
}

func newList(s *command.Server, w *wire.Writer, most int64) *list {
	l := &list{s: s, w: w, at: len(w.Buf), most: most}
	w.Buf = appendInt(append(w.Buf, codeOK), 0)
	return l
}

// full tells whether nothing more is wanted.
func (l *list) full() bool { return l.most >= 0 && int64(l.n) >= l.most }

// part puts what is there aside, and says whether to go on.
func (l *list) part() bool {
	before := len(l.w.Buf)
	if l.w.Part(); len(l.w.Buf) < before {
		l.done += before
	}
	return !l.full() && !tooLong(l.s, l.done+len(l.w.Buf))
}

// end writes the number of elements.
func (l *list) end(per int) { setCount(l.w.Parts()[0][l.at:], l.n*per) }

func fwmKeys(c *command.Ctx) {
	prefix, most := bytes.Clone(c.Args[1]), int64(int32(binary.BigEndian.Uint32(c.Args[2])))
	s, db, now, locked := c.S, c.DB(), c.Now, c.HoldsAll()
	background(c, func(w *wire.Writer) {
		l := newList(s, w, most)
		if !l.full() {
			walk(s, db, now, locked, func(e *keyspace.Entry) {
				if k := e.Key(); bytes.HasPrefix(k, prefix) && !l.full() {
					w.Buf = append(appendInt(w.Buf, len(k)), k...)
					l.n++
				}
			}, l.part)
		}
		l.end(1)
	})
}

const (
	// regexMax is the longest pattern, in bytes.
	regexMax = 1 << 10
	// regexAtOnce is the longest key, in bytes, that is matched with its stripe locked.
	regexAtOnce = 256
)

// compile makes a pattern; one that begins with a star does not tell upper from lower case.
func compile(pattern string) (*regexp.Regexp, error) {
	rest := pattern
	if len(pattern) > 0 && pattern[0] == '*' {
		rest = pattern[1:]
	}
	re, err := regexp.CompilePOSIX(rest)
	if err == nil && len(rest) < len(pattern) {
		re, err = regexp.Compile("(?i:" + rest + ")")
	}
	return re, err
}

func regex(c *command.Ctx) {
	most := int64(-1)
	ok := len(c.Args) <= 3 && len(c.Args[1]) <= regexMax
	if ok && len(c.Args) == 3 {
		most, ok = command.ParseInt(c.Args[2])
	}
	var re *regexp.Regexp
	if ok {
		var err error
		re, err = compile(string(c.Args[1]))
		ok = err == nil
	}
	switch {
	case !ok:
		code(c, codeFail)
		return
	case !c.MayReadAll():
		c.Err(errNotAll)
		return
	}
	s, db, now, locked := c.S, c.DB(), c.Now, c.HoldsAll()
	background(c, func(w *wire.Writer) {
		l := newList(s, w, most)
		var met []record
		if !l.full() {
			walk(s, db, now, locked, func(e *keyspace.Entry) {
				if k := e.Key(); said(e) && (len(k) > regexAtOnce || re.Match(k)) {
					met = append(met, recordOf(e, true))
				}
			}, func() bool {
				for i := range met {
					r := &met[i]
					if l.full() || len(r.key) > regexAtOnce && !re.Match(r.key) {
						r.drop()
						continue
					}
					w.Buf = r.pair(w.Buf)
					l.n++
				}
				clear(met)
				met = met[:0]
				return l.part()
			})
		}
		l.end(2)
	})
}
