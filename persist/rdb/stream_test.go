package rdb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"kvd/types"
	"kvd/types/stream"
)

// streamText is all that a stream holds, in words.
func streamText(s *stream.Stream) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %s %s %d;", s.Len(), s.FirstID(), s.LastID(), s.MaxDeletedID(), s.Added())
	it := s.Seek(stream.ID{})
	for it.Next() {
		fmt.Fprintf(&b, " %s", it.ID)
		for range it.Fields {
			f, v := it.Pair()
			fmt.Fprintf(&b, " %q=%q", f.Append(nil), v.Append(nil))
		}
	}
	for _, g := range s.Groups() {
		fmt.Fprintf(&b, "; %q %s %d:", g.Name, g.Last, g.Read)
		for _, c := range g.Consumers() {
			fmt.Fprintf(&b, " %q %d %d %d", c.Name, c.Seen, c.Active, c.Pending)
		}
		g.EachPending(stream.ID{}, nil, func(p *stream.Pending) bool {
			if c := g.Owner(p); c != nil {
				fmt.Fprintf(&b, " %s %d %d %q", p.ID, p.Time, p.Count, c.Name)
			}
			return true
		})
		for _, p := range g.Due(-1<<63, g.Nacked(), nil) {
			fmt.Fprintf(&b, " %s nobody's %d", p.ID, p.Count)
		}
	}
	duration, most := s.IdmpConfig()
	added, duplicates := s.IdmpCounts()
	fmt.Fprintf(&b, "; %d %d %d %d", duration, most, added, duplicates)
	s.EachProducer(func(pid string, iids []stream.Iid) {
		for _, i := range iids {
			fmt.Fprintf(&b, " %q %q %s %d", pid, i.Iid, i.ID, i.At)
		}
	})
	return b.String()
}

// randomStream makes a stream of n entries, some deleted, with groups.
func randomStream(rng *rand.Rand, n int) *stream.Stream {
	s := stream.New()
	id := stream.ID{Ms: rng.Uint64() >> 20}
	for range n {
		id = stream.ID{Ms: id.Ms + rng.Uint64N(5000), Seq: id.Seq + 1 + rng.Uint64N(3)}
		fields := [][]byte{[]byte("a"), word(rng), []byte("b"), word(rng)}
		if rng.IntN(5) == 0 {
			fields = [][]byte{word(rng), word(rng)}
		}
		s.Append(id, fields, stream.Limits{MaxBytes: 4096, MaxEntries: 20})
		if rng.IntN(6) == 0 {
			s.Delete(id)
		}
	}
	plain := rng.IntN(2) == 0
	for i := range rng.IntN(3) {
		g := s.AddGroup([]byte{'g', byte('0' + i)}, stream.ID{Ms: id.Ms / 2}, rng.Int64N(20)-1)
		for j := range rng.IntN(4) {
			s.AddConsumer(g, nil, 0)
			s.RemoveConsumer(g, nil)
			c := s.AddConsumer(g, []byte{'c', byte('0' + j)}, 1700000000000+rng.Int64N(1000))
			c.Active = c.Seen
			if !plain && rng.IntN(2) == 0 {
				c.Active = -1
			}
			for k := range rng.IntN(40) {
				s.Assign(g, stream.Pending{ID: stream.ID{Ms: uint64(k * (j + 1)), Seq: uint64(i)}, Time: 1700000000000 + int64(k), Count: rng.Uint64N(300), Consumer: c.Number()})
			}
		}
		if !plain && rng.IntN(2) == 0 {
			for range 5 {
				s.Release(g, stream.ID{Ms: rng.Uint64N(100), Seq: 9}, 1<<63-1)
			}
		}
	}
	if !plain && rng.IntN(2) == 0 {
		s.SetIdmpConfig(rng.Int64N(3), rng.Int64N(100))
		for i := range rng.IntN(20) {
			s.IdmpAdd(word(rng), word(rng), id, 1700000000000+int64(i), 0, 100, true)
		}
	}
	return s
}

// TestStreamActive: a stream in the form of files, together with StreamActive, is the
// stream; times of another one change nothing.
func TestStreamActive(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	told := 0
	for range 200 {
		s := randomStream(rng, rng.IntN(20))
		e := Encoder{Streams19: true}
		if e.streamType(s) != TypeStream2 {
			continue
		}
		want, active := streamText(s), StreamActive(s)
		if active != nil {
			told++
		}
		b := e.EncodeValue(nil, types.TStream, types.EncObject, nil, s)
		v, err := DecodeValue(NewReader(bytes.NewReader(b), true), TypeStream2, &Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got := v.Obj.(*stream.Stream)
		before := streamText(got)
		if (active == nil) != (before == want) {
			t.Fatalf("without the times: %s, want %s", before, want)
		}
		if active == nil {
			continue
		}
		if SetStreamActive(got, append(active, 2)) || SetStreamActive(got, append(active, 0x80)) || streamText(got) != before {
			t.Fatal("times of another stream are taken")
		}
		if !SetStreamActive(got, active) || streamText(got) != want {
			t.Fatalf("with the times: %s, want %s", streamText(got), want)
		}
	}
	if told < 5 {
		t.Errorf("only %d streams have such times", told)
	}
}
