package commandtest

import (
	"fmt"
	"strings"
	"testing"
)

// Notices makes the server tell its keyspace events.
func (s *Server) Notices() *[]string {
	var got []string
	s.Run("CONFIG SET notify-keyspace-events EA")
	s.Publisher = func(channel, key []byte) {
		var db int
		var event string
		if _, err := fmt.Sscanf(string(channel), "__keyevent@%d__:%s", &db, &event); err != nil {
			s.T.Errorf("an event on channel %q", channel)
		}
		got = append(got, fmt.Sprintf("%s %d %s", event, db, key))
	}
	return &got
}

// WantNotices compares the keyspace events since the last call.
func WantNotices(t testing.TB, got *[]string, want ...string) {
	t.Helper()
	if strings.Join(*got, "\n") != strings.Join(want, "\n") {
		t.Errorf("notices %q, want %q", *got, want)
	}
	*got = nil
}
