package memcached

import (
	"encoding/binary"

	"kvd/command"
	"kvd/keyspace"
	"kvd/types"
)

// The binary protocol: a head of 24 bytes, extras, a key, a value. The commands get head
// and extras as they came; the session has checked their lengths.

// HeadLen is the length of a request's and of a reply's head.
const HeadLen = 24

// The opcodes. Those that end on Q are quiet: they say nothing where the request went as
// it mostly does, so that a client finds the replies that matter before that of a NOOP.
const (
	OpGet        = 0x00
	OpSet        = 0x01
	OpAdd        = 0x02
	OpReplace    = 0x03
	OpDelete     = 0x04
	OpIncrement  = 0x05
	OpDecrement  = 0x06
	OpQuit       = 0x07
	OpFlush      = 0x08
	OpGetQ       = 0x09
	OpNoop       = 0x0a
	OpVersion    = 0x0b
	OpGetK       = 0x0c
	OpGetKQ      = 0x0d
	OpAppend     = 0x0e
	OpPrepend    = 0x0f
	OpStat       = 0x10
	OpSetQ       = 0x11
	OpAddQ       = 0x12
	OpReplaceQ   = 0x13
	OpDeleteQ    = 0x14
	OpIncrementQ = 0x15
	OpDecrementQ = 0x16
	OpQuitQ      = 0x17
	OpFlushQ     = 0x18
	OpAppendQ    = 0x19
	OpPrependQ   = 0x1a
	OpTouch      = 0x1c
	OpGAT        = 0x1d
	OpGATQ       = 0x1e
	OpSASLList   = 0x20
	OpSASLAuth   = 0x21
	OpSASLStep   = 0x22
	OpGATK       = 0x23
	OpGATKQ      = 0x24
)

// The states of replies.
const (
	StatusOK         = 0x00
	StatusNotFound   = 0x01
	StatusExists     = 0x02
	StatusTooLarge   = 0x03
	StatusInvalid    = 0x04
	StatusNotStored  = 0x05
	StatusNonNumeric = 0x06
	StatusAuth       = 0x20
	StatusUnknown    = 0x81
	StatusNoMemory   = 0x82
	StatusInternal   = 0x84
	StatusBusy       = 0x85
	StatusTemporary  = 0x86
)

// texts of states, as clients log them.
var texts = map[uint16]string{StatusNotFound: "Not found", StatusExists: "Data exists for key.", StatusTooLarge: "Too large.", StatusInvalid: "Invalid arguments",
	StatusNotStored: "Not stored.", StatusNonNumeric: "Non-numeric server-side value for incr or decr", StatusAuth: "Auth failure.",
	StatusUnknown: "Unknown command", StatusNoMemory: "Out of memory"}

// AppendHead appends the head of the reply to the request with this head.
func AppendHead(b, request []byte, status uint16, extras, key, body int, unique uint64) []byte {
	b = append(b, 0x81, request[1], byte(key>>8), byte(key), byte(extras), 0)
	b = binary.BigEndian.AppendUint16(b, status)
	b = binary.BigEndian.AppendUint32(b, uint32(body))
	b = append(b, request[12:16]...)
	return binary.BigEndian.AppendUint64(b, unique)
}

// AppendError appends the reply to a request that failed; a text of "" is the state's.
func AppendError(b, request []byte, status uint16, text string) []byte {
	if text == "" {
		text = texts[status]
	}
	return append(AppendHead(b, request, status, 0, 0, len(text), 0), text...)
}

func op(head []byte) byte { return head[1] }

func compareOf(head []byte) uint64 { return binary.BigEndian.Uint64(head[16:]) }

// exptimeOf is an exptime of 32 bits, which has no sign here.
func exptimeOf(b []byte) int64 { return int64(binary.BigEndian.Uint32(b)) }

// binValue writes an item.
func binValue(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, head []byte, key, value bool) {
	id := unique(c, k, e)
	v := c.StringOf(e)
	nk, n := 0, 0
	if key {
		nk = len(k.B)
	}
	if value {
		n = v.Len()
	}
	b := AppendHead(c.W.Buf, head, StatusOK, 4, nk, 4+nk+n, id)
	b = binary.BigEndian.AppendUint32(b, e.Marks().Flags)
	if key {
		b = append(b, k.B...)
	}
	if value {
		b = appendValue(b, v)
	}
	c.W.Buf = b
}

// binMiss says that there is no item, unless the request is quiet.
func binMiss(c *command.Ctx, k *keyspace.Key, head []byte, quiet, key bool) {
	switch {
	case quiet:
	case key:
		c.W.Buf = append(AppendHead(c.W.Buf, head, StatusNotFound, 0, len(k.B), len(k.B), 0), k.B...)
	default:
		c.W.Buf = AppendError(c.W.Buf, head, StatusNotFound, "")
	}
}

func binGet(c *command.Ctx) {
	k, head := &c.Keys[0], c.Args[2]
	o := op(head)
	key := o == OpGetK || o == OpGetKQ
	c.Tally(cmdGet, 1)
	var e keyspace.Entry
	hit := find(c, k, &e)
	if noteGet(c, k.B, hit, &e); !hit {
		c.Tally(getMisses, 1)
		binMiss(c, k, head, o == OpGetQ || o == OpGetKQ, key)
		return
	}
	c.Tally(getHits, 1)
	binValue(c, k, &e, head, key, true)
}

func binTouch(c *command.Ctx) {
	k, head := &c.Keys[0], c.Args[2]
	o := op(head)
	key := o == OpGATK || o == OpGATKQ
	c.NoEffect()
	c.Tally(cmdTouch, 1)
	var e keyspace.Entry
	c.FindInto(k, &e)
	if e.Type() != types.TString {
		c.Tally(touchMisses, 1)
		binMiss(c, k, head, o == OpGATQ || o == OpGATKQ, key)
		return
	}
	c.Tally(touchHits, 1)
	if o != OpTouch {
		e.SetFetched()
	}
	binValue(c, k, &e, head, key, o != OpTouch)
	touchItem(c, k, deadlineOf(c, exptimeOf(head[HeadLen:])))
}

func binStore(c *command.Ctx) {
	k, value, head := &c.Keys[0], c.Args[2], c.Args[3]
	modes := map[byte]int{OpSet: modeSet, OpAdd: modeAdd, OpReplace: modeReplace, OpAppend: modeAppend, OpPrepend: modePrepend,
		OpSetQ: modeSet, OpAddQ: modeAdd, OpReplaceQ: modeReplace, OpAppendQ: modeAppend, OpPrependQ: modePrepend}
	o := op(head)
	quiet := o >= OpSetQ
	ch := change{mode: modes[o], value: value, compare: compareOf(head), number: !quiet, limit: itemLimit(c)}
	verb := ch.mode
	if ch.mode < modeAppend {
		ch.flags = binary.BigEndian.Uint32(head[HeadLen:])
		ch.deadline = deadlineOf(c, exptimeOf(head[HeadLen+4:]))
		if ch.compare != 0 {
			ch.mode = modeCas
			verb = modeCas
		}
	}
	status := uint16(StatusNotStored)
	switch ch.run(c, k) {
	case failed:
		return
	case stored:
		if !quiet {
			c.W.Buf = AppendHead(c.W.Buf, head, StatusOK, 0, 0, 0, ch.unique)
		}
		return
	case exists:
		status = StatusExists
	case notFound:
		status = StatusNotFound
	default:
		switch verb {
		case modeAdd:
			status = StatusExists
		case modeReplace:
			status = StatusNotFound
		}
	}
	c.W.Buf = AppendError(c.W.Buf, head, status, "")
}

// noInitial is the time of a count that is not to make an item.
const noInitial = 0xffffffff

func binIncr(c *command.Ctx) {
	k, head := &c.Keys[0], c.Args[2]
	o := op(head)
	quiet := o >= OpSetQ
	n := number{up: o == OpIncrement || o == OpIncrementQ, delta: binary.BigEndian.Uint64(head[HeadLen:]), compare: compareOf(head), number: !quiet}
	initial, exptime := binary.BigEndian.Uint64(head[HeadLen+8:]), exptimeOf(head[HeadLen+16:])
	status := uint16(StatusOK)
	switch n.run(c, k) {
	case failed:
		return
	case notFound:
		if exptime == noInitial {
			status = StatusNotFound
			break
		}
		n.value = initial
		n.put(c, k, deadlineOf(c, exptime), false, 0)
	case exists:
		status = StatusExists
	case nonNumeric:
		status = StatusNonNumeric
	}
	switch {
	case status != StatusOK:
		c.W.Buf = AppendError(c.W.Buf, head, status, "")
	case !quiet:
		c.W.Buf = binary.BigEndian.AppendUint64(AppendHead(c.W.Buf, head, StatusOK, 0, 0, 8, n.unique), n.value)
	}
}

func binDelete(c *command.Ctx) {
	k, head := &c.Keys[0], c.Args[2]
	c.NoEffect()
	noteDelete(c, k.B)
	e := c.Peek(k)
	switch compare := compareOf(head); {
	case !e.Exists():
		c.Tally(deleteMisses, 1)
		c.W.Buf = AppendError(c.W.Buf, head, StatusNotFound, "")
	case compare != 0 && e.Marks().Unique != compare:
		c.W.Buf = AppendError(c.W.Buf, head, StatusExists, "")
	default:
		c.Tally(deleteHits, 1)
		remove(c, k)
		if op(head) == OpDelete {
			c.W.Buf = AppendHead(c.W.Buf, head, StatusOK, 0, 0, 0, 0)
		}
	}
}
