package memcached

import (
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/types"
)

// Items: strings with the marks of a cache's client.

// KeyMax is the longest key of an item, in bytes.
const KeyMax = 250

// itemOverhead is what memcached counts for an item beside key and value: its head, its
// number, the end of the key, and CR LF of the value. The item size limit is of all.
const itemOverhead = 48 + 8 + 1 + 2

// TooLarge tells whether an item is above the limit, in bytes. Both lengths are in bytes.
func TooLarge(key, value int, flags uint32, limit int64) bool {
	n := int64(itemOverhead) + int64(key) + int64(value)
	if flags != 0 {
		n += 4
	}
	return n > limit
}

// maxDelta is up to which number of seconds a time is one from now on: 30 days.
const maxDelta = 60 * 60 * 24 * 30

// expired stands for a deadline that has passed.
const expired = -1

// deadlineOf is the deadline that an exptime means, in Unix milliseconds. It is 0 if there is none.
func deadlineOf(c *command.Ctx, exptime int64) int64 {
	switch {
	case exptime == 0:
		return 0
	case exptime < 0:
		return expired
	case exptime <= maxDelta:
		return c.Now + exptime*1000
	}
	if exptime*1000 <= c.Now {
		return expired
	}
	return exptime * 1000
}

// left is the number of seconds that a deadline is away, -1 for none.
func left(c *command.Ctx, deadline int64) int64 {
	if deadline == 0 {
		return -1
	}
	return max(0, (deadline-c.Now+999)/1000)
}

// find looks an item up as a client does who asks for it. A key of another type is no item.
func find(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry) bool {
	c.LookupInto(k, e)
	if e.Type() != types.TString {
		return false
	}
	e.SetFetched()
	return true
}

// unique is the number of an item's version: it gets one if it has none.
func unique(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry) uint64 {
	m := e.Marks()
	if m.Unique == 0 {
		m.Unique = c.Keyspace().NextUnique()
		c.SetMarks(k, e, m)
	}
	return m.Unique
}

// touchItem gives an item another deadline.
func touchItem(c *command.Ctx, k *keyspace.Key, deadline int64) {
	if deadline == expired {
		c.Delete(k)
		c.Dirty++
		c.Notify('g', "del", k)
		c.Effect(command.WordDel, k.B)
		return
	}
	if e := c.Peek(k); e.Deadline() == deadline {
		return
	}
	c.SetDeadline(k, deadline)
	c.Dirty++
	if deadline == 0 {
		c.Notify('g', "persist", k)
		c.Effect(command.WordPersist, k.B)
		return
	}
	c.Notify('g', "expire", k)
	if c.Journaling() {
		c.Effect(command.WordPExpireAt, k.B, command.IntArg(deadline))
	}
}

// remove deletes an item.
func remove(c *command.Ctx, k *keyspace.Key) {
	c.Delete(k)
	c.Dirty++
	c.Notify('g', "del", k)
	c.Effect(command.WordDel, k.B)
}

// write sets an item as a whole. keep: the deadline is the one that it has.
func write(c *command.Ctx, k *keyspace.Key, value []byte, deadline int64, keep bool, m keyspace.Marks) {
	if deadline == expired {
		c.NoEffect()
		if e := c.Peek(k); e.Exists() {
			remove(c, k)
		}
		return
	}
	c.PutMarkedString(k, value, deadline, &m)
	c.Dirty++
	c.Tally(totalItems, 1)
	c.Notify('$', "set", k)
	if deadline != 0 && !keep {
		c.Notify('g', "expire", k)
	}
	if !c.Journaling() {
		c.NoEffect()
		return
	}
	switch {
	case keep:
		c.Effect(command.WordSet, k.B, value, command.WordKeepTTL)
	case deadline != 0:
		c.Effect(command.WordSet, k.B, value, command.WordPXAT, command.IntArg(deadline))
	default:
		c.Effect(command.WordSet, k.B, value)
	}
	c.FlagsEffect(k, m.Flags)
}

// The modes of storing.
const (
	modeSet = iota
	modeAdd
	modeReplace
	modeAppend
	modePrepend
	modeCas
)

// result says how a change of an item went.
type result int

const (
	stored result = iota
	notStored
	exists
	notFound
	nonNumeric
	failed // an error is replied already
)

// change is a request to store a value.
type change struct {
	mode     int
	value    []byte
	flags    uint32
	deadline int64 // see deadlineOf
	// compare is the number that the item must have, 0: any. older: where its own is
	// higher, the value is stored all the same, and marked as stale.
	compare uint64
	older   bool
	// give is the number that the item gets, 0: the next one if number is set.
	give   uint64
	number bool
	// vivify: append and prepend make the item if there is none.
	vivify bool

	limit int64 // of an item's size, in bytes

	unique uint64 // the number that the item has got, 0: none
}

func (ch *change) run(c *command.Ctx, k *keyspace.Key) result {
	c.Tally(cmdSet, 1)
	noteSet(c, k.B)
	c.NoEffect()
	e := c.Peek(k)
	var res result
	if e.Exists() {
		res = ch.over(c, k, &e)
	} else {
		res = ch.anew(c, k)
	}
	if res != failed && c.S.Watched(command.WatchMutations) {
		ch.tell(c, k.B, res)
	}
	return res
}

// marks are those of what is stored.
func (ch *change) marks(c *command.Ctx, flags uint32) keyspace.Marks {
	m := keyspace.Marks{Flags: flags, Unique: ch.give}
	if m.Unique == 0 && ch.number {
		m.Unique = c.Keyspace().NextUnique()
	}
	ch.unique = m.Unique
	return m
}

// anew stores where there is nothing.
func (ch *change) anew(c *command.Ctx, k *keyspace.Key) result {
	switch ch.mode {
	case modeSet, modeAdd:
	case modeAppend, modePrepend:
		if !ch.vivify {
			return notStored
		}
	case modeCas:
		c.Tally(casMisses, 1)
		return notFound
	default:
		return notStored
	}
	write(c, k, ch.value, ch.deadline, false, ch.marks(c, ch.flags))
	return stored
}

// over stores over e.
func (ch *change) over(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry) result {
	old := e.Marks()
	matches, stale := true, false
	if ch.compare != 0 {
		matches = e.Type() == types.TString && old.Unique == ch.compare
		last := old.Unique
		if last == 0 { // nobody has asked for the number of this version: it would be the next one
			last = c.Keyspace().NextUnique()
		}
		stale = !matches && ch.older && ch.compare < last
	}
	switch ch.mode {
	case modeAdd:
		if e.Type() == types.TString {
			c.Find(k) // it counts as used
		}
		return notStored
	case modeAppend, modePrepend:
		if e.Type() != types.TString {
			c.Err(command.ErrWrongType)
			return failed
		}
		if !matches {
			return exists
		}
		return ch.join(c, k, e, old)
	case modeCas:
		if stale {
			c.Tally(casHits, 1)
			m := ch.marks(c, ch.flags)
			m.Stale, m.Sent = true, old.Sent
			deadline := e.Deadline()
			write(c, k, ch.value, deadline, true, m)
			return stored
		}
		if ch.compare == 0 || !matches {
			c.Tally(casBadval, 1)
			return exists
		}
		c.Tally(casHits, 1)
	}
	write(c, k, ch.value, ch.deadline, false, ch.marks(c, ch.flags))
	return stored
}

// join appends or prepends. Flags and deadline stay.
func (ch *change) join(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, old keyspace.Marks) result {
	v := c.StringOf(e)
	n := v.Len()
	if TooLarge(len(k.B), n+len(ch.value), old.Flags, ch.limit) {
		return notStored
	}
	if ch.mode == modeAppend {
		c.WriteString(k, e, n, ch.value)
		c.Dirty++
		c.Notify('$', "append", k)
		if c.Journaling() {
			c.Effect(wordAppend, k.B, ch.value)
		}
		m := ch.marks(c, old.Flags)
		if m.Unique != 0 {
			now := c.Peek(k)
			c.SetMarks(k, &now, m)
		}
		return stored
	}
	whole := append(append(make([]byte, 0, n+len(ch.value)), ch.value...), v.Bytes()...)
	write(c, k, whole, e.Deadline(), true, ch.marks(c, old.Flags))
	return stored
}

var wordAppend = []byte("APPEND")

// number is a request to count up or down.
type number struct {
	up      bool
	delta   uint64
	compare uint64 // see change
	give    uint64
	number  bool

	value  uint64 // the result
	unique uint64
}

// run counts; notFound, exists (another number) and nonNumeric change nothing.
func (n *number) run(c *command.Ctx, k *keyspace.Key) result {
	hits, misses := incrHits, incrMisses
	if !n.up {
		hits, misses = decrHits, decrMisses
	}
	c.NoEffect()
	e := c.Find(k)
	switch {
	case !e.Exists():
		c.Tally(misses, 1)
		return notFound
	case e.Type() != types.TString:
		c.Err(command.ErrWrongType)
		return failed
	}
	m := e.Marks()
	v := c.StringOf(&e)
	if v.Big != nil || len(v.B) == 0 {
		return nonNumeric
	}
	if n.compare != 0 && m.Unique != n.compare {
		return exists
	}
	value, ok := parseUint(v.B)
	if !ok {
		return nonNumeric
	}
	c.Tally(hits, 1)
	switch {
	case n.up:
		value += n.delta
	case n.delta > value:
		value = 0
	default:
		value -= n.delta
	}
	n.value = value
	n.put(c, k, e.Deadline(), true, m.Flags)
	return stored
}

// put writes the number. It is what INCR leaves, so Redis's commands count on.
func (n *number) put(c *command.Ctx, k *keyspace.Key, deadline int64, keep bool, flags uint32) {
	m := keyspace.Marks{Flags: flags, Unique: n.give}
	if m.Unique == 0 && n.number {
		m.Unique = c.Keyspace().NextUnique()
	}
	n.unique = m.Unique
	var room [20]byte
	text := strconv.AppendUint(room[:0], n.value, 10)
	if c.Journaling() {
		text = append([]byte(nil), text...) // the effect keeps it until the command has ended
	}
	write(c, k, text, deadline, keep, m)
}

// parseUint reads a number as memcached does: blanks and a sign before it, and anything
// behind a blank, do not matter.
func parseUint(b []byte) (n uint64, ok bool) {
	for len(b) > 0 && (b[0] == ' ' || b[0] >= '\t' && b[0] <= '\r') {
		b = b[1:]
	}
	if len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	i := 0
	for ; i < len(b) && b[i]-'0' < 10; i++ {
		d := uint64(b[i] - '0')
		if n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if i == 0 || i < len(b) && b[i] != ' ' && (b[i] < '\t' || b[i] > '\r') {
		return 0, false
	}
	return n, true
}

// ParseUint reads an unsigned number of at most bits bits as memcached does.
func ParseUint(b []byte, bits int) (uint64, bool) {
	n, ok := parseUint(b)
	return n, ok && (bits == 64 || n>>bits == 0)
}

// ParseInt reads a number of 32 bits, with its sign.
func ParseInt(b []byte) (int64, bool) {
	minus := len(b) > 1 && b[0] == '-' && b[1]-'0' < 10
	if minus {
		b = b[1:]
	}
	n, ok := parseUint(b)
	if !ok || n > 1<<63-1 {
		return 0, false
	}
	v := int64(n)
	if minus {
		v = -v
	}
	return int64(int32(v)), true // what does not fit is cut, as memcached does
}
