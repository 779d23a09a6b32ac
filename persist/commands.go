package persist

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"kvd/persist/rdb"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/array"
	"kvd/types/stream"
)

// The base of a log may be commands instead of a snapshot
// (aof-use-rdb-preamble no): SELECT, then for each key SET, RPUSH, SADD, HSET or
// ZADD, and PEXPIREAT; for streams see commands_stream.go; HPEXPIREAT for fields, which have no form that Redis 7.0
// knows.

// commandItems is how many elements one command of a base adds at most, as in
// Redis (AOF_REWRITE_ITEMS_PER_CMD).
const commandItems = 64

// spillCommands is how long the text of a key gets before it is handed on.
const spillCommands = 64 << 10

// commander writes values as commands.
type commander struct {
	w     wire.Writer
	num   []byte
	spill func(b []byte) []byte // as rdb.Encoder's; nil keeps all
	list  types.List
	set   types.Set
	hash  types.Hash
	zset  types.SortedSet
}

// value appends the commands that make a key.
func (c *commander) value(dst, key []byte, typ types.Type, enc types.Encoding, packed []byte, obj types.Object, deadline int64, flags uint32) []byte {
	w := &c.w
	w.Buf = dst
	switch typ {
	case types.TString:
		c.string(key, enc, packed, obj)
	case types.TList:
		c.list.Load(enc, packed, obj)
		left, room := c.list.Len(), 0
		c.list.Each(func(e types.Elem) bool {
			c.batch("RPUSH", key, 1, &left, &room)
			c.elem(e)
			return true
		})
	case types.TSet:
		c.set.Load(enc, packed, obj)
		left, room := c.set.Len(), 0
		c.set.Each(func(e types.Elem) bool {
			c.batch("SADD", key, 1, &left, &room)
			c.elem(e)
			return true
		})
	case types.TZSet:
		c.zset.Load(enc, packed, obj)
		left, room := c.zset.Len(), 0
		c.zset.Each(func(m []byte, score float64) bool {
			c.batch("ZADD", key, 2, &left, &room)
			c.num = wire.AppendFloat(c.num[:0], score)
			w.Bulk(c.num)
			w.Bulk(m)
			return true
		})
	case types.THash:
		c.hash.Load(enc, packed, obj)
		left, room := c.hash.Len(0), 0
		c.hash.Each(0, func(f, v types.Elem, _ int64) bool {
			c.batch("HSET", key, 2, &left, &room)
			c.elem(f)
			c.elem(v)
			return true
		})
		if c.hash.NextDeadline() == 0 {
			break
		}
		c.hash.Each(0, func(f, _ types.Elem, deadline int64) bool {
			if deadline != 0 {
				c.flush()
				w.Array(6)
				w.BulkString("HPEXPIREAT")
				w.Bulk(key)
				w.BulkInt(deadline)
				w.BulkString("FIELDS")
				w.BulkString("1")
				c.elem(f)
			}
			return true
		})
	case types.TStream:
		c.stream(key, obj.(*stream.Stream))
	case types.TArray:
		a := obj.(*array.Array)
		left, room := a.Count(), 0
		for it := a.Seek(0); it.Next(); {
			c.batch("ARMSET", key, 2, &left, &room)
			c.num = strconv.AppendUint(c.num[:0], it.Index, 10)
			w.Bulk(c.num)
			c.elem(it.Elem)
		}
		if a.Next() != 0 {
			c.flush()
			w.Array(3)
			w.BulkString("ARSEEK")
			w.Bulk(key)
			w.BulkString(strconv.FormatUint(a.Next(), 10))
		}
	default:
		w.Array(4)
		w.BulkString("RESTORE")
		w.Bulk(key)
		w.BulkString("0")
		w.Bulk(rdb.AppendDump(nil, false, typ, enc, packed, obj))
	}
	if flags != 0 { // as command.FlagsEffect has it
		w.Array(2)
		w.BulkString("PING")
		w.Bulk(fmt.Appendf(nil, "kvd:mc %d %s", flags, key))
	}
	if deadline != 0 {
		w.Array(3)
		w.BulkString("PEXPIREAT")
		w.Bulk(key)
		w.BulkInt(deadline)
	}
	dst, w.Buf = w.Buf, nil
	return dst
}

// batch begins a command if the one before is full. Each of the left elements
// is so many arguments.
func (c *commander) batch(name string, key []byte, args int, left, room *int) {
	if *room == 0 {
		c.flush()
		*room = min(*left, commandItems)
		c.w.Array(2 + *room*args)
		c.w.BulkString(name)
		c.w.Bulk(key)
	}
	*room--
	*left--
}

func (c *commander) elem(e types.Elem) {
	c.num = e.Append(c.num[:0])
	c.w.Bulk(c.num)
}

func (c *commander) flush() {
	if c.spill != nil && len(c.w.Buf) >= spillCommands {
		c.w.Buf = c.spill(c.w.Buf)
	}
}

func (c *commander) string(key []byte, enc types.Encoding, packed []byte, obj types.Object) {
	w := &c.w
	w.Array(3)
	w.BulkString("SET")
	w.Bulk(key)
	switch enc {
	case types.EncInt:
		w.BulkInt(int64(binary.LittleEndian.Uint64(packed)))
	case types.EncChunked:
		s := obj.(*types.BigString)
		w.Buf = append(w.Buf, '$')
		w.Buf = append(w.Buf, number(int64(s.Len()))...)
		w.Buf = append(w.Buf, "\r\n"...)
		for off := 0; off < s.Len(); {
			p := s.Chunk(off)
			w.Buf = append(w.Buf, p...)
			off += len(p)
			c.flush()
		}
		w.Buf = append(w.Buf, "\r\n"...)
	default:
		w.Bulk(packed)
	}
}
