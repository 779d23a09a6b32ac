package keys_test

import (
	"strings"
	"testing"

	"kvd/command/commandtest"
	"kvd/command/keys"
)

func TestSort(t *testing.T) {
	s := commandtest.New(t)
	s.Run("RPUSH l 3 1 2 10")
	s.Want("SORT l", strings.ReplaceAll(commandtest.Bulks("1", "2", "3", "10"), "\r\n", "\n"))
	s.Want("SORT l DESC LIMIT 1 2", "*2\n$1\n3\n$1\n2\n")
	s.Want("SORT l LIMIT 9 2", "*0\n")
	s.Want("SORT l LIMIT -5 1", "*1\n$1\n1\n")
	s.Want("SORT l LIMIT 0 0", "*0\n")
	s.Want("SORT l ALPHA", "*4\n$1\n1\n$2\n10\n$1\n2\n$1\n3\n")
	s.Want("SORT l BY nosort", "*4\n$1\n3\n$1\n1\n$1\n2\n$2\n10\n")
	s.Want("SORT l BY nosort DESC LIMIT 1 2", "*2\n$1\n2\n$1\n1\n")
	s.Run("SET w3 0")
	s.Run("SET w1 5.5")
	s.PutHash("h1", "f", "7", "g", "8")
	s.Want("SORT l BY w* GET # GET h*->f GET none", "*12\n$2\n10\n$-1\n$-1\n$1\n2\n$-1\n$-1\n$1\n3\n$-1\n$-1\n$1\n1\n$1\n7\n$-1\n")
	s.Want("SORT l BY h*->f DESC", "*4\n$1\n1\n$1\n3\n$1\n2\n$2\n10\n")
	s.Want("SORT l BY h*->f GET h*->g STORE d", ":4\n")
	s.WantList("d", "", "", "", "8")
	s.Want("SORT none STORE d", ":0\n")
	s.Want("LLEN d", ":0\n")
	s.Run("RPUSH l x")
	s.Want("SORT l", "-ERR One or more scores can't be converted into double\n")
	s.Want("SORT l STORE d", "-ERR One or more scores can't be converted into double\n")
	s.Want("SORT l LIMIT x 1", "-ERR value is not an integer or out of range\n")
	s.Want("SORT l BY", "-ERR syntax error\n")
	s.Want("SORT_RO l STORE d", "-ERR syntax error\n")
	s.Want("SORT w1", "-WRONGTYPE Operation against a key holding the wrong kind of value\n")
	s.Want("SORT none", "*0\n")
	s.Run("SADD s 3 1 2")
	s.Want("SORT_RO s DESC", "*3\n$1\n3\n$1\n2\n$1\n1\n")
	s.Want("SORT s BY nosort STORE d", ":3\n")
	s.WantList("d", "1", "2", "3")
	s.Run("SADD t c a b")
	s.Want("SORT t BY none* ALPHA STORE d", ":3\n")
	s.WantList("d", "a", "b", "c")
	s.Run("ZADD z 5 a 4 b 3 c")
	s.Want("SORT z ALPHA DESC", "*3\n$1\nc\n$1\nb\n$1\na\n")
	s.Want("SORT z BY nosort", "*3\n$1\nc\n$1\nb\n$1\na\n")
	s.Want("SORT z BY nosort DESC LIMIT 1 1", "*1\n$1\nb\n")
	for text, want := range map[string]bool{" 1": true, "": true, " ": false, "1 ": false, "0x10": true, "inf": true, "nan": false, "1e400": false, "1e-320": false, "1\x00x": true} {
		if _, ok := keys.SortScore([]byte(text)); ok != want {
			t.Errorf("a score of %q: %v", text, ok)
		}
	}
}
