package keyspace

import (
	"fmt"
	"testing"

	"kvd/types"
)

// TestFreeInTurns: a flushed database is freed a little at a time, so that expiry
// goes on, also where all its keys have one {tag}; in the end nothing is left.
func TestFreeInTurns(t *testing.T) {
	for _, tag := range []string{"", "{t}"} {
		t.Run(tag, func(t *testing.T) {
			ks := New(Options{Stripes: 16})
			ks.Close() // what the background does is done here
			tx := newTx(ks)
			tx.Use(0)
			const n = 200_000
			for i := range n {
				k := MakeKey(fmt.Appendf(nil, "%skey:%d", tag, i))
				tx.Put(&k, types.TString, types.EncEmbstr, []byte("value"), 0)
			}
			db := ks.dbs[0]
			h := ks.LockAll()
			tx.Flush()
			ks.Unlock(&h)
			left := func() (keys int) {
				for i := range db.shards {
					keys += db.shards[i].keys
				}
				return
			}
			var r freeing
			turns := 0
			for before := n; ks.freeRetired(&r); turns++ {
				if freed := before - left(); turns < 3 && freed > n/2 {
					t.Errorf("%d keys are freed in one turn", freed)
				}
				before = left()
				if turns%32 == 1 {
					if err := ks.Check(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if turns < 4 {
				t.Errorf("all is freed in %d turns", turns)
			}
			t.Logf("%d turns", turns)
			if m := ks.Memory(false); m.Entries != 0 || m.Tables != 0 || len(ks.retired) != 0 {
				t.Errorf("left: %+v, %d databases", m, len(ks.retired))
			}
		})
	}
}

// TestFreeSteps: what is freed in one step does not grow with the number of keys
// that share a slot, nor does the work for it.
func TestFreeSteps(t *testing.T) {
	ks := New(Options{Stripes: 16})
	ks.Close()
	tx := newTx(ks)
	tx.Use(0)
	const n = 300_000
	for i := range n {
		k := MakeKey(fmt.Appendf(nil, "{t}key:%d", i))
		tx.Put(&k, types.TString, types.EncEmbstr, []byte("value"), 0)
	}
	k := MakeKey([]byte("{t}"))
	st := &ks.stripes[int(k.Slot)>>ks.shift]
	sl := &ks.dbs[0].shards[st.number].slots[int(k.Slot)&(1<<ks.shift-1)]
	depth := sl.depth
	r := freeing{db: ks.dbs[0], stripe: st.number}
	for last, steps := 0, 0; freeLocked(st, &r); steps++ {
		if r.word < last && sl.n > 0 {
			t.Fatalf("step %d begins anew at word %d after %d", steps, r.word, last)
		}
		last = r.word
		if steps > 3*n/freeKeys {
			t.Fatal("too many steps")
		}
		if moved := n - int(sl.n) - (steps+1)*freeKeys; moved > 0 {
			t.Fatalf("after %d steps %d keys too many are gone", steps+1, moved)
		}
		if steps == n/freeKeys/2 && r.word < 1<<depth/4 {
			t.Errorf("half way it is at word %d of %d", r.word, 1<<depth)
		}
	}
}

// freeLocked is freeSome under the stripe's lock.
func freeLocked(st *stripe, r *freeing) bool {
	st.lock()
	defer st.unlock()
	return st.freeSome(r)
}
