package persist

import (
	"os"
	"testing"
)

// FuzzCheck: no file makes a check panic, hang or take memory that it has not
// been given; and what it would keep of a damaged log is whole.
func FuzzCheck(f *testing.F) {
	set, multi, exec := logText("SET", "k", "v"), logText("MULTI"), logText("EXEC")
	key := "\x00\x01k\x01v"
	for _, seed := range []string{
		set + multi + set + exec, "#TS:12\r\n" + set, multi + set, set + set[:9],
		string(crafted("0010", key, "\xfc12345678", "\x02\x01s\x02\x01a\x01b")), string(crafted("0010", "\xfe\x03\xfb\x01\x00", key)) + set,
		string(crafted("0010", "\xf7\x81\x00\x00\x00\x00\x00\x00\x04\x00\x02\x02\x01\x07\x05\x01s\x03abcd\x04abcdefgh\x02\x09\x00", key)),
		string(crafted("0012", "\x10\x01h\x14\x14\x00\x00\x00\x04\x00\x81f\x02\x81v\x02\x81g\x02\x81w\x02\xff", "\xf5\x01n\x01e\x01\x01d\x01c")),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := NewTestDisk()
		file, err := d.OpenFile("x.aof", os.O_RDWR|os.O_CREATE, 0)
		if err != nil {
			t.Fatal(err)
		}
		file.Write(text)
		c := Checker{Disk: d}
		var list []*FileReport
		n := allocated(func() { list, err = c.Check("x.aof") })
		if max := uint64(len(text))*89*40 + 4<<20; n > max {
			t.Errorf("%d bytes allocate %d", len(text), n)
		}
		if err != nil || len(list) != 1 {
			t.Fatal(err, len(list))
		}
		if dam := list[0].Damaged(); dam != nil && dam.Fixable {
			if err := c.Fix(dam); err != nil {
				t.Fatal(err)
			}
			if again, _ := c.Check("x.aof"); again[0].Damaged() != nil {
				t.Fatalf("%v, and after the fix %v", dam, again[0].Damaged())
			}
		}
	})
}
