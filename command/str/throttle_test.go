package str_test

import (
	"kvd/command"
	"kvd/command/commandtest"
	"strings"
	"testing"
	"time"
)

// The replies are those of redis-cell: limited, limit, remaining, seconds until
// a retry, seconds until all is forgotten.
func TestThrottle(t *testing.T) {
	s := commandtest.New(t)
	s.Now = time.UnixMilli(1_900_000_000_000)
	five := func(a, b, c, d, e string) string {
		return "*5\n:" + strings.Join([]string{a, b, c, d, e}, "\n:") + "\n"
	}
	// Three at once, then one in two seconds.
	s.Want("cl.throttle k 2 30 60", five("0", "3", "2", "-1", "2"))
	s.Want("cl.throttle k 2 30 60 1", five("0", "3", "1", "-1", "4"))
	s.Want("cl.throttle k 2 30 60 0", five("0", "3", "1", "-1", "4"))
	s.Want("cl.throttle k 2 30 60", five("0", "3", "0", "-1", "6"))
	s.Want("cl.throttle k 2 30 60", five("1", "3", "0", "2", "6"))
	s.Want("cl.throttle k 2 30 60 9", five("1", "3", "0", "-1", "6"))
	s.WantEffects("SET k 1900000002000000000 PXAT 1900000002000", "SET k 1900000004000000000 PXAT 1900000004000", "SET k 1900000006000000000 PXAT 1900000006000")
	s.Now = s.Now.Add(2 * time.Second)
	s.Want("cl.throttle k 2 30 60", five("0", "3", "0", "-1", "6"))
	s.Now = s.Now.Add(time.Hour)
	s.Want("cl.throttle k 2 30 60", five("0", "3", "2", "-1", "2"))
	for _, line := range []string{"-1 30 60", "2 0 60", "2 30 0", "2 30 60 -1", "9223372036854775807 30 60", "2 30 9223372036854775807", "9223372036854775806 1 60"} {
		s.Want("cl.throttle k "+line, "-"+command.ErrNotPositive+"\n")
	}
	s.Want("cl.throttle k 2 30 x", "-"+command.ErrNotInt+"\n")
	s.Want("cl.throttle k 2 30 60 1 1", "-ERR wrong number of arguments for 'cl.throttle' command\n")
	s.Want("set k text", "+OK\n")
	s.Want("cl.throttle k 2 30 60", "-"+command.ErrNotInt+"\n")
	s.Want("lpush l a", ":1\n")
	s.Want("cl.throttle l 2 30 60", "-"+command.ErrWrongType+"\n")
}
