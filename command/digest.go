package command

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"

	"kvd/keyspace"
	"kvd/persist/rdb"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/stream"
)

// DEBUG DIGEST and DEBUG DIGEST-VALUE.

// digest is Redis's hash of contents: SHA-1 sums that are combined so that
// order matters where it does for the type (mix) and does not elsewhere (xor).
// Source: src/debug.c of Redis 7.0, computeDatasetDigest.
type digest [sha1.Size]byte

// xor adds data to an unordered sum.
func (d *digest) xor(data []byte) {
	sum := sha1.Sum(data)
	for i := range d {
		d[i] ^= sum[i]
	}
}

// mix adds data to an ordered sum.
func (d *digest) mix(data []byte) {
	d.xor(data)
	*d = sha1.Sum(d[:])
}

// digests mix in the values of the types that Redis's hash has a form for. Others
// are hashed as files hold them.
var digests = map[types.Type]func(c *Ctx, d *digest, e *keyspace.Entry){
	types.TString: func(c *Ctx, d *digest, e *keyspace.Entry) { d.mix(c.StringOf(e).Bytes()) },
	types.TList:   digestList,
	types.TSet:    digestSet,
	types.TZSet:   digestZSet,
	types.THash:   digestHash,
	types.TStream: digestStream,
}

func digestList(_ *Ctx, d *digest, e *keyspace.Entry) {
	var l types.List
	l.Load(stored(e))
	var b []byte
	l.Each(func(v types.Elem) bool {
		b = v.Append(b[:0])
		d.mix(b)
		return true
	})
}

func digestSet(_ *Ctx, d *digest, e *keyspace.Entry) {
	var s types.Set
	s.Load(stored(e))
	var b []byte
	s.Each(func(m types.Elem) bool {
		b = m.Append(b[:0])
		d.xor(b)
		return true
	})
}

func digestZSet(_ *Ctx, d *digest, e *keyspace.Entry) {
	var z types.SortedSet
	z.Load(stored(e))
	var b []byte
	z.Each(func(member []byte, score float64) bool {
		var one digest
		one.mix(member)
		b = wire.AppendFloat17(b[:0], score)
		one.mix(b)
		d.xor(one[:])
		return true
	})
}

func digestHash(c *Ctx, d *digest, e *keyspace.Entry) {
	var h types.Hash
	h.Load(stored(e))
	var b []byte
	h.Each(c.Now, func(field, value types.Elem, _ int64) bool {
		var pair digest
		b = field.Append(b[:0])
		pair.mix(b)
		b = value.Append(b[:0])
		pair.mix(b)
		d.xor(pair[:])
		return true
	})
}

func digestStream(_ *Ctx, d *digest, e *keyspace.Entry) {
	var b []byte
	it := e.Object().(*stream.Stream).Seek(stream.ID{})
	for it.Next() {
		b = it.ID.Append(b[:0])
		b[bytes.IndexByte(b, '-')] = '.'
		d.mix(b)
		for range it.Fields {
			f, v := it.Pair()
			b = f.Append(b[:0])
			d.mix(b)
			b = v.Append(b[:0])
			d.mix(b)
		}
	}
}

// stored is what a collection is loaded from.
func stored(e *keyspace.Entry) (types.Encoding, []byte, types.Object) {
	if o := e.Object(); o != nil {
		return e.Encoding(), nil, o
	}
	return e.Encoding(), e.Packed(), nil
}

// value mixes in what stands at a key.
func (d *digest) value(c *Ctx, e *keyspace.Entry) {
	var num [4]byte
	binary.BigEndian.PutUint32(num[:], types.Kinds[e.Type()].Digest)
	d.mix(num[:])
	if f := digests[e.Type()]; f != nil {
		f(c, d, e)
	} else {
		enc, packed, obj := stored(e)
		d.mix(new(rdb.Encoder).EncodeValue(nil, e.Type(), enc, packed, obj))
	}
	if e.Deadline() != 0 {
		d.xor([]byte("!!expire!!"))
	}
}

func debugDigest(c *Ctx, _ [][]byte) {
	var all digest
	for db := range c.S.Keyspace.Databases() {
		if n, _ := c.S.Keyspace.Size(db, true); n == 0 {
			continue
		}
		var num [4]byte
		binary.BigEndian.PutUint32(num[:], uint32(db))
		all.mix(num[:])
		// What has expired and was not removed yet counts, as in Redis.
		c.S.Keyspace.Each(db, -1<<62, true, func(e *keyspace.Entry) {
			var d digest
			d.mix(e.Key())
			d.value(c, e)
			all.xor(d[:])
		})
	}
	c.W.SimpleString(hex.EncodeToString(all[:]))
}

func debugDigestValue(c *Ctx, args [][]byte) {
	sums := make([]digest, len(args))
	for i, a := range args {
		k := keyspace.MakeKey(a)
		// Peek may remove an expired key; the digest of none is zero.
		if e := c.Peek(&k); e.Exists() {
			sums[i].value(c, &e)
		}
	}
	c.W.Array(len(sums))
	for i := range sums {
		c.W.SimpleString(hex.EncodeToString(sums[i][:]))
	}
}
