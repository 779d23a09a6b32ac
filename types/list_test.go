package types

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// listModel is a list as one would write it without thinking.
type listModel [][]byte

// listDriver applies random operations to a List and to the model. Between
// operations the list is stored and loaded again, as the keyspace does.
type listDriver struct {
	t     *testing.T
	r     *rand.Rand
	l     List
	m     listModel
	big   int // longest long value
	trace []string
}

func (d *listDriver) fail(format string, args ...any) {
	d.t.Helper()
	d.t.Fatalf("%s\nlimits %+v, last operations:\n%s", fmt.Sprintf(format, args...), d.l.Limits,
		strings.Join(d.trace[max(0, len(d.trace)-8):], "\n"))
}

func (d *listDriver) value() []byte {
	switch d.r.IntN(20) {
	case 0:
		return bytes.Repeat([]byte{byte('A' + d.r.IntN(3))}, d.r.IntN(d.big))
	case 1:
		return bytes.Repeat([]byte{'b'}, d.r.IntN(500))
	}
	return randElem(d.r)
}

// pivot is a value that is often there.
func (d *listDriver) pivot() []byte {
	if len(d.m) > 0 && d.r.IntN(8) > 0 {
		return slices.Clone(d.m[d.r.IntN(len(d.m))])
	}
	return d.value()
}

func (d *listDriver) index() int { return d.r.IntN(2*len(d.m)+3) - len(d.m) - 1 }

// clamp is what LRANGE and LTRIM make of two indexes.
func (m listModel) clamp(start, stop int) listModel {
	if start < 0 {
		start = max(0, start+len(m))
	}
	if stop < 0 {
		stop += len(m)
	}
	stop = min(stop, len(m)-1)
	if start > stop {
		return nil
	}
	return m[start : stop+1]
}

func (m listModel) find(b []byte) int {
	return slices.IndexFunc(m, func(v []byte) bool { return bytes.Equal(v, b) })
}

func (d *listDriver) push() {
	n := 1 + d.r.IntN(4)
	vals := make([][]byte, n)
	size := 0
	for i := range vals {
		vals[i] = d.value()
		size += len(vals[i])
	}
	if d.r.IntN(2) == 0 {
		d.l.Reserve(n, size)
	}
	for _, v := range vals {
		if d.r.IntN(2) == 0 {
			d.l.PushBack(v)
			d.m = append(d.m, v)
		} else {
			d.l.PushFront(v)
			d.m = slices.Insert(d.m, 0, v)
		}
	}
}

// step does one random operation.
func (d *listDriver) step(shrinking bool) {
	op := d.r.IntN(11)
	if shrinking && op < 2 {
		op = 2
	}
	d.trace = append(d.trace, fmt.Sprintf("op %d, %d elements, %v", op, len(d.m), d.l.obj != nil))
	switch op {
	case 0, 1:
		d.push()
	case 2:
		for n := d.r.IntN(12); n >= 0; n-- {
			e, ok := d.l.PopFront()
			if ok != (len(d.m) > 0) || ok && !e.Equal(d.m[0]) {
				d.fail("PopFront: %v %.60q", ok, e.Append(nil))
			}
			if ok {
				d.m = d.m[1:]
			}
			if e, ok = d.l.PopBack(); ok != (len(d.m) > 0) || ok && !e.Equal(d.m[len(d.m)-1]) {
				d.fail("PopBack: %v %.60q", ok, e.Append(nil))
			}
			if ok {
				d.m = d.m[:len(d.m)-1]
			}
			if !shrinking {
				break
			}
		}
	case 3:
		i, v := d.index(), d.value()
		at := i
		if at < 0 {
			at += len(d.m)
		}
		ok := at >= 0 && at < len(d.m)
		if got := d.l.Set(i, v); got != ok {
			d.fail("Set(%d): %v", i, got)
		}
		if ok {
			d.m[at] = v
		}
	case 4:
		i, v := d.index(), d.value()
		at := i
		if at < 0 {
			at += len(d.m)
		}
		ok := at >= 0 && at <= len(d.m)
		if got := d.l.InsertAt(i, v); got != ok {
			d.fail("InsertAt(%d): %v", i, got)
		}
		if ok {
			d.m = slices.Insert(d.m, at, v)
		}
	case 5, 6:
		p, v := d.pivot(), d.value()
		at := d.m.find(p)
		var got bool
		if op == 5 {
			got = d.l.InsertBefore(p, v)
		} else {
			got = d.l.InsertAfter(p, v)
		}
		if got != (at >= 0) {
			d.fail("insert beside %.60q: %v", p, got)
		}
		if got {
			d.m = slices.Insert(d.m, at+op-5, v)
		}
	case 7:
		p, count := d.pivot(), d.r.IntN(7)-3
		if d.r.IntN(16) == 0 { // -count is negative, too
			count = math.MinInt
		}
		if d.r.IntN(3) == 0 { // something frequent
			p = []byte{byte('a' + d.r.IntN(3))}
		}
		want := 0
		var left listModel
		src := slices.Clone(d.m)
		if count < 0 {
			slices.Reverse(src)
		}
		for _, v := range src {
			if bytes.Equal(v, p) && (count == 0 || count == math.MinInt || want < max(count, -count)) {
				want++
			} else {
				left = append(left, v)
			}
		}
		if count < 0 {
			slices.Reverse(left)
		}
		d.m = left
		if got := d.l.RemoveEqual(p, count); got != want {
			d.fail("RemoveEqual(%.60q, %d) is %d, want %d", p, count, got, want)
		}
	case 8:
		start, stop := d.index(), d.index()
		if !shrinking || d.r.IntN(4) > 0 { // keep most of it
			start, stop = d.r.IntN(3), -1-d.r.IntN(3)
		}
		d.l.Trim(start, stop)
		d.m = slices.Clone(d.m.clamp(start, stop))
	case 9:
		p, rank, count, maxLen := d.pivot(), d.r.IntN(7)-3, d.r.IntN(4), d.r.IntN(2)*d.r.IntN(len(d.m)+2)
		if rank == 0 {
			rank = 1
		}
		var want []int
		seen := 0
		for k := range d.m {
			if maxLen > 0 && k == maxLen {
				break
			}
			i := k
			if rank < 0 {
				i = len(d.m) - 1 - k
			}
			if bytes.Equal(d.m[i], p) {
				if seen++; seen >= max(rank, -rank) && (count == 0 || len(want) < count) {
					want = append(want, i)
				}
			}
		}
		if got := d.l.Positions(p, rank, count, maxLen, nil); !slices.Equal(got, want) {
			d.fail("Positions(%.60q, %d, %d, %d) is %v, want %v", p, rank, count, maxLen, got, want)
		}
	case 10:
		start, stop := d.index(), d.index()
		want := slices.Clone(d.m.clamp(start, stop))
		limit := d.r.IntN(2 * (len(want) + 1))
		compare := func(name string, want listModel) func(Elem) bool {
			i := 0
			return func(e Elem) bool {
				if i >= len(want) || !e.Equal(want[i]) {
					d.fail("%s(%d, %d): element %d is %.60q", name, start, stop, i, e.Append(nil))
				}
				i++
				return i != limit
			}
		}
		d.l.Range(start, stop, compare("Range", want))
		slices.Reverse(want)
		d.l.RangeBack(start, stop, compare("RangeBack", want))
		n := 0
		d.l.Range(start, stop, func(Elem) bool { n++; return true })
		d.l.RangeBack(start, stop, func(Elem) bool { n++; return true })
		if n != 2*len(want) {
			d.fail("ranges of %d elements visit %d", len(want), n)
		}
	}
}

// verify compares everything and stores and loads the list.
func (d *listDriver) verify() {
	if err := d.l.Check(); err != nil {
		d.fail("%v", err)
	}
	enc, packed, obj := d.l.Stored()
	if enc.IsObject() != (obj != nil) || obj != nil && packed != nil {
		d.fail("stored as %v, %d bytes, %v", enc, len(packed), obj)
	}
	if obj == nil {
		q := make([]byte, len(packed), len(packed)+d.r.IntN(40))
		copy(q, packed)
		d.l.scratch.poison()
		packed = q
	}
	d.l.Load(enc, packed, obj)
	if d.l.Len() != len(d.m) {
		d.fail("Len is %d, want %d", d.l.Len(), len(d.m))
	}
	i := 0
	d.l.Each(func(e Elem) bool {
		if !e.Equal(d.m[i]) {
			d.fail("element %d is %.60q, want %.60q", i, e.Append(nil), d.m[i])
		}
		i++
		return true
	})
	if i != len(d.m) {
		d.fail("Each visits %d of %d", i, len(d.m))
	}
	for n := 0; n < 3 && len(d.m) > 0; n++ {
		i := d.r.IntN(len(d.m))
		e, ok := d.l.Index(i)
		e2, ok2 := d.l.Index(i - len(d.m))
		if !ok || !ok2 || !e.Equal(d.m[i]) || !e2.Equal(d.m[i]) {
			d.fail("Index(%d) is %.60q, want %.60q", i, e.Append(nil), d.m[i])
		}
	}
	if _, ok := d.l.Index(len(d.m)); ok {
		d.fail("Index past the end")
	}
	if _, ok := d.l.Index(-len(d.m) - 1); ok {
		d.fail("Index before the start")
	}
	n := 0
	d.l.EachPacked(func(p Packed) bool { n += p.Count(); return true })
	if n != len(d.m) {
		d.fail("EachPacked visits %d of %d", n, len(d.m))
	}
}

func TestListModel(t *testing.T) {
	r := packedRand(t)
	forms := map[Encoding]int{}
	conversions := 0
	for _, size := range []int{0, 1, 3, 10, 60, 1000, -1, -2, -5, -9} {
		for _, big := range []int{100, 3000, 9000, 70000} {
			d := &listDriver{t: t, r: r, big: big, l: List{Limits: ListLimits{MaxSize: size}}}
			d.l.Load(EncListpack, nil, nil)
			last := EncListpack
			target := 30 + r.IntN(200)
			shrinking := false
			for step := 0; step < 1500; step++ {
				if len(d.m) > target {
					shrinking = true
				} else if len(d.m) == 0 {
					shrinking = false
				}
				d.step(shrinking)
				d.verify()
				enc, _, _ := d.l.Stored()
				forms[enc]++
				if enc != last {
					conversions++
				}
				last = enc
			}
		}
	}
	if forms[EncListpack] < 500 || forms[EncQuicklist] < 500 || conversions < 100 {
		t.Fatalf("forms %v, %d conversions: too one-sided a test", forms, conversions)
	}
}

// TestListBig has enough blocks for several leaves, and copies on the way.
func TestListBig(t *testing.T) {
	r := packedRand(t)
	d := &listDriver{t: t, r: r, big: 20000, l: List{Limits: ListLimits{MaxSize: -2}}}
	d.l.Load(EncListpack, nil, nil)
	type frozen struct {
		l List
		m listModel
	}
	var copies []frozen
	leaves := 0
	for round := 0; round < 6; round++ {
		for i := 0; i < 700; i++ {
			v := bytes.Repeat([]byte{byte(r.Uint32())}, 3000+r.IntN(3000))
			if r.IntN(2) == 0 {
				d.l.PushBack(v)
				d.m = append(d.m, v)
			} else {
				d.l.PushFront(v)
				d.m = slices.Insert(d.m, 0, v)
			}
		}
		for i := 0; i < 60; i++ {
			at, n := r.IntN(len(d.m)), r.IntN(30)
			for ; n >= 0; n-- {
				v := d.value()
				d.l.InsertAt(at, v)
				d.m = slices.Insert(d.m, at, v)
			}
			d.step(false)
			if i%10 == 0 {
				d.verify()
			}
		}
		var f frozen
		f.l.Load(EncQuicklist, nil, d.l.obj.Copy())
		f.m = slices.Clone(d.m)
		copies = append(copies, f)
		leaves = max(leaves, len(d.l.obj.dir.leaves))
		if round%2 == 1 {
			for i := 0; i < 40; i++ {
				d.step(false)
				if r.IntN(4) == 0 && len(d.m) > 800 {
					cut := r.IntN(300)
					d.l.Trim(cut, -1)
					d.m = slices.Clone(d.m[cut:])
					cut = r.IntN(300)
					d.l.Trim(0, -1-cut)
					d.m = slices.Clone(d.m[:len(d.m)-cut])
				}
			}
			d.verify()
		}
	}
	if leaves < 3 {
		t.Fatalf("only %d leaves", leaves)
	}
	for i := range copies {
		// The copy must be as it was, and can be changed without the others.
		c := &listDriver{t: t, r: r, big: 20000, l: copies[i].l, m: copies[i].m}
		c.verify()
		for s := 0; s < 30; s++ {
			c.step(true)
		}
		c.verify()
	}
	d.verify()
	var empty List
	obj := d.l.obj
	if !obj.Free(1) {
		t.Fatal("Free left something")
	}
	empty.Load(EncQuicklist, nil, obj)
	if empty.Len() != 0 || empty.Check() != nil {
		t.Fatal("freed list is not empty")
	}
}

// TestListRemoveEverywhere removes a value that stands in every leaf, and fills
// some of them.
func TestListRemoveEverywhere(t *testing.T) {
	r := packedRand(t)
	for _, count := range []int{0, 3000, -3000, 20000, -20000, 37, -37} {
		for _, gone := range [][]byte{[]byte("gone"), bytes.Repeat([]byte{'g'}, 5000)} {
			d := &listDriver{t: t, r: r, l: List{Limits: ListLimits{MaxSize: -2}}}
			d.l.Load(EncListpack, nil, nil)
			for len(d.m) < 5000 {
				for n := r.IntN(len(d.m) + 10); n >= 0 && len(d.m) < 5000; n-- {
					d.l.PushBack(gone)
					d.m = append(d.m, gone)
				}
				for n := r.IntN(200); n >= 0; n-- {
					v := bytes.Repeat([]byte{'k'}, 100+r.IntN(5000))
					d.l.PushBack(v)
					d.m = append(d.m, v)
				}
			}
			keep, src := listModel(nil), slices.Clone(d.m)
			if count < 0 {
				slices.Reverse(src)
			}
			want := 0
			for _, v := range src {
				if bytes.Equal(v, gone) && (count == 0 || want < max(count, -count)) {
					want++
				} else {
					keep = append(keep, v)
				}
			}
			if count < 0 {
				slices.Reverse(keep)
			}
			before := d.l.obj.Copy()
			if got := d.l.RemoveEqual(gone, count); got != want {
				t.Fatalf("RemoveEqual(%d) is %d, want %d", count, got, want)
			}
			old := &listDriver{t: t, r: r, m: d.m}
			old.l.Load(EncQuicklist, nil, before)
			old.verify()
			d.m = keep
			d.verify()
		}
	}
}

// TestListForm holds the rules of Redis 7.2 and later for OBJECT ENCODING.
func TestListForm(t *testing.T) {
	var l List
	load := func(size int, elems ...string) {
		l.Limits.MaxSize = size
		l.Load(EncListpack, nil, nil)
		total := 0
		for _, e := range elems {
			total += len(e)
		}
		l.Reserve(len(elems), total)
		for _, e := range elems {
			l.PushBack([]byte(e))
		}
	}
	want := func(what string, enc Encoding) {
		t.Helper()
		if got, _, _ := l.Stored(); got != enc {
			t.Errorf("%s: %v, want %v", what, got, enc)
		}
		if err := l.Check(); err != nil {
			t.Error(what, err)
		}
	}
	x := func(n int) string { return strings.Repeat("x", n) }
	load(3, "a", "b", "c")
	want("at the limit of elements", EncListpack)
	l.PushBack([]byte("d"))
	want("past it", EncQuicklist)
	l.PopBack()
	l.PopBack()
	want("two left of three allowed", EncQuicklist)
	l.PopBack()
	want("one left", EncListpack)
	load(3, "a", "b", "c")
	l.Set(0, []byte("z"))
	want("LSET at the limit counts its element as new", EncQuicklist)
	load(3, "a", "a", "a", "d")
	l.RemoveEqual([]byte("a"), 3)
	want("LREM", EncListpack)
	load(3, "a", "b", "c", "d")
	l.Trim(1, 1)
	want("LTRIM", EncListpack)
	load(100, x(8000))
	want("elements within the safe size", EncListpack)
	load(100, x(8200))
	want("one element past the safe size", EncQuicklist)
	load(-1, x(4096-7))
	want("at the limit of bytes", EncListpack)
	load(-1, x(4096-6))
	want("past the limit of bytes", EncQuicklist)
	load(-2, x(8192-7))
	want("at -2", EncListpack)
	load(-1, x(2000), x(4096))
	want("two", EncQuicklist)
	l.PopBack()
	want("half left", EncListpack)
	load(-1, x(2100), x(4096))
	l.PopBack()
	want("more than half left", EncQuicklist)
	load(-1, "a", x(5000))
	l.Set(-1, []byte("b"))
	want("LSET of the long one", EncListpack)
	load(-5, strings.Split(strings.Repeat(",", 200<<10), ",")...)
	want("empty elements past what an entry holds", EncQuicklist)
	load(0, "a")
	want("0 is 1", EncListpack)
	load(0, "a", "b")
	want("0 is not 2", EncQuicklist)
}

// TestListConcurrentCopy lets goroutines read copies while the list is written.
func TestListConcurrentCopy(t *testing.T) {
	r := packedRand(t)
	d := &listDriver{t: t, r: r, big: 9000, l: List{Limits: ListLimits{MaxSize: -1}}}
	d.l.Load(EncListpack, nil, nil)
	for i := 0; i < 10000; i++ {
		v := fmt.Appendf(nil, "element:%d", r.IntN(1000))
		d.l.PushBack(v)
		d.m = append(d.m, v)
	}
	var wg sync.WaitGroup
	for round := 0; round < 15; round++ {
		snap, want := d.l.obj.Copy(), slices.Clone(d.m)
		wg.Go(func() {
			var l List
			l.Load(EncQuicklist, nil, snap)
			i := 0
			l.Each(func(e Elem) bool {
				if !e.Equal(want[i]) {
					t.Errorf("element %d of a copy is %.60q, want %.60q", i, e.Append(nil), want[i])
					return false
				}
				i++
				return true
			})
			if err := l.Check(); err != nil || i != len(want) {
				t.Errorf("copy of %d elements has %d: %v", len(want), i, err)
			}
			// A copy may also be written by whoever holds it.
			l.RemoveEqual(want[0], 0)
			l.PushBack([]byte("x"))
		})
		for i := 0; i < 20; i++ {
			d.step(false)
		}
	}
	wg.Wait()
	d.verify()
}

func TestListAllocations(t *testing.T) {
	l := List{Limits: ListLimits{MaxSize: 128}}
	entry := make([]byte, 0, 4096)
	v := []byte("element:00000001")
	cycle := func() {
		l.Load(EncListpack, nil, nil)
		for range 20 {
			l.PushBack(v)
			l.PushFront(v)
			_, p, _ := l.Stored()
			l.Load(EncListpack, entry[:copy(entry[:cap(entry)], p)], nil)
			l.PopBack()
		}
		l.Index(3)
	}
	cycle()
	if n := testing.AllocsPerRun(10, cycle); n != 0 {
		t.Fatalf("packed pushes allocate %v times", n)
	}
}

func listHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func filledList(n int) *List {
	l := &List{Limits: ListLimits{MaxSize: -2}}
	l.Load(EncListpack, nil, nil)
	var buf [16]byte
	for i := range n {
		l.PushBack(fmt.Appendf(buf[:0], "element:%08d", i))
	}
	return l
}

// TestListMemory bounds the memory of a million elements of 16 bytes, and
// compares it with what Bytes says.
func TestListMemory(t *testing.T) {
	const n = 1_000_000
	before := listHeap()
	l := filledList(n)
	used := int64(listHeap() - before)
	t.Logf("%.2f bytes an element, Bytes says %.2f", float64(used)/n, float64(l.obj.Bytes())/n)
	if used > 18.5*n {
		t.Errorf("%.2f bytes an element", float64(used)/n)
	}
	if b := l.obj.Bytes(); b < used*95/100 || b > used*105/100 {
		t.Errorf("Bytes says %d of %d", b, used)
	}
	runtime.KeepAlive(l)
}

// TestListCopyIsLazy bounds the memory that a copy and the first write after
// it take, which stands for their time.
func TestListCopyIsLazy(t *testing.T) {
	l := filledList(1_000_000)
	var o Object
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	start := time.Now()
	o = l.obj.Copy()
	l.Set(500_000, []byte("element:changed!"))
	took := time.Since(start)
	runtime.ReadMemStats(&m1)
	if n := m1.TotalAlloc - m0.TotalAlloc; n > 40_000 {
		t.Errorf("a copy and a write allocate %d bytes", n)
	}
	t.Logf("a copy and a write take %v", took)
	runtime.KeepAlive(o)
}

func BenchmarkListPushBack(b *testing.B)  { benchListPush(b, (*List).PushBack) }
func BenchmarkListPushFront(b *testing.B) { benchListPush(b, (*List).PushFront) }

func benchListPush(b *testing.B, push func(*List, []byte)) {
	l := &List{Limits: ListLimits{MaxSize: -2}}
	l.Load(EncListpack, nil, nil)
	v := []byte("element:00000001")
	b.ReportAllocs()
	for b.Loop() {
		if l.Len() == 2_000_000 {
			l.Load(EncListpack, nil, nil)
		}
		push(l, v)
	}
}

func BenchmarkListPopFront(b *testing.B) { benchListPop(b, (*List).PopFront) }
func BenchmarkListPopBack(b *testing.B)  { benchListPop(b, (*List).PopBack) }

func benchListPop(b *testing.B, pop func(*List) (Elem, bool)) {
	full := filledList(1_000_000).obj
	l := &List{Limits: ListLimits{MaxSize: -2}}
	b.ReportAllocs()
	for b.Loop() {
		if l.obj == nil {
			l.Load(EncQuicklist, nil, full.Copy())
		}
		pop(l)
	}
}

func BenchmarkListQueue(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := filledList(n)
			v := []byte("element:00000001")
			b.ReportAllocs()
			for b.Loop() {
				l.PushBack(v)
				l.PopFront()
			}
		})
	}
}

func BenchmarkListIndex(b *testing.B) {
	for _, n := range []int{100, 10_000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := filledList(n)
			r := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			for b.Loop() {
				l.Index(r.IntN(n))
			}
		})
	}
}

func BenchmarkListSetMiddle(b *testing.B) {
	l := filledList(1_000_000)
	r := rand.New(rand.NewPCG(1, 2))
	v := []byte("element:changed!")
	for b.Loop() {
		l.Set(r.IntN(1_000_000), v)
	}
}

func BenchmarkListInsertMiddle(b *testing.B) {
	l := filledList(1_000_000)
	r := rand.New(rand.NewPCG(1, 2))
	v := []byte("element:changed!")
	for b.Loop() {
		l.InsertAt(r.IntN(l.Len()), v)
	}
}

func BenchmarkListRange100(b *testing.B) {
	l := filledList(1_000_000)
	r := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		i := r.IntN(999_900)
		l.Range(i, i+99, func(e Elem) bool { n += len(e.S); return true })
	}
}

func BenchmarkListEach1M(b *testing.B) {
	l := filledList(1_000_000)
	n := 0
	for b.Loop() {
		l.Each(func(e Elem) bool { n += len(e.S); return true })
	}
}

// BenchmarkListCopyWrite is a copy, dropped at once, and the first write in
// the middle after it.
func BenchmarkListCopyWrite(b *testing.B) {
	l := filledList(10_000_000)
	v := []byte("element:changed!")
	b.ReportAllocs()
	for b.Loop() {
		l.obj.Copy()
		l.Set(5_000_000, v)
	}
}
