package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
	"kvd/persist/rdb"
	"kvd/types"
)

var limits = rdb.Limits{
	List: types.ListLimits{MaxSize: -2},
	Set:  types.SetLimits{MaxIntset: 512, MaxListpackEntries: 128, MaxListpackValue: 64},
	Hash: types.HashLimits{MaxListpackEntries: 128, MaxListpackValue: 64},
	ZSet: types.ZSetLimits{MaxListpackEntries: 128, MaxListpackValue: 64},
}

// room is a keyspace with a Saver, in a directory that the test works in.
type room struct {
	*Saver
	t     testing.TB
	ks    *keyspace.Keyspace
	dirty atomic.Int64
	log   bytes.Buffer
	state atomic.Int32 // calls of Changed
}

// newRoom makes one more in the working directory.
func newRoom(t testing.TB, directives ...string) *room {
	t.Helper()
	cfg := config.New()
	for i := 0; i < len(directives); i += 2 {
		if err := cfg.SetInitial(directives[i], strings.Fields(directives[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	r := &room{t: t, ks: keyspace.New(keyspace.Options{Stripes: 16})}
	r.Saver = New(Options{Keyspace: r.ks, Config: cfg, Log: logf.NewWriter(&r.log, logf.Debug), Dirty: &r.dirty, Version: "test", LoadFunctions: r.loadFunctions, RedisVersion: "7.4.0",
		UsedMemory: func() int64 { return 1 }, Limits: func() *rdb.Limits { return &limits },
		Freq: func(c uint32) byte { return byte(c) }, FreqClock: func(f byte) uint32 { return 0x7700 | uint32(f) }, Changed: func() { r.state.Add(1) }})
	t.Cleanup(func() {
		r.Close()
		if err := r.ks.Check(); err != nil {
			t.Error(err)
		}
		r.ks.Close()
	})
	return r
}

func newRand(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// word is a random string: number, text that compresses, or noise.
func word(rng *rand.Rand) []byte {
	switch rng.IntN(4) {
	case 0:
		return strconv.AppendInt(nil, int64(rng.Uint64())>>rng.IntN(64), 10)
	case 1:
		return bytes.Repeat([]byte("abc"), rng.IntN(50))
	}
	b := make([]byte, rng.IntN(40))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// random makes a value with about n elements.
func random(rng *rand.Rand, n int) (v rdb.Value) {
	switch v.Type = types.TString + types.Type(rng.IntN(5)); v.Type {
	case types.TString:
		v.Enc, v.Packed = types.EncRaw, append(bytes.Repeat(word(rng), n), 'x')
		if len(v.Packed) > rdb.PackedMax {
			v = rdb.Value{Type: types.TString, Enc: types.EncChunked, Obj: types.NewBigString(v.Packed)}
		}
	case types.TList:
		l := types.List{Limits: limits.List}
		for range n {
			l.PushBack(word(rng))
		}
		v.Enc, v.Packed, v.Obj = l.Stored()
	case types.TSet:
		s := types.Set{Limits: limits.Set}
		ints := rng.IntN(2) == 0
		for i := range n {
			if ints {
				s.Add(strconv.AppendInt(nil, int64(i*7), 10))
			} else {
				s.Add(word(rng))
			}
		}
		v.Enc, v.Packed, v.Obj = s.Stored()
	case types.TZSet:
		var b types.ZSetBuilder
		for i := range n {
			b.Add(fmt.Appendf(nil, "%d %q", i, word(rng)), rng.NormFloat64())
		}
		v.Enc, v.Packed, v.Obj = b.Finish(limits.ZSet).Stored()
	case types.THash:
		h := types.Hash{Limits: limits.Hash}
		for range n {
			h.Put(word(rng), word(rng), 0)
		}
		v.Enc, v.Packed, v.Obj = h.Stored()
	}
	return v
}

// text is all that a value holds.
func text(typ types.Type, enc types.Encoding, packed []byte, obj types.Object) string {
	out := []string{}
	switch typ {
	case types.TString:
		switch enc {
		case types.EncInt:
			return strconv.FormatInt(int64(binary.LittleEndian.Uint64(packed)), 10)
		case types.EncChunked:
			s := obj.(*types.BigString)
			return string(s.AppendRange(nil, 0, s.Len()))
		}
		return string(packed)
	case types.TList:
		var l types.List
		l.Load(enc, packed, obj)
		l.EachPacked(func(p types.Packed) bool {
			for off := 0; off < len(p); {
				var e types.Elem
				e, off = p.AtEnd(off)
				out = append(out, string(e.Append(nil)))
			}
			return true
		})
	case types.TSet:
		var s types.Set
		s.Load(enc, packed, obj)
		s.Each(func(e types.Elem) bool { out = append(out, string(e.Append(nil))); return true })
		slices.Sort(out)
	case types.TZSet:
		var z types.SortedSet
		z.Load(enc, packed, obj)
		z.Each(func(m []byte, score float64) bool { out = append(out, fmt.Sprint(string(m), score)); return true })
	case types.THash:
		var h types.Hash
		h.Load(enc, packed, obj)
		h.Each(0, func(f, v types.Elem, d int64) bool {
			out = append(out, fmt.Sprintf("%q %q %d", f.Append(nil), v.Append(nil), d))
			return true
		})
		slices.Sort(out)
	}
	return fmt.Sprintf("%q", out)
}

// contents are all keys with their databases, deadlines and values.
func (r *room) contents() map[string]string {
	all := map[string]string{}
	for db := range r.ks.Databases() {
		r.ks.Each(db, 0, false, func(e *keyspace.Entry) {
			name := fmt.Sprintf("%d %q", db, e.Key())
			all[name] = fmt.Sprint(e.Type(), e.Deadline(), text(e.Type(), e.Encoding(), e.Packed(), e.Object()))
		})
	}
	return all
}

// put sets a key; a value without a type deletes it.
func (r *room) put(tx *keyspace.Tx, db int, key string, v rdb.Value, deadline int64) {
	k := []keyspace.Key{keyspace.MakeKey([]byte(key))}
	h := r.ks.LockKeys(k)
	defer r.ks.Unlock(&h)
	tx.Use(db)
	tx.Now = time.Now().UnixMilli()
	switch {
	case v.Type == types.NoType:
		tx.Delete(&k[0])
	case v.Obj != nil:
		tx.PutObject(&k[0], v.Type, v.Enc, v.Obj, deadline)
	default:
		tx.Put(&k[0], v.Type, v.Enc, v.Packed, deadline)
	}
	r.dirty.Add(1)
}

// fill puts n random keys.
func (r *room) fill(rng *rand.Rand, n int) {
	tx := r.ks.NewTx()
	for i := range n {
		deadline := int64(0)
		if rng.IntN(3) == 0 {
			deadline = time.Now().UnixMilli() + 1e6 + rng.Int64N(1e9)
		}
		r.put(tx, rng.IntN(3)*5, fmt.Sprintf("%s%d", word(rng), i), random(rng, 1+rng.IntN(1<<rng.IntN(11))), deadline)
	}
}

func (r *room) mustSave() {
	r.t.Helper()
	if busy, err := r.Save(); busy || err != nil {
		r.t.Fatal(busy, err)
	}
}

func (r *room) mustLoad() {
	r.t.Helper()
	r.SetLoading()
	if err := r.Load(); err != nil {
		r.t.Fatal(err)
	}
	r.Serve()
}

func wantSame(t testing.TB, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d keys, want %d", len(got), len(want))
	}
	for k, v := range want {
		if got[k] != v {
			t.Fatalf("%s is %.200s, want %.200s", k, got[k], v)
		}
	}
}

// wantFiles compares the names in the working directory.
func wantFiles(t testing.TB, want ...string) {
	t.Helper()
	var got []string
	list, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestSaveAndLoad(t *testing.T) {
	rng := newRand(t)
	for _, d := range [][]string{nil, {"rdbcompression", "no"}, {"rdbchecksum", "no"}, {"maxmemory-policy", "allkeys-lru"}, {"maxmemory-policy", "volatile-lfu"}} {
		t.Chdir(t.TempDir())
		a := newRoom(t, d...)
		a.fill(rng, 400)
		a.mustSave()
		wantFiles(t, "dump.rdb", LockName)
		if n := a.dirty.Load(); n != 0 {
			t.Errorf("%d changes after the save", n)
		}
		b := newRoom(t, d...)
		b.mustLoad()
		wantSame(t, b.contents(), a.contents())
		if b.loaded != int64(len(a.contents())) || b.Loading() {
			t.Errorf("%d keys loaded, loading %v", b.loaded, b.Loading())
		}
		if _, err := b.Reload(false, false, false); err == nil {
			t.Error("two servers save into one directory")
		}
		a.lock.release() // as the end of a server does
		if _, err := b.Reload(false, false, false); err != nil {
			t.Error(err)
		}
		wantSame(t, b.contents(), a.contents())
		file, err := os.ReadFile("dump.rdb")
		if err != nil || string(file[:9]) != "REDIS0010" {
			t.Errorf("%v, %.9s", err, file)
		}
		if sum := file[len(file)-8:]; (d != nil && d[0] == "rdbchecksum") != bytes.Equal(sum, make([]byte, 8)) {
			t.Errorf("checksum %x with %v", sum, d)
		}
	}
}

func TestAccessClocks(t *testing.T) {
	for policy, want := range map[string]func(uint32) bool{
		"allkeys-lru":    func(c uint32) bool { d := (uint32(time.Now().Unix()) - c) & 0xFFFFFF; return d >= 1000 && d < 1010 },
		"volatile-lfu":   func(c uint32) bool { return c == 0x7742 },
		"volatile-ttl":   func(c uint32) bool { return (uint32(time.Now().Unix())-c)&0xFFFFFF < 10 },
		"allkeys-random": func(c uint32) bool { return (uint32(time.Now().Unix())-c)&0xFFFFFF < 10 },
	} {
		t.Chdir(t.TempDir())
		a := newRoom(t, "maxmemory-policy", policy)
		tx := a.ks.NewTx()
		tx.Clock = (uint32(time.Now().Unix()) - 1000) & 0xFFFFFF
		if strings.HasSuffix(policy, "lfu") {
			tx.Clock = 0x42
		}
		a.put(tx, 0, "k", rdb.Value{Type: types.TString, Packed: []byte("v")}, 0)
		a.mustSave()
		b := newRoom(t, "maxmemory-policy", policy)
		b.mustLoad()
		n := 0
		b.ks.Each(0, 0, false, func(e *keyspace.Entry) {
			n++
			if !want(e.Clock()) {
				t.Errorf("%s: clock %x", policy, e.Clock())
			}
		})
		if n != 1 {
			t.Errorf("%d keys", n)
		}
	}
}

// TestInstant changes everything while snapshots are written, some of them
// given up or repeated, and expects each whole one to hold its instant.
func TestInstant(t *testing.T) {
	rng := newRand(t)
	t.Chdir(t.TempDir())
	a := newRoom(t)
	a.fill(rng, 500)
	// gate makes the instant known: a change and the start of a snapshot
	// exclude each other, a change and its writing do not.
	var gate sync.Mutex
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 3 {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(w)))
		wg.Go(func() {
			tx := a.ks.NewTx()
			for {
				select {
				case <-stop:
					return
				default:
				}
				gate.Lock()
				v := rdb.Value{}
				if own.IntN(3) > 0 {
					v = random(own, 1+own.IntN(400))
				}
				a.put(tx, own.IntN(2), strconv.Itoa(own.IntN(1500)), v, 0)
				if own.IntN(300) == 0 {
					h := a.ks.LockAll()
					if own.IntN(2) == 0 {
						tx.Flush()
					} else {
						tx.Swap(0, 1)
					}
					a.ks.Unlock(&h)
				}
				gate.Unlock()
			}
		})
	}
	whole, rounds := 0, 12
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		gate.Lock()
		want := a.contents()
		j, busy := a.begin(a.newJob(true))
		gate.Unlock()
		if busy {
			t.Fatal("busy")
		}
		busy, _ = a.Save()
		if !busy && a.Saving() {
			t.Error("two snapshots at a time")
		}
		if round%4 == 3 {
			time.Sleep(time.Duration(rng.IntN(1000)) * time.Microsecond)
			a.Abort()
		}
		<-j.over
		if j.err != nil {
			if !errors.Is(j.err, errAborted) || round%4 != 3 {
				t.Fatal(j.err)
			}
			continue
		}
		if !busy { // the Save above came after the end of the job, and replaced its file
			continue
		}
		b := newRoom(t, "save", "")
		b.mustLoad()
		if len(want) == len(b.contents()) {
			whole++
		}
		wantSame(t, b.contents(), want)
	}
	close(stop)
	wg.Wait()
	if whole < rounds*5/12 {
		t.Errorf("only %d whole snapshots", whole)
	}
	if list, _ := os.ReadDir("."); len(list) != 2 {
		t.Errorf("%d files are left", len(list))
	}
}

// TestSpill has writers hand over more than may wait in memory.
func TestSpill(t *testing.T) {
	rng := newRand(t)
	t.Chdir(t.TempDir())
	a := newRoom(t)
	out := newOutput(settings{disk: osDisk{}, path: "x.rdb", spill: "spill", checksum: true, compress: true, spillBytes: 512 << 10})
	if _, err := a.ks.StartSnapshot(out.add, nil); err != nil {
		t.Fatal(err)
	}
	out.begin()
	want := map[string]string{}
	for i := range 300 {
		v := random(rng, 3000)
		key := fmt.Sprintf("k%d", i)
		want[fmt.Sprintf("0 %q", key)] = fmt.Sprint(v.Type, int64(0), text(v.Type, v.Enc, v.Packed, v.Obj))
		out.add(keyspace.Item{Walked: i%2 == 0, Key: []byte(key), Type: v.Type, Encoding: v.Enc, Packed: v.Packed, Object: v.Obj})
		out.add(keyspace.Item{Key: []byte(key + "s"), Type: types.TString, Packed: bytes.Repeat([]byte(key), 9000)})
		want[fmt.Sprintf("0 %q", key+"s")] = fmt.Sprint(types.TString, int64(0), strings.Repeat(key, 9000))
	}
	end := time.Now().Add(time.Minute)
	for {
		out.mu.Lock()
		ok, spilled := !out.spilling && out.bytes <= out.spillBytes, out.spillEnd
		out.mu.Unlock()
		if ok && spilled > 4<<20 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d bytes in the second file, %d in memory", spilled, out.bytes)
		}
		time.Sleep(time.Millisecond)
	}
	go out.drain()
	if err := out.finish(); err != nil {
		t.Fatal(err)
	}
	if err := replace(osDisk{}, "x.rdb", "dump.rdb"); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, "dump.rdb")
	b := newRoom(t)
	b.mustLoad()
	wantSame(t, b.contents(), want)
}

// TestFieldDeadlines: they make the file one of version 12.
func TestFieldDeadlines(t *testing.T) {
	rng := newRand(t)
	t.Chdir(t.TempDir())
	a := newRoom(t)
	a.fill(rng, 300)
	h := types.Hash{Limits: limits.Hash}
	h.Put([]byte("f"), []byte("v"), time.Now().UnixMilli()+1e8)
	h.Put([]byte("g"), []byte("w"), 0)
	v := rdb.Value{Type: types.THash}
	v.Enc, v.Packed, v.Obj = h.Stored()
	a.put(a.ks.NewTx(), 0, "ttl", v, 0)
	a.mustSave()
	file, _ := os.ReadFile("dump.rdb")
	if string(file[:9]) != "REDIS0012" {
		t.Errorf("%.9s", file)
	}
	b := newRoom(t)
	b.mustLoad()
	wantSame(t, b.contents(), a.contents())
}

// TestVersion10: with rdb-version 10 a file has no deadlines of fields, nor the
// fields whose deadlines have passed, and the log says so.
func TestVersion10(t *testing.T) {
	t.Chdir(t.TempDir())
	a := newRoom(t, "rdb-version", "10")
	want := map[string]string{}
	for _, n := range []int{1, 40, 300, 3000} { // packed, big, and queued as a copy
		h, plain := types.Hash{Limits: limits.Hash}, types.Hash{Limits: limits.Hash}
		for i := range n {
			name, deadline := fmt.Appendf(nil, "field %d", i), int64(0)
			switch {
			case i%3 == 1:
				deadline = time.Now().UnixMilli() + 1e8
			case i%3 == 2:
				deadline = 1
			}
			h.Put(name, name, deadline)
			if deadline != 1 {
				plain.Put(name, name, 0)
			}
		}
		key := fmt.Sprint("h", n)
		v := rdb.Value{Type: types.THash}
		v.Enc, v.Packed, v.Obj = plain.Stored()
		want[fmt.Sprintf("0 %q", key)] = fmt.Sprint(v.Type, int64(0), text(v.Type, v.Enc, v.Packed, v.Obj))
		v.Enc, v.Packed, v.Obj = h.Stored()
		tx := a.ks.NewTx()
		tx.Replaying = true
		k := []keyspace.Key{keyspace.MakeKey([]byte(key))}
		held := a.ks.LockAll() // the expiry must not come before the snapshot's instant
		tx.Use(0)
		if v.Obj != nil {
			tx.PutObject(&k[0], v.Type, v.Enc, v.Obj, 0)
		} else {
			tx.Put(&k[0], v.Type, v.Enc, v.Packed, 0)
		}
		a.ks.Unlock(&held)
	}
	a.mustSave()
	if !strings.Contains(a.log.String(), "leaves out") {
		t.Error("no warning")
	}
	file, _ := os.ReadFile("dump.rdb")
	if string(file[:9]) != "REDIS0010" {
		t.Errorf("%.9s", file)
	}
	b := newRoom(t)
	b.mustLoad()
	wantSame(t, b.contents(), want)
}

// loadBytes loads a file of these bytes into an empty keyspace.
func loadBytes(t testing.TB, file []byte, directives ...string) (*room, error) {
	t.Helper()
	if err := os.WriteFile("dump.rdb", file, 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRoom(t, directives...)
	r.SetLoading()
	err := r.Load()
	if err == nil {
		r.Serve()
	}
	return r, err
}

func TestDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("it has no concurrency, and is slow under the race detector")
	}
	rng := newRand(t)
	t.Chdir(t.TempDir())
	for name, forms := range map[string]map[string]rdb.Value{"version 10": everyForm(0), "version 12": everyForm(1 << 45)} {
		t.Run(name, func(t *testing.T) { testDamage(t, rng, forms) })
	}
}

// everyForm is a small value of each type and encoding, which hashes in
// version 10 have no deadlines.
func everyForm(deadline int64) map[string]rdb.Value {
	forms := map[string]rdb.Value{
		"int":    {Type: types.TString, Enc: types.EncInt, Packed: binary.LittleEndian.AppendUint64(nil, 12345)},
		"embstr": {Type: types.TString, Enc: types.EncEmbstr, Packed: []byte("embstr")},
		"raw":    {Type: types.TString, Enc: types.EncRaw, Packed: []byte("a long one that no two parts of are the same: 0123456789")},
		"lzf":    {Type: types.TString, Enc: types.EncRaw, Packed: bytes.Repeat([]byte("abc"), 50)},
		"chunks": {Type: types.TString, Enc: types.EncChunked, Obj: types.NewBigString(bytes.Repeat([]byte("x"), rdb.PackedMax+1))},
	}
	for _, most := range []int{100, 2} { // of a packed form
		l := types.List{Limits: types.ListLimits{MaxSize: most}}
		ints, s := types.Set{Limits: types.SetLimits{MaxIntset: most}}, types.Set{Limits: types.SetLimits{MaxListpackEntries: most, MaxListpackValue: 64}}
		h := types.Hash{Limits: types.HashLimits{MaxListpackEntries: most, MaxListpackValue: 64}}
		var z types.ZSetBuilder
		for i := range 4 {
			w := fmt.Appendf(nil, "word %d", i)
			l.PushBack(w)
			s.Add(w)
			ints.Add(strconv.AppendInt(nil, int64(i*1000), 10))
			h.Put(w, w, deadline*int64(i%2))
			z.Add(w, float64(i)/3)
		}
		add := func(t types.Type, enc types.Encoding, packed []byte, obj types.Object) {
			forms[fmt.Sprint(t, enc)] = rdb.Value{Type: t, Enc: enc, Packed: packed, Obj: obj}
		}
		enc, packed, obj := l.Stored()
		add(types.TList, enc, packed, obj)
		enc, packed, obj = s.Stored()
		add(types.TSet, enc, packed, obj)
		enc, packed, obj = ints.Stored()
		add(types.TSet, enc, packed, obj)
		enc, packed, obj = h.Stored()
		add(types.THash, enc, packed, obj)
		enc, packed, obj = z.Finish(types.ZSetLimits{MaxListpackEntries: most, MaxListpackValue: 64}).Stored()
		add(types.TZSet, enc, packed, obj)
	}
	return forms
}

func testDamage(t *testing.T, rng *rand.Rand, forms map[string]rdb.Value) {
	if len(forms) != 5+9 { // a big set is a hashtable, of whatever
		t.Errorf("the forms are %v", slices.Sorted(maps.Keys(forms)))
	}
	a := newRoom(t)
	i := 0
	for name, v := range forms {
		a.put(a.ks.NewTx(), i%2, name, v, int64(i%3/2)*(1<<45))
		i++
	}
	a.mustSave()
	file, err := os.ReadFile("dump.rdb")
	if err != nil {
		t.Fatal(err)
	}
	// One keyspace serves for all: nobody looks at what a failed load leaves.
	r := newRoom(t, "save", "")
	try := func(b []byte) error {
		if err := os.WriteFile("dump.rdb", b, 0o644); err != nil {
			t.Fatal(err)
		}
		return r.load(manner{dups: replaceDuplicates})
	}
	if err := try(file); err != nil {
		t.Fatal(err)
	}
	old := bytes.Clone(file)
	copy(old[len(header):], "0002")
	if try(old) == nil {
		t.Error("a version without a checksum is not noticed")
	}
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= byte(1 << rng.IntN(8))
		if try(bad) == nil {
			t.Errorf("byte %d of %d: %x as %x is not noticed", i, len(file), file[i], bad[i])
		}
		bad[i] = file[i] ^ byte(1+rng.IntN(255))
		if try(bad) == nil {
			t.Errorf("byte %d of %d: %x as %x is not noticed", i, len(file), file[i], bad[i])
		}
	}
	for n := range file {
		err := try(file[:n])
		var le *LoadError
		if !errors.As(err, &le) || le.Offset > int64(n) || !strings.Contains(err.Error(), "dump.rdb") {
			t.Errorf("cut to %d of %d bytes: %v", n, len(file), err)
		}
	}
}

// crafted is a file of the version with these parts and a right checksum.
func crafted(version string, parts ...string) []byte {
	b := []byte(header + version + strings.Join(parts, "") + "\xff")
	return binary.LittleEndian.AppendUint64(b, rdb.Checksum(0, b))
}

// loadFunctions notes the libraries of a file in the log.
func (r *room) loadFunctions(texts []string, policy string) (install func(), err error) {
	return func() { fmt.Fprintf(&r.log, "libraries: %s\n", strings.Join(texts, " ")) }, nil
}

func TestFrames(t *testing.T) {
	t.Chdir(t.TempDir())
	key := "\x00\x01k\x01v"
	past := "\xfc" + string(binary.LittleEndian.AppendUint64(nil, 1000))
	for name, c := range map[string]struct {
		file []byte
		keys int
		err  string
		log  string
	}{
		"empty":           {crafted("0010"), 0, "", ""},
		"plain":           {crafted("0003", "\xfe\x00", key)[:17], 1, "", ""},
		"seconds":         {crafted("0009", "\xfd\xff\xff\xff\x7f", key), 1, "", ""},
		"past":            {crafted("0010", past, key), 0, "", "keys expired: 1"},
		"past and next":   {crafted("0010", past, key, "\x00\x01l\x01v"), 1, "", ""},
		"clocks":          {crafted("0010", "\xf8\x05", key, "\xf9\x07\x00\x01l\x01v"), 2, "", ""},
		"aux":             {crafted("0010", "\xfa\x01a\x01b", "\xfb\x01\x00", key), 1, "", ""},
		"slot":            {crafted("0012", "\xf4\x01\x01\x00", key), 1, "", ""},
		"function":        {crafted("0010", "\xf5\x04code", key), 1, "", "libraries: code\n"},
		"old function":    {crafted("0010", "\xf6\x01n\x01e\x01\x01d\x01c\xf6\x01n\x01e\x00\x01b", key), 1, "", "libraries: c b\n"},
		"module aux":      {crafted("0010", "\xf7\x81\x00\x00\x00\x00\x00\x00\x04\x00\x02\x02\x01\x07\x05\x01s\x03abcd\x04abcdefgh\x02\x09\x00", key), 1, "", "module AAAAAAAAB"},
		"no checksum":     {append([]byte(header+"0010"+key+"\xff"), make([]byte, 8)...), 1, "", "checksum disabled"},
		"empty set":       {crafted("0010", "\x02\x01s\x00", key), 1, "", "empty keys skipped: 1"},
		"wrong checksum":  {append([]byte(header+"0010"+key+"\xff"), 1, 2, 3, 4, 5, 6, 7, 8), 0, "checksum", ""},
		"new version":     {crafted("0099", key), 0, "version 99", ""},
		"other file":      {[]byte("hello world, this is text"), 0, "no RDB file", ""},
		"nothing":         {nil, 0, "cut off", ""},
		"module":          {crafted("0010", "\x07\x01k"), 0, "unknown type of value", ""},
		"unknown":         {crafted("0010", "\x80\x01k"), 0, "unknown type of value", ""},
		"database":        {crafted("0010", "\xfe\x10", key), 0, "databases", ""},
		"twice":           {crafted("0010", key, key), 0, "twice", ""},
		"module aux kind": {crafted("0010", "\xf7\x01\x02\x01\x09"), 0, "unknown kind", ""},
	} {
		r, err := loadBytes(t, c.file)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "move it away") || !r.Loading() {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case len(r.contents()) != c.keys:
			t.Errorf("%s: %d keys", name, len(r.contents()))
		case !strings.Contains(r.log.String(), c.log):
			t.Errorf("%s: the log has no %q:\n%s", name, c.log, r.log.String())
		}
	}
	r, err := loadBytes(t, append([]byte(header+"0010"+key+"\xff"), 1, 2, 3, 4, 5, 6, 7, 8), "rdbchecksum", "no")
	if err != nil || len(r.contents()) != 1 {
		t.Errorf("rdbchecksum no: %v", err)
	}
}

func TestMerge(t *testing.T) {
	t.Chdir(t.TempDir())
	a := newRoom(t)
	tx := a.ks.NewTx()
	str := func(s string) rdb.Value { return rdb.Value{Type: types.TString, Packed: []byte(s)} }
	a.put(tx, 0, "k", str("old"), 0)
	a.put(tx, 0, "l", str("old"), 0)
	a.mustSave()
	a.put(tx, 0, "k", str("new"), 0)
	a.put(tx, 0, "m", str("new"), 0)
	if saved, err := a.Reload(true, true, false); err == nil || !saved {
		t.Errorf("a key twice: %v", err)
	}
	if _, err := a.Reload(true, true, true); err != nil {
		t.Error(err)
	}
	want := map[string]string{}
	for k, v := range map[string]string{"k": "old", "l": "old", "m": "new"} {
		want[fmt.Sprintf("0 %q", k)] = fmt.Sprint(types.TString, int64(0), v)
	}
	wantSame(t, a.contents(), want)
	if _, err := a.Reload(true, false, false); err != nil {
		t.Error(err)
	}
	delete(want, `0 "m"`)
	wantSame(t, a.contents(), want)
}

// poll waits until cond holds.
func poll(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); {
		if time.Now().After(end) {
			t.Fatal("waited in vain: " + what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// TestObjectsAhead: the walker waits for the disk where it hands over many Objects, and their heads take little room.
func TestObjectsAhead(t *testing.T) {
	t.Chdir(t.TempDir())
	a := newRoom(t)
	out := newOutput(settings{disk: osDisk{}, path: "x.rdb", spill: "spill", checksum: true})
	tx := a.ks.NewTx()
	for i := range 3000 {
		o := types.NewBigString(make([]byte, 2*laterBytes))
		a.put(tx, 0, fmt.Sprint("k", i), rdb.Value{Type: types.TString, Enc: types.EncChunked, Obj: o}, 0)
	}
	s, err := a.ks.StartSnapshot(out.add, nil)
	if err != nil {
		t.Fatal(err)
	}
	out.begin()
	ahead := func() bool {
		out.mu.Lock()
		defer out.mu.Unlock()
		return out.ahead()
	}
	if s.Walk(func() bool { return !ahead() }) {
		t.Fatal("the walker does not have to wait")
	}
	room := 0
	for _, p := range out.queue {
		room += cap(p.data)
	}
	if n := len(out.queue); n > 2*aheadBytes/(2*laterBytes)+10 || room > n*100 {
		t.Errorf("%d pieces wait, with %d bytes of chunks", n, room)
	}
	// The rest, as soon as the disk is ready.
	go out.drain()
	if !s.Walk(out.wait) {
		t.Error(out.err)
	}
	s.End()
	if err := out.finish(); err != nil || out.bytes != 0 || out.later != 0 {
		t.Errorf("%v; %d and %d bytes are left", err, out.bytes, out.later)
	}
}

// TestAround: what the server does around a snapshot ends with it, however it ends.
func TestAround(t *testing.T) {
	t.Chdir(t.TempDir())
	a := newRoom(t)
	var begun, over int
	a.Around = func() func() {
		begun++
		return func() { over++ }
	}
	a.fill(newRand(t), 100)
	a.mustSave()
	if begun != 1 || over != 1 {
		t.Errorf("begun %d times, over %d times", begun, over)
	}
	if err := os.Mkdir("temp-"+strconv.Itoa(os.Getpid())+".rdb", 0o755); err != nil { // in the way
		t.Fatal(err)
	}
	if _, err := a.Save(); err == nil {
		t.Error("saved")
	}
	if begun != 2 || over != 2 {
		t.Errorf("after a failure begun %d times, over %d times", begun, over)
	}
}

func TestSavePoints(t *testing.T) {
	rng := newRand(t)
	t.Chdir(t.TempDir())
	a := newRoom(t, "save", "100 1000000 1 10")
	a.Start()
	a.fill(rng, 9)
	time.Sleep(2100 * time.Millisecond) // the point asks for 10 changes
	if a.HasFile() {
		t.Fatal("saved too early")
	}
	a.fill(rng, 1)
	poll(t, "a snapshot", a.HasFile)
	poll(t, "no changes", func() bool { return a.dirty.Load() == 0 })
	a.Wait()
	if !strings.Contains(a.log.String(), "10 changes in 1 seconds. Saving...") {
		t.Error(a.log.String())
	}
	before := a.LastSave()
	a.Schedule()
	poll(t, "the scheduled one", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.saves == 2 && !a.Saving() })
	if a.LastSave() < before || a.Failing() {
		t.Error("the last save went back")
	}
}

func TestFailure(t *testing.T) {
	rng := newRand(t)
	t.Chdir(t.TempDir())
	a := newRoom(t, "dbfilename", "taken")
	if err := os.MkdirAll("taken/x", 0o755); err != nil {
		t.Fatal(err)
	}
	a.fill(rng, 10)
	if _, err := a.Save(); err == nil || a.Failing() {
		t.Errorf("SAVE over a directory: %v, failing %v", err, a.Failing())
	}
	a.Background()
	a.Wait()
	if !a.Failing() || a.dirty.Load() != 10 || a.state.Load() == 0 {
		t.Errorf("failing %v, %d changes", a.Failing(), a.dirty.Load())
	}
	wantFiles(t, LockName, "taken")
	if err := os.RemoveAll("taken"); err != nil {
		t.Fatal(err)
	}
	a.mustSave()
	if a.Failing() || a.dirty.Load() != 0 {
		t.Error("still failing")
	}
}

func TestAbort(t *testing.T) {
	rng := newRand(t)
	t.Chdir(t.TempDir())
	a := newRoom(t, "rdb-key-save-delay", "1000000")
	a.fill(rng, 100)
	a.Background()
	poll(t, "keys", func() bool {
		processed := ""
		a.Info(func(name string, v any) {
			if name == "current_save_keys_processed" {
				processed = fmt.Sprint(v)
			}
		})
		return processed != "0"
	})
	if busy := a.Background(); !busy {
		t.Error("two at a time")
	}
	a.Abort()
	a.Wait()
	wantFiles(t, LockName)
	if a.Failing() || a.dirty.Load() != 100 {
		t.Error("an aborted snapshot counts")
	}
}

func TestLock(t *testing.T) {
	t.Chdir(t.TempDir())
	a := newRoom(t)
	if err := a.LockDir(); err != nil {
		t.Fatal(err)
	}
	b := newRoom(t)
	if err := b.LockDir(); err == nil || !strings.Contains(err.Error(), LockName) {
		t.Errorf("the second one: %v", err)
	}
	c := newRoom(t, "save", "")
	if err := c.LockDir(); err != nil {
		t.Errorf("one without save points: %v", err)
	}
	if _, err := c.Save(); err == nil {
		t.Error("one without save points saves over another's file")
	}
	a.lock.release() // as the end of a server does
	c.mustSave()
	if err := b.LockDir(); err == nil {
		t.Error("SAVE locks nothing")
	}
}

// TestStopLoading: a load that takes long ends when the server does.
func TestStopLoading(t *testing.T) {
	rng := newRand(t)
	t.Chdir(t.TempDir())
	a := newRoom(t)
	a.fill(rng, 3000)
	a.mustSave()
	b := newRoom(t, "key-load-delay", "100000")
	b.SetLoading()
	done := make(chan error)
	go func() { done <- b.Load() }()
	poll(t, "progress", func() bool {
		n := 0
		b.InfoLoading(func(name string, v any) {
			if name == "loading_loaded_bytes" && fmt.Sprint(v) != "0" || name == "loading_eta_seconds" && fmt.Sprint(v) != "0" {
				n++
			}
		})
		return n == 2
	})
	if !b.StopLoading() {
		t.Error("nothing was to be stopped")
	}
	if err := <-done; !errors.Is(err, errStopped) {
		t.Error(err)
	}
	b.InfoLoading(func(string, any) {})
	if b.Serve(); !b.Loading() {
		t.Error("clients are served what was to be loaded")
	}
	// Whoever comes too late is told so.
	c := newRoom(t)
	if c.mustLoad(); c.Loading() || c.StopLoading() {
		t.Error("a load that was over has been stopped")
	}
}

func BenchmarkSave(b *testing.B) {
	b.Chdir(b.TempDir())
	r := newRoom(b)
	tx := r.ks.NewTx()
	const n = 500000
	for i := range n {
		r.put(tx, 0, fmt.Sprintf("key:%012d", i), rdb.Value{Type: types.TString, Packed: []byte("some value of about forty characters: " + strconv.Itoa(i))}, 0)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.mustSave()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/key")
	st, _ := os.Stat("dump.rdb")
	b.ReportMetric(float64(st.Size())/n, "B/key")
}
