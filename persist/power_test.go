package persist

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"kvd/persist/rdb"
	"kvd/types"
)

// on makes a room on a disk, in the working directory.
func on(t testing.TB, d *TestDisk, directives ...string) *room {
	t.Helper()
	r := newRoom(t, directives...)
	r.Disk = d
	return r
}

// survivals are the kinds of luck with what was not synced; see AfterCut.
var survivals = []int{0, 1, 2, 3}

// TestPowerCutWhileSaving cuts the power at every step of a snapshot. What the
// next start finds is the snapshot before or this one, whole, and this one once
// it was reported as saved.
func TestPowerCutWhileSaving(t *testing.T) {
	rng := newRand(t)
	t.Chdir(t.TempDir())
	cuts := 0
	for cut, whole := 1, false; !whole; cut++ {
		for _, survive := range survivals {
			t.Run(fmt.Sprint(cut, " ", survive), func(t *testing.T) {
				if cutWhileSaving(t, rng, cut, survive) {
					whole = true
				}
			})
			cuts++
		}
	}
	t.Logf("%d cuts", cuts)
	if cuts < 40 {
		t.Errorf("only %d cuts", cuts)
	}
}

// cutWhileSaving cuts at one step, and tells whether there was none any more.
func cutWhileSaving(t *testing.T, rng *rand.Rand, cut, survive int) (whole bool) {
	d := NewTestDisk()
	a := on(t, d)
	a.fill(rng, 30)
	a.mustSave()
	old := a.contents()
	a.fill(rng, 10)
	a.put(a.ks.NewTx(), 0, "big", rdb.Value{Type: types.TString, Enc: types.EncChunked, Obj: types.NewBigString(noise(rng, 200<<10))}, 0)
	now := a.contents()
	d.CutIn(cut)
	_, err := a.Save()
	b := on(t, d.AfterCut(survive, rng))
	b.SetLoading()
	if lerr := b.Load(); lerr != nil {
		t.Fatalf("%v\n%s", lerr, d.History())
	}
	b.Serve()
	got := b.contents()
	switch {
	case same(got, now):
	case err == nil:
		t.Fatalf("a snapshot that was reported is lost\n%s", d.History())
	case !same(got, old):
		t.Fatalf("neither the old contents nor the new ones\n%s", d.History())
	}
	b.mustSave() // it goes on from there
	return !d.Off()
}

func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// TestTestDisk: it does lose things.
func TestTestDisk(t *testing.T) {
	rng := newRand(t)
	d := NewTestDisk()
	write := func(name, text string, sync bool) {
		t.Helper()
		f, err := d.OpenFile(name, 0x241, 0o644) // O_WRONLY|O_CREATE|O_TRUNC
		if err == nil {
			_, err = fmt.Fprint(f, text)
		}
		if err == nil && sync {
			err = f.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func(d *TestDisk, name string) string {
		size, _, err := d.Stat(name)
		if err != nil {
			return "-"
		}
		f, _ := d.OpenFile(name, 0, 0)
		b := make([]byte, size)
		f.ReadAt(b, 0)
		return string(b)
	}
	write("/x/a", "synced", true)
	if got := read(d.AfterCut(0, rng), "/x/a"); got != "-" {
		t.Errorf("a name that was not synced: %q", got)
	}
	d.SyncDir("/x")
	write("/x/b", "not", false)
	d.SyncDir("/x")
	if a, b := read(d.AfterCut(0, rng), "/x/a"), read(d.AfterCut(0, rng), "/x/b"); a != "synced" || b != "" {
		t.Errorf("%q, %q", a, b)
	}
	d.Rename("/x/b", "/x/a")
	if a, b := read(d.AfterCut(0, rng), "/x/a"), read(d.AfterCut(1, rng), "/x/a"); a != "synced" || b != "not" {
		t.Errorf("%q, %q", a, b)
	}
	d.SyncDir("/x")
	if a := read(d.AfterCut(0, rng), "/x/a"); a != "" {
		t.Errorf("%q", a)
	}
}
