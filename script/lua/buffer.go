package lua

// A strbuf builds a string in the State's scratch buffer. What it grows by beyond the
// buffer is charged before it is taken.
type strbuf struct {
	s       *State
	b       []byte
	counted int // its part of State.buffers
}

// bufferFree is up to which size a buffer's memory is not charged: the State keeps it.
const bufferFree = 64 << 10

func newStrbuf(s *State) strbuf { return strbuf{s: s, b: s.Scratch()} }

// room makes place for n bytes more.
func (b *strbuf) room(n int) error {
	if cap(b.b)-len(b.b) >= n {
		return nil
	}
	return b.grow(n)
}

func (b *strbuf) grow(n int) error {
	if n > maxStringSize-len(b.b) {
		return b.s.memoryError()
	}
	size := max(len(b.b)+n, 256)
	if size < maxStringSize/2 {
		size += size / 2
		size = max(size, 2*cap(b.b))
	}
	if size > bufferFree {
		if err := b.s.Charge(size); err != nil {
			return err
		}
		b.count(size)
	}
	next, err := makeLarge[byte](b.s, size, 1)
	if err != nil {
		return err
	}
	next = next[:len(b.b)]
	if err := copyAll(b.s, next, b.b, bytesPerStep); err != nil {
		return err
	}
	b.b = next
	return nil
}

// count makes the buffer's part of State.buffers n bytes.
func (b *strbuf) count(n int) {
	b.s.buffers += n - b.counted
	b.counted = n
}

// add appends s.
func (b *strbuf) add(s string) error {
	if err := b.room(len(s)); err != nil {
		return err
	}
	for len(s) > copyBlock {
		b.b = append(b.b, s[:copyBlock]...)
		s = s[copyBlock:]
		if err := b.s.Step(copyBlock / bytesPerStep); err != nil {
			return err
		}
	}
	b.b = append(b.b, s...)
	return nil
}

// addByte appends one byte.
func (b *strbuf) addByte(c byte) error {
	if len(b.b) == cap(b.b) {
		if err := b.grow(1); err != nil {
			return err
		}
	}
	b.b = append(b.b, c)
	return nil
}

// value makes the string and gives the buffer back.
func (b *strbuf) value() (Value, error) {
	if len(b.b) > bufferFree && len(b.b) > cap(b.b)/2 {
		// The buffer is the string's from now on; it was charged as it grew.
		v := bytesValue(b.b)
		b.s.note(addressOf(b.b), cap(b.b), spanPlain, 0)
		b.count(0)
		b.b = nil
		return v, nil
	}
	v, err := b.s.NewString(b.b)
	b.drop()
	return v, err
}

// drop gives the buffer back without making a string.
func (b *strbuf) drop() {
	b.s.PutScratch(b.b)
	b.count(0)
	b.b = nil
}
