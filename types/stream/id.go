package stream

import (
	"math"
	"strconv"
)

// ID is the ID of an entry: a time in Unix milliseconds, and a number among the
// entries of that millisecond.
type ID struct{ Ms, Seq uint64 }

// MaxID is the highest ID.
var MaxID = ID{math.MaxUint64, math.MaxUint64}

// Less tells whether a is lower than b.
func (a ID) Less(b ID) bool { return a.Ms < b.Ms || a.Ms == b.Ms && a.Seq < b.Seq }

// Compare is -1, 0 or 1.
func (a ID) Compare(b ID) int {
	switch {
	case a.Less(b):
		return -1
	case a == b:
		return 0
	}
	return 1
}

// IsZero tells whether it is 0-0.
func (a ID) IsZero() bool { return a == ID{} }

// Next is the ID after a; false: a is the highest one.
func (a ID) Next() (ID, bool) {
	switch {
	case a.Seq < math.MaxUint64:
		return ID{a.Ms, a.Seq + 1}, true
	case a.Ms < math.MaxUint64:
		return ID{a.Ms + 1, 0}, true
	}
	return a, false
}

// Prev is the ID before a; false: a is 0-0.
func (a ID) Prev() (ID, bool) {
	switch {
	case a.Seq > 0:
		return ID{a.Ms, a.Seq - 1}, true
	case a.Ms > 0:
		return ID{a.Ms - 1, math.MaxUint64}, true
	}
	return a, false
}

// Append adds the ID as text: ms-seq.
func (a ID) Append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, a.Ms, 10)
	return strconv.AppendUint(append(dst, '-'), a.Seq, 10)
}

// String is the ID as text.
func (a ID) String() string { return string(a.Append(nil)) }
