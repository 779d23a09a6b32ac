package bitmap

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
	"slices"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// BITCOUNT, BITFIELD, BITFIELD_RO, BITOP, BITPOS, GETBIT, SETBIT. Bit 0 is the
// highest bit of the first byte.

func bitsRows() []*command.Row {
	return []*command.Row{
		{Name: "bitcount", Fn: cmdBitCount, Arity: -2, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.6.0", Group: "bitmap", Summary: "Counts the bits that are set in a string.", Complexity: "O(N) in the length counted", Syntax: "key [start end [BYTE | BIT]]"},
		{Name: "bitfield", Fn: cmdBitField, Arity: -2, Flags: command.Write | command.DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update variable_flags", KeyFlagsFn: bitfieldKeyFlags,
			Since: "3.2.0", Group: "bitmap", Summary: "Reads and changes integers of any width within a string.", Complexity: "O(1) for each operation",
			Syntax: "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> ...]]"},
		{Name: "bitfield_ro", Fn: cmdBitFieldRO, Arity: -2, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "6.0.0", Group: "bitmap", Summary: "Reads integers of any width within a string.", Complexity: "O(1) for each operation", Syntax: "key [GET encoding offset [GET encoding offset ...]]"},
		{Name: "bitop", Fn: cmdBitOp, Arity: -4, Flags: command.Write | command.DenyOOM | command.CountsReads, First: 2, Last: -1, Step: 1, KeyFlags: "OW update; RO access",
			Since: "2.6.0", Group: "bitmap", Summary: "Combines strings bit by bit and stores the result.", Complexity: "O(N) in the length of the strings",
			Syntax: "<AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE> destkey key [key ...]"},
		{Name: "bitpos", Fn: cmdBitPos, Arity: -3, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.8.7", Group: "bitmap", Summary: "Finds the first bit of a string that is set or clear.", Complexity: "O(N) in the length searched", Syntax: "key bit [start [end [BYTE | BIT]]]"},
		{Name: "getbit", Fn: cmdGetBit, Arity: 3, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.2.0", Group: "bitmap", Summary: "Returns a bit of a string.", Complexity: "O(1)", Syntax: "key offset"},
		{Name: "setbit", Fn: cmdSetBit, Arity: 4, Flags: command.Write | command.DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
			Since: "2.2.0", Group: "bitmap", Summary: "Sets or clears a bit of a string, which grows where needed.", Complexity: "O(1)", Syntax: "key offset value"},
	}
}

// ones counts the bits set in the bytes [from, to).
func ones(v command.StringValue, from, to int) int64 {
	n := 0
	for from < to {
		p := v.Piece(from)
		p = p[:min(len(p), to-from)]
		from += len(p)
		for len(p) >= 32 {
			n += bits.OnesCount64(binary.NativeEndian.Uint64(p)) + bits.OnesCount64(binary.NativeEndian.Uint64(p[8:])) +
				bits.OnesCount64(binary.NativeEndian.Uint64(p[16:])) + bits.OnesCount64(binary.NativeEndian.Uint64(p[24:]))
			p = p[32:]
		}
		for _, b := range p {
			n += bits.OnesCount8(b)
		}
	}
	return int64(n)
}

// countBits counts the bits set among the bits [from, to), which exist.
func countBits(v command.StringValue, from, to int64) int64 {
	if from >= to {
		return 0
	}
	first, end := int(from>>3), int((to+7)>>3)
	n := ones(v, first, end)
	if r := from & 7; r != 0 {
		n -= int64(bits.OnesCount8(v.ByteAt(first) >> (8 - r)))
	}
	if r := to & 7; r != 0 {
		n -= int64(bits.OnesCount8(v.ByteAt(end-1) << r))
	}
	return n
}

// findBit is the place of the first bit that is set (or clear) among the bits
// [from, to), which exist. It returns -1 if there is none.
func findBit(v command.StringValue, set bool, from, to int64) int64 {
	if from >= to {
		return -1
	}
	var flip byte
	if !set {
		flip = 0xff
	}
	wide := uint64(flip) * 0x0101010101010101
	off, end := int(from>>3), int((to+7)>>3)
	at := int64(-1)
	if b := (v.ByteAt(off) ^ flip) & (0xff >> (from & 7)); b != 0 {
		at = int64(off)<<3 + int64(bits.LeadingZeros8(b))
	}
	off++
	for at < 0 && off < end {
		p := v.Piece(off)
		p = p[:min(len(p), end-off)]
		i := 0
		for ; i+32 <= len(p); i += 32 {
			q := p[i : i+32]
			if (binary.NativeEndian.Uint64(q)^wide)|(binary.NativeEndian.Uint64(q[8:])^wide)|
				(binary.NativeEndian.Uint64(q[16:])^wide)|(binary.NativeEndian.Uint64(q[24:])^wide) != 0 {
				break
			}
		}
		for ; i < len(p); i++ {
			if b := p[i] ^ flip; b != 0 {
				at = int64(off+i)<<3 + int64(bits.LeadingZeros8(b))
				break
			}
		}
		off += len(p)
	}
	if at >= to {
		return -1
	}
	return at
}

const errBitOffset = "ERR bit offset is not an integer or out of range"

// bitOffset reads the offset of a bit; with a width, "#n" is n times that. ok
// is false for one that no string may have, and that is replied.
func bitOffset(c *command.Ctx, arg []byte, width int64) (off int64, ok bool) {
	scale := int64(1)
	if width > 0 && len(arg) > 0 && arg[0] == '#' {
		scale, arg = width, arg[1:]
	}
	off, ok = command.ParseInt(arg)
	limit := min(int64(c.S.Config.ProtoMaxBulkLen.Load()), maxBitString)
	if c.Replaying {
		limit = maxBitString
	}
	// Dividing keeps the product from overflowing.
	if !ok || off < 0 || off > (limit*8-1)/scale {
		c.Err(errBitOffset)
		return 0, false
	}
	return off * scale, true
}

// maxBitString is the length of string whose bits can be addressed, whatever
// the configured limit says: a log or a leader is believed up to it.
const maxBitString = 1 << 40

func cmdGetBit(c *command.Ctx) {
	off, ok := bitOffset(c, c.Args[2], 0)
	if !ok {
		return
	}
	var e keyspace.Entry
	if !c.LookupType(&c.Keys[0], types.TString, &e) {
		return
	}
	if !e.Exists() {
		c.W.Int(0)
		return
	}
	c.W.Int(int64(c.StringOf(&e).ByteAt(int(off>>3)) >> (7 - off&7) & 1))
}

func cmdSetBit(c *command.Ctx) {
	off, ok := bitOffset(c, c.Args[2], 0)
	if !ok {
		return
	}
	bit, ok := command.ParseInt(c.Args[3])
	if !ok || bit&^1 != 0 {
		c.Err("ERR bit is not an integer or out of range")
		return
	}
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TString, &e) {
		return
	}
	at := int(off >> 3)
	n, cur := 0, byte(0)
	if e.Exists() {
		v := c.StringOf(&e)
		n, cur = v.Len(), v.ByteAt(at)
	}
	shift := 7 - off&7
	old := cur >> shift & 1
	if at >= n || old != byte(bit) {
		b := [1]byte{cur&^(1<<shift) | byte(bit)<<shift}
		c.WriteString(k, &e, at, b[:])
		c.Dirty++
		c.Notify('$', "setbit", k)
	} else {
		makeRaw(c, k, &e)
	}
	c.W.Int(int64(old))
}

// makeRaw gives a string the encoding that commands on bits leave behind, as in
// Redis also where they change no bit of it.
func makeRaw(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry) {
	if e.Encoding() != types.EncRaw && e.Encoding() != types.EncChunked {
		c.Recode(k, types.EncRaw, c.StringOf(e).B, nil)
	}
}

// bitRange is the range of BITCOUNT and BITPOS.
type bitRange struct {
	start, end int64
	bits       bool
}

// unit reads BYTE or BIT.
func (r *bitRange) unit(c *command.Ctx, i int) bool {
	switch {
	case c.Word(i, "bit"):
		r.bits = true
	case c.Word(i, "byte"):
		r.bits = false
	default:
		c.Err(command.ErrSyntax)
		return false
	}
	return true
}

// within turns the range into bits [from, to) of a string of n bytes.
func (r *bitRange) within(n int) (from, to int64) {
	total := int64(n)
	if r.bits {
		total *= 8
	}
	start, end := r.start, r.end
	if start < 0 {
		start = max(0, start+total)
	}
	if end < 0 {
		end = max(0, end+total)
	}
	end = min(end, total-1)
	if start > end {
		return 0, 0
	}
	if r.bits {
		return start, end + 1
	}
	return start * 8, (end + 1) * 8
}

func cmdBitCount(c *command.Ctx) {
	r := bitRange{end: -1}
	switch len(c.Args) {
	case 2:
	case 4, 5:
		var ok bool
		if r.start, ok = c.Int(2); !ok {
			return
		}
		if r.end, ok = c.Int(3); !ok {
			return
		}
		if len(c.Args) == 5 && !r.unit(c, 4) {
			return
		}
	default:
		c.Err(command.ErrSyntax)
		return
	}
	var e keyspace.Entry
	if !c.LookupType(&c.Keys[0], types.TString, &e) {
		return
	}
	if !e.Exists() || r.start < 0 && r.end < 0 && r.start > r.end {
		c.W.Int(0)
		return
	}
	v := c.StringOf(&e)
	from, to := r.within(v.Len())
	if to-from <= command.ReadAtOnce*8 {
		c.W.Int(countBits(v, from, to))
		return
	}
	c.ReadString(v, func(w *wire.Writer, v command.StringValue) { w.Int(countBits(v, from, to)) })
}

func cmdBitPos(c *command.Ctx) {
	bit, ok := c.Int(2)
	if !ok {
		return
	}
	if bit != 0 && bit != 1 {
		c.Err("ERR The bit argument must be 1 or 0.")
		return
	}
	r := bitRange{end: -1}
	if len(c.Args) > 6 {
		c.Err(command.ErrSyntax)
		return
	}
	if len(c.Args) > 3 {
		if r.start, ok = c.Int(3); !ok {
			return
		}
	}
	if len(c.Args) == 6 && !r.unit(c, 5) {
		return
	}
	if len(c.Args) > 4 {
		if r.end, ok = c.Int(4); !ok {
			return
		}
	}
	var e keyspace.Entry
	if !c.LookupType(&c.Keys[0], types.TString, &e) {
		return
	}
	if !e.Exists() {
		c.W.Int(-bit) // clear bits without an end
		return
	}
	v := c.StringOf(&e)
	from, to := r.within(v.Len())
	// Without an end given, clear bits follow the string.
	behind := int64(-1)
	if bit == 0 && len(c.Args) < 5 && from < to {
		behind = to
	}
	find := func(w *wire.Writer, v command.StringValue) {
		at := findBit(v, bit == 1, from, to)
		if at < 0 {
			at = behind
		}
		w.Int(at)
	}
	if to-from <= command.ReadAtOnce*8 {
		find(c.W, v)
		return
	}
	c.ReadString(v, find)
}

// bitOps are BITOP's operations, on the first string and the others.
type bitOp byte

const (
	opAnd   bitOp = iota
	opOr          // in any
	opXor         // in an odd number
	opNot         // not in the only one
	opDiff        // in the first, in none of the others
	opDiff1       // in any of the others, not in the first
	opAndOr       // in the first and in any of the others
	opOne         // in just one
)

var bitOpNames = [...]string{"and", "or", "xor", "not", "diff", "diff1", "andor", "one"}
var bitOpUpper = [...]string{"AND", "OR", "XOR", "NOT", "DIFF", "DIFF1", "ANDOR", "ONE"}

// bitBlock is the length of the parts that BITOP works in: that of a chunk, so
// that every part of every string lies together.
const bitBlock = types.ChunkSize

func cmdBitOp(c *command.Ctx) {
	i := slices.IndexFunc(bitOpNames[:], func(name string) bool { return c.Word(1, name) })
	if i < 0 {
		c.Err(command.ErrSyntax)
		return
	}
	op := bitOp(i)
	dst, keys := &c.Keys[0], c.Keys[1:]
	if op == opNot && len(keys) != 1 {
		c.Err("ERR BITOP NOT must be called with a single source key.")
		return
	}
	if (op == opDiff || op == opDiff1 || op == opAndOr) && len(keys) < 2 {
		c.Err("ERR BITOP " + bitOpUpper[op] + " must be called with at least two source keys.")
		return
	}
	for i := range keys {
		var e keyspace.Entry
		if !c.LookupType(&keys[i], types.TString, &e) {
			return
		}
	}
	// What has expired is gone now, so nothing moves under the values.
	src := make([]command.StringValue, len(keys))
	n := 0
	for i := range keys {
		if e := c.Peek(&keys[i]); e.Exists() {
			src[i] = c.StringOf(&e)
			if e.Encoding() == types.EncInt {
				src[i].B = slices.Clone(src[i].B) // the next one uses the same scratch
			}
			n = max(n, src[i].Len())
		}
	}
	old := op <= opNot // Redis 7.0 knows it
	if n == 0 {
		c.NoEffect()
		if c.Delete(dst) {
			c.Dirty++
			c.Notify('g', "del", dst)
			c.Effect(command.WordDel, dst.B)
		}
		c.W.Int(0)
		return
	}
	w := bitWorker{op: op, src: src, out: make([]byte, min(n, bitBlock))}
	c.NoteReplaced(dst, types.TString)
	if n <= keyspace.InlineMax {
		w.block(0, w.out)
		if !old {
			c.Effect(command.WordSet, dst.B, w.out)
		}
		c.Put(dst, types.TString, types.EncRaw, w.out, 0)
	} else {
		s := types.NewBigString(nil)
		for off := 0; off < n; off += bitBlock {
			out := w.out[:min(bitBlock, n-off)]
			w.block(off, out)
			// What stays unwritten is zeros and takes no memory.
			if off+len(out) == n || !allZero(out) {
				s.WriteAt(off, out)
			}
		}
		if !old && c.Journaling() {
			c.Effect(command.WordSet, dst.B, s.AppendRange(make([]byte, 0, n), 0, n))
		}
		c.PutObject(dst, types.TString, types.EncChunked, s, 0)
	}
	c.Dirty++
	c.Notify('$', "set", dst)
	c.W.Int(int64(n))
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// bitWorker computes the result of BITOP block by block.
type bitWorker struct {
	op    bitOp
	src   []command.StringValue
	out   []byte
	other []byte // for what is gathered from the other strings
}

// part is the bytes of string i that stand in the block at off; the block goes
// on with zeros.
func (w *bitWorker) part(i, off, n int) []byte {
	v := w.src[i]
	if off >= v.Len() {
		return nil
	}
	p := v.Piece(off)
	return p[:min(len(p), n)]
}

// block computes the block at off into out.
func (w *bitWorker) block(off int, out []byte) {
	first := w.part(0, off, len(out))
	clear(out[copy(out, first):])
	switch w.op {
	case opNot:
		notBits(out)
	case opAnd:
		for i := 1; i < len(w.src); i++ {
			p := w.part(i, off, len(out))
			andBits(out, p)
			clear(out[len(p):])
		}
	case opOr:
		for i := 1; i < len(w.src); i++ {
			orBits(out, w.part(i, off, len(out)))
		}
	case opXor:
		for i := 1; i < len(w.src); i++ {
			if p := w.part(i, off, len(out)); len(p) > 0 {
				subtle.XORBytes(out, out, p)
			}
		}
	case opDiff:
		for i := 1; i < len(w.src); i++ {
			andNotBits(out, w.part(i, off, len(out)))
		}
	case opDiff1, opAndOr:
		any := w.gathered(len(out))
		for i := 1; i < len(w.src); i++ {
			orBits(any, w.part(i, off, len(out)))
		}
		if w.op == opAndOr {
			andBits(out, any)
		} else {
			andNotBits(any, out)
			copy(out, any)
		}
	case opOne:
		more := w.gathered(len(out)) // in more than one
		for i := 1; i < len(w.src); i++ {
			p := w.part(i, off, len(out))
			andOrBits(more, out, p)
			orBits(out, p)
		}
		andNotBits(out, more)
	}
}

// gathered is a second buffer of n zeros.
func (w *bitWorker) gathered(n int) []byte {
	if w.other == nil {
		w.other = make([]byte, len(w.out))
	}
	clear(w.other)
	return w.other[:n]
}

// The functions below change dst over the length of b, which is at most that
// of dst, eight bytes at a time.

func andBits(dst, b []byte) {
	dst = dst[:len(b)]
	for len(b) >= 8 {
		binary.NativeEndian.PutUint64(dst, binary.NativeEndian.Uint64(dst)&binary.NativeEndian.Uint64(b))
		dst, b = dst[8:], b[8:]
	}
	for i, x := range b {
		dst[i] &= x
	}
}

func orBits(dst, b []byte) {
	dst = dst[:len(b)]
	for len(b) >= 8 {
		binary.NativeEndian.PutUint64(dst, binary.NativeEndian.Uint64(dst)|binary.NativeEndian.Uint64(b))
		dst, b = dst[8:], b[8:]
	}
	for i, x := range b {
		dst[i] |= x
	}
}

func andNotBits(dst, b []byte) {
	dst = dst[:len(b)]
	for len(b) >= 8 {
		binary.NativeEndian.PutUint64(dst, binary.NativeEndian.Uint64(dst)&^binary.NativeEndian.Uint64(b))
		dst, b = dst[8:], b[8:]
	}
	for i, x := range b {
		dst[i] &^= x
	}
}

// andOrBits adds to dst what is in both a and b.
func andOrBits(dst, a, b []byte) {
	dst, a = dst[:len(b)], a[:len(b)]
	for len(b) >= 8 {
		binary.NativeEndian.PutUint64(dst, binary.NativeEndian.Uint64(dst)|binary.NativeEndian.Uint64(a)&binary.NativeEndian.Uint64(b))
		dst, a, b = dst[8:], a[8:], b[8:]
	}
	for i, x := range b {
		dst[i] |= a[i] & x
	}
}

func notBits(dst []byte) {
	for len(dst) >= 8 {
		binary.NativeEndian.PutUint64(dst, ^binary.NativeEndian.Uint64(dst))
		dst = dst[8:]
	}
	for i := range dst {
		dst[i] = ^dst[i]
	}
}

// fieldOp is one operation of BITFIELD.
type fieldOp struct {
	Kind     byte // 'g', 's' or 'i'
	Overflow byte // 'w', 's' or 'f'
	Signed   bool
	Width    int64
	Offset   int64
	Arg      int64
}

func cmdBitField(c *command.Ctx)   { bitField(c, false) }
func cmdBitFieldRO(c *command.Ctx) { bitField(c, true) }

// fieldType reads the encoding of a field, i1 to i64 or u1 to u63.
func (op *fieldOp) fieldType(c *command.Ctx, arg []byte) bool {
	if len(arg) > 0 && (arg[0] == 'i' || arg[0] == 'u') {
		op.Signed = arg[0] == 'i'
		limit := int64(63)
		if op.Signed {
			limit = 64
		}
		if n, ok := command.ParseInt(arg[1:]); ok && n >= 1 && n <= limit {
			op.Width = n
			return true
		}
	}
	c.Err("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
	return false
}

// fieldOps parses BITFIELD's operations; end is the highest bit that they
// write, -1 where they only read.
func fieldOps(c *command.Ctx) (ops []fieldOp, end int64, ok bool) {
	end = -1
	overflow := byte('w')
	for i := 2; i < len(c.Args); {
		more := len(c.Args) - i - 1
		op := fieldOp{Overflow: overflow}
		n := 4
		switch {
		case c.Word(i, "get") && more >= 2:
			op.Kind, n = 'g', 3
		case c.Word(i, "set") && more >= 3:
			op.Kind = 's'
		case c.Word(i, "incrby") && more >= 3:
			op.Kind = 'i'
		case c.Word(i, "overflow") && more >= 1:
			switch {
			case c.Word(i+1, "wrap"):
				overflow = 'w'
			case c.Word(i+1, "sat"):
				overflow = 's'
			case c.Word(i+1, "fail"):
				overflow = 'f'
			default:
				c.Err("ERR Invalid OVERFLOW type specified")
				return nil, 0, false
			}
			i += 2
			continue
		default:
			c.Err(command.ErrSyntax)
			return nil, 0, false
		}
		if !op.fieldType(c, c.Args[i+1]) {
			return nil, 0, false
		}
		if op.Offset, ok = bitOffset(c, c.Args[i+2], op.Width); !ok {
			return nil, 0, false
		}
		if op.Kind != 'g' {
			end = max(end, op.Offset+op.Width-1)
			if op.Arg, ok = c.Int(i + 3); !ok {
				return nil, 0, false
			}
		}
		ops = append(ops, op)
		i += n
	}
	return ops, end, true
}

func bitField(c *command.Ctx, readOnly bool) {
	ops, end, ok := fieldOps(c)
	if !ok {
		return
	}
	if end >= 0 && readOnly {
		c.Err("ERR BITFIELD_RO only supports the GET subcommand")
		return
	}
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TString, &e) {
		return
	}
	var v command.StringValue
	if e.Exists() {
		v = c.StringOf(&e)
	}
	if end < 0 {
		if !readOnly {
			c.CountRead(k, &e) // it only reads, although it is a writer
		}
		c.W.Array(len(ops))
		for i := range ops {
			b := fieldWindow(v, ops[i].Offset>>3)
			c.W.Int(ops[i].read(&b))
		}
		return
	}
	// As Redis does, the string grows first, even where nothing is written in
	// the end because of OVERFLOW FAIL.
	grew := int(end>>3) >= v.Len()
	if grew {
		c.WriteString(k, &e, int(end>>3), make([]byte, 1))
	} else {
		makeRaw(c, k, &e)
	}
	e = c.LookupNoTouch(k)
	before := int64(0)
	if e.Encoding() == types.EncChunked {
		v = command.StringValue{Big: c.WritableObject(k, &e).(*types.BigString)}
		before = v.Big.Bytes()
	} else {
		v = command.StringValue{B: c.Writable(k, &e)}
	}
	changes := 0
	c.W.Array(len(ops))
	for i := range ops {
		op := &ops[i]
		b := fieldWindow(v, op.Offset>>3)
		if op.Kind == 'g' {
			c.W.Int(op.read(&b))
			continue
		}
		old := op.read(&b)
		value, ok := op.result(old)
		if !ok {
			c.W.Null()
			continue
		}
		if op.Kind == 's' {
			c.W.Int(old)
		} else {
			c.W.Int(value)
		}
		if value != old {
			op.write(&b, value)
			at := int(op.Offset >> 3)
			n := int(op.Offset+op.Width-1)>>3 + 1 - at
			if v.Big != nil {
				v.Big.WriteAt(at, b[:n])
			} else {
				copy(v.B[at:], b[:n])
			}
		}
		if grew || value != old {
			changes++
		}
	}
	if v.Big != nil {
		c.Grew(k, v.Big.Bytes()-before)
	}
	if grew && changes == 0 {
		changes = 1 // a follower's string must grow too
	}
	if changes > 0 {
		if !grew { // else that was told
			c.Changed(k)
		}
		c.Dirty += changes
		c.Notify('$', "setbit", k)
	}
}

// fieldWindow is the nine bytes from off on that a field can touch; zeros
// behind the end.
func fieldWindow(v command.StringValue, off int64) (b [9]byte) {
	for at, n := int(off), 0; n < len(b) && at+n < v.Len(); {
		n += copy(b[n:], v.Piece(at+n))
	}
	return b
}

// read is the field's value in the window at its first byte.
func (op *fieldOp) read(b *[9]byte) int64 {
	hi, lo := binary.BigEndian.Uint64(b[:]), uint64(b[8])
	shift := uint(op.Offset & 7)
	x := hi<<shift | lo<<shift>>8
	if op.Signed {
		return int64(x) >> (64 - op.Width)
	}
	return int64(x >> (64 - op.Width))
}

// write puts a value into the window.
func (op *fieldOp) write(b *[9]byte, value int64) {
	shift := uint(op.Offset & 7)
	x := uint64(value) << (64 - op.Width)
	mask := ^uint64(0) << (64 - op.Width)
	hi, lo := binary.BigEndian.Uint64(b[:]), b[8]
	binary.BigEndian.PutUint64(b[:], hi&^(mask>>shift)|x>>shift)
	b[8] = lo&^byte(mask<<8>>shift) | byte(x<<8>>shift)
}

// result is the value to be written where old stands; false: none, because it
// would overflow.
func (op *fieldOp) result(old int64) (int64, bool) {
	value := op.Arg
	over, under := false, false
	if op.Signed {
		limit := int64(1<<(op.Width-1) - 1)
		if op.Kind == 'i' {
			over = op.Arg > 0 && op.Arg > limit-old && (old >= 0 || op.Width < 64)
			under = op.Arg < 0 && op.Arg < -limit-1-old && (old < 0 || op.Width < 64)
			value = old + op.Arg
		} else {
			// In Redis a SET far below the field's range counts as above it
			// (the distance to the limit wraps): SAT yields the greatest value.
			// Followers run Redis, so it must be so here.
			over, under = op.Width < 64 && limit-value < 0, value < -limit-1
		}
		switch {
		case !over && !under:
			return value, true
		case op.Overflow == 'w':
			return value << (64 - op.Width) >> (64 - op.Width), true
		case op.Overflow == 'f':
			return 0, false
		case over:
			return limit, true
		}
		return -limit - 1, true
	}
	limit := int64(1)<<op.Width - 1 // at most 63 bits
	if op.Kind == 'i' {
		over = op.Arg > 0 && op.Arg > limit-old
		under = op.Arg < 0 && op.Arg < -old
		value = old + op.Arg
	} else {
		over = value > limit || value < 0 // a negative one is taken for a huge one
	}
	switch {
	case !over && !under:
		return value, true
	case op.Overflow == 'w':
		return value & limit, true
	case op.Overflow == 'f':
		return 0, false
	case over:
		return limit, true
	}
	return 0, true
}

// bitfieldKeyFlags is Row.KeyFlagsFn of BITFIELD, which writes only with SET or INCRBY.
func bitfieldKeyFlags(args [][]byte) string {
	if onlyGets(args[2:]) {
		return "RO access"
	}
	return "RW access update"
}

// onlyGets tells whether no operation of BITFIELD writes; where they are not
// spelled right it might.
func onlyGets(ops [][]byte) bool {
	for len(ops) > 0 {
		switch {
		case command.EqualFold(ops[0], "get") && len(ops) > 2:
			ops = ops[3:]
		case command.EqualFold(ops[0], "overflow") && len(ops) > 1:
			ops = ops[2:]
		default:
			return false
		}
	}
	return true
}
