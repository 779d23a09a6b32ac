package keyspace

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"kvd/types"
)

// model is what the keyspace should hold: by database, by key.
type model [3]map[string]modelValue

type modelValue struct {
	value    string
	deadline int64
}

func newModel() (m model) {
	for i := range m {
		m[i] = map[string]modelValue{}
	}
	return
}

func (m *model) clone() (c model) {
	for i := range m {
		c[i] = make(map[string]modelValue, len(m[i]))
		for k, v := range m[i] {
			c[i][k] = v
		}
	}
	return
}

func newTest(t testing.TB, stripes int) (*Keyspace, *rand.Rand) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ks := New(Options{Databases: 3, Stripes: stripes})
	t.Cleanup(func() {
		if err := ks.Check(); err != nil {
			t.Error(err)
		}
		ks.Close()
	})
	return ks, rand.New(rand.NewPCG(seed, 7))
}

// newTx is a Tx on database 0 of a keyspace that nobody else uses yet.
func newTx(ks *Keyspace) *Tx {
	h := ks.LockAll()
	defer ks.Unlock(&h)
	return ks.TxOn(0)
}

// step makes one random change on both sides.
func step(ks *Keyspace, tx *Tx, m *model, rnd *rand.Rand, keys int) {
	db := rnd.IntN(3)
	name := fmt.Sprintf("key:%d", rnd.IntN(keys))
	switch rnd.IntN(6) {
	case 0:
		name = "{tag}" + name
	case 1:
		if rnd.IntN(20) == 0 {
			name += strings.Repeat("x", 300)
		}
	}
	k := MakeKey([]byte(name))
	size := rnd.IntN(100)
	if rnd.IntN(50) == 0 {
		size = rnd.IntN(5000)
	}
	val := strings.Repeat(string(rune('a'+rnd.IntN(26))), size)
	h := ks.LockKeys([]Key{k})
	defer func() { ks.Unlock(&h) }()
	tx.Use(db)
	cur, exists := m[db][name]
	e := tx.Find(&k)
	if e.Exists() != exists {
		panic(fmt.Sprintf("key %q: found %v, expected %v", name, e.Exists(), exists))
	}
	switch r := rnd.IntN(20); {
	case r < 10:
		dl := int64(0)
		if rnd.IntN(4) == 0 {
			dl = tx.Now + 1_000_000 + rnd.Int64N(1_000_000)
		}
		tx.Put(&k, types.TString, types.EncRaw, []byte(val), dl)
		m[db][name] = modelValue{val, dl}
	case r < 15:
		if tx.Delete(&k) != exists {
			panic("Delete disagrees")
		}
		delete(m[db], name)
	case r < 17 && exists:
		b := append(tx.Writable(&k, &e), val...)
		tx.Edit(&k, types.EncRaw, b, nil)
		m[db][name] = modelValue{cur.value + val, cur.deadline}
	case r < 19 && exists:
		dl := int64(0)
		if rnd.IntN(2) == 0 {
			dl = tx.Now + 1_000_000 + rnd.Int64N(1_000_000)
		}
		tx.SetDeadline(&k, dl)
		m[db][name] = modelValue{cur.value, dl}
	default:
		if rnd.IntN(2000) == 0 {
			ks.Unlock(&h)
			h = ks.LockAll()
			tx.Use(db)
			if n := tx.Flush(); n != len(m[db]) {
				panic(fmt.Sprintf("Flush removed %d of %d", n, len(m[db])))
			}
			m[db] = map[string]modelValue{}
		} else if rnd.IntN(500) == 0 {
			ks.Unlock(&h)
			h = ks.LockAll()
			tx.Swap(0, 1)
			m[0], m[1] = m[1], m[0]
		}
	}
}

func compare(t *testing.T, ks *Keyspace, m *model) {
	t.Helper()
	for db := range m {
		n := 0
		ks.Each(db, 0, false, func(e *Entry) {
			n++
			v, ok := m[db][string(e.Key())]
			if !ok || v.value != string(e.Packed()) || v.deadline != e.Deadline() {
				t.Fatalf("db %d key %.40q: holds %.20q deadline %d, expected %v %.20q %d", db, e.Key(), e.Packed(), e.Deadline(), ok, v.value, v.deadline)
			}
		})
		if n != len(m[db]) {
			t.Fatalf("db %d: %d keys visited, expected %d", db, n, len(m[db]))
		}
		if n, _ := ks.Size(db, false); n != len(m[db]) {
			t.Fatalf("db %d: Size %d, expected %d", db, n, len(m[db]))
		}
	}
}

func TestRandom(t *testing.T) {
	for _, keys := range []int{50, 3000, 60000} {
		t.Run(fmt.Sprint(keys), func(t *testing.T) {
			ks, rnd := newTest(t, 16)
			tx := newTx(ks)
			tx.Now = time.Now().UnixMilli()
			m := newModel()
			steps := 200000
			if testing.Short() {
				steps = 20000
			}
			for i := range steps {
				step(ks, tx, &m, rnd, keys)
				if i%(steps/5) == 0 {
					if err := ks.Check(); err != nil {
						t.Fatalf("step %d: %v", i, err)
					}
					compare(t, ks, &m)
				}
			}
			compare(t, ks, &m)
		})
	}
}

// TestSnapshot changes everything while snapshots are walked, some of them
// given up half way, and expects each whole one to hold its instant.
func TestSnapshot(t *testing.T) {
	ks, rnd := newTest(t, 16)
	tx := newTx(ks)
	tx.Now = time.Now().UnixMilli()
	m := newModel()
	for range 20000 {
		step(ks, tx, &m, rnd, 8000)
	}
	for round := range 12 {
		var at model
		got := newModel()
		s, err := ks.StartSnapshot(func(it Item) {
			if _, dup := got[it.DB][string(it.Key)]; dup {
				t.Fatalf("round %d: key %q comes twice", round, it.Key)
			}
			got[it.DB][string(it.Key)] = modelValue{string(it.Packed), it.Deadline}
		}, func() { at = m.clone() })
		if err != nil {
			t.Fatal(err)
		}
		stop := -1
		if round%3 == 1 {
			stop = 1 + rnd.IntN(30)
		}
		n := 0
		whole := s.Walk(func() bool {
			for range rnd.IntN(800) {
				step(ks, tx, &m, rnd, 8000)
			}
			n++
			return n != stop
		})
		s.End()
		if whole != (stop < 0 || n < stop) {
			t.Fatalf("round %d: Walk says %v", round, whole)
		}
		if !whole {
			continue
		}
		for db := range at {
			if len(got[db]) != len(at[db]) {
				t.Fatalf("round %d db %d: %d keys in the snapshot, %d at its instant", round, db, len(got[db]), len(at[db]))
			}
			for k, v := range at[db] {
				if got[db][k] != v {
					t.Fatalf("round %d db %d key %q: snapshot has %v, instant had %v", round, db, k, got[db][k], v)
				}
			}
		}
	}
	compare(t, ks, &m)
}

// TestSnapshotOfOneSlot: a slot may have more segments than the walker takes at once.
func TestSnapshotOfOneSlot(t *testing.T) {
	ks, _ := newTest(t, 16)
	tx := newTx(ks)
	const n = 300_000
	h := ks.LockAll()
	for i := range n {
		k := MakeKey(fmt.Appendf(nil, "{t}%d", i))
		tx.Put(&k, types.TString, types.EncRaw, nil, 0)
	}
	ks.Unlock(&h)
	got := 0
	s, err := ks.StartSnapshot(func(Item) { got++ }, nil)
	if err != nil {
		t.Fatal(err)
	}
	turns := 0
	if !s.Walk(func() bool { turns++; return turns < n }) || got != n {
		t.Errorf("%d of %d keys after %d turns", got, n, turns)
	}
	s.End()
	if turns < n*32/walkBytes {
		t.Errorf("%d turns: the stripe was locked for long", turns)
	}
}

// TestSnapshotOfObjects: the walker takes few Objects, and few long values, at once.
func TestSnapshotOfObjects(t *testing.T) {
	ks, _ := newTest(t, 16)
	tx := newTx(ks)
	h := ks.LockAll()
	for i := range 1000 {
		k := MakeKey(fmt.Appendf(nil, "{t}%d", i))
		switch i % 3 {
		case 0:
			tx.PutObject(&k, types.TString, types.EncChunked, types.NewBigString(make([]byte, 10_000)), 0)
		case 1:
			tx.PutObject(&k, types.TString, types.EncChunked, types.NewBigString(make([]byte, 1_000_000)), 0)
		case 2:
			tx.Put(&k, types.TString, types.EncRaw, make([]byte, 12_000), 0)
		}
	}
	ks.Unlock(&h)
	got, most := 0, 0
	s, err := ks.StartSnapshot(func(Item) { got++ }, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	s.Walk(func() bool { got, sum, most = 0, sum+got, max(most, got); return true })
	s.End()
	if sum != 1000 || most > walkBytes/10_000+1 {
		t.Errorf("%d keys, %d at once", sum, most)
	}
}

// TestSnapshotOfRenamed: what RENAME takes from a key is in a running snapshot as it was.
func TestSnapshotOfRenamed(t *testing.T) {
	ks, _ := newTest(t, 16)
	tx := newTx(ks)
	k := MakeKey([]byte("k"))
	deadline := time.Now().Add(time.Hour).UnixMilli() // it must not expire meanwhile
	h := ks.LockAll()
	tx.PutObject(&k, types.TString, types.EncChunked, types.NewBigString(make([]byte, 100_000)), deadline)
	ks.Unlock(&h)
	var got []string
	s, err := ks.StartSnapshot(func(it Item) {
		size := -1
		if o, ok := it.Object.(*types.BigString); ok { // a panic here would leave the stripe locked
			size = o.Len()
		}
		got = append(got, fmt.Sprintf("%s %v %v %d %d", it.Key, it.Type, it.Encoding, size, it.Deadline))
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h = ks.LockAll()
	typ, enc, _, o, _, _, _ := tx.Detach(&k)
	other := MakeKey([]byte("other"))
	tx.PutObject(&other, typ, enc, o, deadline)
	ks.Unlock(&h)
	s.Walk(nil)
	s.End()
	if want := fmt.Sprintf("k %v %v 100000 %d", types.TString, types.EncChunked, deadline); len(got) != 1 || got[0] != want {
		t.Errorf("the snapshot has %q, not %q", got, want)
	}
}

// TestScan scans while keys come and go, and expects every key that stayed.
func TestScan(t *testing.T) {
	ks, rnd := newTest(t, 16)
	tx := newTx(ks)
	put := func(name string) {
		k := MakeKey([]byte(name))
		h := ks.LockKeys([]Key{k})
		tx.Use(0)
		tx.Put(&k, types.TString, types.EncRaw, []byte("v"), 0)
		ks.Unlock(&h)
	}
	del := func(name string) {
		k := MakeKey([]byte(name))
		h := ks.LockKeys([]Key{k})
		tx.Use(0)
		tx.Delete(&k)
		ks.Unlock(&h)
	}
	for i := range 3000 {
		put(fmt.Sprintf("stay:%d", i))
		put(fmt.Sprintf("{one}stay:%d", i))
	}
	seen := map[string]bool{}
	extra := 0
	calls := 0
	for c := uint64(0); ; {
		c = ks.Scan(0, c, 10, 0, false, func(e *Entry) { seen[string(e.Key())] = true })
		if c == 0 {
			break
		}
		if c >= 1<<53 {
			t.Fatalf("cursor %d does not fit JavaScript's numbers", c)
		}
		calls++
		for range 100 {
			if extra < 20000 {
				put(fmt.Sprintf("{one}extra:%d", extra))
			}
			extra++
		}
		for range 50 {
			del(fmt.Sprintf("{one}extra:%d", rnd.IntN(extra)))
		}
	}
	for i := range 3000 {
		for _, name := range []string{fmt.Sprintf("stay:%d", i), fmt.Sprintf("{one}stay:%d", i)} {
			if !seen[name] {
				t.Fatalf("SCAN missed %q", name)
			}
		}
	}
	if calls < 300 {
		t.Fatalf("only %d calls: COUNT is not held", calls)
	}
}

func TestRandomKeyIsUniform(t *testing.T) {
	ks, _ := newTest(t, 16)
	tx := newTx(ks)
	const n = 100
	for i := range n {
		name := fmt.Sprint("k", i)
		if i%2 == 0 {
			name = fmt.Sprint("{t}", i) // half of them crowd one slot
		}
		k := MakeKey([]byte(name))
		h := ks.LockKeys([]Key{k})
		tx.Put(&k, types.TString, types.EncRaw, nil, 0)
		ks.Unlock(&h)
	}
	hits := map[string]int{}
	h := ks.LockAll()
	for range n * 400 {
		e, _ := tx.Random()
		hits[string(e.Key())]++
	}
	ks.Unlock(&h)
	for k, c := range hits {
		if c < 280 || c > 520 { // 400 with a deviation of 20: six of those
			t.Errorf("key %s came %d times of an expected 400", k, c)
		}
	}
	if len(hits) != n {
		t.Errorf("%d keys came, of %d", len(hits), n)
	}
}

func TestExpiry(t *testing.T) {
	ks, _ := newTest(t, 16)
	done := make(chan struct{}, 100000)
	ks.SetHooks(Hooks{Expired: func(db int, key []byte) { done <- struct{}{} }})
	tx := newTx(ks)
	const n, tries = 5000, 5
	for try := 1; try <= tries; try++ {
		start := time.Now().UnixMilli()
		for i := range n {
			k := MakeKey(fmt.Appendf(nil, "k%d", i))
			h := ks.LockKeys([]Key{k})
			tx.Now = start
			tx.Use(i % 3)
			tx.Put(&k, types.TString, types.EncRaw, []byte("v"), start+50+int64(i%100))
			ks.Unlock(&h)
		}
		for range n {
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Fatalf("after 20 s not all of %d keys have expired", n)
			}
		}
		late := time.Now().UnixMilli() - (start + 150)
		if late <= 1000 {
			break
		}
		if try == tries { // once the machine may stand still
			t.Errorf("the last key went %d ms late", late)
		}
	}
	for db := range 3 {
		if keys, volatile := ks.Size(db, false); keys != 0 || volatile != 0 {
			t.Errorf("db %d: %d keys, %d volatile left", db, keys, volatile)
		}
	}
}

type recorder struct{ got bytes.Buffer }

func (r *recorder) Effect(e Effect) {
	fmt.Fprintf(&r.got, "%d %s\n", e.DB, bytes.Join(e.Args, []byte(" ")))
}
func (r *recorder) Begin() { r.got.WriteString("begin\n") }
func (r *recorder) End()   { r.got.WriteString("end\n") }

func TestJournal(t *testing.T) {
	ks, _ := newTest(t, 16)
	var r recorder
	h := ks.LockAll()
	ks.Journal.Attach(&r)
	ks.Unlock(&h)
	tx := newTx(ks)
	tx.Now = 1000
	k := MakeKey([]byte("gone"))
	h = ks.LockKeys([]Key{k})
	tx.Use(2)
	tx.Put(&k, types.TString, types.EncRaw, nil, 1500)
	tx.Now = 1500
	if e := tx.Find(&k); e.Exists() {
		t.Error("a key is there at its deadline")
	}
	ks.Unlock(&h)
	ks.Journal.Append(1, []byte("SET"), []byte("a"), []byte("b"))
	ks.Journal.AppendAll([]Effect{{DB: 0, Args: [][]byte{[]byte("A")}}, {DB: 1, Args: [][]byte{[]byte("B")}}})
	if want := "2 DEL gone\n1 SET a b\nbegin\n0 A\n1 B\nend\n"; r.got.String() != want {
		t.Errorf("journal:\n%swant:\n%s", r.got.String(), want)
	}
	ks.Journal.Detach(&r)
	if ks.Journal.Active() {
		t.Error("active without a reader")
	}
}

func TestSlotOf(t *testing.T) {
	// CRC16/XMODEM of "123456789" is 0x31C3; the others are known slots.
	if crc16([]byte("123456789")) != 0x31c3 {
		t.Errorf("crc16 gives %#x", crc16([]byte("123456789")))
	}
	for key, slot := range map[string]uint16{"foo": 12182, "{foo}bar": 12182, "foo{}{bar}": 8363, "bar": 5061, "a{bar}b{c}": 5061, "": 0} {
		if got := SlotOf([]byte(key)); got != slot {
			t.Errorf("SlotOf(%q) = %d, want %d", key, got, slot)
		}
	}
}

func TestMemoryComesBack(t *testing.T) {
	ks, rnd := newTest(t, 16)
	tx := newTx(ks)
	const n = 100000
	put := func(i, size int) {
		k := MakeKey(fmt.Appendf(nil, "key:%012d", i))
		h := ks.LockKeys([]Key{k})
		tx.Use(0)
		tx.PutSpace(&k, types.TString, types.EncRaw, size, 0)
		ks.Unlock(&h)
	}
	for i := range n {
		put(i, 64)
	}
	if per := ks.Memory(false).Held / n; per > 130 { // six keys a slot: tables weigh more than with many
		t.Errorf("%d bytes a key of 16+64", per)
	}
	for i := range n {
		put(i, 8+rnd.IntN(1000))
	}
	for i := range n {
		if i%5 != 0 {
			k := MakeKey(fmt.Appendf(nil, "key:%012d", i))
			h := ks.LockKeys([]Key{k})
			tx.Delete(&k)
			ks.Unlock(&h)
		}
	}
	for ks.tidy() {
	}
	m := ks.Memory(false)
	if m.Held > m.Used()*3/2+8<<20 {
		t.Errorf("after deleting 80%%: %d bytes in use, %d held", m.Used(), m.Held)
	}
}

func BenchmarkPut(b *testing.B) {
	ks, _ := newTest(b, 16)
	tx := newTx(ks)
	const n = 1 << 20
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key:%012d", i)
	}
	val := make([]byte, 64)
	i := 0
	for b.Loop() {
		k := MakeKey(keys[(i*7919)&(n-1)])
		h := ks.LockKeys([]Key{k})
		tx.Put(&k, types.TString, types.EncRaw, val, 0)
		ks.Unlock(&h)
		i++
	}
}

// BenchmarkFind looks keys up in slots of few keys, as most databases have them.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{50_000, 100_000, 200_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ks, rng := newTest(b, 16)
			tx := ks.TxOn(0)
			keys := make([]Key, n)
			for i := range keys {
				keys[i] = MakeKey(fmt.Appendf(nil, "h:%012d", i))
				tx.Put(&keys[i], types.TString, types.EncRaw, make([]byte, 32), 0)
			}
			rng.Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
			i := 0
			for b.Loop() {
				e := tx.Peek(&keys[i])
				if !e.Exists() {
					b.Fatal("a key is not there")
				}
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}

// BenchmarkExpire removes keys whose deadlines have passed; nothing is allocated.
func BenchmarkExpire(b *testing.B) {
	ks := New(Options{})
	tx := ks.NewTx()
	for i := range b.N {
		k := [1]Key{MakeKey(fmt.Appendf(nil, "key:%d", i))}
		h := ks.LockKeys(k[:])
		tx.Use(0)
		tx.Put(&k[0], types.TString, types.EncEmbstr, []byte("x"), 1<<45)
		ks.Unlock(&h)
	}
	b.ReportAllocs()
	b.ResetTimer()
	tx.Now = 1 << 45
	for i := range ks.stripes {
		st := &ks.stripes[i]
		st.lock()
		for st.expireSome(tx, expireBatch) != 0 {
		}
		st.unlock()
	}
}
