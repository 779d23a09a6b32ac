package command

import (
	"kvd/keyspace"
	"kvd/types"
)

// Values on their way from one key to another.

// Taken is a value on its way from one key to another.
type Taken struct {
	Typ      types.Type
	Enc      types.Encoding
	Packed   []byte
	Obj      types.Object
	Deadline int64
	Clock    uint32
	Flags    uint32 // see keyspace.Marks
}

// Detach takes the value from a key, which is gone then.
func Detach(t *keyspace.Tx, k *keyspace.Key) (v Taken) {
	v.Typ, v.Enc, v.Packed, v.Obj, v.Deadline, v.Clock, v.Flags = t.Detach(k)
	return v
}

// Put gives a value to a key, whatever was there, with its deadline.
func (v *Taken) Put(t *keyspace.Tx, k *keyspace.Key) {
	t.Delete(k) // so that the key is a new one, as those who listen know it from Redis
	if v.Obj != nil {
		t.PutObject(k, v.Typ, v.Enc, v.Obj, v.Deadline)
	} else {
		t.Put(k, v.Typ, v.Enc, v.Packed, v.Deadline)
	}
	if v.Flags != 0 {
		t.SetFlags(k, v.Flags)
	}
}

// SetClock gives an entry, if it is there, an access clock.
func SetClock(t *keyspace.Tx, k *keyspace.Key, clock uint32) {
	if e := t.Peek(k); e.Exists() {
		e.SetClock(clock)
	}
}
