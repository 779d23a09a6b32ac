package command

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kvd/keyspace"
)

// TestParts: what reads many keys answers as ever, from a worker that lets others
// come in between.
func TestParts(t *testing.T) {
	s := newTestServer(t)
	// The stripe of all keys but the last, and a higher one.
	low, high := "a", "b"
	if keyspace.MakeKey([]byte(low)).Slot > keyspace.MakeKey([]byte(high)).Slot {
		low, high = high, low
	}
	const n = 3*blockNames + 1 // the last part is of one key
	var sum, all, want strings.Builder
	fmt.Fprintf(&want, "*%d\r\n", n)
	words := make([]string, 0, n)
	for i := range n {
		words = append(words, fmt.Sprintf("{%s}%d", low, i))
		if i == n-1 {
			words[i] = high
		}
		if i%3 == 0 {
			s.do("SET", words[i], fmt.Sprint("v", i))
			v := fmt.Sprint("v", i)
			fmt.Fprintf(&want, "$%d\r\n%s\r\n", len(v), v)
		} else {
			want.WriteString("$-1\r\n")
		}
	}
	s.do("DEL", words[3])
	s.do("LPUSH", words[3], "no string")
	sum.WriteString(fmt.Sprintf(":%d\r\n", (n+2)/3))
	all.WriteString(strings.Replace(want.String(), "$2\r\nv3\r\n", "$-1\r\n", 1))
	conn := newFakeConn()
	s.c.Conn = conn
	for _, c := range []struct{ name, want string }{{"EXISTS", sum.String()}, {"touch", sum.String()}, {"MGET", all.String()}} {
		// While the stripe of the last key is taken the other one is let go.
		last := s.Keyspace.LockKeys([]keyspace.Key{keyspace.MakeKey([]byte(words[n-1]))})
		if got := s.do(append([]string{c.name}, words...)...); got != "" {
			t.Fatalf("%s: %.60q at once, want it from a worker", c.name, got)
		}
		free := make(chan bool)
		go func() {
			h := s.Keyspace.LockKeys([]keyspace.Key{keyspace.MakeKey([]byte(low))})
			s.Keyspace.Unlock(&h)
			free <- true
		}()
		select {
		case <-free:
		case <-time.After(20 * time.Second):
			s.Keyspace.Unlock(&last)
			t.Fatal(c.name, " holds the stripes of keys that it has read, or is still to read")
		}
		s.Keyspace.Unlock(&last)
		if got := conn.wait(t); got != c.want {
			t.Errorf("%s: %.200q, want %.200q", c.name, got, c.want)
		}
		s.c.Working = false
	}
	st := s.run("INFO commandstats")
	for _, name := range []string{"exists", "touch", "mget"} {
		if !strings.Contains(st, "cmdstat_"+name+":calls=1,") {
			t.Errorf("%s does not count once", name)
		}
	}
}
