package stream

import (
	"maps"
	"math"
	"slices"
	"sort"
)

// idempotent is what is remembered of the IDs that producers gave their
// messages, so that one that is sent again is not added again. nil: nothing.
type idempotent struct {
	owner uint64
	// duration in seconds and maxSize in IDs, for each producer; 0: what the
	// server says.
	duration, maxSize int64
	// added and duplicates count for good.
	added, duplicates uint64
	producers         map[string]*producer
	mem               int64
}

type producer struct {
	owner uint64
	iids  []Iid // oldest first
	ids   map[string]ID
}

// Iid is a producer's ID of a message: the entry that it became, and when, in
// Unix milliseconds.
type Iid struct {
	Iid string
	ID  ID
	At  int64
}

const (
	idmpBytes     = 160
	producerBytes = 160
	iidBytes      = 120
)

func (x *idempotent) bytes() int64 {
	if x == nil {
		return 0
	}
	return x.mem
}

func (s *Stream) ownIdmp() *idempotent {
	switch x := s.idmp; {
	case x == nil:
		s.idmp = &idempotent{owner: s.owner, producers: map[string]*producer{}, mem: idmpBytes}
		s.mem += idmpBytes
	case x.owner != s.owner:
		c := *x
		c.owner, c.producers = s.owner, maps.Clone(x.producers)
		s.idmp = &c
	}
	return s.idmp
}

func (x *idempotent) grow(s *Stream, n int64) {
	x.mem += n
	s.mem += n
}

// ownProducer is the producer of that name for changes, made if there is none.
func (s *Stream) ownProducer(pid []byte) *producer {
	x := s.ownIdmp()
	p := x.producers[string(pid)]
	switch {
	case p == nil:
		p = &producer{owner: s.owner, ids: map[string]ID{}}
		x.producers[string(pid)] = p
		x.grow(s, producerBytes+int64(len(pid)))
	case p.owner != s.owner:
		p = &producer{owner: s.owner, iids: slices.Clone(p.iids), ids: maps.Clone(p.ids)}
		x.producers[string(pid)] = p
	}
	return p
}

// Idempotent tells whether anything is to be told of idempotent producers.
func (s *Stream) Idempotent() bool { return s.idmp != nil }

// IdmpConfig is what SetIdmpConfig set, 0 for what was not.
func (s *Stream) IdmpConfig() (duration, maxSize int64) {
	if s.idmp == nil {
		return 0, 0
	}
	return s.idmp.duration, s.idmp.maxSize
}

// SetIdmpConfig sets for how many seconds, and how many for each producer, IDs
// are remembered, and forgets all that are.
func (s *Stream) SetIdmpConfig(duration, maxSize int64) {
	x := s.ownIdmp()
	x.duration, x.maxSize = duration, maxSize
	x.producers = map[string]*producer{}
	x.grow(s, idmpBytes-x.mem)
}

// SetIdmpCounts sets the counters, for files.
func (s *Stream) SetIdmpCounts(added, duplicates uint64) {
	x := s.ownIdmp()
	x.added, x.duplicates = added, duplicates
}

// IdmpCounts are the numbers of entries added with an ID of their producer's,
// and of those that were not because they had been.
func (s *Stream) IdmpCounts() (added, duplicates uint64) {
	if s.idmp == nil {
		return 0, 0
	}
	return s.idmp.added, s.idmp.duplicates
}

// IdmpFind finds what a producer's message has become, unless it is older than
// since, in Unix milliseconds.
func (s *Stream) IdmpFind(pid, iid []byte, since int64) (ID, bool) {
	if s.idmp == nil {
		return ID{}, false
	}
	p := s.idmp.producers[string(pid)]
	if p == nil {
		return ID{}, false
	}
	id, ok := p.ids[string(iid)]
	if !ok {
		return ID{}, false
	}
	// The times rise: only what is old is looked at.
	for i := range p.iids {
		if p.iids[i].At >= since {
			break
		}
		if p.iids[i].Iid == string(iid) {
			return ID{}, false
		}
	}
	return id, true
}

// IdmpDuplicate counts a message that was not added again.
func (s *Stream) IdmpDuplicate() { s.ownIdmp().duplicates++ }

// IdmpAdd remembers a message, forgets what is older than since and what is more
// than most of this producer. counted: it is a new entry.
func (s *Stream) IdmpAdd(pid, iid []byte, id ID, at, since, most int64, counted bool) {
	s.IdmpExpire(since)
	p := s.ownProducer(pid)
	x := s.idmp
	if counted {
		x.added++
	}
	if _, there := p.ids[string(iid)]; there {
		i := slices.IndexFunc(p.iids, func(e Iid) bool { return e.Iid == string(iid) })
		p.iids = slices.Delete(p.iids, i, i+1)
		x.grow(s, -iidBytes-int64(len(iid)))
	}
	if n := len(p.iids); n > 0 {
		at = max(at, p.iids[n-1].At) // a clock that was set back
	}
	e := Iid{Iid: string(iid), ID: id, At: at}
	p.iids = append(p.iids, e)
	p.ids[e.Iid] = id
	x.grow(s, iidBytes+int64(len(iid)))
	for int64(len(p.iids)) > most {
		s.forget(p)
	}
}

// IdmpLoad remembers a message as a file has it.
func (s *Stream) IdmpLoad(pid, iid []byte, id ID, at int64) {
	s.IdmpAdd(pid, iid, id, at, math.MinInt64, math.MaxInt64, false)
}

// forget forgets the oldest message of a producer of the stream's own.
func (s *Stream) forget(p *producer) {
	old := p.iids[0]
	p.iids[0] = Iid{}
	p.iids = p.iids[1:]
	delete(p.ids, old.Iid)
	s.idmp.grow(s, -iidBytes-int64(len(old.Iid)))
}

// IdmpExpire forgets all messages that are older than since.
func (s *Stream) IdmpExpire(since int64) {
	if s.idmp == nil {
		return
	}
	for pid, p := range s.idmp.producers {
		if len(p.iids) > 0 && p.iids[0].At >= since {
			continue
		}
		p = s.ownProducer([]byte(pid))
		for len(p.iids) > 0 && p.iids[0].At < since {
			s.forget(p)
		}
		if len(p.iids) == 0 {
			delete(s.idmp.producers, pid)
			s.idmp.grow(s, -producerBytes-int64(len(pid)))
		}
	}
}

// IdmpTracked is the number of producers, and of their messages, that are
// remembered and not older than since.
func (s *Stream) IdmpTracked(since int64) (pids, iids int) {
	if s.idmp == nil {
		return 0, 0
	}
	for _, p := range s.idmp.producers {
		i := sort.Search(len(p.iids), func(i int) bool { return p.iids[i].At >= since })
		if n := len(p.iids) - i; n > 0 {
			pids++
			iids += n
		}
	}
	return pids, iids
}

// EachProducer calls f for the producers, by name, with their messages from the
// oldest on, which must not be changed.
func (s *Stream) EachProducer(f func(pid string, iids []Iid)) {
	if s.idmp == nil {
		return
	}
	for _, pid := range slices.Sorted(maps.Keys(s.idmp.producers)) {
		f(pid, s.idmp.producers[pid].iids)
	}
}
