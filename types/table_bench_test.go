package types

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/tidwall/btree"
)

// The other candidate for big sets and hashes, which lost: a B-tree ordered by
// (hash, member). It is kept to measure the table against.
type treeMember struct {
	hash   uint64
	member string
}

func newMemberTree() *btree.BTreeG[treeMember] {
	return btree.NewBTreeGOptions(func(a, b treeMember) bool {
		return a.hash < b.hash || a.hash == b.hash && a.member < b.member
	}, btree.Options{NoLocks: true, Degree: 32})
}

const benchMembers = 1_000_000

func heapNow() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// shuffled is an order of the members that is not the order of insertion.
func shuffled(n int) []int32 {
	p := make([]int32, n)
	for i := range p {
		p[i] = int32(i)
	}
	rand.Shuffle(n, func(i, j int) { p[i], p[j] = p[j], p[i] })
	return p
}

// BenchmarkBigSet is one run of everything, for the figures in docs/design/values.md:
// go test -run '^$' -bench BigSet -benchtime 1x
func BenchmarkBigSet(b *testing.B) {
	order := shuffled(benchMembers)
	per := func(b *testing.B, start time.Time, n int, unit string) {
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(n), unit)
	}
	b.Run("table", func(b *testing.B) {
		for range b.N {
			var key [16]byte
			base := heapNow()
			start := time.Now()
			t := newTable(false)
			for i := range benchMembers {
				bigKey(&key, i)
				t.add(hashOf(key[:]), key[:])
			}
			per(b, start, benchMembers, "ns/insert")
			b.ReportMetric(float64(heapNow()-base)/benchMembers, "B/member")
			b.ReportMetric(float64(t.bytes)/benchMembers, "B/member-counted")
			start = time.Now()
			for _, i := range order {
				bigKey(&key, int(i))
				if !t.has(hashOf(key[:]), key[:]) {
					b.Fatal("missing")
				}
			}
			per(b, start, benchMembers, "ns/lookup")
			o := bigTable(benchMembers/2, benchMembers)
			start = time.Now()
			x, y, n := t.iter(), o.iter(), 0
			for ok := x.next() && y.next(); ok; {
				if !y.seek(x.hash, x.key) {
					break
				}
				if x.hash == y.hash && bytes.Equal(x.key, y.key) {
					n++
					ok = x.next()
				} else {
					ok = x.seek(y.hash, y.key)
				}
			}
			b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/intersect")
			if n != benchMembers/2 {
				b.Fatal(n)
			}
			start = time.Now()
			for it := t.iter(); it.next(); {
				n++
			}
			b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/walk")
			start = time.Now()
			for range benchMembers {
				t.random()
			}
			per(b, start, benchMembers, "ns/random")
			start = time.Now()
			bt := newTableBuilder(false)
			for it := t.iter(); it.next(); {
				bt.add(it.hash, it.key, nil, 0)
			}
			bt.finish()
			per(b, start, benchMembers, "ns/build")
			start = time.Now()
			c := t.copy()
			b.ReportMetric(float64(time.Since(start).Nanoseconds()), "ns/copy")
			first := time.Now()
			bigKey(&key, 99_999_999)
			t.add(hashOf(key[:]), key[:])
			b.ReportMetric(float64(time.Since(first).Nanoseconds()), "ns/first-write")
			start = time.Now()
			for i := range 1000 {
				bigKey(&key, 10_000_000+i)
				t.add(hashOf(key[:]), key[:])
			}
			per(b, start, 1000, "ns/write-after-copy")
			runtime.KeepAlive(c)
			start = time.Now()
			for _, i := range order {
				bigKey(&key, int(i))
				t.remove(hashOf(key[:]), key[:])
			}
			per(b, start, benchMembers, "ns/remove")
		}
	})
	b.Run("btree", func(b *testing.B) {
		for range b.N {
			var key [16]byte
			base := heapNow()
			fill := func(from int) *btree.BTreeG[treeMember] {
				t := newMemberTree()
				for i := from; i < from+benchMembers; i++ {
					bigKey(&key, i)
					t.Set(treeMember{hashOf(key[:]), string(key[:])})
				}
				return t
			}
			start := time.Now()
			t := fill(0)
			per(b, start, benchMembers, "ns/insert")
			b.ReportMetric(float64(heapNow()-base)/benchMembers, "B/member")
			start = time.Now()
			for _, i := range order {
				bigKey(&key, int(i))
				if _, ok := t.Get(treeMember{hashOf(key[:]), string(key[:])}); !ok {
					b.Fatal("missing")
				}
			}
			per(b, start, benchMembers, "ns/lookup")
			o := fill(benchMembers / 2)
			start = time.Now()
			x, y, n := t.Iter(), o.Iter(), 0
			for ok := x.First() && y.First(); ok; {
				switch a, b := x.Item(), y.Item(); {
				case a == b:
					n++
					ok = x.Next() && y.Next()
				case a.hash < b.hash || a.hash == b.hash && a.member < b.member:
					ok = x.Next()
				default:
					ok = y.Next()
				}
			}
			b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/intersect")
			if n != benchMembers/2 {
				b.Fatal(n)
			}
			start = time.Now()
			for range benchMembers {
				t.GetAt(rand.IntN(t.Len()))
			}
			per(b, start, benchMembers, "ns/random")
			start = time.Now()
			c := t.Copy()
			b.ReportMetric(float64(time.Since(start).Nanoseconds()), "ns/copy")
			start = time.Now()
			for i := range 1000 {
				bigKey(&key, 10_000_000+i)
				t.Set(treeMember{hashOf(key[:]), string(key[:])})
			}
			per(b, start, 1000, "ns/write-after-copy")
			runtime.KeepAlive(c)
		}
	})
}

// BenchmarkTableSizes shows the memory of a table on its way: go test -run
// '^$' -bench TableSizes -benchtime 1x
func BenchmarkTableSizes(b *testing.B) {
	for range b.N {
		var key [16]byte
		t := newTable(false)
		worst, sum, n := 0.0, 0.0, 0
		for i := range 2 * benchMembers {
			bigKey(&key, i)
			t.add(hashOf(key[:]), key[:])
			if i > benchMembers/2 && i%(benchMembers/50) == 0 {
				per := float64(t.bytes) / float64(t.count)
				worst = max(worst, per)
				sum += per
				n++
			}
		}
		b.ReportMetric(sum/float64(n), "B/member-average")
		b.ReportMetric(worst, "B/member-worst")
	}
}
