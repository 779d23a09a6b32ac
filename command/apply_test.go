package command

import (
	"strings"
	"testing"

	"kvd/keyspace"
	"kvd/logf"
)

func words(line string) (args [][]byte) {
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return
}

// TestApplier: what is applied passes gates, does not expire, and tells what fails.
func TestApplier(t *testing.T) {
	s := newTestServer(t)
	s.Keyspace.SetActiveExpire(false) // as whoever loads or follows does
	s.setGate(gateLoading, true)
	a := s.NewApplier()
	for _, line := range []string{"SELECT 3", "SET k v PXAT 1000", "RPUSH l a", "MULTI", "SET m 1", "INCR m", "EXEC", "APPEND k w"} {
		if err := a.Apply(words(line)); err != nil {
			t.Error(line, err)
		}
	}
	for line, text := range map[string]string{"INCR l": "WRONGTYPE", "NOSUCH x": "unknown command", "GET": "wrong number"} {
		err := a.Apply(words(line))
		if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), strings.Fields(line)[0]) {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, line := range []string{"MULTI", "INCR l", "SET m 7"} {
		if err := a.Apply(words(line)); err != nil {
			t.Error(line, err)
		}
	}
	if !a.InMulti() {
		t.Error("no MULTI")
	}
	if err := a.Apply(words("EXEC")); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Error(err)
	}
	s.want("GET m", "-LOADING Redis is loading the dataset in memory\n")
	s.setGate(gateLoading, false)
	s.want("SELECT 3", "+OK\n")
	s.want("GET m", "$1\n7\n")
	a.Reset()
	if a.DB() != 0 {
		t.Error(a.DB())
	}
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	tx := s.Keyspace.TxOn(3)
	tx.Replaying = true
	k := keyspace.MakeKey([]byte("k"))
	if e := tx.Peek(&k); string(e.Packed()) != "vw" {
		t.Errorf("%q", e.Packed())
	}
}

// TestAppliedScripts: what a script writes that a log or a leader's stream has passes gates, too.
func TestAppliedScripts(t *testing.T) {
	for _, gate := range []uint32{gateReadOnly, gateReplicas, gateStale, gateLoading, gateSnapshots, gateLog, gateMemory} {
		s := newTestServer(t)
		s.setGate(gate, true)
		for _, a := range []*Applier{s.NewApplier(), s.NewStreamApplier()} {
			for _, args := range [][]string{
				{"EVAL", "redis.call('set', KEYS[1], '100')", "1", "k"},
				{"EVAL", "return redis.call('incr', KEYS[1])", "1", "k"},
				{"FUNCTION", "LOAD", "REPLACE", "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('incr', keys[1]) end)"},
				{"FCALL", "f", "1", "k"},
				{"MULTI"},
				{"EVAL", "redis.call('incr', KEYS[1])", "1", "k"},
				{"EXEC"},
			} {
				var words [][]byte
				for _, w := range args {
					words = append(words, []byte(w))
				}
				if err := a.Apply(words); err != nil {
					t.Errorf("gate %b: %v", gate, err)
				}
			}
		}
		s.setGate(gate, false)
		s.want("GET k", "$3\n103\n")
	}
}

// TestWritableReplica: a follower that takes writes of its own passes over what its leader
// sends that fails, and says so; one that does not ends the link, or the server if it is to.
func TestWritableReplica(t *testing.T) {
	s := newTestServer(t)
	var log strings.Builder
	s.Log = logf.NewWriter(&log, logf.Notice)
	aborted := false
	s.Abort = func(error) { aborted = true }
	s.config("propagation-error-behavior", "panic")
	a := s.NewStreamApplier()
	s.want("SET k x", "+OK\n")
	s.config("replica-read-only", "no")
	for _, line := range []string{"INCR k", "NOSUCH k", "MULTI", "INCR k", "SET m 1", "EXEC"} {
		if err := a.Apply(words(line)); err != nil || aborted {
			t.Errorf("%s: %v, ended: %v", line, err, aborted)
		}
	}
	if n := strings.Count(log.String(), "== CRITICAL =="); n != 3 {
		t.Errorf("%d messages:\n%s", n, log.String())
	}
	s.want("MGET k m", "*2\n$1\nx\n$1\n1\n")
	s.config("replica-read-only", "yes")
	if err := a.Apply(words("INCR k")); err == nil || !aborted {
		t.Errorf("%v, ended: %v", err, aborted)
	}
}
