package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"kvd/config"
	"kvd/logf"
)

func TestOOMScore(t *testing.T) {
	cfg := config.New()
	o := newOOMScore(cfg, logf.NewWriter(io.Discard, logf.Nothing))
	o.path = filepath.Join(t.TempDir(), "score")
	set := func(pairs ...string) error {
		var list []config.Pair
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, config.Pair{Name: pairs[i], Value: pairs[i+1]})
		}
		return cfg.Set(list, config.Caller{})
	}
	if err := set("oom-score-adj", "yes"); err == nil || cfg.OOMScoreAdj.Load() != "no" {
		t.Errorf("without the system's file: %v, and it is %s", err, cfg.OOMScoreAdj.Load())
	}
	if err := os.WriteFile(o.path, []byte("22\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.ours.Store(false)
	for _, step := range []struct {
		pairs []string
		want  string
	}{
		{[]string{"oom-score-adj-values", "10 200 800"}, "22\n"},
		{[]string{"oom-score-adj", "yes"}, "32"},
		{[]string{"oom-score-adj-values", "999 200 800"}, "1000"},
		{[]string{"oom-score-adj", "absolute", "oom-score-adj-values", "7 8 9"}, "7"},
		{[]string{"oom-score-adj", "no"}, "22"},
	} {
		if err := set(step.pairs...); err != nil {
			t.Errorf("%q: %v", step.pairs, err)
		}
		if got, _ := os.ReadFile(o.path); string(got) != step.want {
			t.Errorf("after %q the score is %q, want %q", step.pairs, got, step.want)
		}
	}
	if err := set("oom-score-adj", "absolute"); err != nil {
		t.Fatal(err)
	}
	if err := cfg.SetInitial("replicaof", []string{"127.0.0.1", "1"}); err != nil {
		t.Fatal(err)
	}
	if err := o.set(); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(o.path); string(got) != "8" {
		t.Errorf("a follower's score is %q, want 8", got)
	}
}
