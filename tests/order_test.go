package tests

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/tests/harness"
)

// TestCausesInOrder: a client that keeps what it has read hears that a key has changed
// before it hears of what the same command or transaction caused later, whichever
// event loops the clients are on: else it reacts to the message with a stale value.
func TestCausesInOrder(t *testing.T) {
	for _, loops := range []string{"1", "2"} {
		s := harness.StartKVD(t, "--event-loops", loops, "--notify-keyspace-events", "KEA")
		w := s.MustDial(t)
		for _, mode := range [][]string{{}, {"BCAST"}, {"NOLOOP"}} {
			for _, c := range []struct {
				arm  []string
				act  []string // commands
				want []string // what the client gets, in order
			}{
				{[]string{"SUBSCRIBE", "__keyevent@0__:set"}, []string{"SET a 1"}, []string{"invalidate a", "message set a"}},
				{[]string{"SUBSCRIBE", "__keyspace@0__:a"}, []string{"APPEND a 1"}, []string{"invalidate a", "message a append"}},
				{[]string{"SUBSCRIBE", "__keyevent@0__:del"}, []string{"DEL a"}, []string{"invalidate a", "message del a"}},
				{[]string{"SUBSCRIBE", "__keyevent@0__:rename_from"}, []string{"RENAME a a2"}, []string{"invalidate a", "message rename_from a"}},
				{[]string{"SUBSCRIBE", "ch"}, []string{"MULTI", "SET a 1", "PUBLISH ch a", "EXEC"}, []string{"invalidate a", "message ch a"}},
				{[]string{"SUBSCRIBE", "ch"}, []string{"MULTI", "DEL a", "PUBLISH ch 1", "RPUSH l 1", "PUBLISH ch 2", "EXEC"}, []string{"invalidate a", "message ch 1", "invalidate l", "message ch 2"}},
				{[]string{"BLPOP", "q", "0"}, []string{"MULTI", "SET a 1", "RPUSH q a", "EXEC"}, []string{"invalidate a", "reply q a"}},
				{[]string{"BLPOP", "l", "0"}, []string{"RPUSH l a"}, []string{"invalidate l", "reply l a"}},
			} {
				for range 4 { // on each loop
					name := fmt.Sprintf("%s loops, %v, %q", loops, mode, c.act)
					w.MustDo(t, "DEL", "l", "q")
					w.MustDo(t, "SET", "a", "0")
					got := causesSeen(t, s, w, mode, c.arm, c.act, c.want)
					if !slices.Equal(got, c.want) && !(len(mode) > 0 && mode[0] == "BCAST" && earlier(got, c.want)) {
						t.Fatalf("%s: %q, want %q", name, got, c.want)
					}
				}
			}
		}
	}
}

// earlier tells whether got has what want has, in the order of want but for
// invalidations that come earlier and together.
func earlier(got, want []string) bool {
	told := make(map[string]bool)
	for _, g := range got {
		if keys, ok := strings.CutPrefix(g, "invalidate "); ok {
			for _, k := range strings.Fields(keys) {
				told[k] = true
			}
		}
	}
	rest := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(m string) bool { return strings.HasPrefix(m, "invalidate ") })
	}
	for i, w := range want {
		if k, ok := strings.CutPrefix(w, "invalidate "); ok && (!told[k] || !invalidBefore(got, k, want[i+1])) {
			return false
		}
	}
	return slices.Equal(rest(got), rest(want))
}

func invalidBefore(got []string, key, message string) bool {
	for _, g := range got {
		if keys, ok := strings.CutPrefix(g, "invalidate "); ok && slices.Contains(strings.Fields(keys), key) {
			return true
		}
		if g == message {
			return false
		}
	}
	return false
}

// causesSeen is what a client that keeps what it has read of a and l is sent when w acts.
func causesSeen(t *testing.T, s *harness.Server, w *harness.Conn, mode, arm, act, want []string) (got []string) {
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.MustDo(t, "HELLO", "3")
	c.MustDo(t, append([]string{"CLIENT", "TRACKING", "ON"}, mode...)...)
	c.MustDo(t, "GET", "a")
	c.MustDo(t, "LRANGE", "l", "0", "-1")
	id := strconv.FormatInt(c.MustDo(t, "CLIENT", "ID").Int, 10)
	if arm[0] == "SUBSCRIBE" {
		c.MustDo(t, arm...)
	} else {
		c.Send(arm...)
		c.Flush()
		for end := time.Now().Add(20 * time.Second); ; { // looked for without a pause, as it is done hundreds of times
			_, flags, _ := strings.Cut(w.MustDo(t, "CLIENT", "LIST", "ID", id).Str, " flags=")
			flags, _, _ = strings.Cut(flags, " ")
			if strings.Contains(flags, "b") {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%q does not block: its flags are %s", arm, flags)
			}
		}
	}
	for _, line := range act {
		w.Send(strings.Fields(line)...)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for range act {
		if r, err := w.Receive(); err != nil || r.Err() != "" {
			t.Fatal(r, err)
		}
	}
	last := want[len(want)-1]
	for len(got) == 0 || got[len(got)-1] != last {
		r, err := c.Receive()
		if err != nil {
			t.Fatalf("%q, then %v", got, err)
		}
		got = append(got, describe(r))
	}
	return got
}

// TestServedIsToldBehindItsReply: what a blocked client's own command changes it is told of
// behind the reply, as of any command.
func TestServedIsToldBehindItsReply(t *testing.T) {
	s := harness.StartKVD(t, "--event-loops", "2")
	w := s.MustDial(t)
	for range 2 {
		c := s.MustDial(t)
		c.MustDo(t, "HELLO", "3")
		c.MustDo(t, "CLIENT", "TRACKING", "ON")
		c.MustDo(t, "LRANGE", "to", "0", "-1")
		c.Send("BLMOVE", "from", "to", "LEFT", "LEFT", "0")
		c.Flush()
		within(t, 20*time.Second, "blocked", func() bool { return info(t, w, "clients", "blocked_clients") == "1" })
		w.MustDo(t, "RPUSH", "from", "x")
		if r, err := c.Receive(); err != nil || r.Str != "x" {
			t.Errorf("%s, %v", r, err)
		}
		if r, err := c.Receive(); err != nil || describe(r) != "invalidate to" {
			t.Errorf("%s, %v", r, err)
		}
	}
}

// describe shows a push, or a reply to BLPOP, in words.
func describe(r harness.Reply) string {
	if r.Kind != '>' {
		return "reply " + strings.Join(r.Strings(), " ")
	}
	switch r.Elems[0].Str {
	case "invalidate":
		return "invalidate " + strings.Join(r.Elems[1].Strings(), " ")
	case "message":
		_, name, event := strings.Cut(r.Elems[1].Str, "__:")
		if !event {
			name = r.Elems[1].Str
		}
		return "message " + name + " " + r.Elems[2].Str
	}
	return r.String()
}

// TestServedBeforeItsEvents: a blocked client gets its element before it hears that
// the element was taken.
func TestServedBeforeItsEvents(t *testing.T) {
	s := harness.StartKVD(t, "--event-loops", "2", "--notify-keyspace-events", "KEA")
	w := s.MustDial(t)
	for range 4 {
		c := s.MustDial(t)
		c.MustDo(t, "HELLO", "3")
		c.MustDo(t, "SUBSCRIBE", "__keyevent@0__:lpop", "__keyevent@0__:rpush")
		c.Receive()
		c.Send("BLPOP", "q", "0")
		c.Flush()
		within(t, 20*time.Second, "blocked", func() bool { return info(t, w, "clients", "blocked_clients") == "1" })
		w.MustDo(t, "RPUSH", "q", "x")
		var got []string
		for range 3 {
			r, err := c.Receive()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, describe(r))
		}
		if want := []string{"message rpush q", "reply q x", "message lpop q"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestBroadcastGathered: clients in broadcasting mode are sent what the turns of a loop
// have changed, not a message for each key.
func TestBroadcastGathered(t *testing.T) {
	const keys = 1000
	for _, loops := range []string{"1", "2"} {
		s := harness.StartKVD(t, "--event-loops", loops)
		w := s.MustDial(t)
		least := keys
		for range 4 {
			c := s.MustDial(t)
			c.MustDo(t, "HELLO", "3")
			c.MustDo(t, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "k", "PREFIX", "other")
			for i := range keys {
				w.Send("SET", "k"+strconv.Itoa(i), "1")
				w.Send("SET", "elsewhere"+strconv.Itoa(i), "1")
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			for range 2 * keys {
				w.Receive()
			}
			messages := 0
			told := make(map[string]bool)
			for len(told) < keys {
				r, err := c.Receive()
				if err != nil {
					t.Fatalf("after %d messages of %d keys: %v", messages, len(told), err)
				}
				messages++
				for _, k := range r.Elems[1].Strings() {
					if told[k] || !strings.HasPrefix(k, "k") {
						t.Errorf("%s was told again, or without being asked for", k)
					}
					told[k] = true
				}
			}
			t.Logf("%s loops: %d keys in %d messages", loops, keys, messages)
			least = min(least, messages)
			c.Close()
		}
		// The writer's loop may get few commands at a time, and the reader's may take each key as it comes, where it
		// has a processor for itself. Where nothing is gathered there are always as many messages as keys.
		if most := map[string]int{"1": keys / 10, "2": keys / 5}[loops]; least > most {
			t.Errorf("%s loops: %d keys came in %d messages at least", loops, keys, least)
		}
	}
}

// TestPublishedOrder: followers are sent messages in the order in which subscribers of
// the leader get them, whichever loops the publishers are on.
func TestPublishedOrder(t *testing.T) {
	s := harness.StartKVD(t, "--event-loops", "4", "--repl-diskless-sync-delay", "0")
	sub, follower := s.MustDial(t), s.MustDial(t)
	sub.MustDo(t, "SUBSCRIBE", "ch")
	follower.MustDo(t, "PSYNC", "?", "-1")
	if err := follower.SkipSnapshot(); err != nil {
		t.Fatal(err)
	}
	const publishers, each = 4, 3000
	var wg sync.WaitGroup
	for p := range publishers {
		c := s.MustDial(t)
		wg.Go(func() {
			for i := range each {
				m := fmt.Sprintf("%d-%d", p, i)
				if p > 0 {
					c.Send("PUBLISH", "ch", m)
					continue
				}
				c.Send("MULTI")
				c.Send("PUBLISH", "ch", m)
				c.Send("SET", "k", m)
				c.Send("EXEC")
			}
			c.Flush()
			replies := each
			if p == 0 {
				replies *= 4
			}
			for range replies {
				if _, err := c.Receive(); err != nil {
					return
				}
			}
		})
	}
	var here, there []string
	wg.Go(func() {
		for len(here) < publishers*each {
			r, err := sub.Receive()
			if err != nil {
				return
			}
			here = append(here, r.Elems[2].Str)
		}
	})
	for len(there) < publishers*each {
		r, err := follower.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if m := r.Strings(); len(m) == 3 && strings.EqualFold(m[0], "publish") {
			there = append(there, m[2])
		}
	}
	wg.Wait()
	for i := range here {
		if here[i] != there[i] {
			t.Fatalf("message %d is %s to a subscriber here, and %s to followers", i, here[i], there[i])
		}
	}
}
