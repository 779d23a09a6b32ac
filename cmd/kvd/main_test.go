package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"kvd/config"
)

// try runs the program with start replaced; cfg is nil when it was not reached.
func try(t *testing.T, stdin string, args ...string) (cfg *config.Config, err error) {
	t.Helper()
	var out bytes.Buffer
	app := newApp(strings.NewReader(stdin), &out, &out, func(c *config.Config) error { cfg = c; return nil })
	err = app.Run(append([]string{"kvd"}, args...))
	return cfg, err
}

func TestArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("kvd.conf", []byte("port 1\nhz 20\nsave 5 6\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		stdin string
		args  []string
		want  map[string]string
	}{
		{"", nil, map[string]string{"port": "6379", "bind": "* -::*"}},
		{"", []string{"kvd.conf"}, map[string]string{"port": "1", "hz": "20"}},
		{"", []string{"kvd.conf", "--port", "7777", "--save", "", "--bind", "127.0.0.1", "-::1"},
			map[string]string{"port": "7777", "hz": "20", "save": "", "bind": "127.0.0.1 -::1"}},
		{"port 3", []string{"-"}, map[string]string{"port": "3"}},
		{"port 3\nhz 40", []string{"-", "--port", "4"}, map[string]string{"port": "4", "hz": "40"}},
		{"hz 40", []string{"kvd.conf", "--port", "4", "-"}, map[string]string{"port": "4", "hz": "40"}},
		{"", []string{"--port", "0", "--save", "900", "1", "300", "10", "--loglevel", "debug"},
			map[string]string{"port": "0", "save": "900 1 300 10", "loglevel": "debug"}},
		{"", []string{"--appendonly", "yes", "--ignore-unsupported"}, map[string]string{"appendonly": "yes"}},
	} {
		cfg, err := try(t, test.stdin, test.args...)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		for name, want := range test.want {
			if got := cfg.Get(name)[0].Value; got != want {
				t.Errorf("%q: %s is %q, want %q", test.args, name, got, want)
			}
		}
	}
	if cfg, err := try(t, "", "--cluster-enabled", "yes"); err == nil || cfg != nil {
		t.Error("an unsupported directive did not stop the start")
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, flag := range []string{"-h", "--help"} {
		var out, errs bytes.Buffer
		if code := run([]string{"kvd", flag}, strings.NewReader(""), &out, &errs); code != 0 || errs.Len() > 0 {
			t.Fatalf("%s gives %d, %s", flag, code, errs.String())
		}
		for _, d := range config.Directives() {
			has := strings.Contains(out.String(), "   --"+d.Name+" ") || strings.Contains(out.String(), "   --"+d.Name+",") // with an alias
			if has == (d.Flags&config.Hidden != 0) {
				t.Errorf("%s: shown %v", d.Name, has)
			}
		}
		last := -1
		for _, g := range config.Groups {
			i := strings.Index(out.String(), ". "+g+"\n")
			if i <= last {
				t.Errorf("the group %q is missing or not in order", g)
			}
			last = i
		}
		for _, line := range []string{
			`--port value .* \[config set\] \(default: 6379\)`, `--databases value +[^\[]* \(default: 16\)`,
			`--cluster-enabled value .* \[unsupported\] \(default: no\)`, `--dynamic-hz value .* \[no effect: .*\] `,
		} {
			if !regexp.MustCompile(line).Match(out.Bytes()) {
				t.Errorf("help has no line like %s", line)
			}
		}
	}
	for _, flag := range []string{"-v", "--version"} {
		var out, errs bytes.Buffer
		if code := run([]string{"kvd", flag}, strings.NewReader(""), &out, &errs); code != 0 || !strings.HasPrefix(out.String(), "kvd server v="+config.RedisVersion+" ") || !strings.Contains(out.String(), " kvd="+Version+" ") {
			t.Errorf("%s gives %d, %s", flag, code, out.String())
		}
	}
}

// reference is the release of Redis that kvd is compared with.
const reference = "7.0.15"

// TestBadStartIsRedis compares exit status and message of wrong starts with a real redis-server's.
func TestBadStartIsRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	if v, _ := exec.Command(redis, "--version").Output(); !strings.Contains(string(v), "v="+reference) {
		t.Skipf("redis-server is not %s: %s", reference, v)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"unknown.conf": "port 0\nfoo bar", "quotes.conf": "port 0\nsave \"900 1\"\nhz \"x\n", "case.conf": "port 0\n  HZ   x # c\n",
		"ok.conf": "port 0\n", "noinclude.conf": "include none.conf\n", "save.conf": "save 900\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stamp := regexp.MustCompile(`(?m)^\d+:([MSCX]) \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} `)
	for _, args := range [][]string{
		{"--foo", "bar"}, {"--save", "", "--foo", "bar"}, {"--save", "900", "1", "300", "10", "--foo"}, {"--port"}, {"--save", "", "--port", ""},
		{"--port", "1", "2"}, {"--port", "--7"}, {"--", "--port", "zz"}, {"--supervised", "--port", "zz"}, {"--port", "zz\x01\n\""}, {"--port zz", "--hz", "3"},
		{"--save", "--hz", "zz"}, {"--port 'z", "--hz", "3"}, {"none.conf", "--foo", "bar"}, {"unknown.conf", "--hz", "x"}, {"quotes.conf"}, {"case.conf"},
		{"ok.conf", "--hz", "x"}, {"noinclude.conf"}, {"save.conf"}, {"--port", "0", "-", "--foo"}, {"--dir", "/no/such"}, {"--logfile", "/no/such/x"},
		{"--dbfilename", "a/b"}, {"--notify-keyspace-events", "q"}, {"--unixsocketperm", "999"}, {"--client-output-buffer-limit", "normal", "1", "2"},
		{"--include", "none*", "--port", "zz"}, {"--bogus"}, {"--maxmemory", "12zz"}, {"--bind", "1 2", "--save", "1"}, {"--rename-command", "x"}, {"--user"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		cmd := exec.CommandContext(ctx, redis, args...)
		var wantOut, wantErr, gotOut, gotErr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &wantOut, &wantErr
		err := cmd.Run()
		cancel()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%q: redis-server ended with %v", args, err)
			continue
		}
		if code := run(append([]string{"kvd"}, args...), strings.NewReader(""), &gotOut, &gotErr); code != 1 {
			t.Errorf("%q: exit status %d", args, code)
		}
		got, want := gotErr.String(), strings.ReplaceAll(wantErr.String(), "(Redis "+reference+")", "(Redis "+config.RedisVersion+")")
		want = strings.ReplaceAll(want, "zxeKEtmdn'", "zxeKEtmdnocSTIVa'") // classes that came later
		if got != want {
			// We also name the file.
			got = regexp.MustCompile(`\nIn the file '[^']*'`).ReplaceAllString(got, "")
		}
		got += stamp.ReplaceAllString(gotOut.String(), "$1 ")
		want += stamp.ReplaceAllString(wantOut.String(), "$1 ")
		if got != want {
			t.Errorf("%q prints\n%s\nRedis\n%s", args, got, want)
		}
	}
}
