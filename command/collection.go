package command

import (
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/stream"
)

// What lists, sets, hashes and sorted sets have in common: the keyspace holds
// them as packed bytes or as an Object, and a command works on a value that is
// loaded over either. To read:
//
//	var e keyspace.Entry
//	if !c.findType(k, types.TList, &e) {
//		return
//	}
//	c.load(&e, l)
//
// and to change, creating the key where there is none and deleting it where
// nothing is left:
//
//	was := c.edit(k, &e, l)
//	... change l ...
//	c.store(k, was, l, types.TList, l.Len() == 0)
//
// or, where nothing of l has changed after all, so that nobody is told of a change:
//
//	c.unchanged(k, was, l)
//
// Between edit and store nothing else may change the same key.

// collection is a value that can be loaded over what the keyspace holds.
type collection interface {
	// Load takes packed bytes, which may be changed within their capacity, or
	// an Object; nil for both is a new, empty value.
	Load(enc types.Encoding, packed []byte, obj types.Object)
	// Stored is what is to be kept.
	Stored() (types.Encoding, []byte, types.Object)
}

// values are collections that an Exec uses again and again, so that commands
// need not allocate them.
type values struct {
	list   [2]types.List
	hash   types.Hash
	set    setValues
	zset   zsetValues
	hll    hllValues
	ids    []stream.ID
	wanted []wanted // of XREAD
	places []int    // of LPOS
	name   []byte   // of SORT's patterns, as is
	text   []byte   // the number that one means
}

// values is the memory that the commands of an Exec work with, one after the other.
func (c *Ctx) values() *values { return &c.x.values }

// findType finds the value at a key as an access to it; it is false where
// something of another type is there, and that is replied.
func (c *Ctx) findType(k *keyspace.Key, t types.Type, e *keyspace.Entry) bool {
	c.LookupInto(k, e)
	if e.Exists() && e.Type() != t {
		c.Err(errWrongType)
		return false
	}
	return true
}

// load loads v for reading, over the value of an entry, or empty.
func (c *Ctx) load(e *keyspace.Entry, v collection) {
	switch {
	case !e.Exists():
		v.Load(types.EncListpack, nil, nil)
	case e.Encoding().IsObject():
		v.Load(e.Encoding(), nil, e.Object())
	default:
		v.Load(e.Encoding(), e.Packed(), nil)
	}
}

// readList loads the list at a key for reading: nil, true where there is none; nil,
// false where something of another type is there, and that is replied.
func (c *Ctx) readList(k *keyspace.Key) (*types.List, bool) {
	var e keyspace.Entry
	if ok := c.findType(k, types.TList, &e); !ok || !e.Exists() {
		return nil, ok
	}
	l := c.list()
	c.load(&e, l)
	return l, true
}

// readSet is readList for a set.
func (c *Ctx) readSet(k *keyspace.Key) (*types.Set, bool) {
	var e keyspace.Entry
	if ok := c.findType(k, types.TSet, &e); !ok || !e.Exists() {
		return nil, ok
	}
	s := c.set()
	c.load(&e, s)
	return s, true
}

// readZSet is readList for a sorted set.
func (c *Ctx) readZSet(k *keyspace.Key) (*types.SortedSet, bool) {
	var e keyspace.Entry
	if ok := c.findType(k, types.TZSet, &e); !ok || !e.Exists() {
		return nil, ok
	}
	z := c.zset()
	c.load(&e, z)
	return z, true
}

// errBeyondLong is said of the one integer that has no opposite.
const errBeyondLong = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"

// editing is what a key held when a collection was loaded to be changed.
type editing struct {
	old   bool // there was a value
	obj   types.Object
	bytes int64 // of obj, as the keyspace has noted them
}

// edit loads v for changes, over the value of an entry, or empty.
func (c *Ctx) edit(k *keyspace.Key, e *keyspace.Entry, v collection) editing {
	was := editing{old: e.Exists()}
	switch {
	case !was.old:
		v.Load(types.EncListpack, nil, nil)
	case e.Encoding().IsObject():
		was.obj = c.WritableObject(k, e)
		was.bytes = was.obj.Bytes()
		v.Load(e.Encoding(), nil, was.obj)
	default:
		v.Load(e.Encoding(), c.Writable(k, e), nil)
	}
	return was
}

// store keeps what edit loaded and the command changed; empty says that nothing
// is left in v. A new key has no deadline, an old one keeps its own.
func (c *Ctx) store(k *keyspace.Key, was editing, v collection, t types.Type, empty bool) {
	if was.obj != nil {
		c.Grew(k, was.obj.Bytes()-was.bytes)
	}
	switch enc, packed, obj := v.Stored(); {
	case empty:
		if was.old {
			c.Delete(k)
		}
	case !was.old:
		c.create(k, t, enc, packed, obj)
	case obj == nil || obj != was.obj:
		c.Edit(k, enc, packed, obj)
	default:
		c.Changed(k)
	}
}

// unchanged ends what edit began where the value of v is what it was. Its form may
// be another one.
func (c *Ctx) unchanged(k *keyspace.Key, was editing, v collection) {
	if was.obj != nil {
		c.Grew(k, was.obj.Bytes()-was.bytes)
	} else if enc, _, obj := v.Stored(); obj != nil && was.old {
		c.Recode(k, enc, nil, obj)
	}
}

// replace sets a key to v, whatever was there; v is not empty.
func (c *Ctx) replace(k *keyspace.Key, v collection, t types.Type) {
	enc, packed, obj := v.Stored()
	c.create(k, t, enc, packed, obj)
}

func (c *Ctx) create(k *keyspace.Key, t types.Type, enc types.Encoding, packed []byte, obj types.Object) {
	if obj != nil {
		c.PutObject(k, t, enc, obj, 0)
	} else {
		c.Put(k, t, enc, packed, 0)
	}
}

// readyIfWaited is called where a key has come to hold another value than by
// the commands of its type (RENAME, MOVE, COPY, RESTORE, SORT STORE): a client
// may be blocked for just that type.
func (c *Ctx) readyIfWaited(k *keyspace.Key, t types.Type) { c.readyIfWaitedIn(c.DB(), k, t) }

// readyIfWaitedIn is readyIfWaited for another database.
func (c *Ctx) readyIfWaitedIn(db int, k *keyspace.Key, t types.Type) {
	switch t {
	case types.TList, types.TZSet, types.TStream:
		c.ReadyIn(db, k)
	}
}

// Reads of more than so many elements, or so many bytes, of an Object go to
// the background: they would hold a stripe and a loop for too long.
const (
	longRead      = 10_000
	longReadBytes = 1 << 20
)

// tryFirst is how many steps of what may take long, but often does not (an
// intersection of big sets is counted up to a LIMIT), are tried at once: 0.1 ms,
// or 0.4 where nothing is in the processor's cache. If they do not suffice, the
// background begins anew.
const tryFirst = 1000

// listScratchMax is the most memory that is kept for moving elements.
const listScratchMax = 64 << 10

// writeElem replies with an element as a bulk.
func writeElem(w *wire.Writer, e types.Elem) {
	if e.IsInt() {
		w.BulkInt(e.I)
	} else {
		w.Bulk(e.S)
	}
}
