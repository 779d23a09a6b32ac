package str_test

import (
	"strings"
	"testing"

	"kvd/command"
	"kvd/command/commandtest"
	"kvd/command/str"
	"kvd/types"
)

func TestConditions(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	const digest = "e5a4ec5b0a5a3d3e"
	s.Run("SET a hello")
	right := s.Run("DIGEST a")[5:21]
	s.Play([]commandtest.Step{
		{"SET a x IFEQ other", "$-1\n", ""},
		{"SET a x IFEQ hello", "+OK\n", "SET a x"},
		{"SET a y IFNE x", "$-1\n", ""},
		{"SET a hello IFNE y GET", "$1\nx\n", "SET a hello"},
		{"SET a x IFDEQ " + digest, "$-1\n", ""},
		{"SET a hello IFDEQ " + right + " EX 5", "+OK\n", "SET a hello PXAT 4000000005000"},
		{"SET a hello KEEPTTL IFDEQ " + strings.ToUpper(right), "+OK\n", "SET a hello KEEPTTL"},
		{"SET a hello IFDNE " + right, "$-1\n", ""},
		{"SET a hello IFDNE " + right + " GET", "$5\nhello\n", ""},
		{"SET a 12345 IFDNE " + digest, "+OK\n", "SET a 12345"},
		{"SET a 1 IFEQ 12345", "+OK\n", "SET a 1"},
		{"SET a x IFDEQ 123", "-ERR must be exactly 16 hexadecimal characters\n", ""},
		{"SET a x IFDEQ 12345678901234567", "-ERR must be exactly 16 hexadecimal characters\n", ""},
		{"SET a x IFDEQ 123456789012345x GET", "-ERR must be exactly 16 hexadecimal characters\n", ""},
		// Without a string there is nothing to compare a digest to.
		{"SET n x IFEQ x", "$-1\n", ""},
		{"SET n x IFDEQ 123", "$-1\n", ""},
		{"SET n x IFNE x", "+OK\n", "SET n x"},
		{"SET m x IFDNE 123 GET", "$-1\n", "SET m x"},
		{"SET l x IFDEQ 123", commandtest.WrongTypeReply, ""},
		{"SET a x IFEQ 1 IFEQ 2", "$-1\n", ""},
		{"SET a x IFEQ 1 IFNE 2", "-ERR syntax error\n", ""},
		{"SET a x NX IFEQ 1", "-ERR syntax error\n", ""},
		{"SET a x IFEQ 1 XX", "-ERR syntax error\n", ""},
		{"SET a x IFEQ", "-ERR syntax error\n", ""},
	})
	big := strings.Repeat("0123456789", 20000)
	s.Do("SET", "big", big)
	if got := s.Do("SET", "big", "x", "IFEQ", big[1:]+"1"); got != "$-1\r\n" {
		t.Errorf("IFEQ with another long string: %q", got)
	}
	if got := s.Do("SET", "big", "x", "IFEQ", big); got != "+OK\r\n" {
		t.Errorf("IFEQ with the same long string: %q", got)
	}
}

// TestDigest: the first value is Redis's own test of leading zeros, the others
// are those of the XXH3 reference implementation.
func TestDigest(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	s.Run("SET a v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd")
	s.Do("SET", "empty", "")
	s.Play([]commandtest.Step{
		{"DIGEST a", "$16\n00006c38adf31777\n", ""},
		{"DIGEST empty", "$16\n2d06800538d394c2\n", ""},
		{"DIGEST none", "$-1\n", ""},
		{"DIGEST l", commandtest.WrongTypeReply, ""},
	})
	// A chunked string has the digest of its bytes, whatever its form.
	long := strings.Repeat("x", 3<<20)
	s.Do("SET", "big", long)
	chunked := s.Run("DIGEST big")[5:21]
	if got := string(str.AppendDigest(nil, command.StringValue{B: []byte(long)}.Digest())); got != chunked {
		t.Errorf("digest of a long string: %s in chunks, %s in one piece", chunked, got)
	}
}

func TestDelEx(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	s.Run("SET a hello")
	right := s.Run("DIGEST a")[5:21]
	s.Play([]commandtest.Step{
		{"DELEX none", ":0\n", ""},
		{"DELEX none IFNE x", ":0\n", ""},
		{"DELEX none NOPE x", ":0\n", ""},
		{"DELEX none IFEQ", "-ERR wrong number of arguments for 'delex' command\n", ""},
		{"DELEX a IFEQ x y", "-ERR wrong number of arguments for 'delex' command\n", ""},
		{"DELEX a NOPE x", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE\n", ""},
		{"DELEX l IFEQ x", "-ERR Key should be of string type if conditions are specified\n", ""},
		{"DELEX a IFDEQ x", "-ERR must be exactly 16 hexadecimal characters\n", ""},
		{"DELEX a IFEQ x", ":0\n", ""},
		{"DELEX a IFNE hello", ":0\n", ""},
		{"DELEX a IFDNE " + right, ":0\n", ""},
		{"DELEX a IFDEQ " + right, ":1\n", "DEL a"},
		{"DELEX a", ":0\n", ""},
		{"DELEX l", ":1\n", "DEL l"},
	})
}

func TestMSetEx(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.Play([]commandtest.Step{
		{"MSETEX 2 a 1 b 2", ":1\n", "MULTI\nSET a 1\nSET b 2\nEXEC"},
		{"MSETEX 2 a 1 b x EX 10", ":1\n", "MULTI\nSET a 1 PXAT 4000000010000\nSET b x PXAT 4000000010000\nEXEC"},
		{"MSETEX 1 c 3 PXAT 4000000000001 NX", ":1\n", "SET c 3 PXAT 4000000000001"},
		{"MSETEX 2 d 3 c 3 NX", ":0\n", ""},
		{"MSETEX 2 d 3 c 3 XX", ":0\n", ""},
		{"MSETEX 2 a 3 c 3 KEEPTTL XX", ":1\n", "MULTI\nSET a 3 KEEPTTL\nSET c 3 KEEPTTL\nEXEC"},
		{"MSETEX 2 a 3 d 3 PXAT 1", ":1\n", "DEL a"},
		{"MSETEX x a 1", "-ERR invalid numkeys value\n", ""},
		{"MSETEX 0 a 1", "-ERR invalid numkeys value\n", ""},
		{"MSETEX 2147483648 a 1", "-ERR invalid numkeys value\n", ""},
		{"MSETEX 2147483647 a 1", "-ERR wrong number of key-value pairs\n", ""},
		{"MSETEX 2 a 1 b", "-ERR wrong number of key-value pairs\n", ""},
		{"MSETEX 1 a 1 b", "-ERR syntax error\n", ""},
		{"MSETEX 1 a 1 NX XX", "-ERR syntax error\n", ""},
		{"MSETEX 1 a 1 EX 1 PX 1", "-ERR syntax error\n", ""},
		{"MSETEX 1 a 1 EX 1 KEEPTTL", "-ERR syntax error\n", ""},
		{"MSETEX 1 a 1 EX 0", "-ERR invalid expire time in 'msetex' command\n", ""},
		{"MSETEX 1 a 1 PX y", "-ERR value is not an integer or out of range\n", ""},
		{"MSETEX 1 a", "-ERR wrong number of arguments for 'msetex' command\n", ""},
	})
	s.WantEntry("c", types.EncInt, 4000000000001)
	s.Want("MGET a d", "*2\n$-1\n$-1\n")
}

func TestIncrEx(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	two := func(a, b string) string { return "*2\n" + a + "\n" + b + "\n" }
	s.Play([]commandtest.Step{
		{"INCREX k", two(":1", ":1"), "SET k 1 KEEPTTL"},
		{"INCREX k BYINT 9 EX 100", two(":10", ":9"), "SET k 10 PXAT 4000000100000"},
		{"INCREX k BYINT 10 UBOUND 15", two(":10", ":0"), ""},
		{"INCREX k BYINT 10 UBOUND 15 SATURATE", two(":15", ":5"), "SET k 15 KEEPTTL"},
		{"INCREX k BYINT -20 LBOUND 5 SATURATE EX 7 ENX", two(":5", ":-10"), "SET k 5 KEEPTTL"},
		{"INCREX k BYINT -20 LBOUND 5", two(":5", ":0"), ""},
		{"INCREX k UBOUND 2 SATURATE", two(":2", ":-3"), "SET k 2 KEEPTTL"},
		{"INCREX k BYINT -1 UBOUND 1", two(":1", ":-1"), "SET k 1 KEEPTTL"},
		{"INCREX k PERSIST", two(":2", ":1"), "SET k 2"},
		{"INCREX k PX 5 ENX BYINT 2", two(":4", ":2"), "SET k 4 PXAT 4000000000005"},
		{"INCREX k EXAT 1 ENX", two(":5", ":1"), "SET k 5 KEEPTTL"},
		{"INCREX k EXAT 1", two(":6", ":1"), "DEL k"},
		{"INCREX k PXAT 1", two(":1", ":1"), ""},
		{"INCREX k UBOUND 0", two(":0", ":0"), ""},
		{"INCREX k UBOUND 0 SATURATE", two(":0", ":0"), "SET k 0 KEEPTTL"},
		{"SET k 9223372036854775806", "+OK\n", "SET k 9223372036854775806"},
		{"INCREX k BYINT 2", two(":9223372036854775806", ":0"), ""},
		{"INCREX k BYINT 2 SATURATE", two(":9223372036854775807", ":1"), "SET k 9223372036854775807 KEEPTTL"},
		{"INCREX k BYINT -5 UBOUND -9223372036854775808 SATURATE", "-ERR applied increment would overflow\n", ""},
		{"INCREX k BYINT 9223372036854775807 UBOUND 100 SATURATE", two(":100", ":-9223372036854775707"), "SET k 100 KEEPTTL"},
		{"SET k -10", "+OK\n", "SET k -10"},
		{"INCREX k BYINT -9223372036854775807 LBOUND -100 UBOUND 5", two(":-10", ":0"), ""},
		{"INCREX k BYINT -9223372036854775807 LBOUND -100 UBOUND 5 SATURATE", two(":-100", ":-90"), "SET k -100 KEEPTTL"},

		{"SET f 1.5", "+OK\n", "SET f 1.5"},
		{"INCREX f BYFLOAT 0.25 LBOUND 0 UBOUND 2", two("$4\n1.75", "$4\n0.25"), "SET f 1.75 KEEPTTL"},
		{"INCREX f BYFLOAT 0.5 UBOUND 2 SATURATE", two("$1\n2", "$4\n0.25"), "SET f 2 KEEPTTL"},
		{"INCREX f BYFLOAT 0.5 UBOUND 2", two("$1\n2", "$1\n0"), ""},
		{"INCREX f BYFLOAT -3 LBOUND -0.5 UBOUND inf SATURATE EX 1", two("$4\n-0.5", "$4\n-2.5"), "SET f -0.5 PXAT 4000000001000"},
		{"INCREX f BYFLOAT 1.5 PERSIST", two("$1\n1", "$3\n1.5"), "SET f 1"},
		{"INCREX f", two(":2", ":1"), "SET f 2 KEEPTTL"},
		{"INCREX f BYFLOAT inf", two("$1\n2", "$1\n0"), ""},
		{"INCREX f BYFLOAT 1 LBOUND inf UBOUND inf", two("$1\n2", "$1\n0"), ""},
		{"INCREX f BYFLOAT 1 LBOUND inf UBOUND inf SATURATE", "-ERR applied increment would be Infinity\n", ""},
		{"INCREX f BYFLOAT 1 LBOUND inf", "-ERR LBOUND can't be greater than UBOUND\n", ""},
		{"INCREX f BYFLOAT 1 LBOUND 10.5 UBOUND 1.5", "-ERR LBOUND can't be greater than UBOUND\n", ""},
		{"INCREX f LBOUND 10 UBOUND 5", "-ERR LBOUND can't be greater than UBOUND\n", ""},

		{"INCREX l", commandtest.WrongTypeReply, ""},
		{"INCREX l BYFLOAT 1", commandtest.WrongTypeReply, ""},
		{"SET h hello", "+OK\n", "SET h hello"},
		{"INCREX h", "-ERR value is not an integer or out of range\n", ""},
		{"INCREX h BYFLOAT 1", "-ERR value is not a valid float\n", ""},
		{"INCREX f BYINT x", "-ERR Increment is not an integer or out of range\n", ""},
		{"INCREX f BYFLOAT x", "-ERR Increment is not a valid float\n", ""},
		{"INCREX f LBOUND 1.5", "-ERR LBOUND is not an integer or out of range\n", ""},
		{"INCREX f UBOUND x", "-ERR UBOUND is not an integer or out of range\n", ""},
		{"INCREX f BYFLOAT 1 UBOUND x", "-ERR UBOUND is not a valid float\n", ""},
		{"INCREX f EX 0", "-ERR invalid expire time in 'increx' command\n", ""},
		{"INCREX f ENX", "-ERR ENX flag requires an expiration\n", ""},
		{"INCREX f ENX PERSIST", "-ERR syntax error\n", ""},
		{"INCREX f EX 1 PERSIST", "-ERR syntax error\n", ""},
		{"INCREX f PERSIST EX 1", "-ERR syntax error\n", ""},
		{"INCREX f EX 1 EX 1", "-ERR syntax error\n", ""},
		{"INCREX f EX 1 PX 1", "-ERR syntax error\n", ""},
		{"INCREX f BYINT 1 BYINT 1", "-ERR syntax error\n", ""},
		{"INCREX f BYINT 1 BYFLOAT 1", "-ERR syntax error\n", ""},
		{"INCREX f SATURATE SATURATE", "-ERR syntax error\n", ""},
		{"INCREX f LBOUND", "-ERR syntax error\n", ""},
		{"INCREX f FOO", "-ERR syntax error\n", ""},
	})
	s.C.SetProto(3)
	s.Want("INCREX r BYFLOAT 1.5", "*2\n,1.5\n,1.5\n")
	s.Want("INCREX r BYFLOAT 1.5", "*2\n,3\n,1.5\n")
	s.Run("SET big 1e4931")
	s.C.SetProto(2)
	if got := s.Run("INCREX big BYFLOAT 1.1e4932 SATURATE"); !strings.HasPrefix(got, "*2\r\n$4933\r\n118973149535723176502126") {
		t.Errorf("saturating a float at its limit: %.60q", got)
	}
}
