//go:build invariants

package command

import (
	"fmt"
	"math/rand/v2"

	"kvd/keyspace"
	"kvd/types"
)

// With the build tag invariants every value is checked after the command that has
// touched it, which is slow and for tests only (make invariants).

const (
	// checkedAlways is up to how many bytes a value is checked after each command;
	// of more only one time in checkedSeldom, for whole suites would never end.
	checkedAlways = 16 << 10
	checkedSeldom = 64
)

// checkKeys panics where a value of the command's keys violates its invariants, as any
// panic inside a command an error for the client, and a stack in the log.
func checkKeys(c *Ctx) {
	for i := range c.Keys {
		k := &c.Keys[i]
		e := c.Peek(k)
		if !e.Exists() {
			continue
		}
		if err := checkValue(&e); err != nil {
			panic(fmt.Sprintf("after %s: the %s at %q: %v", c.Row.full, e.Type(), k.B, err))
		}
	}
}

// checkValue checks what an entry holds.
func checkValue(e *keyspace.Entry) error {
	obj := e.Object()
	if obj != nil && obj.Bytes() > checkedAlways && rand.IntN(checkedSeldom) != 0 {
		return nil
	}
	var v interface {
		Collection
		Check() error
	}
	switch e.Type() {
	case types.TList:
		v = new(types.List)
	case types.TSet:
		v = new(types.Set)
	case types.TZSet:
		v = new(types.SortedSet)
	case types.THash:
		v = new(types.Hash)
	default:
		if obj != nil {
			return obj.Check()
		}
		return nil
	}
	v.Load(e.Encoding(), e.Packed(), obj)
	return v.Check()
}
