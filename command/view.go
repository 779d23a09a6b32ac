package command

import (
	"slices"

	"kvd/types"
)

// Collections as they were, to be read with no lock held.

// View is a collection as it was, to be read with no lock held.
type View struct {
	enc    types.Encoding
	packed []byte
	obj    types.Object
}

// ViewOf is a view of a collection as it is now, which changes to it do not touch; Free ends it.
func ViewOf(v Collection) View {
	enc, packed, obj := v.Stored()
	if obj != nil {
		return View{enc: enc, obj: obj.Copy()}
	}
	return View{enc: enc, packed: slices.Clone(packed)}
}

// Load loads the view into a collection, for reading.
func (v *View) Load(into Collection) { into.Load(v.enc, v.packed, v.obj) }

// Free gives back what the view holds; nothing may be loaded over it any more.
func (v *View) Free() {
	if v.obj != nil {
		FreeAll(v.obj)
	}
}

// LongToRead tells whether reading n of total elements of an Object is long.
func LongToRead(o types.Object, n, total int) bool {
	return o != nil && (n > LongRead || n > 0 && o.Bytes()/int64(total)*int64(n) > LongReadBytes)
}

// FreeAll gives back all memory of an Object that nothing holds any more.
func FreeAll(o types.Object) {
	for !o.Free(1 << 20) {
	}
}
