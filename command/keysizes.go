package command

import (
	"fmt"
	"math/bits"
	"time"

	"kvd/keyspace"
	"kvd/types"
)

// INFO keysizes: how many keys have how many elements, or bytes. Redis counts with every
// change; here who asks has all keys looked at, on a worker, so it is shown only to who
// names it.

const keySizes = "keysizes"

// sizeFields are the types that are counted, and what the field is called.
var sizeFields = []struct {
	t    types.Type
	name string
}{
	{types.TString, "strings_sizes"}, {types.TList, "lists_items"}, {types.TSet, "sets_items"}, {types.TZSet, "zsets_items"}, {types.THash, "hashes_items"},
}

// sizeBins counts values by length: those of 0, and for each power of two those that are
// at least that, and less than the next.
type sizeBins [65]int64

func (w *InfoWriter) keySizes() {
	ks := w.s.Keyspace
	for db := range ks.Databases() {
		if keys, _ := ks.Size(db, w.locked); keys == 0 {
			continue
		}
		var bins [16]sizeBins // by type
		var v lengths
		ks.Each(db, time.Now().UnixMilli(), w.locked, func(e *keyspace.Entry) {
			if n, ok := v.of(e); ok {
				bins[e.Type()][bits.Len64(uint64(n))]++
			}
		})
		for _, f := range sizeFields {
			if line := bins[f.t].String(); line != "" {
				w.Field(fmt.Sprintf("db%d_distrib_%s", db, f.name), line)
			}
		}
	}
}

// String is the counts as INFO shows them: "2=1,1K=3".
func (b *sizeBins) String() string {
	var line []byte
	for i, n := range b {
		if n == 0 {
			continue
		}
		if len(line) > 0 {
			line = append(line, ',')
		}
		least, unit := uint64(0), ""
		if i > 0 {
			least = 1 << (i - 1)
			for _, u := range []string{"K", "M", "G", "T", "P", "E"} {
				if least < 1024 {
					break
				}
				least, unit = least/1024, u
			}
		}
		line = fmt.Appendf(line, "%d%s=%d", least, unit, n)
	}
	return string(line)
}

// lengths is memory for values whose length is wanted.
type lengths struct {
	list types.List
	set  types.Set
	zset types.SortedSet
	hash types.Hash
}

// of is the length of an entry's value in elements, or bytes of a string; false: its type
// is not counted.
func (v *lengths) of(e *keyspace.Entry) (int, bool) {
	load := func(c Collection) {
		if o := e.Object(); o != nil {
			c.Load(e.Encoding(), nil, o)
		} else {
			c.Load(e.Encoding(), e.Packed(), nil)
		}
	}
	switch e.Type() {
	case types.TString:
		switch e.Encoding() {
		case types.EncInt:
			var room [20]byte
			return len(types.Elem{I: e.Int()}.Append(room[:0])), true
		case types.EncChunked:
			return e.Object().(*types.BigString).Len(), true
		}
		return len(e.Packed()), true
	case types.TList:
		load(&v.list)
		return v.list.Len(), true
	case types.TSet:
		load(&v.set)
		return v.set.Len(), true
	case types.TZSet:
		load(&v.zset)
		return v.zset.Len(), true
	case types.THash:
		load(&v.hash)
		return v.hash.Len(0), true
	}
	return 0, false
}
