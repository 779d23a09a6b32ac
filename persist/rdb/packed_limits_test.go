package rdb

import (
	"testing"

	"kvd/types"
)

// TestPackedLimits: as in Redis, packed values of a file or of RESTORE stay packed
// however long their elements are, and not if there are too many of them.
func TestPackedLimits(t *testing.T) {
	zset := types.Packed(nil).Append([]byte("member")).Append([]byte("1"))
	hash := types.Packed(nil).Append([]byte("field")).Append([]byte("value"))
	for _, c := range []struct {
		typ     types.Type
		packed  types.Packed
		entries int
		value   int
		enc     types.Encoding
	}{
		{types.TZSet, zset, 1, 0, types.EncListpack},
		{types.TZSet, zset, 0, 64, types.EncSkiplist},
		{types.THash, hash, 1, 0, types.EncListpack},
		{types.THash, hash, 0, 64, types.EncHashtable},
	} {
		var limits Limits
		limits.ZSet.MaxListpackEntries, limits.ZSet.MaxListpackValue = c.entries, c.value
		limits.Hash.MaxListpackEntries, limits.Hash.MaxListpackValue = c.entries, c.value
		v, err := DecodeDump(AppendDump(nil, false, c.typ, types.EncListpack, c.packed, nil), &limits)
		if err != nil || v.Enc != c.enc {
			t.Errorf("%v, %d entries, value %d: %v, %v, want %v", c.typ, c.entries, c.value, v.Enc, err, c.enc)
		}
	}
}
