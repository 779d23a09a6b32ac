package list_test

import (
	"testing"

	"kvd/command/commandtest"
)

// TestLMoveM: what is moved is returned in the order of the destination; nothing is moved,
// and null returned, where there is nothing or not enough.
func TestLMoveM(t *testing.T) {
	s := commandtest.New(t)
	s.Run("RPUSH a 1 2 3 4 5")
	for _, l := range [][2]string{
		{"LMOVEM a b LEFT LEFT", "*1\n$1\n1\n"},
		{"LMOVEM a b LEFT LEFT COUNT 3 OBO", "*3\n$1\n4\n$1\n3\n$1\n2\n"},
		{"LMOVEM a b LEFT LEFT EXACTLY 2 BULK", "*-1\n"},
		{"LLEN a", ":1\n"},
		{"LMOVEM a b LEFT LEFT COUNT 5 BULK", "*1\n$1\n5\n"},
		{"LMOVEM a b LEFT LEFT COUNT 2 BULK", "*-1\n"},
		{"LMOVEM a b LEFT LEFT EXACTLY 2 BULK", "*-1\n"},
		{"LMOVEM a b LEFT LEFT", "*-1\n"},
		{"LLEN b", ":5\n"},
	} {
		s.Want(l[0], l[1])
	}
}
