package keyspace

import (
	"bytes"
	"testing"

	"kvd/types"
)

// TestUndoKeepsMarks: what is taken back has the flags again that its client had set, in its
// entry or behind it.
func TestUndoKeepsMarks(t *testing.T) {
	ks, _ := newTest(t, 16)
	tx := ks.NewTx()
	small, big := MakeKey([]byte("small")), MakeKey([]byte("big"))
	h := ks.LockAll()
	defer ks.Unlock(&h)
	tx.Use(0)
	copy(tx.PutMarked(&small, types.TString, types.EncRaw, 5, 0, &Marks{Flags: 7}), "value")
	tx.PutObjectMarked(&big, types.TString, types.EncChunked, types.NewBigString(bytes.Repeat([]byte("x"), 2*InlineMax)), 0, &Marks{Flags: 9})
	tx.Undo = ks.NewUndo()
	undo := tx.Undo
	undo.Created = func(int, []byte) {}
	for _, k := range []*Key{&small, &big} {
		tx.Put(k, types.TString, types.EncRaw, []byte("other"), 0)
	}
	tx.Undo = nil
	undo.Rollback()
	var e Entry
	for k, want := range map[*Key]uint32{&small: 7, &big: 9} {
		if tx.PeekInto(k, &e); e.Marks().Flags != want {
			t.Errorf("%s has the flags %d, want %d", k.B, e.Marks().Flags, want)
		}
	}
}
