package command

import (
	"bytes"
	"strings"
	"testing"

	"kvd/logf"
)

func TestLogPanic(t *testing.T) {
	s := newTestServer(t)
	var out bytes.Buffer
	s.Log = logf.NewWriter(&out, logf.Notice)
	report := func() string {
		out.Reset()
		s.LogPanic("secret", "command '%s'", "set")
		return out.String()
	}
	if text := report(); !strings.Contains(text, "Panic in command 'set': secret\n") || !strings.Contains(text, "goroutine") {
		t.Errorf("the log has %q", text)
	}
	s.want("CONFIG SET hide-user-data-from-log yes crash-log-enabled no", "+OK\n")
	if text := report(); strings.Contains(text, "secret") || strings.Contains(text, "goroutine") || !strings.Contains(text, "Panic in command 'set'") {
		t.Errorf("with hidden data and without a stack the log has %q", text)
	}
}

// TestPropagationError: a command of the leader's that fails ends the process where the
// directive says so.
func TestPropagationError(t *testing.T) {
	s := newTestServer(t)
	var why error
	s.Abort = func(err error) { why = err }
	s.want("SET k v", "+OK\n")
	fail := func(a *Applier) error { return a.Apply([][]byte{[]byte("LPUSH"), []byte("k"), []byte("x")}) }
	stream, log := s.NewStreamApplier(), s.NewApplier()
	if err := fail(stream); err == nil || why != nil {
		t.Errorf("by default: %v, and the process ends for %v", err, why)
	}
	s.want("CONFIG SET propagation-error-behavior panic-on-replicas", "+OK\n")
	if err := fail(log); err == nil || why != nil {
		t.Errorf("in a log: %v, and the process ends for %v", err, why)
	}
	if err := fail(stream); err == nil || why == nil {
		t.Errorf("in a stream: %v, and the process ends for %v", err, why)
	}
	s.want("CONFIG SET hide-user-data-from-log yes", "+OK\n")
	if err := fail(stream); err == nil || strings.Contains(err.Error(), "wrong kind of value") || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("with hidden data: %v", err)
	}
}
