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
//	if !c.LookupType(k, types.TList, &e) {
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

// Collection is a value that can be loaded over what the keyspace holds.
type Collection interface {
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
	Hash   types.Hash
	Set    setValues
	ZSet   zsetValues
	HLL    hllValues
	IDs    []stream.ID
	From   []ReadFrom // of XREAD
	Places []int      // of LPOS
	Name   []byte     // of SORT's patterns, as is
	Text   []byte     // the number that one means
}

// Values is the memory that the commands of an Exec work with, one after the other.
func (c *Ctx) Values() *values {
	if c.x == nil { // on a worker; see Apart
		return new(values)
	}
	return &c.x.values
}

// LookupType finds the value at a key as an access to it; it is false where
// something of another type is there, and that is replied.
func (c *Ctx) LookupType(k *keyspace.Key, t types.Type, e *keyspace.Entry) bool {
	c.LookupInto(k, e)
	if e.Exists() && e.Type() != t {
		c.Err(ErrWrongType)
		return false
	}
	return true
}

// Load loads v for reading, over the value of an entry, or empty.
func (c *Ctx) Load(e *keyspace.Entry, v Collection) {
	switch {
	case !e.Exists():
		v.Load(types.EncListpack, nil, nil)
	case e.Encoding().IsObject():
		v.Load(e.Encoding(), nil, e.Object())
	default:
		v.Load(e.Encoding(), e.Packed(), nil)
	}
}

// ReadList loads the list at a key for reading: nil, true where there is none; nil,
// false where something of another type is there, and that is replied.
func (c *Ctx) ReadList(k *keyspace.Key) (*types.List, bool) {
	var e keyspace.Entry
	if ok := c.LookupType(k, types.TList, &e); !ok || !e.Exists() {
		return nil, ok
	}
	l := c.ScratchList()
	c.Load(&e, l)
	return l, true
}

// ReadSet is ReadList for a set.
func (c *Ctx) ReadSet(k *keyspace.Key) (*types.Set, bool) {
	var e keyspace.Entry
	if ok := c.LookupType(k, types.TSet, &e); !ok || !e.Exists() {
		return nil, ok
	}
	s := c.ScratchSet()
	c.Load(&e, s)
	return s, true
}

// ReadZSet is ReadList for a sorted set.
func (c *Ctx) ReadZSet(k *keyspace.Key) (*types.SortedSet, bool) {
	var e keyspace.Entry
	if ok := c.LookupType(k, types.TZSet, &e); !ok || !e.Exists() {
		return nil, ok
	}
	z := c.ScratchZSet()
	c.Load(&e, z)
	return z, true
}

// ErrBeyondLong is said of the one integer that has no opposite.
const ErrBeyondLong = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"

// Editing is what a key held when a collection was loaded to be changed.
type Editing struct {
	old   bool // there was a value
	Obj   types.Object
	bytes int64 // of obj, as the keyspace has noted them
}

// Open loads v for changes, over the value of an entry, or empty.
func (c *Ctx) Open(k *keyspace.Key, e *keyspace.Entry, v Collection) Editing {
	was := Editing{old: e.Exists()}
	switch {
	case !was.old:
		v.Load(types.EncListpack, nil, nil)
	case e.Encoding().IsObject():
		was.Obj = c.WritableObject(k, e)
		was.bytes = was.Obj.Bytes()
		v.Load(e.Encoding(), nil, was.Obj)
	default:
		v.Load(e.Encoding(), c.Writable(k, e), nil)
	}
	return was
}

// Store keeps what edit loaded and the command changed; empty says that nothing
// is left in v. A new key has no deadline, an old one keeps its own.
func (c *Ctx) Store(k *keyspace.Key, was Editing, v Collection, t types.Type, empty bool) {
	if was.Obj != nil {
		c.Grew(k, was.Obj.Bytes()-was.bytes)
	}
	switch enc, packed, obj := v.Stored(); {
	case empty:
		if was.old {
			c.Delete(k)
		}
	case !was.old:
		c.create(k, t, enc, packed, obj)
	case obj == nil || obj != was.Obj:
		c.Edit(k, enc, packed, obj)
	default:
		c.Changed(k)
	}
}

// Unchanged ends what edit began where the value of v is what it was. Its form may
// be another one.
func (c *Ctx) Unchanged(k *keyspace.Key, was Editing, v Collection) {
	if was.Obj != nil {
		c.Grew(k, was.Obj.Bytes()-was.bytes)
	} else if enc, _, obj := v.Stored(); obj != nil && was.old {
		c.Recode(k, enc, nil, obj)
	}
}

// Replace sets a key to v, whatever was there; v is not empty.
func (c *Ctx) Replace(k *keyspace.Key, v Collection, t types.Type) {
	enc, packed, obj := v.Stored()
	c.NoteReplaced(k, t)
	c.create(k, t, enc, packed, obj)
}

func (c *Ctx) create(k *keyspace.Key, t types.Type, enc types.Encoding, packed []byte, obj types.Object) {
	if obj != nil {
		c.PutObject(k, t, enc, obj, 0)
	} else {
		c.Put(k, t, enc, packed, 0)
	}
}

// ReadyIfWaited is called where a key has come to hold another value than by
// the commands of its type (RENAME, MOVE, COPY, RESTORE, SORT STORE): a client
// may be blocked for just that type.
func (c *Ctx) ReadyIfWaited(k *keyspace.Key, t types.Type) { c.ReadyIfWaitedIn(c.DB(), k, t) }

// ReadyIfWaitedIn is ReadyIfWaited for another database.
func (c *Ctx) ReadyIfWaitedIn(db int, k *keyspace.Key, t types.Type) {
	if types.Kinds[t].Waited {
		c.ReadyIn(db, k)
	}
}

// Reads of more than so many elements, or so many bytes, of an Object go to
// the background: they would hold a stripe and a loop for too long.
const (
	LongRead      = 10_000
	LongReadBytes = 1 << 20
)

// TryFirst is how many steps of what may take long, but often does not (an
// intersection of big sets is counted up to a LIMIT), are tried at once: 0.1 ms,
// or 0.4 where nothing is in the processor's cache. If they do not suffice, the
// background begins anew.
const TryFirst = 1000

// ListScratchMax is the most memory that is kept for moving elements.
const ListScratchMax = 64 << 10

// WriteElem replies with an element as a bulk.
func WriteElem(w *wire.Writer, e types.Elem) {
	if e.IsInt() {
		w.BulkInt(e.I)
	} else {
		w.Bulk(e.S)
	}
}

// ScratchListAt is one of two lists that are used again and again.
func (c *Ctx) ScratchListAt(i int) *types.List {
	l := &c.Values().list[i]
	l.Limits.MaxSize = int(c.S.Config.ListMaxListpackSize.Load())
	return l
}

// ScratchList is the first of them.
func (c *Ctx) ScratchList() *types.List { return c.ScratchListAt(0) }

// SetLimits says up to where a set is packed, by the configuration.
func (c *Ctx) SetLimits() types.SetLimits {
	return types.SetLimits{
		MaxIntset:          int(c.S.Config.SetMaxIntsetEntries.Load()),
		MaxListpackEntries: int(c.S.Config.SetMaxListpackEntries.Load()),
		MaxListpackValue:   int(c.S.Config.SetMaxListpackValue.Load()),
	}
}

// ScratchSet is the set that is used again and again.
func (c *Ctx) ScratchSet() *types.Set {
	s := &c.Values().Set.set
	s.Limits = c.SetLimits()
	return s
}

// ZSetLimits says up to where a sorted set is packed, by the configuration.
func (c *Ctx) ZSetLimits() types.ZSetLimits {
	return types.ZSetLimits{
		MaxListpackEntries: int(c.S.Config.ZSetMaxListpackEntries.Load()),
		MaxListpackValue:   int(c.S.Config.ZSetMaxListpackValue.Load()),
	}
}

// ScratchZSet is the sorted set that is used again and again.
func (c *Ctx) ScratchZSet() *types.SortedSet {
	z := &c.Values().ZSet.set
	z.Limits = c.ZSetLimits()
	return z
}
