package command

import (
	"math"

	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// What ZADD and GEOADD do, and how sorted sets that are built are kept.

const (
	// zpairMax is more than a pair takes as packed elements besides the bytes
	// of its member.
	zpairMax = 48
	// ZScoresMax is how many scores are kept room for.
	ZScoresMax = 1024
)

// OpenZSet is edit for a sorted set that up to room bytes will be added to. A
// packed one that would not find them in its entry is worked on in a buffer,
// so that it need not allocate.
func (c *Ctx) OpenZSet(k *keyspace.Key, e *keyspace.Entry, z *types.SortedSet, room int) Editing {
	was := c.Open(k, e, z)
	enc, packed, obj := z.Stored()
	if room == 0 || obj != nil || cap(packed)-len(packed) >= room {
		return was
	}
	v := &c.Values().ZSet
	if need := min(len(packed)+room, keyspace.InlineMax+zpairMax); cap(v.buf) < need {
		v.buf = make([]byte, max(need, 1<<10, min(2*cap(v.buf), keyspace.InlineMax+zpairMax)))
	}
	z.Load(enc, append(v.buf[:0], packed...), nil)
	return was
}

// putScore is Set, but for a packed set that would not fit into an entry any
// more, which the limits do not know of: it becomes an Object.
func putScore(z *types.SortedSet, member []byte, score float64) (created, changed bool) {
	if _, packed, obj := z.Stored(); obj == nil && len(packed)+len(member)+zpairMax > keyspace.InlineMax {
		z.Limits = types.ZSetLimits{}
		unpack(z)
	}
	return z.Set(member, score)
}

// unpack makes a packed sorted set an Object, unless it is empty.
func unpack(z *types.SortedSet) {
	if z.Len() == 0 {
		return
	}
	var b types.ZSetBuilder
	z.Each(func(member []byte, score float64) bool { b.Add(member, score); return true })
	enc, _, obj := b.Finish(types.ZSetLimits{}).Stored()
	z.Load(enc, nil, obj)
}

// BuiltZSet is what was built, in the form for the keyspace.
func (c *Ctx) BuiltZSet(b *types.ZSetBuilder) *types.SortedSet { return c.ZSetFinisher()(b) }

// ZSetFinisher is BuiltZSet for later, by the limits of now.
func (c *Ctx) ZSetFinisher() func(b *types.ZSetBuilder) *types.SortedSet {
	limits := c.ZSetLimits()
	return func(b *types.ZSetBuilder) *types.SortedSet {
		z := b.Finish(limits)
		if _, packed, _ := z.Stored(); len(packed) > keyspace.InlineMax {
			unpack(z)
		}
		return z
	}
}

// ZAddOptions are those of ZADD.
type ZAddOptions struct {
	When
	CH, Incr bool
}

// ZAddScores is ZADD when scores and options are known. Each stride arguments
// end with a member; where they are two the first of them is its score.
func ZAddScores(c *Ctx, o *ZAddOptions, scores []float64, args [][]byte, stride int) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TZSet, &e) {
		return
	}
	z := c.ScratchZSet()
	c.Load(&e, z)

	plain := !o.NX && !o.XX && !o.GT && !o.LT && !o.Incr
	var was Editing
	var effect [][]byte
	open, done := false, false
	added, updated := 0, 0
	var result float64
	for j, score := range scores {
		member := args[stride*(j+1)-1]
		if !plain {
			old, there := z.Score(member)
			if there && o.NX || !there && o.XX {
				continue
			}
			if there && o.Incr {
				if score += old; math.IsNaN(score) {
					c.Err("ERR resulting score is not a number (NaN)")
					return
				}
			}
			if there && (o.LT && score >= old || o.GT && score <= old) {
				continue
			}
			done, result = true, score
			if there && score == old {
				continue
			}
		}
		if !open {
			open = true
			room := 0
			for m := stride*(j+1) - 1; m < len(args) && room < keyspace.InlineMax; m += stride {
				room += len(args[m]) + zpairMax
			}
			was = c.OpenZSet(k, &e, z, room)
		}
		created, changed := putScore(z, member, score)
		if created {
			added++
		} else if changed {
			updated++
		}
		if !plain && c.Journaling() {
			if effect == nil {
				effect = append(make([][]byte, 0, 4), WordZAdd, k.B)
			}
			if o.Incr || stride > 2 {
				effect = append(effect, wire.AppendFloat(nil, score), member)
			} else {
				effect = append(effect, args[2*j], member)
			}
		}
	}
	if open && added+updated == 0 {
		c.Unchanged(k, was, z)
	}
	if c.Dirty += added + updated; added+updated > 0 {
		c.Store(k, was, z, types.TZSet, false)
		if effect != nil {
			c.Effect(effect...)
		}
		event := "zadd"
		if o.Incr {
			event = "zincr"
		}
		c.Notify('z', event, k)
		c.Ready(k)
	}
	switch {
	case o.Incr && !done:
		c.W.Null()
	case o.Incr:
		c.W.Double(result)
	case o.CH:
		c.W.Int(int64(added + updated))
	default:
		c.W.Int(int64(added))
	}
}

// WordZAdd is the command ZADD, in effects.
var WordZAdd = []byte("ZADD")
