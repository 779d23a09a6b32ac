package rdb_test

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/families"
	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
	"kvd/persist"
	"kvd/persist/rdb"
	"kvd/resp/wire"
	"kvd/types"
)

// counter is a made-up type of value: a number that only grows.
type counter struct{ n uint64 }

func (c *counter) Copy() types.Object { o := *c; return &o }
func (c *counter) Bytes() int64       { return 8 }
func (c *counter) Free(int64) bool    { return true }
func (c *counter) Check() error       { return nil }

const (
	tCounter    = types.TArray + 1
	formCounter = 200
)

// TestToyType: a new type is its value, its commands, and one line in each of two
// tables. TYPE, OBJECT, COPY, RENAME, DUMP, RESTORE, DEBUG DIGEST, snapshots and the
// checks of the keyspace know it then.
func TestToyType(t *testing.T) {
	types.Kinds[tCounter] = types.Kind{Name: "counter", Digest: 99}
	rdb.AddCodec(tCounter, rdb.Codec{
		Forms: []byte{formCounter},
		Form:  func(*rdb.Encoder, types.Encoding, []byte, types.Object) byte { return formCounter },
		Encode: func(_ *rdb.Encoder, dst []byte, _ types.Encoding, _ []byte, o types.Object) []byte {
			return rdb.AppendLength(dst, o.(*counter).n)
		},
		Decode: func(r *rdb.Reader, _ byte, _ *rdb.Limits) rdb.Value {
			return rdb.Value{Type: tCounter, Enc: types.EncObject, Obj: &counter{r.Length()}}
		},
		Skip: func(r *rdb.Reader, _ byte) { r.Length() },
	})
	grow := &command.Row{Name: "grow", Arity: 2, Flags: command.Write, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
		Since: "1.0.0", Group: "generic", Summary: "Makes a counter grow.", Fn: func(c *command.Ctx) {
			k := &c.Keys[0]
			e := c.Lookup(k)
			if !e.Exists() {
				c.PutObject(k, tCounter, types.EncObject, &counter{1}, 0)
				c.W.Int(1)
			} else if e.Type() != tCounter {
				c.Err("WRONGTYPE")
				return
			} else {
				o := c.WritableObject(k, &e).(*counter)
				c.Changed(k)
				o.n++
				c.W.Int(int64(o.n))
			}
			c.Dirty++
		}}
	dir := t.TempDir()
	start := func() (do func(line string) string, ks *keyspace.Keyspace, save func() error, load func() error) {
		table, err := command.NewTable(append(families.All(), []*command.Row{grow})...)
		if err != nil {
			t.Fatal(err)
		}
		cfg := config.New()
		for _, d := range [][2]string{{"enable-debug-command", "yes"}, {"dbfilename", "toy.rdb"}, {"dir", dir}} {
			if err := cfg.SetInitial(d[0], []string{d[1]}); err != nil {
				t.Fatal(err)
			}
		}
		ks = keyspace.New(keyspace.Options{Stripes: 16})
		t.Cleanup(ks.Close)
		log := logf.NewWriter(io.Discard, logf.Nothing)
		s := command.NewServer(table, cfg, ks, log, "test")
		x, c := s.NewExec(), s.NewClient(nil, "127.0.0.1:1", "127.0.0.1:2", 3)
		saver := persist.New(persist.Options{Keyspace: ks, Config: cfg, Log: log, Dirty: &s.Stats.DirtySinceSave, Version: "test", RedisVersion: config.RedisVersion,
			UsedMemory: s.UsedMemory, Limits: s.RDBLimits, Freq: s.Freq, FreqClock: s.FreqClock, Changed: s.PersistenceChanged})
		do = func(line string) string {
			x.SetTime(time.Now())
			var w wire.Writer
			x.Run(c, bytes.Fields([]byte(line)), &w)
			return string(w.Buf)
		}
		save = func() error {
			_, err := saver.Save()
			return err
		}
		return do, ks, save, saver.Load
	}
	do, ks, save, _ := start()
	want := func(do func(string) string, line, reply string) {
		t.Helper()
		if got := do(line); got != strings.ReplaceAll(reply, "\n", "\r\n") {
			t.Errorf("%s: %q, not %q", line, got, reply)
		}
	}
	want(do, "grow k", ":1\n")
	want(do, "grow k", ":2\n")
	want(do, "set s x", "+OK\n")
	want(do, "grow s", "-WRONGTYPE\n")
	want(do, "type k", "+counter\n")
	want(do, "object encoding k", "$7\ncounter\n")
	want(do, "copy k c", ":1\n")
	want(do, "grow c", ":3\n")
	want(do, "rename c d", "+OK\n")
	want(do, "expire d 1000", ":1\n")
	want(do, "scan 0 type counter count 100", fmt.Sprintf("*2\n$1\n0\n*2\n%s", strings.ReplaceAll(strings.SplitN(do("scan 0 type counter count 100"), "*2\r\n", 3)[2], "\r\n", "\n")))
	if do("debug digest-value k") == do("debug digest-value d") {
		t.Error("two values have one digest")
	}
	if err := ks.Check(); err != nil {
		t.Error(err)
	}
	if err := save(); err != nil {
		t.Fatal(err)
	}
	if n, _ := filepath.Glob(filepath.Join(dir, "toy.rdb")); len(n) != 1 {
		t.Fatalf("%v", n)
	}
	again, ks2, _, load := start()
	if err := load(); err != nil {
		t.Fatal(err)
	}
	if a, b := do("debug digest"), again("debug digest"); a != b {
		t.Errorf("digests %s and %s", a, b)
	}
	want(again, "grow k", ":3\n")
	want(again, "grow d", ":4\n")
	if err := ks2.Check(); err != nil {
		t.Error(err)
	}
}
