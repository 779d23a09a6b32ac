package command

import (
	"kvd/keyspace"
	"kvd/types"
)

// Values on their way from one key to another.

// taken is a value on its way from one key to another.
type taken struct {
	typ      types.Type
	enc      types.Encoding
	packed   []byte
	obj      types.Object
	deadline int64
	clock    uint32
}

// detach takes the value from a key, which is gone then.
func detach(t *keyspace.Tx, k *keyspace.Key) (v taken) {
	v.typ, v.enc, v.packed, v.obj, v.deadline, v.clock = t.Detach(k)
	return v
}

// put gives a value to a key, whatever was there, with its deadline.
func (v *taken) put(t *keyspace.Tx, k *keyspace.Key) {
	t.Delete(k) // so that the key is a new one, as those who listen know it from Redis
	if v.obj != nil {
		t.PutObject(k, v.typ, v.enc, v.obj, v.deadline)
	} else {
		t.Put(k, v.typ, v.enc, v.packed, v.deadline)
	}
}

// setClock gives an entry, if it is there, an access clock.
func setClock(t *keyspace.Tx, k *keyspace.Key, clock uint32) {
	if e := t.Peek(k); e.Exists() {
		e.SetClock(clock)
	}
}
