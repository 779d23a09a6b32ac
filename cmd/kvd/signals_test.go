package main

import (
	"strings"
	"syscall"
	"testing"

	"kvd/config"
)

func TestShutdownOn(t *testing.T) {
	cfg := config.New()
	for _, step := range []struct {
		name, value string
		sig         syscall.Signal
		want        string
	}{
		{"shutdown-on-sigterm", "default", syscall.SIGTERM, ""},
		{"shutdown-on-sigterm", "nosave now", syscall.SIGTERM, "nosave now"},
		{"shutdown-on-sigint", "save force", syscall.SIGINT, "save force"},
		{"shutdown-on-sigint", "save force", syscall.SIGTERM, "nosave now"},
	} {
		if err := cfg.Set([]config.Pair{{Name: step.name, Value: step.value}}, config.Caller{}); err != nil {
			t.Fatal(err)
		}
		save, nosave, now, force := shutdownOn(cfg, step.sig)
		var got []string
		for _, w := range []struct {
			on   bool
			word string
		}{{save, "save"}, {nosave, "nosave"}, {now, "now"}, {force, "force"}} {
			if w.on {
				got = append(got, w.word)
			}
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("%s %s: %v means %q, want %q", step.name, step.value, step.sig, got, step.want)
		}
	}
}
