package lua

import (
	"strings"
	"time"
)

// What takes long in one piece is not done on the run's goroutine, or in blocks with a look
// after each: an interrupt ends a run within milliseconds, whatever its script is at.

// longText is from how many bytes on a text is read beside the run.
const longText = 256 << 10

// nearText is how much of a long text is read first, where that may decide: to go beside the run takes as long as
// to read this much.
const nearText = 64 << 10

// aside runs work on another goroutine, and looks each millisecond whether the run is to end.
// If it is, work is left alone: it may read strings and write what nobody else has, and must
// not touch the State. s is nil where no run is going on.
func aside[T any](s *State, work func() T) (T, error) {
	if s == nil {
		return work(), nil
	}
	s.asides++
	done := make(chan T, 1)
	go func() { done <- work() }()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		select {
		case v := <-done:
			return v, nil
		case <-look.C:
			if err := s.tick(false); err != nil {
				var none T
				return none, err
			}
		}
	}
}

// Memory of largeMemory bytes or more is allocated aside. Go maps and clears it and, while a
// collection runs, has whoever allocates it mark as much first: 20 to 110 ms for 64 MiB.
const largeMemory = 2 << 20

// makeLarge is make([]T, n) where size is T's in bytes, which an interrupt does not wait for.
func makeLarge[T any](s *State, n, size int) ([]T, error) {
	if n < largeMemory/size {
		return make([]T, n), nil
	}
	return aside(s, func() []T { return make([]T, n) })
}

// compareText is strings.Compare.
func (s *State) compareText(a, b string) (int, error) {
	if min(len(a), len(b)) < longText {
		return strings.Compare(a, b), nil
	}
	if c := strings.Compare(a[:nearText], b[:nearText]); c != 0 {
		return c, nil
	}
	return aside(s, func() int { return strings.Compare(a, b) })
}

// rawEquals is RawEquals.
func (s *State) rawEquals(a, b Value) (bool, error) {
	if a.n != b.n || a.p == b.p || !a.isKind(KindString) || a.strLen() < longText {
		return RawEquals(a, b), nil
	}
	if a.str()[:nearText] != b.str()[:nearText] {
		return false, nil
	}
	return aside(s, func() bool { return RawEquals(a, b) })
}

// number is v.ToNumber.
func (s *State) number(v Value) (f float64, ok bool, err error) {
	if v.isNumber() {
		return v.num(), true, nil
	}
	if !v.isKind(KindString) || v.strLen() < longText {
		f, ok = v.ToNumber()
		return f, ok, nil
	}
	type result struct {
		f  float64
		ok bool
	}
	r, err := aside(s, func() result {
		f, ok := v.ToNumber()
		return result{f, ok}
	})
	return r.f, r.ok, err
}

// parseBase is ParseBase.
func (s *State) parseBase(str string, base int) (f float64, ok bool, err error) {
	if len(str) < longText {
		f, ok = ParseBase(str, base)
		return f, ok, nil
	}
	type result struct {
		f  float64
		ok bool
	}
	r, err := aside(s, func() result {
		f, ok := ParseBase(str, base)
		return result{f, ok}
	})
	return r.f, r.ok, err
}

// strtod is the function of this name. A number is as long as its text, most times.
func (s *State) strtod(str string) (f float64, end int, err error) {
	i := 0
	for i < len(str) && i < longText && str[i] > ',' && str[i] < 0x80 { // digits, letters and more
		i++
	}
	if i < longText {
		f, end = strtod(str)
		return f, end, nil
	}
	type result struct {
		f   float64
		end int
	}
	r, err := aside(s, func() result {
		f, end := strtod(str)
		return result{f, end}
	})
	return r.f, r.end, err
}

// indexOf is strings.Index.
func (s *State) indexOf(str, part string) (int, error) {
	if len(str) < longText {
		return strings.Index(str, part), nil
	}
	if i := strings.Index(str[:nearText], part); i >= 0 {
		return i, nil
	}
	return aside(s, func() int { return strings.Index(str, part) })
}

// indexByte is strings.IndexByte.
func (s *State) indexByte(str string, c byte) (int, error) {
	if len(str) < 8*longText {
		return strings.IndexByte(str, c), nil
	}
	if i := strings.IndexByte(str[:nearText], c); i >= 0 {
		return i, nil
	}
	return aside(s, func() int { return strings.IndexByte(str, c) })
}

// joined is a + b as a new string, for messages.
func (s *State) joined(a, b string) (Value, error) {
	to, err := s.Alloc(len(a) + len(b))
	if err != nil {
		return Nil, err
	}
	if err := copyAll(s, to[copy(to, a):], []byte(b), bytesPerStep); err != nil {
		return Nil, err
	}
	return Made(to), nil
}
