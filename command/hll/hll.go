package hll

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/hll"
)

// PFADD, PFCOUNT, PFDEBUG, PFMERGE, PFSELFTEST. A HyperLogLog is a string; see
// package hll.
//
// PFCOUNT is for readers, but keeps what it has counted in the string: that is
// journaled, and followers do it, too.

func hllRows() []*command.Row {
	const cost = "O(N) in the number of keys, with large constant times where there are several"
	return []*command.Row{
		{Name: "pfadd", Fn: cmdPFAdd, Arity: -2, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW insert",
			Since: "2.8.9", Group: "hyperloglog", Summary: "Adds elements to a HyperLogLog, creating it where there is none.", Complexity: "O(1) for each element", Syntax: "key [element [element ...]]"},
		{Name: "pfcount", Fn: cmdPFCount, Arity: -2, Flags: command.ReadOnly | command.MayReplicate, First: 1, Last: -1, Step: 1, KeyFlags: "RW access",
			Since: "2.8.9", Group: "hyperloglog", Summary: "Returns about how many different elements were added to HyperLogLogs.", Complexity: cost, Syntax: "key [key ...]"},
		{Name: "pfdebug", Fn: cmdPFDebug, Arity: 3, Flags: command.Write | command.DenyOOM | command.Admin, First: 2, Last: 2, Step: 1, KeyFlags: "RW access",
			Since: "2.8.9", Group: "hyperloglog", Summary: "Shows what a HyperLogLog consists of, or makes it dense.", Complexity: "O(1), with large constant times", Syntax: "subcommand key"},
		{Name: "pfmerge", Fn: cmdPFMerge, Arity: -2, Flags: command.Write | command.DenyOOM | command.CountsReads, First: 1, Last: -1, Step: 1, KeyFlags: "RW access insert; RO access",
			Since: "2.8.9", Group: "hyperloglog", Summary: "Adds what was added to HyperLogLogs to another one.", Complexity: cost, Syntax: "destkey [sourcekey [sourcekey ...]]"},
		{Name: "pfselftest", Fn: cmdPFSelfTest, Arity: 1, Flags: command.Admin,
			Since: "2.8.9", Group: "hyperloglog", Summary: "Tests the HyperLogLogs of this server.", Complexity: "O(1), about a second"},
	}
}

// hllAt is the HyperLogLog at a key as it stands there, nil if there is none;
// false: something else is there, and that is replied.
func hllAt(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry) (b []byte, ok bool) {
	if !c.LookupType(k, types.TString, e) {
		return nil, false
	}
	if !e.Exists() {
		return nil, true
	}
	err := hll.ErrNone
	switch v := c.StringOf(e); {
	case e.Encoding() == types.EncInt:
	case v.Big == nil:
		b, err = v.B, hll.Check(v.B)
	case hll.Check(v.Big.AppendRange(nil, 0, 2*hll.HeaderSize)) == nil:
		err = hll.ErrCorrupt // more than there are registers
	}
	if err != nil {
		c.Err(err.Error())
		return nil, false
	}
	return b, true
}

// hllCopy is a copy of b with room for some more runs.
func hllCopy(c *command.Ctx, b []byte) []byte {
	v := &c.Values().HLL
	v.Buf = append(v.Buf[:0], b...)
	return v.Buf
}

// putHLL sets a key to a HyperLogLog; e is what is there.
func putHLL(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, b []byte) {
	if e.Exists() {
		c.Edit(k, types.EncRaw, b, nil)
	} else {
		c.Put(k, types.TString, types.EncRaw, b, 0)
	}
	if !hll.IsDense(b) {
		c.Values().HLL.Buf = b
	}
}

// hllRaw gives a short string the encoding that Redis gives what it may write to.
func hllRaw(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, b []byte) {
	if e.Encoding() == types.EncEmbstr {
		c.Recode(k, types.EncRaw, b, nil)
	}
}

func hllSparseMax(c *command.Ctx) int { return int(c.S.Config.HLLSparseMaxBytes.Load()) }

func cmdPFAdd(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	b, ok := hllAt(c, k, &e)
	if !ok {
		return
	}
	changes := 0
	switch {
	case b == nil:
		b = hll.New(hllCopy(c, nil))
		changes = 1
		fallthrough
	case !hll.IsDense(b):
		if changes == 0 {
			b = hllCopy(c, b)
		}
		limit := hllSparseMax(c)
		for _, elem := range c.Args[2:] {
			i, count := hll.Place(elem)
			var changed bool
			var err error
			if b, changed, err = hll.Set(b, i, count, limit); err != nil {
				c.Err(err.Error())
				return
			}
			if changed {
				changes++
			}
		}
		if changes > 0 {
			hll.Invalidate(b)
			putHLL(c, k, &e, b)
		} else {
			hllRaw(c, k, &e, b)
		}
	default:
		for _, elem := range c.Args[2:] {
			i, count := hll.Place(elem)
			if !hll.Would(b, i, count) {
				continue
			}
			if changes++; changes == 1 {
				c.Changed(k)
				b = c.Writable(k, &e)
			}
			hll.Set(b, i, count, 0)
		}
		if changes > 0 {
			hll.Invalidate(b)
		}
	}
	if changes > 0 {
		c.Dirty += changes
		c.Notify('$', "pfadd", k)
		c.W.Int(1)
	} else {
		c.W.Int(0)
	}
}

// allRegisters are the registers of all HyperLogLogs of the command together,
// and whether one is dense; false: one is none, and that is replied.
func allRegisters(c *command.Ctx) (all *hll.All, dense, ok bool) {
	v := &c.Values().HLL
	if v.All == nil {
		v.All = new(hll.All)
	}
	*v.All = hll.All{}
	for i := range c.Keys {
		var e keyspace.Entry
		b, ok := hllAt(c, &c.Keys[i], &e)
		if !ok {
			return nil, false, false
		}
		if b == nil {
			continue
		}
		dense = dense || hll.IsDense(b)
		if err := v.All.Merge(b); err != nil {
			c.Err(err.Error())
			return nil, false, false
		}
	}
	return v.All, dense, true
}

func cmdPFCount(c *command.Ctx) {
	if len(c.Keys) > 1 {
		if all, _, ok := allRegisters(c); ok {
			c.W.Int(int64(all.Count()))
		}
		return
	}
	k := &c.Keys[0]
	var e keyspace.Entry
	b, ok := hllAt(c, k, &e)
	if !ok {
		return
	}
	if b == nil {
		c.W.Int(0)
		return
	}
	n, ok := hll.Cached(b)
	if !ok {
		var err error
		if n, err = hll.Count(b); err != nil {
			c.Err(err.Error())
			return
		}
		c.Changed(k)
		b = c.Writable(k, &e)
		hll.SetCached(b, n)
		c.Dirty++
	}
	hllRaw(c, k, &e, b)
	c.W.Int(int64(n))
}

func cmdPFMerge(c *command.Ctx) {
	all, dense, ok := allRegisters(c)
	if !ok {
		return
	}
	k := &c.Keys[0]
	e := c.Find(k)
	var b []byte
	var err error
	if e.Exists() {
		b = hllCopy(c, e.Packed())
	} else {
		b = hll.New(hllCopy(c, nil))
	}
	if dense {
		b, err = hll.ToDense(b)
	}
	if err == nil {
		b, err = all.Raise(b, hllSparseMax(c))
	}
	if err != nil {
		c.Err(err.Error())
		return
	}
	hll.Invalidate(b)
	putHLL(c, k, &e, b)
	c.Dirty++
	c.Notify('$', "pfadd", k)
	c.W.OK()
}

func cmdPFDebug(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	b, ok := hllAt(c, k, &e)
	switch {
	case !ok:
		return
	case b == nil:
		c.Err("ERR The specified key does not exist")
		return
	}
	toDense := func() bool {
		d, err := hll.ToDense(b)
		if err != nil {
			c.Err(err.Error())
			return false
		}
		if !hll.IsDense(b) {
			c.Edit(k, types.EncRaw, d, nil)
			c.Dirty++
		}
		b = d
		return true
	}
	switch {
	case c.Word(1, "getreg"):
		if !toDense() {
			return
		}
		var all hll.All
		if err := all.Merge(b); err != nil {
			c.Err(err.Error())
			return
		}
		c.W.Array(len(all))
		for _, v := range all {
			c.W.Int(int64(v))
		}
	case c.Word(1, "decode"):
		if hll.IsDense(b) {
			c.Err("ERR HLL encoding is not sparse")
			return
		}
		var words []string
		for _, r := range hll.Runs(b) {
			switch {
			case r.Value > 0:
				words = append(words, "v:"+strconv.Itoa(int(r.Value))+","+strconv.Itoa(r.Len))
			case r.Long:
				words = append(words, "Z:"+strconv.Itoa(r.Len))
			default:
				words = append(words, "z:"+strconv.Itoa(r.Len))
			}
		}
		c.W.BulkString(strings.Join(words, " "))
	case c.Word(1, "encoding"):
		if hll.IsDense(b) {
			c.W.SimpleString("dense")
		} else {
			c.W.SimpleString("sparse")
		}
	case c.Word(1, "todense"):
		if hll.IsDense(b) {
			c.W.Int(0)
		} else if toDense() {
			c.W.Int(1)
		}
	default:
		c.Err("ERR Unknown PFDEBUG subcommand '" + command.Quote(c.Args[1]) + "'")
	}
}

func cmdPFSelfTest(c *command.Ctx) {
	limit := hllSparseMax(c)
	c.Background(func(w *wire.Writer) {
		if err := selfTestHLL(limit, 1000, 10_000_000); err != nil {
			w.Error("ERR TESTFAILED " + err.Error())
		} else {
			w.OK()
		}
	})
}

// selfTestHLL sets all registers to random values so many times and reads them
// back; and adds so many elements, looking at each power of ten whether sparse
// and dense registers agree and whether the count is near enough.
func selfTestHLL(limit, cycles, elements int) error {
	dense, err := hll.ToDense(hll.New(nil))
	if err != nil {
		return err
	}
	for range cycles {
		clear(dense[hll.HeaderSize:])
		var want, got hll.All
		for i := range want {
			want[i] = uint8(rand.Uint32() & 63)
			dense, _, _ = hll.Set(dense, i, want[i], limit)
		}
		got.Merge(dense)
		for i := range want {
			if got[i] != want[i] {
				return fmt.Errorf("Register %d should be %d but is %d", i, want[i], got[i])
			}
		}
	}
	clear(dense[hll.HeaderSize:])
	small := hll.New(nil)
	seed := rand.Uint64()
	check := 1
	var elem [8]byte
	for n := 1; n <= elements; n++ {
		binary.LittleEndian.PutUint64(elem[:], uint64(n)^seed)
		i, count := hll.Place(elem[:])
		dense, _, _ = hll.Set(dense, i, count, limit)
		if small, _, err = hll.Set(small, i, count, limit); err != nil {
			return err
		}
		if n != check {
			continue
		}
		check *= 10
		if n < limit/2 && hll.IsDense(small) {
			return fmt.Errorf("sparse encoding not used")
		}
		a, err := hll.Count(dense)
		if err != nil {
			return err
		}
		if b, err := hll.Count(small); err != nil || a != b {
			return fmt.Errorf("dense/sparse disagree")
		}
		most := math.Ceil(1.04 / 128 * 6 * float64(n))
		if n == 10 {
			most = 1 // collisions are likelier than the formula says
		}
		if off := math.Abs(float64(n) - float64(a)); off > most {
			return fmt.Errorf("Too big error. card:%d abserr:%.0f", n, off)
		}
	}
	return nil
}
