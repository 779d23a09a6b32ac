package command

import "testing"

// The gate word knows of pauses and imports, whatever begins and ends them.
func TestGateOfPauses(t *testing.T) {
	s := newTestServer(t)
	is := func(when string, bit uint32, on bool) {
		t.Helper()
		if got := s.gate.Load()&bit != 0; got != on {
			t.Errorf("%s: the gate says %v", when, got)
		}
	}
	is("at first", gatePaused|gateImporting, false)
	s.run("client pause 100000 write")
	is("CLIENT PAUSE", gatePaused, true)
	s.HoldWrites(true)
	s.run("client unpause")
	is("held beside", gatePaused, true)
	s.HoldWrites(false)
	is("held no longer", gatePaused, false)
	if !s.standStill(true) {
		t.Fatal("somebody else has the server")
	}
	is("all stands still", gatePaused, true)
	s.standStill(false)
	is("all goes on", gatePaused, false)
	s.run("config set import-mode yes")
	is("import-mode yes", gateImporting, true)
	s.want("set k v", "+OK\n") // it refuses nothing
	s.run("config set import-mode no")
	is("import-mode no", gateImporting, false)
}
