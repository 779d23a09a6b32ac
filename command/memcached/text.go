package memcached

import (
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/types"
)

// The text protocol. Numbers among the arguments were checked by the session.

func get(numbered bool) func(c *command.Ctx) {
	return func(c *command.Ctx) {
		var e keyspace.Entry
		hits := 0
		for i := range c.Keys {
			k := &c.Keys[i]
			hit := find(c, k, &e)
			if noteGet(c, k.B, hit, &e); hit {
				hits++
				value(c, k, &e, numbered)
			}
		}
		c.Tally(cmdGet, int64(len(c.Keys)))
		if hits > 0 {
			c.Tally(getHits, int64(hits))
		}
		if hits < len(c.Keys) {
			c.Tally(getMisses, int64(len(c.Keys)-hits))
		}
		c.W.Buf = append(c.W.Buf, "END\r\n"...)
	}
}

// value writes an item as get does.
func value(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, numbered bool) {
	var id uint64
	if numbered {
		id = unique(c, k, e)
	}
	v := c.StringOf(e)
	b := append(append(c.W.Buf, "VALUE "...), k.B...)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(e.Marks().Flags), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(v.Len()), 10)
	if numbered {
		b = strconv.AppendUint(append(b, ' '), id, 10)
	}
	b = append(b, '\r', '\n')
	c.W.Buf = append(appendValue(b, v), '\r', '\n')
}

// appendValue appends the bytes of a string.
func appendValue(b []byte, v command.StringValue) []byte {
	if v.Big != nil {
		return v.Big.AppendRange(b, 0, v.Big.Len())
	}
	return append(b, v.B...)
}

func gat(numbered bool) func(c *command.Ctx) {
	return func(c *command.Ctx) {
		exptime, _ := ParseInt(c.Args[len(c.Args)-1])
		deadline := deadlineOf(c, exptime)
		c.NoEffect()
		var e keyspace.Entry
		for i := range c.Keys {
			k := &c.Keys[i]
			c.Tally(cmdTouch, 1)
			hit := find(c, k, &e)
			if noteGet(c, k.B, hit, &e); !hit {
				c.Tally(touchMisses, 1)
				continue
			}
			c.Tally(touchHits, 1)
			value(c, k, &e, numbered)
			touchItem(c, k, deadline)
		}
		c.W.Buf = append(c.W.Buf, "END\r\n"...)
	}
}

// replies are the text protocol's.
var replies = [...]string{stored: "STORED\r\n", notStored: "NOT_STORED\r\n", exists: "EXISTS\r\n", notFound: "NOT_FOUND\r\n"}

func reply(c *command.Ctx, res result) {
	if res != failed {
		c.W.Buf = append(c.W.Buf, replies[res]...)
	}
}

func put(mode int) func(c *command.Ctx) {
	return func(c *command.Ctx) {
		flags, _ := ParseUint(c.Args[2], 32)
		exptime, _ := ParseInt(c.Args[3])
		ch := change{mode: mode, value: c.Args[4], flags: uint32(flags), deadline: deadlineOf(c, exptime), limit: itemLimit(c)}
		if mode == modeCas {
			ch.compare, _ = ParseUint(c.Args[5], 64)
		}
		reply(c, ch.run(c, &c.Keys[0]))
	}
}

// itemLimit is memcached-item-size-max.
func itemLimit(c *command.Ctx) int64 { return c.S.Config.MemcachedItemSizeMax.Load() }

func incr(up bool) func(c *command.Ctx) {
	return func(c *command.Ctx) {
		n := number{up: up}
		n.delta, _ = ParseUint(c.Args[2], 64)
		switch res := n.run(c, &c.Keys[0]); res {
		case stored:
			c.W.Buf = append(strconv.AppendUint(c.W.Buf, n.value, 10), '\r', '\n')
		case nonNumeric:
			c.W.Buf = append(c.W.Buf, nonNumericText...)
		default:
			reply(c, res)
		}
	}
}

const nonNumericText = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"

func del(c *command.Ctx) {
	k := &c.Keys[0]
	c.NoEffect()
	noteDelete(c, k.B)
	e := c.Peek(k)
	if !e.Exists() {
		c.Tally(deleteMisses, 1)
		c.W.Buf = append(c.W.Buf, "NOT_FOUND\r\n"...)
		return
	}
	c.Tally(deleteHits, 1)
	remove(c, k)
	c.W.Buf = append(c.W.Buf, "DELETED\r\n"...)
}

func touch(c *command.Ctx) {
	k := &c.Keys[0]
	exptime, _ := ParseInt(c.Args[2])
	c.NoEffect()
	c.Tally(cmdTouch, 1)
	e := c.Find(k)
	if e.Type() != types.TString {
		c.Tally(touchMisses, 1)
		c.W.Buf = append(c.W.Buf, "NOT_FOUND\r\n"...)
		return
	}
	c.Tally(touchHits, 1)
	touchItem(c, k, deadlineOf(c, exptime))
	c.W.Buf = append(c.W.Buf, "TOUCHED\r\n"...)
}

var wordFlushDB = []byte("FLUSHDB")

func flushAll(c *command.Ctx) {
	c.Tally(cmdFlush, 1)
	c.Flush()
	c.Dirty++
	c.Effect(wordFlushDB)
	c.W.Buf = append(c.W.Buf, "OK\r\n"...)
}
