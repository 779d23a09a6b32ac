package command

import (
	"strings"
	"testing"
	"time"
)

func TestLFU(t *testing.T) {
	s := newTestServer(t)
	if got := s.run("config set maxmemory-policy allkeys-lfu lfu-log-factor 0"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	s.run("set a 1")
	s.want("object freq a", ":5\n")
	s.run("get a")
	s.run("get a")
	s.want("object freq a", ":7\n")
	if got := s.run("object idletime a"); !strings.HasPrefix(got, "-ERR An LFU maxmemory policy is selected") {
		t.Errorf("%q", got)
	}
	s.now = s.now.Add(3 * time.Minute)
	s.want("object freq a", ":4\n")
	s.run("rename a b")
	s.want("object freq b", ":5\n")
	s.run("config set maxmemory-policy noeviction")
	if got := s.run("object idletime b"); !strings.HasPrefix(got, ":") {
		t.Errorf("%q", got)
	}

	now := int64(70_000) * 60_000 // past the 16 bits of minutes
	if c := LFUClock(now, 9); LFUDecayed(c, now+5*60_000, 1) != 4 || LFUDecayed(c, now+5*60_000, 2) != 7 || LFUDecayed(c, now+99*60_000, 1) != 0 || LFUDecayed(c, now+99*60_000, 0) != 9 {
		t.Error("decay")
	}
	if lfuRaised(255, 0, 0) != 255 || lfuRaised(3, 10, 0.999) != 4 || lfuRaised(15, 10, 0.009) != 16 || lfuRaised(15, 10, 0.01) != 15 {
		t.Error("raise")
	}
}
