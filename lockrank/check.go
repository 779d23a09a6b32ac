//go:build lockcheck

package lockrank

import (
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
)

// Checked tells whether the order is checked.
const Checked = true

// Mutex is a sync.Mutex with its place in Order.
type Mutex[R Rank] struct {
	mu    sync.Mutex
	owner atomic.Uint64 // the goroutine that has it
	as    lock          // how it stands in held; under mu
}

func (m *Mutex[R]) Lock() { m.LockAt(0) }

// LockAt is Lock for one of several locks of the same rank, which may be held
// together in ascending order of their numbers.
func (m *Mutex[R]) LockAt(number int) {
	g, l := goroutine(), lock{rankOf[R](), number}
	check(g, l)
	m.mu.Lock()
	m.has(g, l)
}

func (m *Mutex[R]) has(g uint64, l lock) {
	m.owner.Store(g)
	m.as = l
	note(g, l)
}

// TryLock may be called in any order: it does not wait.
func (m *Mutex[R]) TryLock() bool {
	if !m.mu.TryLock() {
		return false
	}
	m.has(goroutine(), lock{rankOf[R](), 0})
	return true
}

// TryLockAt is TryLock where LockAt follows if it fails, so that a wrong order
// is found also where nobody has the lock.
func (m *Mutex[R]) TryLockAt(number int) bool {
	g, l := goroutine(), lock{rankOf[R](), number}
	check(g, l)
	if !m.mu.TryLock() {
		return false
	}
	m.has(g, l)
	return true
}

func (m *Mutex[R]) Unlock() {
	forget(m.owner.Load(), m.as)
	m.mu.Unlock()
}

// RWMutex is a sync.RWMutex with its place in Order. To read it twice at once is
// wrong, too: a writer that comes in between stops both.
type RWMutex[R Rank] struct{ mu sync.RWMutex }

func (m *RWMutex[R]) Lock() {
	g, l := goroutine(), lock{rankOf[R](), 0}
	check(g, l)
	m.mu.Lock()
	note(g, l)
}

func (m *RWMutex[R]) Unlock() {
	forget(goroutine(), lock{rankOf[R](), 0})
	m.mu.Unlock()
}

func (m *RWMutex[R]) RLock() {
	g, l := goroutine(), lock{rankOf[R](), 0}
	check(g, l)
	m.mu.RLock()
	note(g, l)
}

func (m *RWMutex[R]) RUnlock() {
	forget(goroutine(), lock{rankOf[R](), 0})
	m.mu.RUnlock()
}

// lock is one that a goroutine holds: its place in Order, and its number among
// those of the same rank.
type lock struct{ rank, number int }

func (l lock) String() string {
	name := reflect.TypeOf(Order[l.rank]).Name()
	if _, ok := Order[l.rank].(Stripe); ok {
		return name + " " + strconv.Itoa(l.number)
	}
	return name
}

var ranks = func() map[reflect.Type]int {
	m := map[reflect.Type]int{}
	for i, r := range Order {
		m[reflect.TypeOf(r)] = i
	}
	return m
}()

func rankOf[R Rank]() int {
	var r R
	if i, ok := ranks[reflect.TypeOf(r)]; ok {
		return i
	}
	panic(fmt.Sprintf("lockrank: %T does not stand in Order", r))
}

// held are the locks of each goroutine that has any.
var held [64]struct {
	sync.Mutex // protects the map
	by         map[uint64][]lock
}

// wrong is what a wrong order comes to. The panic is one of a goroutine of its
// own, as commands recover from theirs, and the server would go on.
var wrong = func(text string) {
	buf := make([]byte, 64<<10)
	text += "\n" + string(buf[:runtime.Stack(buf, false)])
	go panic(text)
	select {}
}

// check ends the process if goroutine g may not take l.
func check(g uint64, l lock) {
	t := &held[g%uint64(len(held))]
	t.Lock()
	var first *lock
	for _, h := range t.by[g] {
		if h.rank > l.rank || h.rank == l.rank && h.number >= l.number {
			first = &h
		}
	}
	t.Unlock()
	if first != nil {
		wrong(fmt.Sprintf("lockrank: %v is taken by a goroutine that holds %v; see lockrank.Order", l, *first))
	}
}

func note(g uint64, l lock) {
	t := &held[g%uint64(len(held))]
	t.Lock()
	if t.by == nil {
		t.by = map[uint64][]lock{}
	}
	t.by[g] = append(t.by[g], l)
	t.Unlock()
}

// forget takes l from the locks of goroutine g.
func forget(g uint64, l lock) {
	t := &held[g%uint64(len(held))]
	t.Lock()
	defer t.Unlock()
	// The room is kept for the next locks, but not for goroutines that have ended.
	if len(t.by) > 1000 {
		for other, locks := range t.by {
			if len(locks) == 0 {
				delete(t.by, other)
			}
		}
	}
	locks := t.by[g]
	for i := len(locks) - 1; i >= 0; i-- {
		if locks[i] == l {
			t.by[g] = append(locks[:i], locks[i+1:]...)
			break
		}
	}
}

// goroutine is the number of the running one, which the runtime tells only in
// the text of its stack.
func goroutine() uint64 {
	buf := buffers.Get().(*[64]byte) // on the heap, as the runtime's function lets it escape
	defer buffers.Put(buf)
	text := buf[len("goroutine "):runtime.Stack(buf[:], false)]
	var n uint64
	for _, c := range text {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

var buffers = sync.Pool{New: func() any { return new([64]byte) }}
