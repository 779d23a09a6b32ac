//go:build unix

package logf

import (
	"io"
	"log/syslog"
	"net"
	"strings"
	"testing"
	"time"
)

func TestSyslog(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer func(old func(syslog.Priority, string) (*syslog.Writer, error)) { dialSyslog = old }(dialSyslog)
	dialSyslog = func(p syslog.Priority, ident string) (*syslog.Writer, error) {
		return syslog.Dial("udp", c.LocalAddr().String(), p, ident)
	}
	l := NewWriter(io.Discard, Verbose)
	if err := l.Syslog("who", "nobody"); err == nil {
		t.Error("a facility that is not there is taken")
	}
	if err := l.Syslog("who", "local3"); err != nil {
		t.Fatal(err)
	}
	l.Debugf("not this")
	for _, test := range []struct {
		log   func(string, ...any)
		start string
	}{
		{l.Verbosef, "<158>"}, {l.Noticef, "<157>"}, {l.Warningf, "<156>"}, // 19*8 + 6, 5, 4
	} {
		test.log("text %d", 7)
		b := make([]byte, 1000)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _, err := c.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b[:n]); !strings.HasPrefix(got, test.start) || !strings.Contains(got, " who[") || !strings.HasSuffix(strings.TrimSpace(got), ": text 7") {
			t.Errorf("the system's log got %q, want %s...", got, test.start)
		}
	}
}
