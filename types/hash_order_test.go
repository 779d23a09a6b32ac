package types

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// modelHash is a Hash, what it should hold, and when that expires.
type modelHash struct {
	*Hash
	want map[string]int64
}

func (m *modelHash) write(r *rand.Rand, now int64) {
	f := fmt.Sprintf("f%04d", r.IntN(3000))
	switch r.IntN(8) {
	case 0, 1, 2:
		m.Set([]byte(f), []byte("v"+f), now)
		m.want[f] = 0
	case 3:
		at := now + 1 + int64(r.IntN(50))
		m.Put([]byte(f), []byte("v"+f), at)
		m.want[f] = at
	case 4:
		if d, ok := m.want[f]; ok && !isDue(d, now) {
			m.SetDeadline([]byte(f), now+5, now)
			m.want[f] = now + 5
		}
	case 5:
		m.ExpireDue(now, 1+r.IntN(5), func(e Elem) { delete(m.want, string(e.Append(nil))) })
	default:
		m.Delete([]byte(f), now)
		delete(m.want, f)
	}
}

func (m *modelHash) ranges(t *testing.T, r *rand.Rand, now int64) {
	t.Helper()
	var all []string
	for _, f := range slices.Sorted(maps.Keys(m.want)) {
		if !isDue(m.want[f], now) {
			all = append(all, f)
		}
	}
	for range 3 {
		bound := func() LexBound {
			if r.IntN(4) == 0 {
				return LexBound{Inf: int8(1 - 2*r.IntN(2))}
			}
			return LexBound{Member: fmt.Appendf(nil, "f%04d", r.IntN(3000)), Ex: r.IntN(2) == 0}
		}
		q, reverse, offset := LexRange{bound(), bound()}, r.IntN(2) == 0, r.IntN(3)*r.IntN(40)
		want := inRange(all, &q)
		if got := m.CountInRange(&q, now); got != len(want) {
			t.Fatalf("%+v: %d, wanted %d", q, got, len(want))
		}
		if reverse {
			slices.Reverse(want)
		}
		want = want[min(offset, len(want)):]
		var got []string
		values := r.IntN(3) > 0
		m.EachInRange(&q, reverse, offset, now, values, func(f, v Elem) bool {
			if values && string(v.Append(nil)) != "v"+string(f.Append(nil)) {
				t.Fatalf("%v has the value %v", f, v)
			}
			got = append(got, string(f.Append(nil)))
			return true
		})
		if !slices.Equal(got, want) {
			t.Fatalf("%+v, reverse %v, from %d: %.200q, wanted %.200q", q, reverse, offset, got, want)
		}
	}
}

// TestHashOrder: a hash in order is a sorted copy of it, while its order is made, with it
// and without.
func TestHashOrder(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 2))
		m := &modelHash{&Hash{Limits: DefaultHashLimits}, map[string]int64{}}
		now := int64(1000)
		var run func()
		for i := range 12_000 {
			m.write(r, now)
			now += int64(r.IntN(8) / 7)
			if m.Encoding() != EncHashtable {
				continue
			}
			state, _ := m.Ordered(now)
			switch {
			case state == OrderNone && r.IntN(100) == 0:
				run = m.BuildOrder(now)
				if state, _ := m.Ordered(now); state != OrderBuilds {
					t.Fatalf("an order that is to be made is %v", state)
				}
				if r.IntN(2) == 0 { // beside the changes that follow
					begun, ended := run, make(chan bool)
					go func() { begun(); close(ended) }()
					run = func() { <-ended }
				}
			case state == OrderBuilds && run != nil && r.IntN(300) == 0:
				called := false
				waits := m.AwaitOrder(func() { called = true })
				run()
				run = nil
				if waits && !called {
					t.Fatal("who waited was not called")
				}
				if state, _ := m.Ordered(now); state != OrderReady {
					t.Fatalf("an order that was made is %v", state)
				}
			case state == OrderReady && r.IntN(2000) == 0:
				had := m.big.Bytes()
				if n := m.DropOrder(); n <= 0 || m.big.Bytes() != had-n {
					t.Fatalf("an order of %d bytes in a hash of %d", n, had)
				}
			}
			if i%100 == 0 {
				if err := m.Check(); err != nil {
					t.Fatal(err)
				}
				m.ranges(t, r, now)
			}
			if i%2000 == 0 && state == OrderReady { // a view stays as it is
				c := &modelHash{&Hash{}, maps.Clone(m.want)}
				c.Load(EncHashtable, nil, m.OrderedView())
				at := now
				defer func() { c.ranges(t, r, at) }()
			}
		}
		if run != nil {
			run()
		}
	}
}

// TestHashOrderGivenUp: a worker that fails, or a hash that goes, leaves nobody waiting.
func TestHashOrderGivenUp(t *testing.T) {
	big := func() *Hash {
		h := &Hash{}
		for i := range 5000 {
			h.Set(fmt.Append(nil, i), nil, 0)
		}
		return h
	}
	h := big()
	run := h.BuildOrder(1)
	h.big.order.build.fields = nil // so that it panics
	called := 0
	h.AwaitOrder(func() { called++ })
	func() {
		defer func() { recover() }()
		run()
	}()
	h.Set([]byte("new"), nil, 0)
	if state, _ := h.Ordered(1); state != OrderNone || called != 1 {
		t.Errorf("after a failure the order is %v, %d were called", state, called)
	}

	h = big()
	run = h.BuildOrder(1)
	h.AwaitOrder(func() { called++ })
	obj := h.big
	obj.Free(1 << 20)
	run()
	if called != 2 || obj.order != nil {
		t.Errorf("a hash that is gone leaves a waiter, or its order")
	}
}
