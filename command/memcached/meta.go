package memcached

import (
	"encoding/base64"
	"strconv"
	"time"

	"kvd/command"
	"kvd/keyspace"
	"kvd/types"
)

// The meta protocol: a command of two letters, a key, and flags of one letter, some with a
// value behind the letter. The flags of a reply come in the order of the request's.

// OpaqueMax is the longest O flag, its letter included.
const OpaqueMax = 32

// MetaFlags are the flags of a request.
type MetaFlags struct {
	Binary  bool // the key came in base64, and is shown so
	Quiet   bool
	Changes bool // mg changes a time or makes an item

	value, noBump, vivify, stale bool
	hasTTL, drop                 bool
	mode                         byte
	ttl, vivifyTTL, recacheTTL   int64
	flags                        uint32
	compare, give                uint64
	hasCompare, wants            bool // wants: the number is to be told
	delta, initial               uint64
}

// errors of flags, as memcached has them.
const (
	errToken     = "CLIENT_ERROR bad token in command line format"
	errDuplicate = "CLIENT_ERROR duplicate flag"
	errFlag      = "CLIENT_ERROR invalid flag"
	errFormat    = "CLIENT_ERROR bad command line format"
)

// Parse reads flags. The text is what is wrong with them, "" if nothing is. The session
// calls it to refuse a request, and the command to know the rest.
func (f *MetaFlags) Parse(tokens [][]byte) (text string) {
	*f = MetaFlags{delta: 1}
	var seen [2]uint64
	for _, t := range tokens {
		o := t[0]
		if o >= 127 || seen[o>>6]>>(o&63)&1 != 0 {
			return errDuplicate
		}
		seen[o>>6] |= 1 << (o & 63)
		rest := t[1:]
		ok := true
		switch o {
		case 'b':
			f.Binary = true
		case 'N':
			f.vivify, f.Changes = true, true
			f.vivifyTTL, ok = ParseInt(rest)
		case 'T':
			f.hasTTL, f.Changes = true, true
			f.ttl, ok = ParseInt(rest)
		case 'R':
			f.recacheTTL, ok = ParseInt(rest)
		case 'O', 'P', 'L', 'k', 's', 't', 'f', 'l', 'h':
		case 'c':
			f.wants = true
		case 'v':
			f.value = true
		case 'u':
			f.noBump = true
		case 'q':
			f.Quiet = true
		case 'I':
			f.stale = true
		case 'x':
			f.drop = true
		case 'F':
			var n uint64
			n, ok = ParseUint(rest, 32)
			if f.flags = uint32(n); !ok {
				text, ok = errFormat, true
			}
		case 'C':
			f.hasCompare = true
			f.compare, ok = ParseUint(rest, 64)
		case 'E':
			f.give, ok = ParseUint(rest, 64)
		case 'M':
			if len(rest) != 1 {
				text = "CLIENT_ERROR incorrect length for M token"
				break
			}
			f.mode = rest[0]
		case 'J':
			if f.initial, ok = ParseUint(rest, 64); !ok {
				text, ok = "CLIENT_ERROR invalid numeric initial value", true
			}
		case 'D':
			if f.delta, ok = ParseUint(rest, 64); !ok {
				text, ok = "CLIENT_ERROR invalid numeric delta value", true
			}
		default:
			return errFlag
		}
		if !ok {
			text = errToken
		}
	}
	return text
}

// SetMode is the mode of storing that ms asks for; false: there is none of that letter.
func (f *MetaFlags) SetMode() (mode int, ok bool) {
	switch f.mode {
	case 0, 'S', 's':
		mode = modeSet
	case 'E', 'e':
		mode = modeAdd
	case 'A', 'a':
		mode = modeAppend
	case 'P', 'p':
		mode = modePrepend
	case 'R', 'r':
		mode = modeReplace
	default:
		return 0, false
	}
	if f.hasCompare && (mode == modeSet || mode == modeReplace) {
		mode = modeCas
	}
	return mode, true
}

// CountsUp tells which way ma counts; false: its mode is none.
func (f *MetaFlags) CountsUp() (up, ok bool) {
	switch f.mode {
	case 0, 'I', 'i', '+':
		return true, true
	case 'D', 'd', '-':
		return false, true
	}
	return false, false
}

// echo appends O and k as they are asked for, and of the numbered ones c.
func echo(b []byte, tokens [][]byte, key []byte, binary bool, c func(b []byte) []byte) []byte {
	for _, t := range tokens {
		switch t[0] {
		case 'O':
			b = append(append(b, ' '), t...)
		case 'k':
			b = appendKey(append(b, " k"...), key, binary)
		case 'c':
			if c != nil {
				b = c(b)
			}
		}
	}
	return b
}

// AppendEcho appends O and k of a request that is answered without its command.
func AppendEcho(b []byte, tokens [][]byte, key []byte, binary bool) []byte {
	return echo(b, tokens, key, binary, nil)
}

func appendKey(b, key []byte, binary bool) []byte {
	if binary {
		return append(base64.StdEncoding.AppendEncode(b, key), " b"...)
	}
	return append(b, key...)
}

func appendFlag(b []byte, letter byte, n uint64) []byte {
	return strconv.AppendUint(append(b, ' ', letter), n, 10)
}

// idle is since how many seconds an item was not asked for.
func idle(c *command.Ctx, e *keyspace.Entry) uint64 {
	return idleAt(time.UnixMilli(c.Now), c.LFU != nil, e)
}

// idleAt is for how many seconds an item was not used. lfu: its clock has minutes.
func idleAt(now time.Time, lfu bool, e *keyspace.Entry) uint64 {
	if lfu {
		return uint64((uint32(now.Unix()/60)-e.Clock()>>8)&0xffff) * 60
	}
	return uint64((uint32(now.Unix()) - e.Clock()) & command.ClockMask)
}

func metaGet(c *command.Ctx) {
	k := &c.Keys[0]
	tokens := c.Args[2:]
	var f MetaFlags
	f.Parse(tokens)
	c.NoEffect()
	e := c.Peek(k)
	made, won := false, false
	hit := e.Type() == types.TString
	switch {
	case hit:
		c.Count(&e)
	case f.vivify && !e.Exists():
		c.CountRead(k, &e)
		made = true
		write(c, k, nil, deadlineOf(c, f.vivifyTTL), false, keyspace.Marks{Unique: f.give})
		if e = c.Peek(k); !e.Exists() {
			made = false // it has expired at once
		}
	default:
		e = keyspace.Entry{}
		c.CountRead(k, &e)
	}
	if f.hasTTL {
		c.Tally(cmdTouch, 1)
	} else {
		c.Tally(cmdGet, 1)
	}
	noteGet(c, k.B, e.Exists(), &e)
	if !e.Exists() {
		if f.hasTTL {
			c.Tally(touchMisses, 1)
		} else {
			c.Tally(getMisses, 1)
		}
		if f.Quiet {
			return
		}
		c.W.Buf = append(echo(append(c.W.Buf, "EN"...), tokens, k.B, f.Binary, nil), '\r', '\n')
		return
	}
	if f.hasTTL {
		c.Tally(touchHits, 1)
	} else {
		c.Tally(getHits, 1)
	}
	m := e.Marks()
	n := c.StringOf(&e).Len()
	b := c.W.Buf
	if f.value {
		b = strconv.AppendInt(append(b, "VA "...), int64(n), 10)
	} else {
		b = append(b, "HD"...)
	}
	deadline := e.Deadline()
	if made {
		deadline = 0 // as a flag before N sees it
	}
	ends := false // its new time has passed already
	for _, t := range tokens {
		switch t[0] {
		case 'T':
			if d := deadlineOf(c, f.ttl); d == expired {
				ends, deadline = true, c.Now
			} else {
				touchItem(c, k, d)
				deadline = d
				e = c.Peek(k)
			}
		case 'N':
			if won = won || made; made {
				deadline = deadlineOf(c, f.vivifyTTL)
				touchItem(c, k, deadline) // T may stand before
				e = c.Peek(k)
			}
		case 'R':
			if d := deadlineOf(c, f.recacheTTL); !m.Sent && !made && deadline != 0 && deadline < d {
				won = true
			}
		case 's':
			b = appendFlag(b, 's', uint64(n))
		case 't':
			b = strconv.AppendInt(append(b, " t"...), left(c, deadline), 10)
		case 'c':
			m.Unique = unique(c, k, &e)
			b = appendFlag(b, 'c', m.Unique)
		case 'f':
			b = appendFlag(b, 'f', uint64(m.Flags))
		case 'l':
			b = appendFlag(b, 'l', idle(c, &e))
		case 'h':
			if m.Fetched {
				b = append(b, " h1"...)
			} else {
				b = append(b, " h0"...)
			}
		case 'O':
			b = append(append(b, ' '), t...)
		case 'k':
			b = appendKey(append(b, " k"...), k.B, f.Binary)
		}
	}
	if m.Stale {
		won = won || !m.Sent
	}
	if m.Sent {
		b = append(b, " Z"...)
	}
	if m.Stale {
		b = append(b, " X"...)
	}
	if won {
		b = append(b, " W"...)
		m.Sent = true
		c.SetMarks(k, &e, m)
	}
	b = append(b, '\r', '\n')
	if f.value {
		b = append(appendValue(b, c.StringOf(&e)), '\r', '\n')
	}
	c.W.Buf = b
	if !f.noBump && !made {
		c.Access(&e)
		e.SetFetched()
	}
	if ends {
		touchItem(c, k, expired)
	}
}

func metaSet(c *command.Ctx) {
	k := &c.Keys[0]
	tokens := c.Args[3:]
	var f MetaFlags
	f.Parse(tokens)
	mode, _ := f.SetMode()
	ch := change{mode: mode, value: c.Args[2], flags: f.flags, deadline: deadlineOf(c, f.ttl), compare: f.compare,
		older: f.stale && mode == modeCas, give: f.give, number: f.wants, vivify: f.vivify, limit: itemLimit(c)}
	if f.vivify {
		ch.deadline = deadlineOf(c, f.vivifyTTL)
	}
	res := ch.run(c, k)
	if res == failed || res == stored && f.Quiet {
		return
	}
	words := [...]string{stored: "HD", notStored: "NS", exists: "EX", notFound: "NF"}
	c.W.Buf = append(echo(append(c.W.Buf, words[res]...), tokens, k.B, f.Binary, func(b []byte) []byte {
		if res != stored {
			return append(b, " c0"...)
		}
		return appendFlag(b, 'c', ch.unique)
	}), '\r', '\n')
}

func metaDelete(c *command.Ctx) {
	k := &c.Keys[0]
	tokens := c.Args[2:]
	var f MetaFlags
	f.Parse(tokens)
	c.NoEffect()
	noteDelete(c, k.B)
	word := "HD"
	e := c.Peek(k)
	m := keyspace.Marks{}
	if e.Exists() {
		m = e.Marks()
	}
	switch {
	case !e.Exists():
		c.Tally(deleteMisses, 1)
		word = "NF"
	case f.hasCompare && (f.compare == 0 || m.Unique != f.compare):
		c.Tally(deleteMisses, 1)
		word = "EX"
	case f.drop || f.stale:
		if e.Type() != types.TString {
			c.Err(command.ErrWrongType)
			return
		}
		metaMark(c, k, &e, &f)
	default:
		c.Tally(deleteHits, 1)
		remove(c, k)
	}
	if f.Quiet && word != "EX" {
		return
	}
	c.W.Buf = append(echo(append(c.W.Buf, word...), tokens, k.B, f.Binary, nil), '\r', '\n')
}

// metaMark is md that leaves the item: I marks it as stale, x takes its value and flags.
func metaMark(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, f *MetaFlags) {
	m := e.Marks()
	if f.drop {
		write(c, k, nil, e.Deadline(), true, keyspace.Marks{Stale: m.Stale, Sent: m.Sent})
		m.Flags = 0
	}
	if f.hasTTL && f.stale {
		touchItem(c, k, deadlineOf(c, f.ttl))
	}
	if f.stale {
		m.Stale, m.Sent = true, false
	}
	m.Unique = f.give
	if m.Unique == 0 {
		m.Unique = c.Keyspace().NextUnique()
	}
	if now := c.Peek(k); now.Exists() {
		c.SetMarks(k, &now, m)
	}
}

func metaArithmetic(c *command.Ctx) {
	k := &c.Keys[0]
	tokens := c.Args[2:]
	var f MetaFlags
	f.Parse(tokens)
	up, _ := f.CountsUp()
	n := number{up: up, delta: f.delta, compare: f.compare, give: f.give, number: f.wants}
	res := n.run(c, k)
	made := false
	switch {
	case res == failed:
		return
	case res == nonNumeric:
		c.W.Buf = append(c.W.Buf, nonNumericText...)
		return
	case res == notFound && f.vivify:
		n.value = f.initial
		made = true
		n.put(c, k, deadlineOf(c, f.vivifyTTL), false, 0)
		res = stored
	}
	if res != stored {
		word := "NF"
		if res == exists {
			word = "EX"
		}
		if f.Quiet && res == notFound {
			return
		}
		c.W.Buf = append(echo(append(c.W.Buf, word...), tokens, k.B, f.Binary, nil), '\r', '\n')
		return
	}
	var room [20]byte
	text := strconv.AppendUint(room[:0], n.value, 10)
	b, at := c.W.Buf, len(c.W.Buf)
	if f.value {
		b = strconv.AppendInt(append(b, "VA "...), int64(len(text)), 10)
	} else {
		b = append(b, "HD"...)
	}
	e := c.Peek(k)
	deadline := int64(0)
	if e.Exists() && !made {
		deadline = e.Deadline()
	}
	for _, t := range tokens {
		switch t[0] {
		case 'c':
			b = appendFlag(b, 'c', n.unique)
		case 't':
			b = strconv.AppendInt(append(b, " t"...), left(c, deadline), 10)
		case 'N':
			if made && e.Exists() {
				deadline = deadlineOf(c, f.vivifyTTL)
				touchItem(c, k, deadline)
			}
		case 'T':
			if d := deadlineOf(c, f.ttl); e.Exists() {
				touchItem(c, k, d)
				if deadline = d; d == expired {
					deadline, e = c.Now, keyspace.Entry{}
				}
			}
		case 'O':
			b = append(append(b, ' '), t...)
		case 'k':
			b = appendKey(append(b, " k"...), k.B, f.Binary)
		}
	}
	b = append(b, '\r', '\n')
	if f.value {
		b = append(append(b, text...), '\r', '\n')
	}
	if c.W.Buf = b; f.Quiet && !made {
		c.W.Buf = b[:at]
	}
}

func metaDebug(c *command.Ctx) {
	k := &c.Keys[0]
	c.Tally(cmdMeta, 1)
	e := c.Peek(k)
	if e.Type() != types.TString {
		c.W.Buf = append(c.W.Buf, "EN\r\n"...)
		return
	}
	m := e.Marks()
	b := append(c.W.Buf, "ME "...)
	if len(c.Args) > 2 {
		b = base64.StdEncoding.AppendEncode(b, k.B)
	} else {
		b = append(b, k.B...)
	}
	b = strconv.AppendInt(append(b, " exp="...), left(c, e.Deadline()), 10)
	b = strconv.AppendUint(append(b, " la="...), idle(c, &e), 10)
	size := e.Memory()
	b = strconv.AppendUint(append(b, " cas="...), unique(c, k, &e), 10)
	fetch := "no"
	if m.Fetched {
		fetch = "yes"
	}
	b = append(append(b, " fetch="...), fetch...)
	b = strconv.AppendInt(append(b, " cls=1 size="...), size, 10)
	c.W.Buf = append(b, '\r', '\n')
}

// ClientFlags are the flags that ms gives the item.
func (f *MetaFlags) ClientFlags() uint32 { return f.flags }
