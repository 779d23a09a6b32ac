package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAgainstAnEarlierRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, fill func(p *report)) {
		p := newReport(&bytes.Buffer{})
		fill(p)
		if err := p.writeJSON(filepath.Join(dir, name), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	both := func(p *report, name, unit string, kvd ...float64) {
		for _, v := range kvd {
			p.add(name, unit, "kvd", v)
			p.add(name, unit, "redis", 100)
		}
	}
	write("2026-01-01.json", func(p *report) { both(p, "set", "1/s", 1, 1, 1) })
	write("2026-02-01.json", func(p *report) {
		both(p, "set", "1/s", 200, 210, 190)
		both(p, "get", "1/s", 200, 210, 190)
		both(p, "noisy", "1/s", 200, 300, 100)
		both(p, "delay", "us", 50, 51, 49)
		both(p, "memory", "B", 50, 50, 50)
		both(p, "share", "%", 20)
		p.add("alone", "us", "kvd", 7)
	})
	run, err := readPast(dir) // the later one
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := newReport(&out)
	both(p, "set", "1/s", 150, 160, 140)  // worse
	both(p, "get", "1/s", 250, 260, 240)  // better
	both(p, "noisy", "1/s", 150, 99, 250) // within what the rounds differ by
	both(p, "delay", "us", 60, 61, 59)    // worse
	both(p, "memory", "B", 51, 51, 51)    // less than worseBy
	both(p, "new", "B", 51)
	both(p, "share", "%", 90)
	p.add("alone", "us", "kvd", 70)
	if worse := p.against(run); worse != 2 {
		t.Errorf("%d worse, not 2", worse)
	}
	text := out.String()
	for _, want := range []string{"WORSE set: kvd/redis is 1.50 (1.40 to 1.60), was 2.00 (1.90 to 2.10)\n", "WORSE delay: ", "5 figures compared, 2 worse\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if _, err := readPast(t.TempDir()); err == nil {
		t.Error("an empty directory is no error")
	}
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readPast(bad); err == nil {
		t.Error("half a file is no error")
	}
}
