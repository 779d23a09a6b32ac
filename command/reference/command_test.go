package reference_test

import (
	"strings"
	"testing"

	"kvd/command/commandtest"
)

// A syntax that cannot be read is a panic, which is an error here.
func TestDocsOfAll(t *testing.T) {
	s := commandtest.New(t)
	if got := s.Run("COMMAND DOCS"); !strings.HasPrefix(got, "*") {
		t.Errorf("COMMAND DOCS: %.200q", got)
	}
}
