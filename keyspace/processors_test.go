package keyspace

import (
	"runtime"
	"testing"
)

func TestProcessors(t *testing.T) {
	for list, want := range map[string]uint64{"0": 1, "1,3": 10, "0-3": 15, "0-7:2": 0x55, "0,2-3": 13, "5-5": 32} {
		if got, err := ParseProcessors(list); err != nil || got[0] != want {
			t.Errorf("%q is %#x, %v; want %#x", list, got[0], err, want)
		}
	}
	for _, list := range []string{"", "x", "3-1", "-1", "1:2", "0-3:0", "9999", "1,"} {
		if _, err := ParseProcessors(list); err == nil {
			t.Errorf("%q is a list of processors", list)
		}
	}
}

func TestRunOn(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := Affinity(0)
	if err != nil {
		t.Skip(err)
	}
	at := 0
	for before[0]>>at&1 == 0 {
		at++
	}
	restore := RunOn(string(rune('0' + at)))
	if now, _ := Affinity(0); now[0] != 1<<at {
		t.Errorf("the thread runs on %#x, want %#x", now[0], 1<<at)
	}
	restore()
	if now, _ := Affinity(0); now != before {
		t.Errorf("afterwards it runs on %#x, before on %#x", now[0], before[0])
	}
}
