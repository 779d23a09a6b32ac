package rdb

import (
	"encoding/binary"
	"testing"

	"kvd/types"
)

// TestDumpOfValkey: payloads of Valkey 9 are taken, with its own meaning of a type's byte.
func TestDumpOfValkey(t *testing.T) {
	sealed := func(version uint16, body string) []byte {
		b := binary.LittleEndian.AppendUint16([]byte(body), version)
		return binary.LittleEndian.AppendUint64(b, Checksum(0, b))
	}
	deadline := string(binary.LittleEndian.AppendUint64(nil, 1<<41))
	never := "\xff\xff\xff\xff\xff\xff\xff\xff"
	limits := &Limits{Hash: types.HashLimits{MaxListpackEntries: 128, MaxListpackValue: 64}}
	for version, known := range map[uint16]bool{MaxVersion: true, MaxVersion + 1: false, 79: false, 80: true, 81: true, 82: false} {
		b := sealed(version, "\x00\x01v")
		_, err := CheckDump(b, true)
		if (err == nil) != known {
			t.Errorf("version %d: %v", version, err)
		}
		if !known {
			continue
		}
		if v, err := DecodeDump(b, limits); err != nil || v.Type != types.TString {
			t.Errorf("version %d: %+v, %v", version, v, err)
		}
	}
	v, err := DecodeDump(sealed(80, "\x16\x02\x01f\x01v"+deadline+"\x01g\x01w"+never), limits)
	if err != nil || v.Type != types.THash {
		t.Fatalf("%+v, %v", v, err)
	}
	h := types.Hash{Limits: limits.Hash}
	h.Load(v.Enc, v.Packed, v.Obj)
	if f, ok := h.Get([]byte("g"), 1); !ok || string(f.S) != "w" || h.Len(0) != 2 {
		t.Errorf("%d fields, %q", h.Len(0), f.S)
	}
	if _, ok := h.Get([]byte("f"), 1<<41+1); ok {
		t.Error("a field outlives its deadline")
	}
}
