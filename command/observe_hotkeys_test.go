package command

import (
	"strings"
	"testing"
)

func TestHotkeys(t *testing.T) {
	s := newTestServer(t)
	s.want("hotkeys get", "$-1\n")
	s.want("hotkeys stop", "$-1\n")
	for args, want := range map[string]string{
		"count 5": "ERR METRICS parameter is required", "metrics 3 cpu net": "ERR METRICS count must be 1 or 2", "metrics 2 cpu": "ERR syntax error",
		"metrics 1 disk": "ERR METRICS no valid metrics passed", "metrics 2 cpu cpu": "ERR METRICS no valid metrics passed", "metrics 1 cpu count 65": "ERR COUNT must be between 1 and 64",
		"metrics 1 cpu sample 0": "ERR SAMPLE ratio must be positive", "metrics 1 cpu duration": "ERR syntax error",
		"metrics 1 cpu slots 1 5": "ERR SLOTS parameter cannot be used in non-cluster mode", "metrics 1 cpu x 5": "ERR syntax error",
	} {
		s.want("hotkeys start "+args, "-"+want+"\n")
	}
	s.want("hotkeys start metrics 2 NET CPU count 2", "+OK\n")
	s.want("hotkeys start metrics 1 cpu", "-ERR hotkeys collection is already in progress\n")
	s.want("hotkeys reset", "-ERR hotkeys collection is in progress; HOTKEYS STOP ends it\n")
	s.run("set small 1")
	s.run("set big " + strings.Repeat("x", 1000))
	s.run("mset small " + strings.Repeat("x", 100) + " other 1")
	s.run("multi")
	s.run("get big")
	s.run("exec")
	got := s.run("hotkeys get")
	// big: 1030 and 5 bytes of SET and its reply, 24 and 1009 of GET.
	if !strings.HasPrefix(got, "*1\r\n*24\r\n$15\r\ntracking-active\r\n:1\r\n$12\r\nsample-ratio\r\n:1\r\n$14\r\nselected-slots\r\n*1\r\n*2\r\n:0\r\n:16383\r\n$25\r\nall-commands-all-slots-us\r\n") ||
		!strings.Contains(got, "$12\r\nby-net-bytes\r\n*4\r\n$3\r\nbig\r\n:2068\r\n$5\r\nsmall\r\n:") {
		t.Errorf("%q", got)
	}
	s.want("hotkeys stop", "+OK\n")
	got = s.run("hotkeys get")
	s.run("get big")
	if after := s.run("hotkeys get"); after != got || !strings.Contains(got, "tracking-active\r\n:0\r\n") {
		t.Errorf("after STOP: %q, %q", got, after)
	}
	s.want("hotkeys reset", "+OK\n")
	s.want("hotkeys get", "$-1\n")
}
