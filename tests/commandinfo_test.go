package tests

import (
	"testing"

	"kvd/tests/differ"
	"kvd/tests/harness"
)

// TestCommandInfo compares kvd's entry of every command that Redis has too with Redis's: arity, flags and
// positions of keys. Intended differences are listed in tests/differ/known.go.
func TestCommandInfo(t *testing.T) {
	redis := harness.StartRedis(t).MustDial(t)
	kvd := harness.StartKVD(t).MustDial(t)
	names := kvd.MustDo(t, "COMMAND", "LIST").Strings()
	if len(names) < 10 {
		t.Fatalf("COMMAND LIST names %q", names)
	}
	compared := 0
	for _, name := range names {
		want := redis.MustDo(t, "COMMAND", "INFO", name)
		if len(want.Elems) != 1 || want.Elems[0].Null {
			continue // younger than Redis 7.0
		}
		got := kvd.MustDo(t, "COMMAND", "INFO", name)
		if len(got.Elems) != 1 {
			t.Errorf("COMMAND INFO %s: %s", name, got)
			continue
		}
		compared++
		for _, d := range differ.CommandInfoDiff(got.Elems[0], want.Elems[0]) {
			t.Error(d)
		}
	}
	t.Logf("%d commands compared", compared)
}
