package stream

// Refs says what deleting an entry means for the pending entries that refer to
// it.
type Refs uint8

// The ways; Redis's words are KEEPREF, DELREF and ACKED.
const (
	KeepRefs Refs = iota // they stay
	DelRefs              // they go, too
	Acked                // only what every group has read and acknowledged is deleted
)

// Trim says what to trim.
type Trim struct {
	ByID   bool
	MaxLen uint64 // the most entries to stay, or:
	MinID  ID     // the lowest ID to stay
	Approx bool   // whole nodes only
	Limit  int64  // the most entries to remove; 0: any number
	Refs   Refs
	// Budget is the most entries to look at where Refs makes that necessary; 0:
	// any number. Trim stops in between then and says so in More.
	Budget int
	// After, with Refs, is the ID up to which all has been looked at already;
	// Trim moves it on.
	After ID
	More  bool
}

// Trim removes entries from the front and returns how many. Where references
// stay that takes a step a leaf, for the most part.
func (s *Stream) Trim(t *Trim) int {
	t.More = false
	var deleted int
	if t.Refs == KeepRefs || len(s.groups) == 0 {
		deleted = s.trimNodes(t)
	} else {
		deleted = s.trimEach(t)
	}
	if deleted > 0 {
		s.removed(true)
	}
	return deleted
}

// trimNodes trims whatever refers to the entries.
func (s *Stream) trimNodes(t *Trim) int {
	deleted := 0
	for len(s.dir.leaves) > 0 {
		if !t.ByID && uint64(s.n) <= t.MaxLen {
			break
		}
		l := s.dir.leaves[0]
		if s.whole(t, l, len(l.nodes), l.live, deleted) {
			deleted += l.live
			s.n -= l.live
			s.dropLeaves(0, 1)
			continue
		}
		k, live := 0, 0
		for k < len(l.nodes) {
			more := int(l.nodes[k].live)
			if !s.whole(t, l, k+1, live+more, deleted) {
				break
			}
			live += more
			k++
		}
		if k > 0 {
			l = s.ownLeaf(0)
			l.live -= live
			s.n -= live
			deleted += live
			s.dropNodes(0, 0, k)
		}
		if !t.Approx && (t.ByID || uint64(s.n) > t.MaxLen) && len(s.dir.leaves) > 0 {
			deleted += s.trimInNode(t)
		}
		break
	}
	return deleted
}

// whole tells whether the first k nodes of the first leaf, which hold live
// entries, may go, after deleted ones before them.
func (s *Stream) whole(t *Trim, l *leaf, k, live, deleted int) bool {
	if t.Limit > 0 && int64(deleted+live) > t.Limit {
		return false
	}
	if !t.ByID {
		return uint64(s.n-live) >= t.MaxLen
	}
	if k < len(l.nodes) {
		if !t.MinID.Less(l.nodes[k].master) {
			return true // the master ID is at least as high as all before it
		}
	} else if len(s.dir.leaves) > 1 && !t.MinID.Less(s.dir.firsts[1]) {
		return true
	}
	return l.lastOf(k - 1).Less(t.MinID)
}

// lastOf is the ID of the last entry of a node, deleted or not.
func (l *leaf) lastOf(ni int) ID {
	v := l.view(ni)
	var last ID
	for off := v.start; off < len(v.b); {
		it := v.item(off)
		last, off = it.id, it.end
	}
	return last
}

// trimInNode marks entries of the first node, which does not go as a whole.
func (s *Stream) trimInNode(t *Trim) int {
	l := s.ownLeaf(0)
	n := &l.nodes[0]
	v := l.view(0)
	deleted := 0
	for off := v.start; off < len(v.b); {
		it := v.item(off)
		if t.ByID && !it.id.Less(t.MinID) || !t.ByID && uint64(s.n) <= t.MaxLen {
			break
		}
		if !it.deleted() {
			if n.live == 1 { // what follows is deleted already
				s.remove(0, 0, it.head)
				return deleted + 1
			}
			v.b[it.head] |= flagDeleted
			n.live--
			n.dead++
			l.live--
			s.n--
			deleted++
		}
		off = it.end
	}
	return deleted
}

// trimEach trims entry by entry, from t.After on, as the groups allow.
func (s *Stream) trimEach(t *Trim) int {
	deleted, looked := 0, 0
	start, ok := t.After.Next()
	if t.After.IsZero() {
		start, ok = ID{}, true
	}
	var ids []ID
	for ok && s.n > 0 {
		if !t.ByID && uint64(s.n) <= t.MaxLen || s.last.Less(start) {
			break
		}
		if t.Budget > 0 && looked >= t.Budget {
			t.More = true
			break
		}
		// The entries of one node from start on.
		li, ni := s.findAfter(start)
		if li < 0 {
			break
		}
		l := s.dir.leaves[li]
		n := &l.nodes[ni]
		v := l.view(ni)
		ids = ids[:0]
		var end ID
		for off := v.start; off < len(v.b); {
			it := v.item(off)
			if !it.deleted() && !it.id.Less(start) {
				ids = append(ids, it.id)
			}
			end, off = it.id, it.end
		}
		// Redis's measure of a node is that before anything in it was looked at.
		if t.Limit > 0 && int64(deleted)+int64(n.live) > t.Limit {
			break
		}
		if t.Approx && (t.ByID && !end.Less(t.MinID) || !t.ByID && uint64(s.n)-uint64(n.live) < t.MaxLen) {
			break
		}
		for _, id := range ids {
			if t.ByID && !id.Less(t.MinID) || !t.ByID && uint64(s.n) <= t.MaxLen {
				return deleted
			}
			looked++
			t.After = id
			if t.Refs == Acked && !s.acked(id) {
				continue
			}
			if t.Refs == DelRefs {
				s.dropRefs(id)
			}
			s.unlink(id)
			deleted++
		}
		t.After = end
		start, ok = end.Next()
	}
	return deleted
}

// findAfter is the place of the node that has the first entry of at least id,
// deleted or not; li is -1 if there is none.
func (s *Stream) findAfter(id ID) (li, ni int) {
	if len(s.dir.leaves) == 0 {
		return -1, 0
	}
	li, ni = s.find(id)
	if l := s.dir.leaves[li]; !l.lastOf(ni).Less(id) {
		return li, ni
	} else if ni+1 < len(l.nodes) {
		return li, ni + 1
	} else if li+1 < len(s.dir.leaves) {
		return li + 1, 0
	}
	return -1, 0
}

// unlink removes an entry that is there, as trimming does.
func (s *Stream) unlink(id ID) {
	li, ni := s.find(id)
	v := s.dir.leaves[li].view(ni)
	for off := v.start; off < len(v.b); {
		it := v.item(off)
		if it.id == id {
			s.remove(li, ni, it.head)
			return
		}
		off = it.end
	}
}
