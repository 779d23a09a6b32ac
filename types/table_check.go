package types

import (
	"bytes"
	"fmt"
)

// check verifies every invariant of the table.
func (t *table) check() error {
	c := tableCheck{t: t}
	if err := c.node(t.root, 0, 0, true); err != nil {
		return err
	}
	if c.count != t.count {
		return fmt.Errorf("types: table counts %d members, has %d", t.count, c.count)
	}
	if c.bytes != t.bytes {
		return fmt.Errorf("types: table counts %d bytes, has %d", t.bytes, c.bytes)
	}
	if (t.density != nil) != (t.root.kids != nil) {
		return fmt.Errorf("types: table density counted: %v, with a branch: %v", t.density != nil, t.root.kids != nil)
	}
	if t.density != nil && *t.density != c.density {
		return fmt.Errorf("types: table density %v, counted %v", *t.density, c.density)
	}
	return nil
}

type tableCheck struct {
	t       *table
	count   int
	bytes   int64
	density [densityClasses]int32
}

// node checks what is below n, whose hashes all start with the bits of prefix.
func (c *tableCheck) node(n *node, prefix uint64, depth uint8, owned bool) error {
	if n.depth != depth {
		return fmt.Errorf("types: node of depth %d at %d", n.depth, depth)
	}
	if n.epoch == c.t.epoch && !owned {
		return fmt.Errorf("types: owned node below a shared one")
	}
	owned = n.epoch == c.t.epoch
	c.bytes += n.mem()
	if n.kids == nil {
		return c.leaf(n, prefix)
	}
	if n.refs != nil || n.blob != nil || n.large != nil || n.bits == 0 || n.bits > branchBits || len(n.kids) != 1<<n.bits {
		return fmt.Errorf("types: branch of %d bits with %d kids", n.bits, len(n.kids))
	}
	full := int32(0)
	for i := 0; i < len(n.kids); {
		kid := n.kids[i]
		if kid.depth < depth || kid.depth > depth+n.bits {
			return fmt.Errorf("types: kid of depth %d below %d+%d", kid.depth, depth, n.bits)
		}
		first, count := n.run(i)
		if first != i {
			return fmt.Errorf("types: slot %d holds a kid of %d slots", i, count)
		}
		for _, k := range n.kids[i : i+count] {
			if k != kid {
				return fmt.Errorf("types: slots %d+%d hold different kids", i, count)
			}
		}
		if count == 1 {
			full++
		} else if kid.kids != nil {
			return fmt.Errorf("types: branch below a branch in %d slots", count)
		}
		if err := c.node(kid, prefix|uint64(i)<<(64-depth-n.bits), kid.depth, owned); err != nil {
			return err
		}
		i += count
	}
	if full != n.full || full == 0 {
		return fmt.Errorf("types: branch counts %d full slots, has %d", n.full, full)
	}
	return nil
}

func (c *tableCheck) leaf(n *node, prefix uint64) error {
	if n.depth < depthMax && len(n.refs) > leafMax || len(n.blob) > blobMax || int(n.dead)*4 > len(n.blob) {
		return fmt.Errorf("types: leaf of %d members, %d bytes, %d dead", len(n.refs), len(n.blob), n.dead)
	}
	var lastHash uint64
	var lastKey []byte
	live, large := 0, 0
	var largeBytes int64
	for i, ref := range n.refs {
		r := n.record(ref, c.t.values)
		if !bytes.Equal(r.key, n.key(ref)) {
			return fmt.Errorf("types: record %q reads as %q", r.key, n.key(ref))
		}
		h := hashOf(r.key)
		if n.depth > 0 && (h^prefix)>>(64-n.depth) != 0 || ref>>16 != n.tag(h) {
			return fmt.Errorf("types: %q, hash %x, tag %x, in leaf %x of depth %d", r.key, h, ref>>16, prefix, n.depth)
		}
		if i > 0 && compareMembers(lastHash, lastKey, h, r.key) >= 0 {
			return fmt.Errorf("types: %q and %q are out of order", lastKey, r.key)
		}
		lastHash, lastKey = h, r.key
		live += r.size
		if r.large >= 0 {
			large++
			largeBytes += int64(cap(n.large[r.large]))
		}
	}
	if live != n.live() {
		return fmt.Errorf("types: leaf counts %d live bytes, has %d", n.live(), live)
	}
	for _, b := range n.large {
		if b != nil {
			large--
		}
	}
	if large != 0 || largeBytes != n.largeBytes {
		return fmt.Errorf("types: leaf counts %d large bytes, has %d, and %d records too few", n.largeBytes, largeBytes, -large)
	}
	c.count += len(n.refs)
	c.density[classOf(n)]++
	return nil
}
