package str

import (
	"math"
	"math/bits"

	"kvd/command"
	"kvd/resp/wire"
	"kvd/types"
)

// LCS

func lcsRows() []*command.Row {
	return []*command.Row{
		{Name: "lcs", Fn: cmdLCS, Arity: -3, Flags: command.ReadOnly, First: 1, Last: 2, Step: 1, KeyFlags: "RO access",
			Since: "7.0.0", Group: "string", Summary: "Finds the longest common subsequence of two strings.",
			Complexity: "O(N*M/64) in the lengths of the strings", Syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]"},
	}
}

// lcsAtOnce is the number of cells (length times length) up to which LCS is
// computed on the event loop: a fraction of a millisecond.
const lcsAtOnce = 8 << 20

// lcsMaxTable bounds the memory for the rows of lcsMatrix, in bits.
const lcsMaxTable = 8 * 4 << 30

type lcsOptions struct {
	length, index, withLen bool
	minLen                 int64
}

func cmdLCS(c *command.Ctx) {
	a, ok := ownString(c, 0)
	if !ok {
		return
	}
	b, ok := ownString(c, 1)
	if !ok {
		return
	}
	var o lcsOptions
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.Word(i, "idx"):
			o.index = true
		case c.Word(i, "len"):
			o.length = true
		case c.Word(i, "withmatchlen"):
			o.withLen = true
		case c.Word(i, "minmatchlen") && i+1 < len(c.Args):
			i++
			if o.minLen, ok = c.Int(i); !ok {
				return
			}
		default:
			c.Err(command.ErrSyntax)
			return
		}
	}
	if o.length && o.index {
		c.Err("ERR If you want both the length and indexes, please just use IDX.")
		return
	}
	n, m := uint64(a.Len()), uint64(b.Len())
	if max(n, m) >= math.MaxUint32-1 {
		c.Err("ERR String too long for LCS")
		return
	}
	// Redis's table has four bytes for each pair of places. Ours is far
	// smaller, but what it refuses is refused.
	if hi, table := bits.Mul64((n+1)*4, m+1); hi != 0 || table > uint64(c.S.Config.ProtoMaxBulkLen.Load()) {
		c.Err("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
		return
	}
	if n*m > lcsMaxTable {
		c.Err("ERR Insufficient memory, failed allocating transient memory for LCS")
		return
	}
	if a.Big == nil && b.Big == nil && n*m <= lcsAtOnce {
		o.run(c.W, a.B, b.B)
		return
	}
	a, b = a.View(), b.View()
	c.Aside(func(w *wire.Writer) {
		o.run(w, a.Bytes(), b.Bytes())
		a.Release()
		b.Release()
	})
}

// ownString is the string at declared key i, empty where there is none; it
// aliases nothing but the entry's Object.
func ownString(c *command.Ctx, i int) (command.StringValue, bool) {
	e := c.Lookup(&c.Keys[i])
	if !e.Exists() {
		return command.StringValue{}, true
	}
	if e.Type() != types.TString {
		c.Err("ERR The specified keys must contain string values")
		return command.StringValue{}, false
	}
	v := c.StringOf(&e)
	if v.Big == nil {
		v.B = append([]byte(nil), v.B...)
	}
	return v, true
}

// run replies with what is asked for of the longest common subsequence.
func (o *lcsOptions) run(w *wire.Writer, a, b []byte) {
	if o.length {
		w.Int(int64(lcsMatrix(a, b, nil)))
		return
	}
	rows := make([]uint64, len(a)*len(b)/64+2)
	total := lcsMatrix(a, b, rows)
	var text []byte
	matches := 0
	var mark wire.Mark
	if o.index {
		w.Map(2)
		w.BulkString("matches")
		mark = w.DeferArray()
	} else {
		text = make([]byte, total)
	}
	// Backwards along the table. run is the length of the match that ends
	// before i and j.
	run := 0
	emit := func(i, j int) {
		if o.index && run > 0 && int64(run) >= o.minLen {
			n := 2
			if o.withLen {
				n = 3
			}
			w.Array(n)
			for _, at := range [2]int{i, j} {
				w.Array(2)
				w.Int(int64(at))
				w.Int(int64(at + run - 1))
			}
			if o.withLen {
				w.Int(int64(run))
			}
			matches++
		}
		run = 0
	}
	left := total
	i, j := len(a), len(b)
	for i > 0 && j > 0 {
		if a[i-1] == b[j-1] {
			i--
			j--
			run++
			left--
			if !o.index {
				text[left] = a[i]
			}
			continue
		}
		emit(i, j)
		// The row rises here: the longer subsequence does not lie to the
		// left, so it lies above.
		if at := (i-1)*len(b) + j - 1; rows[at/64]>>(at%64)&1 != 0 {
			i--
		} else {
			j--
		}
	}
	emit(i, j)
	if !o.index {
		w.Bulk(text)
		return
	}
	w.SetArray(mark, matches)
	w.BulkString("len")
	w.Int(int64(total))
}

// lcsMatrix computes the table of the lengths L(i, j) of the longest common
// subsequences of a[:i] and b[:j], 64 cells at a time, and returns the last
// one. Where rows is not nil, its bit (i-1)*len(b) + j-1 is set if L(i, j) is
// greater than L(i, j-1); it must have a word more than these bits take. In
// that form (complemented) a row follows from the one before by an addition:
// H. Hyyrö, "Bit-parallel LCS-length computation revisited", 2004.
func lcsMatrix(a, b []byte, rows []uint64) int {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	words := len(b)/64 + 1
	var places [256][]uint64 // by byte: where it stands in b
	for _, ch := range a {
		if places[ch] == nil {
			places[ch] = make([]uint64, words)
		}
	}
	for j, ch := range b {
		if places[ch] != nil {
			places[ch][j/64] |= 1 << (j % 64)
		}
	}
	v := make([]uint64, words)
	for k := range v {
		v[k] = math.MaxUint64
	}
	inside := uint64(1)<<(len(b)%64) - 1 // the last word's bits before the end of b
	for i, ch := range a {
		at := places[ch]
		var carry uint64
		for k, x := range v {
			u := x & at[k]
			var sum uint64
			sum, carry = bits.Add64(x, u, carry)
			v[k] = sum | x&^u
		}
		if rows == nil {
			continue
		}
		dst := rows[i*len(b)/64:]
		shift := i * len(b) % 64
		for k, x := range v {
			x = ^x
			if k == words-1 {
				x &= inside
			}
			dst[k] |= x << shift
			dst[k+1] |= x >> (64 - shift)
		}
	}
	total := bits.OnesCount64(^v[words-1] & inside)
	for _, x := range v[:words-1] {
		total += bits.OnesCount64(^x)
	}
	return total
}
