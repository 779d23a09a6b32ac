package str_test

import (
	"strings"
	"testing"

	"kvd/command/commandtest"
)

func TestLCS(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	s.Run("SET a ohmytext")
	s.Run("SET b mynewtext")
	s.Run("SET n 12345")
	s.Run("SET m 2945")
	s.Play([]commandtest.Step{
		{"LCS a b", "$6\nmytext\n", ""},
		{"LCS a b LEN", ":6\n", ""},
		{"LCS n m", "$3\n245\n", ""},
		{"LCS a b IDX", "*4\n$7\nmatches\n*2\n*2\n*2\n:4\n:7\n*2\n:5\n:8\n*2\n*2\n:2\n:3\n*2\n:0\n:1\n$3\nlen\n:6\n", ""},
		{"LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN", "*4\n$7\nmatches\n*1\n*3\n*2\n:4\n:7\n*2\n:5\n:8\n:4\n$3\nlen\n:6\n", ""},
		{"LCS a none", "$0\n\n", ""},
		{"LCS none a LEN", ":0\n", ""},
		{"LCS a none IDX", "*4\n$7\nmatches\n*0\n$3\nlen\n:0\n", ""},
		{"LCS a b LEN IDX", "-ERR If you want both the length and indexes, please just use IDX.\n", ""},
		{"LCS a b MINMATCHLEN", "-ERR syntax error\n", ""},
		{"LCS a b MINMATCHLEN x", "-ERR value is not an integer or out of range\n", ""},
		{"LCS a b FOO", "-ERR syntax error\n", ""},
		{"LCS a l FOO", "-ERR The specified keys must contain string values\n", ""},
	})
	s.Do("SET", "x", strings.Repeat("x", 12000))
	s.Do("SET", "y", strings.Repeat("y", 12000))
	s.Want("LCS x y", "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\n")
	s.Do("SET", "x", strings.Repeat("xy", 100000))
	s.Do("SET", "y", "aYxxb")
	s.Want("LCS x y", "$2\nxx\n")
}
