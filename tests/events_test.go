package tests

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

// TestEvents: after each command of a long list, kvd and Redis have published
// the same keyspace events in the same order.
func TestEvents(t *testing.T) {
	script, err := os.ReadFile("testdata/events.txt")
	if err != nil {
		t.Fatal(err)
	}
	type side struct{ do, listen *harness.Conn }
	var sides [2]side
	for i, s := range []*harness.Server{harness.StartKVD(t), harness.StartRedis(t)} {
		sides[i] = side{s.MustDial(t), s.MustDial(t)}
		sides[i].do.MustDo(t, "CONFIG", "SET", "notify-keyspace-events", "KEAmn")
		sides[i].listen.MustDo(t, "PSUBSCRIBE", "__key*__:*")
	}
	n := 0
	for number, line := range strings.Split(string(script), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		for i, w := range words {
			if strings.Contains(w, `\x`) {
				if words[i], err = strconv.Unquote(`"` + w + `"`); err != nil {
					t.Fatalf("line %d: %v", number+1, err)
				}
			}
		}
		var got [2]string
		for i, s := range sides {
			if words[0] == "~" {
				for end := time.Now().Add(10 * time.Second); s.do.MustDo(t, "DEBUG", "OBJECT", words[1]).Err() == ""; {
					if time.Now().After(end) {
						t.Fatalf("line %d: %s is still there", number+1, words[1])
					}
					time.Sleep(5 * time.Millisecond)
				}
			} else {
				s.do.MustDo(t, words...)
			}
			r := s.listen.MustDo(t, "PING")
			for ; len(r.Elems) == 4; n++ {
				got[i] += r.Elems[2].Str + " " + r.Elems[3].Str + "\n"
				if r, err = s.listen.Receive(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got[0] != got[1] {
			t.Errorf("line %d: %s\nkvd:\n%sRedis:\n%s", number+1, line, got[0], got[1])
		}
	}
	if n < 500 {
		t.Errorf("only %d events were seen", n)
	}
}
