package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"kvd/config"
)

func TestTitle(t *testing.T) {
	cfg := config.New()
	for _, step := range []struct{ name, value, want string }{
		{"proc-title-template", "{title} {listen-addr} {server-mode}", "/x/kvd *:6379"},
		{"port", "7000", "/x/kvd *:7000"},
		{"bind", "127.0.0.1 ::1", "/x/kvd 127.0.0.1:7000"},
		{"proc-title-template", "T {port} {tls-port}{config-file}", "T 7000 0"},
	} {
		if err := cfg.Set([]config.Pair{{Name: step.name, Value: step.value}}, config.Caller{}); err != nil {
			t.Fatal(err)
		}
		if got := titleOf(cfg, "/x/kvd"); got != step.want {
			t.Errorf("%s %s: the title is %q, want %q", step.name, step.value, got, step.want)
		}
	}
}

// TestWriteTitle writes the title of this process, whose arguments stay as they were.
func TestWriteTitle(t *testing.T) {
	shown := func() string {
		b, err := os.ReadFile("/proc/self/cmdline")
		if err != nil {
			t.Skip(err)
		}
		return string(bytes.TrimRight(b, "\x00"))
	}
	was := shown()
	keepArgs()
	args := slices.Clone(os.Args)
	for _, title := range []string{"a title", strings.Repeat("long ", 1000)} {
		if err := writeTitle(title); err != nil {
			t.Fatal(err)
		}
		if got := shown(); got != title && !(len(title) > len(was) && strings.HasPrefix(title, got) && len(got) > 10) {
			t.Errorf("the title is %q, want %q", got, title)
		}
	}
	if !slices.Equal(os.Args, args) {
		t.Errorf("the arguments are %q", os.Args)
	}
	if err := writeTitle(was); err != nil {
		t.Fatal(err)
	}
}
