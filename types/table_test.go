package types

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// hashMasks are kinds of bad luck with hashes.
var hashMasks = []struct {
	name string
	mask uint64
}{
	{"even", ^uint64(0)},
	{"ties", 0xFF<<56 | 3},
	{"skewed", 1<<50 - 1},
	{"cursor", 0xFFF<<52 | 0x7FF},
	{"same 48 bits", 0xFFF},
}

// withHashMask sets the mask for one test.
func withHashMask(t testing.TB, mask uint64) {
	old := hashMask
	hashMask = mask
	t.Cleanup(func() { hashMask = old })
}

func (t *table) testPut(key, val string, deadline int64) bool {
	return t.put(hashOf([]byte(key)), []byte(key), []byte(val), deadline)
}

type tableModel map[string]tableModelValue

type tableModelValue struct {
	val      string
	deadline int64
}

func checkTable(t *testing.T, tab *table, model tableModel) {
	t.Helper()
	if err := tab.check(); err != nil {
		t.Fatal(err)
	}
	if tab.count != len(model) {
		t.Fatalf("%d members, want %d", tab.count, len(model))
	}
	seen := 0
	it := tab.iter()
	for it.next() {
		r := it.record()
		want, ok := model[string(r.key)]
		if !ok || want.val != string(r.val) || want.deadline != r.deadline || !bytes.Equal(it.key, r.key) {
			t.Fatalf("%q: %q %d, want %q %d, %v", r.key, r.val, r.deadline, want.val, want.deadline, ok)
		}
		seen++
	}
	if seen != len(model) {
		t.Fatalf("%d members on the way, want %d", seen, len(model))
	}
}

func tableTestKey(r *rand.Rand, space int) string {
	k := strconv.Itoa(r.IntN(space))
	switch r.IntN(30) {
	case 0:
		k += string(bytes.Repeat([]byte("k"), 20+r.IntN(200)))
	case 1:
		k += string(bytes.Repeat([]byte("K"), 900+r.IntN(300)))
	}
	return k
}

func tableTestVal(r *rand.Rand) string {
	switch r.IntN(40) {
	case 0:
		return string(bytes.Repeat([]byte("v"), r.IntN(5000)))
	case 1, 2:
		return string(bytes.Repeat([]byte("w"), r.IntN(300)))
	}
	return strconv.Itoa(r.IntN(1000))
}

func TestTableAgainstMap(t *testing.T) {
	for _, m := range hashMasks {
		for _, values := range []bool{false, true} {
			t.Run(fmt.Sprint(m.name, " values ", values), func(t *testing.T) {
				withHashMask(t, m.mask)
				r := packedRand(t)
				tab, model := newTable(values), tableModel{}
				type kept struct {
					tab   *table
					model tableModel
				}
				var copies []kept
				space, steps := 6000, 40000
				if m.mask == 0xFFF {
					space, steps = 500, 5000
				}
				grow := true
				for range steps {
					key := tableTestKey(r, space)
					h := hashOf([]byte(key))
					_, there := model[key]
					if r.IntN(steps/8) == 0 {
						grow = !grow
					}
					if grow == (r.IntN(4) > 0) {
						v := tableModelValue{}
						if values {
							v.val = tableTestVal(r)
							if r.IntN(3) == 0 {
								v.deadline = 1 + r.Int64N(1e12)
							}
						}
						if values || !there {
							if created := tab.testPut(key, v.val, v.deadline); created == there {
								t.Fatalf("put %q created %v", key, created)
							}
							model[key] = v
						} else if tab.add(h, []byte(key)) {
							t.Fatalf("added %q again", key)
						}
					} else {
						if removed := tab.remove(h, []byte(key)); removed != there {
							t.Fatalf("remove %q: %v", key, removed)
						}
						delete(model, key)
					}
					if got, want := tab.has(h, []byte(key)), mapHas(model, key); got != want {
						t.Fatalf("has %q: %v", key, got)
					}
					if rec, ok := tab.get(h, []byte(key)); ok && (string(rec.val) != model[key].val || rec.deadline != model[key].deadline) {
						t.Fatalf("get %q: %q %d", key, rec.val, rec.deadline)
					}
					if r.IntN(steps/10) == 0 {
						c := make(tableModel, len(model))
						for k, v := range model {
							c[k] = v
						}
						k := kept{tab.copy(), c}
						if r.IntN(2) == 0 {
							tab, k.tab = k.tab, tab
						}
						copies = append(copies, k)
					}
					if r.IntN(steps/40) == 0 {
						checkTable(t, tab, model)
					}
				}
				for _, c := range copies {
					checkTable(t, c.tab, c.model)
				}
				for k := range model {
					tab.remove(hashOf([]byte(k)), []byte(k))
					delete(model, k)
				}
				checkTable(t, tab, model)
				if tab.bytes > 4096 {
					t.Fatalf("an empty table holds %d bytes", tab.bytes)
				}
			})
		}
	}
}

func mapHas[K comparable, V any](m map[K]V, k K) bool { _, ok := m[k]; return ok }

// bigTable has n members of 16 bytes.
func bigTable(from, n int) *table {
	tab := newTable(false)
	var key [16]byte
	for i := from; i < from+n; i++ {
		bigKey(&key, i)
		tab.put(hashOf(key[:]), key[:], nil, 0)
	}
	return tab
}

func bigKey(key *[16]byte, i int) {
	copy(key[:], "member:000000000")
	for j := 15; i > 0; j-- {
		key[j] = '0' + byte(i%10)
		i /= 10
	}
}

func TestTableDirectory(t *testing.T) {
	// More leaves than a branch has kids.
	withHashMask(t, 1<<54-1)
	tab := bigTable(0, 200000)
	if tab.root.bits < 10 {
		t.Fatalf("root of %d bits", tab.root.bits)
	}
	branches := 0
	tab.eachBranch(tab.root, func(*node) { branches++ })
	if branches < 2 {
		t.Fatalf("%d branches", branches)
	}
	if err := tab.check(); err != nil {
		t.Fatal(err)
	}
	c := tab.copy()
	var key [16]byte
	for i := range 200000 {
		bigKey(&key, i)
		if !tab.remove(hashOf(key[:]), key[:]) {
			t.Fatalf("no %s", key)
		}
	}
	if err := tab.check(); err != nil || tab.root.kids != nil || tab.bytes > 4096 {
		t.Fatal(err, tab.root.bits, tab.bytes)
	}
	if err := c.check(); err != nil || c.count != 200000 {
		t.Fatal(err, c.count)
	}
}

func TestTableScan(t *testing.T) {
	for _, m := range hashMasks[:4] {
		t.Run(m.name, func(t *testing.T) {
			withHashMask(t, m.mask)
			r := packedRand(t)
			tab := newTable(false)
			for i := range 5000 {
				tab.testPut("stay"+strconv.Itoa(i), "", 0)
				tab.testPut("go"+strconv.Itoa(i), "", 0)
			}
			seen := map[string]int{}
			cursor, calls := uint64(0), 0
			for {
				cursor = tab.scan(cursor, 10, func(r record) { seen[string(r.key)]++ })
				if cursor >= 1<<53 {
					t.Fatalf("cursor %d", cursor)
				}
				if cursor == 0 {
					break
				}
				calls++
				for range 20 {
					k := []byte("go" + strconv.Itoa(r.IntN(5000)))
					tab.remove(hashOf(k), k)
				}
				if calls%50 == 0 {
					for i := range 500 {
						tab.testPut("new"+strconv.Itoa(calls)+"."+strconv.Itoa(i), "", 0)
					}
				}
			}
			for i := range 5000 {
				if n := seen["stay"+strconv.Itoa(i)]; n != 1 {
					t.Fatalf("member %d was seen %d times", i, n)
				}
			}
			if tab.scan(1<<53, 10, func(record) { t.Fatal("a member behind the end") }) != 0 {
				t.Fatal("a cursor behind the end")
			}
		})
	}
}

func TestTableSeek(t *testing.T) {
	for _, m := range hashMasks {
		t.Run(m.name, func(t *testing.T) {
			withHashMask(t, m.mask)
			r := packedRand(t)
			n := 5000
			if m.mask == 0xFFF {
				n = 500
			}
			tab := newTable(false)
			type member struct {
				h uint64
				k string
			}
			var all []member
			for range n {
				k := strconv.Itoa(r.IntN(1e9))
				if tab.add(hashOf([]byte(k)), []byte(k)) {
					all = append(all, member{hashOf([]byte(k)), k})
				}
			}
			slices.SortFunc(all, func(a, b member) int {
				return cmp.Or(cmp.Compare(a.h, b.h), cmp.Compare(a.k, b.k))
			})
			for range 200 {
				it := tab.iter()
				at := 0
				ok := it.next()
				step := 1 + r.IntN(1000)
				for i := 0; ok && i < 300; i++ {
					if it.hash != all[at].h || string(it.key) != all[at].k {
						t.Fatalf("at %q, want %q", it.key, all[at].k)
					}
					to := at + r.IntN(step)
					if to >= len(all) {
						break
					}
					h, k := all[to].h, all[to].k
					if r.IntN(2) == 0 {
						// Somewhere before it.
						if to > 0 && all[to-1].h < h {
							h, k = all[to-1].h+1, ""
						} else {
							k = k[:len(k)-1]
							for to > at && all[to-1].h == h && all[to-1].k >= k {
								to--
							}
						}
					}
					at = to
					ok = it.seek(h, []byte(k))
				}
				if it := tab.iter(); it.next() && it.seek(math.MaxUint64, []byte("x")) {
					t.Fatalf("sought to %x %q", it.hash, it.key)
				}
			}
		})
	}
}

func TestTableRandom(t *testing.T) {
	for _, m := range hashMasks {
		t.Run(m.name, func(t *testing.T) {
			withHashMask(t, m.mask)
			tab := newTable(false)
			for i := range 3000 {
				tab.testPut(strconv.Itoa(i), "", 0)
			}
			for i := range 2000 {
				k := []byte(strconv.Itoa(i))
				tab.remove(hashOf(k), k)
			}
			const each = 200
			hits := map[string]int{}
			for range 1000 * each {
				n, i := tab.random()
				hits[string(n.key(n.refs[i]))]++
			}
			// Chi square of 1000 members is 999 +- 45.
			sum := 0.0
			for i := 2000; i < 3000; i++ {
				d := float64(hits[strconv.Itoa(i)] - each)
				sum += d * d / each
			}
			if len(hits) != 1000 || sum > 999+6*45 {
				t.Fatalf("%d members, chi square %.0f", len(hits), sum)
			}
		})
	}
}

func TestTableBuilder(t *testing.T) {
	for _, m := range hashMasks {
		for _, n := range []int{0, 1, 300, 384, 385, 768, 769, 1000, 5000, 20000} {
			if m.mask == 0xFFF && n > 5000 {
				continue
			}
			for _, values := range []bool{false, true} {
				t.Run(fmt.Sprint(m.name, n, values), func(t *testing.T) {
					withHashMask(t, m.mask)
					r := packedRand(t)
					model := tableModel{}
					var keys [][]byte
					for len(model) < n {
						k, v := tableTestKey(r, 1e9), tableModelValue{}
						if values {
							v = tableModelValue{tableTestVal(r), int64(r.IntN(2))}
						}
						if !mapHas(model, k) {
							keys = append(keys, []byte(k))
						}
						model[k] = v
					}
					slices.SortFunc(keys, func(a, b []byte) int {
						return compareMembers(hashOf(a), a, hashOf(b), b)
					})
					b := newTableBuilder(values)
					for _, k := range keys {
						v := model[string(k)]
						b.add(hashOf(k), k, []byte(v.val), v.deadline)
					}
					tab := b.finish()
					checkTable(t, tab, model)
					for i := range n {
						k := keys[i]
						tab.remove(hashOf(k), k)
						delete(model, string(k))
						tab.testPut("more"+strconv.Itoa(i), "", 0)
						model["more"+strconv.Itoa(i)] = tableModelValue{}
					}
					checkTable(t, tab, model)
				})
			}
		}
	}
}

// TestTableCopyRace is for the race detector: copies are read while the
// original is written.
func TestTableCopyRace(t *testing.T) {
	tab := bigTable(0, 20000)
	var wg sync.WaitGroup
	for round := range 20 {
		c := tab.copy()
		want := c.count
		wg.Go(func() {
			n := 0
			for it := c.iter(); it.next(); n++ {
			}
			if err := c.check(); err != nil || n != want {
				t.Errorf("%d members, want %d: %v", n, want, err)
			}
			c.random()
		})
		var key [16]byte
		for i := range 1000 {
			bigKey(&key, round*1000+i)
			tab.remove(hashOf(key[:]), key[:])
			bigKey(&key, 100000+round*3000+i)
			tab.add(hashOf(key[:]), key[:])
		}
	}
	wg.Wait()
	if err := tab.check(); err != nil {
		t.Fatal(err)
	}
}
