package hash_test

import (
	"strings"
	"testing"

	"kvd/command/commandtest"
)

func TestHImport(t *testing.T) {
	s := commandtest.New(t)
	s.Want("HIMPORT SET k f 1", "-ERR no such fieldset\n")
	s.Want("HIMPORT PREPARE f a b a", "-ERR duplicate field name in fieldset\n")
	s.Want("HIMPORT PREPARE f a b", "+OK\n")
	s.Want("HIMPORT PREPARE g x", "+OK\n")
	s.Want("HIMPORT SET k f 1", "-ERR wrong number of values for fieldset\n")
	s.Run("SET str v")
	s.Effects = nil
	got := s.Notices()
	s.Run("CONFIG SET notify-keyspace-events EAo")
	s.Want("HIMPORT SET str f 1 2", "-WRONGTYPE Operation against a key holding the wrong kind of value\n")
	s.Want("HIMPORT SET k f 1 2", "+OK\n")
	s.WantEffects("HSET k a 1 b 2")
	commandtest.WantNotices(t, got, "hset 0 k")
	s.Run("HSET k c 3")
	s.Run("EXPIRE k 100")
	s.Effects, *got = nil, nil
	s.Want("HIMPORT SET k f 4 5", "+OK\n")
	s.WantEffects("MULTI", "DEL k", "HSET k a 4 b 5", "EXEC")
	commandtest.WantNotices(t, got, "overwritten 0 k", "hset 0 k")
	s.Want("TTL k", ":-1\n")
	s.Want("HGETALL k", "*4\n$1\na\n$1\n4\n$1\nb\n$1\n5\n")
	s.Want("HIMPORT PREPARE f z", "+OK\n") // another list by that name
	s.Want("HIMPORT SET k f 6", "+OK\n")
	s.Want("HGETALL k", "*2\n$1\nz\n$1\n6\n")
	me := s.C
	s.C = s.NewClient(nil, "10.0.0.1:1", "", 0)
	s.Want("HIMPORT SET k f 6", "-ERR no such fieldset\n")
	s.C = me
	if s.C.FieldsetsMem() == 0 {
		t.Error("lists of fields take nothing")
	}
	s.Want("HIMPORT DISCARD f", ":1\n")
	s.Want("HIMPORT DISCARD f", ":0\n")
	s.Want("HIMPORT SET k f 6", "-ERR no such fieldset\n")
	s.Want("HIMPORT PREPARE f z", "+OK\n")
	s.Want("HIMPORT DISCARDALL", ":2\n")
	s.Run("HIMPORT PREPARE f z")
	s.Run("RESET")
	s.Want("HIMPORT DISCARDALL", ":0\n")
	if n := s.C.FieldsetsMem(); n != 0 {
		t.Errorf("no lists of fields take %d bytes", n)
	}
}

// TestFieldEvents: events of fields have channels of their own.
func TestFieldEvents(t *testing.T) {
	s := commandtest.New(t)
	var got []string
	s.Publisher = func(channel, message []byte) { got = append(got, string(channel)+" "+string(message)) }
	want := func(line string, want ...string) {
		t.Helper()
		got = nil
		s.Run(line)
		if strings.Join(got, "; ") != strings.Join(want, "; ") {
			t.Errorf("%s:\n%s\nwant:\n%s", line, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	s.Run("CONFIG SET notify-keyspace-events hSTIV")
	s.Want("CONFIG GET notify-keyspace-events", "*2\n$22\nnotify-keyspace-events\n$5\nhSTIV\n")
	want("HSET k f1 a f22 b",
		"__subkeyspace@0__:k hset|2:f1,3:f22", "__subkeyevent@0__:hset 1:k|2:f1,3:f22", "__subkeyspaceitem@0__:k\nf1 hset", "__subkeyspaceitem@0__:k\nf22 hset", "__subkeyspaceevent@0__:hset|k 2:f1,3:f22")
	s.Run("CONFIG SET notify-keyspace-events hSK")
	want("HSET k f1 c", "__keyspace@0__:k hset", "__subkeyspace@0__:k hset|2:f1")
	s.Run("CONFIG SET notify-keyspace-events hS")
	want("HSETNX k f1 c")
	want("HSETNX k n 1", "__subkeyspace@0__:k hset|1:n")
	want("HINCRBY k n 1", "__subkeyspace@0__:k hincrby|1:n")
	want("HINCRBYFLOAT k n 1", "__subkeyspace@0__:k hincrbyfloat|1:n")
	want("HPEXPIRE k 100000 FIELDS 3 n f1 nothing", "__subkeyspace@0__:k hexpire|1:n,2:f1")
	want("HPERSIST k FIELDS 2 n f22", "__subkeyspace@0__:k hpersist|1:n")
	want("HSETEX k PX 100000 FIELDS 1 n 5", "__subkeyspace@0__:k hset|1:n", "__subkeyspace@0__:k hexpire|1:n")
	want("HDEL k n nothing", "__subkeyspace@0__:k hdel|1:n")
	want("HGETDEL k FIELDS 2 nothing f22", "__subkeyspace@0__:k hdel|3:f22")
	want("HSET k a 1 b 2", "__subkeyspace@0__:k hset|1:a,1:b")
	s.Run("HPEXPIRE k 10 FIELDS 2 a b")
	s.Now = s.Now.Add(1e9)
	want("HGET k a", "__subkeyspace@0__:k hexpired|1:a,1:b")
	s.Run("CONFIG SET notify-keyspace-events hI")
	got = nil
	s.Do("HSET", "a\nb", "f", "v")
	if len(got) != 0 {
		t.Errorf("a key with a line's end: %q", got)
	}
	s.Run("CONFIG SET notify-keyspace-events $S")
	want("HSET k a 1")
}

// TestReplacedEvents: who gets another value, and one of another type.
func TestReplacedEvents(t *testing.T) {
	s := commandtest.New(t)
	got := s.Notices()
	s.Run("CONFIG SET notify-keyspace-events Eoc")
	s.Want("CONFIG GET notify-keyspace-events", "*2\n$22\nnotify-keyspace-events\n$3\nEoc\n")
	for _, step := range []struct {
		line string
		want []string
	}{
		{"SET k v", nil}, {"SET k w", []string{"overwritten 0 k"}}, {"APPEND k x", nil}, {"SET n 1", nil}, {"INCR n", nil}, {"MSET n 2 new 3", []string{"overwritten 0 n"}},
		{"GETSET k y", []string{"overwritten 0 k"}}, {"SETEX k 100 y", []string{"overwritten 0 k"}}, {"SET k z XX KEEPTTL", []string{"overwritten 0 k"}}, {"SETNX k z", nil},
		{"SADD a 1 2", nil}, {"SUNIONSTORE k a", []string{"overwritten 0 k", "type_changed 0 k"}}, {"SADD k 3", nil}, {"ZADD z 1 a", nil}, {"ZRANGESTORE k z 0 1", []string{"overwritten 0 k", "type_changed 0 k"}},
		{"COPY a k REPLACE", []string{"overwritten 0 k", "type_changed 0 k"}}, {"COPY a free", nil}, {"RENAME z k", []string{"overwritten 0 k", "type_changed 0 k"}},
		{"BITOP OR k n", []string{"overwritten 0 k", "type_changed 0 k"}}, {"SORT a STORE k", []string{"overwritten 0 k", "type_changed 0 k"}}, {"DEL k", nil},
	} {
		s.Run(step.line)
		t.Log(step.line)
		commandtest.WantNotices(t, got, step.want...)
	}
}
