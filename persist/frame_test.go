package persist

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"kvd/persist/rdb"
)

// frame is a file of these parts; a string of up to 63 bytes is a part with str before it.
func frame(head string, parts ...string) []byte {
	return []byte(head + strings.Join(parts, "") + "\xff" + strings.Repeat("\x00", 8))
}

func str(s string) string { return string(rune(len(s))) + s }

// TestForeignFrames: every opcode and type of other servers is passed over, or refused by name.
func TestForeignFrames(t *testing.T) {
	key := "\x00" + str("a") + str("1")
	library := str("#!lua name=l\n")
	ms := func(v int64) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(v))) }
	for name, file := range map[string][]byte{
		"functions":          frame("REDIS0010", "\xf5", library, "\xf5", library, "\xfe\x00", key),
		"functions, early":   frame("REDIS0010", "\xf6", str("l"), str("LUA"), "\x00", str("code"), "\xf6", str("l"), str("LUA"), "\x01", str("what it does"), str("code"), "\xfe\x00", key),
		"slots":              frame("REDIS0012", "\xfe\x00", "\xf4\x01\x02\x03", key),
		"module's data":      frame("REDIS0010", "\xf7\x01\x02\x01\x05", str("x"), "\x02\x07\x04", ms(1), "\x00", key),
		"module's key data":  frame("REDIS0013", "\xfe\x00", "\xf3\x02FLX1\x05", str("x"), "\x00SRC3\x02\x07\x00", key),
		"Valkey":             frame("VALKEY080", "\xfa", str("valkey-ver"), str("9.0.0"), "\xf5", library, "\xfe\x00\xfb\x01\x00\xf4\x01\x02\x03", key),
		"Valkey with fields": frame("VALKEY080", "\x16", str("h"), "\x02", str("f"), str("v"), ms(-1), str("g"), str("w"), ms(1<<45), key),
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			r, err := loadBytes(t, file)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.contents()[`0 "a"`]; !strings.Contains(got, "1") {
				t.Errorf("the contents are %v", r.contents())
			}
			if h := r.contents()[`0 "h"`]; name == "Valkey with fields" && (!strings.Contains(h, "f") || !strings.Contains(h, "35184372088832")) {
				t.Errorf("the hash is %q", h)
			}
		})
	}
	for name, file := range map[string][]byte{
		"7, a value of a module":       frame("REDIS0010", "\x07", str("k"), "\x00"),
		"26, a stream of Redis 8.6":    frame("REDIS0013", "\x1a", str("k"), "\x00"),
		"an array of Redis 8.8":        frame("REDIS0014", "\x1c", str("k"), "\x00"),
		"a type of Valkey 9.2":         frame("VALKEY081", "\x17", str("k"), "\x00"),
		"migration of slots in Valkey": frame("VALKEY080", "\xf3", str("k"), "\x00"),
		"unknown type of value: 99":    frame("REDIS0010", "\x63", str("k"), "\x00"),
		"RDB version 16":               frame("REDIS0016", key),
		"Valkey's RDB version \"082\"": frame("VALKEY082", key),
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			_, err := loadBytes(t, file)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("the answer is %v", err)
			}
			if strings.HasPrefix(name, "26") && !errors.Is(err, rdb.ErrUnknown) {
				t.Error("a check does not know it for an unknown type")
			}
		})
	}
}

// TestVerify: a snapshot that is tried changes nothing, and is refused where loading would refuse it.
func TestVerify(t *testing.T) {
	t.Chdir(t.TempDir())
	r := newRoom(t)
	r.fill(newRand(t), 300)
	r.mustSave()
	before := r.contents()
	file, err := OSDisk.OpenFile("dump.rdb", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := r.Verify(file, "it"); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string][]byte{
		"a type":     frame("REDIS0010", "\x63", str("k"), "\x00"),
		"a database": frame("REDIS0010", "\xfe\x20", "\x00", str("a"), str("1")),
		"its end":    frame("REDIS0010", "\x00", str("a"), str("1"))[:14],
		"its sum":    append(frame("REDIS0010", "\x00", str("a"), str("1"))[:15], "12345678"...),
	} {
		if err := r.Verify(strings.NewReader(string(bad)), "it"); err == nil {
			t.Errorf("a snapshot with a bad part (%s) passes", name)
		}
	}
	wantSame(t, r.contents(), before)
}
