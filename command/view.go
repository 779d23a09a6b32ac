package command

import (
	"slices"

	"kvd/types"
)

// Collections as they were, to be read with no lock held.

// view is a collection as it was, to be read with no lock held.
type view struct {
	enc    types.Encoding
	packed []byte
	obj    types.Object
}

func viewOf(v collection) view {
	enc, packed, obj := v.Stored()
	if obj != nil {
		return view{enc: enc, obj: obj.Copy()}
	}
	return view{enc: enc, packed: slices.Clone(packed)}
}

func (v *view) load(into collection) { into.Load(v.enc, v.packed, v.obj) }

// free gives back what the view holds; nothing may be loaded over it any more.
func (v *view) free() {
	if v.obj != nil {
		freeAll(v.obj)
	}
}

// longToRead tells whether reading n of total elements of an Object is long.
func longToRead(o types.Object, n, total int) bool {
	return o != nil && (n > longRead || n > 0 && o.Bytes()/int64(total)*int64(n) > longReadBytes)
}

// freeAll gives back all memory of an Object that nothing holds any more.
func freeAll(o types.Object) {
	for !o.Free(1 << 20) {
	}
}
