//go:build !lockcheck

package lockrank

import "sync"

// Checked tells whether the order is checked.
const Checked = false

// Mutex is a sync.Mutex with its place in Order.
type Mutex[R Rank] struct{ sync.Mutex }

// LockAt is Lock for one of several locks of the same rank, which may be held
// together in ascending order of their numbers.
func (m *Mutex[R]) LockAt(int) { m.Mutex.Lock() }

// TryLockAt is TryLock where LockAt follows if it fails, so that a wrong order
// is found also where nobody has the lock.
func (m *Mutex[R]) TryLockAt(int) bool { return m.Mutex.TryLock() }

// RWMutex is a sync.RWMutex with its place in Order.
type RWMutex[R Rank] struct{ sync.RWMutex }
