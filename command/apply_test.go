package command

import (
	"strings"
	"testing"

	"kvd/keyspace"
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
