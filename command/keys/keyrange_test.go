package keys_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kvd/command/commandtest"
)

// ordered switches ordered-keys on, and waits until all keys are in order.
func ordered(t *testing.T, s *commandtest.Server) {
	t.Helper()
	s.Want("CONFIG SET ordered-keys yes", "+OK\n")
	for end := time.Now().Add(30 * time.Second); strings.HasPrefix(s.Run("KEYRANGE - +"), "-"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(s.Run("KEYRANGE - +"))
		}
	}
}

func TestKeyRange(t *testing.T) {
	s := commandtest.New(t)
	s.Run("MSET b 1 a 2 d 3 ab 4")
	s.Run("HSET c f v")
	s.Want("KEYRANGE - +", "-ERR KEYRANGE needs 'ordered-keys yes'\n")
	ordered(t, s)
	want := func(line string, keys ...string) {
		t.Helper()
		s.Want(line, strings.ReplaceAll(commandtest.Bulks(keys...), "\r\n", "\n"))
	}
	want("KEYRANGE - +", "a", "ab", "b", "c", "d")
	want("KEYRANGE [ab (d", "ab", "b", "c")
	want("KEYRANGE (d [ab REV", "c", "b", "ab")
	want("KEYRANGE + - REV LIMIT 1 2", "c", "b")
	want("KEYRANGE - + LIMIT 1 3 TYPE STRING", "ab", "b", "d")
	want("KEYRANGE - + TYPE hash", "c")
	want("KEYRANGE - + TYPE list")
	want("KEYRANGE - + LIMIT 0 0")
	want("KEYRANGE - + LIMIT -1 5")
	want("KEYRANGE - + LIMIT 3 -1", "c", "d")
	want("KEYRANGE + -")
	for line, err := range map[string]string{
		"KEYRANGE a +":            "min or max not valid string range item",
		"KEYRANGE - + LIMIT 1":    "syntax error",
		"KEYRANGE - + LIMIT a 1":  "value is not an integer or out of range",
		"KEYRANGE - + TYPE":       "syntax error",
		"KEYRANGE - + TYPE thing": "unknown type name 'thing'",
		"KEYRANGE - + MATCH x":    "syntax error",
	} {
		s.Want(line, "-ERR "+err+"\n")
	}
	// Nothing that has expired, whether it is removed or not.
	s.Run("PEXPIRE ab 10")
	s.Now = s.Now.Add(20 * time.Millisecond)
	want("KEYRANGE - [b", "a", "b")
	// Each database has its own.
	s.Run("SELECT 1")
	want("KEYRANGE - +")
	s.Run("SET z 1")
	want("KEYRANGE - +", "z")
	s.Run("SWAPDB 0 1")
	want("KEYRANGE - +", "a", "b", "c", "d")
	s.Run("SELECT 0")
	want("KEYRANGE - +", "z")
	s.Run("RENAME z y")
	s.Run("MOVE y 1")
	s.Run("COPY y x DB 1") // nothing: it is not here
	want("KEYRANGE - +")
	s.Run("FLUSHALL")
	s.Run("MULTI")
	s.Run("SET in 1")
	s.Run("KEYRANGE - +")
	s.Want("EXEC", "*2\n+OK\n*1\n$2\nin\n")
	if got := s.Do("EVAL", "return redis.call('keyrange','-','+')", "0"); got != commandtest.Bulks("in") {
		t.Error(got)
	}
	s.Run("SELECT 1")
	want("KEYRANGE - +")
	if info := s.Run("INFO memory"); strings.Contains(info, "mem_ordered_keys:0\r\n") {
		t.Error(info)
	}
	s.Want("CONFIG SET ordered-keys no", "+OK\n")
	for end := time.Now().Add(30 * time.Second); !strings.Contains(s.Run("INFO memory"), "mem_ordered_keys:0\r\n"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(s.Run("INFO memory"))
		}
	}
	s.Run("ACL SETUSER u on nopass ~* +@all -@keyspace")
	s.Run("AUTH u x")
	if got := s.Run("KEYRANGE - +"); !strings.HasPrefix(got, "-NOPERM") {
		t.Error(got)
	}
}

// TestKeyRangeLong: more keys than are looked at at once, at once and on a worker.
func TestKeyRangeLong(t *testing.T) {
	s := commandtest.New(t)
	var all []string
	for i := range 2000 {
		key := fmt.Sprintf("k%05d", i*7%2000)
		s.Do("SET", key, "v")
		all = append(all, key)
	}
	ordered(t, s)
	slices.Sort(all)
	conn := commandtest.NewConn()
	s.C = s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 5)
	reverse := slices.Clone(all)
	slices.Reverse(reverse)
	for line, want := range map[string][]string{
		"KEYRANGE - +":                     all,
		"KEYRANGE + - REV":                 reverse,
		"KEYRANGE - + LIMIT 1000 700":      all[1000:1700],
		"KEYRANGE + - REV LIMIT 1500 1000": reverse[1500:],
		"KEYRANGE - + LIMIT 10 20":         all[10:30],
	} {
		got := s.Run(line)
		if got == "" {
			got = conn.Wait(t)
		}
		if got != commandtest.Bulks(want...) {
			t.Errorf("%s: %.100q", line, got)
		}
	}
}
