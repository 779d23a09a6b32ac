//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kvd/tests/harness"
)

// A suite knows how to run jobs of Redis's suite on one server binary.
type suite struct {
	src          string // the unpacked source of Redis
	bin          string // the server, an absolute path
	work         string // a temporary directory
	bound, stall time.Duration
	keep         bool      // the trees of finished jobs
	echo         io.Writer // gets the suite's output too, if not nil
}

// run runs one job to its end, or until the bound. The error is about the harness, not about the tests.
func (s *suite) run(ctx context.Context, j job, skips skipList) (*result, error) {
	tree := filepath.Join(s.work, strings.ReplaceAll(j.unit, "/", "-")+"."+j.mode)
	if err := s.prepare(tree); err != nil {
		return nil, err
	}
	if err := dropCommands(tree, skips.unsent(j)); err != nil {
		return nil, err
	}
	if err := replaceText(filepath.Join(tree, "tests", j.unit+".tcl"), skips.replacements(j)); err != nil {
		return nil, err
	}
	if !s.keep {
		defer os.RemoveAll(tree)
	}
	skipfile := filepath.Join(tree, "skipfile")
	if err := os.WriteFile(skipfile, []byte(strings.Join(skips.names(j), "\n")+"\n"), 0o644); err != nil {
		return nil, err
	}
	// The suite looks for free ports from baseport on, and 10000 above. A random
	// start keeps two runs on one machine apart.
	args := []string{"tests/test_helper.tcl", "--single", j.unit, "--skipfile", skipfile,
		"--durable", "--dont-clean", "--clients", "1", "--timeout", strconv.Itoa(int(s.stall.Seconds())),
		"--baseport", strconv.Itoa(20000 + 100*rand.IntN(100)), "--portcount", "500"}
	args = append(args, skips.options(j)...)
	if j.mode == overTLS {
		args = append(args, "--tls")
		if err := s.certificates(ctx, tree); err != nil {
			return nil, err
		}
	}

	var srv *server
	if j.mode == external {
		var err error
		if srv, err = s.startServer(ctx, tree); err != nil {
			r := &result{}
			r.fail("(the server)", brief(strings.Split(err.Error(), "\n")))
			return r, nil
		}
		defer srv.kill()
		args = append(args, "--host", "127.0.0.1", "--port", strconv.Itoa(srv.port))
	}

	ctx, cancel := context.WithTimeout(ctx, s.bound)
	defer cancel()
	var out bytes.Buffer
	began := time.Now()
	cmd := groupCommand(ctx, "tclsh", args...)
	cmd.Dir = tree
	// A terminal that looks like xterm gets colours, which would hide the reports from the parser.
	cmd.Env = append(os.Environ(), "TERM=dumb", "LC_ALL=C.UTF-8")
	cmd.Stdout = &out
	if s.echo != nil {
		cmd.Stdout = io.MultiWriter(&out, s.echo)
	}
	cmd.Stderr = cmd.Stdout
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) && ctx.Err() == nil && !errors.Is(err, exec.ErrWaitDelay) {
		return nil, err
	}
	if cmd.Process != nil {
		// The suite leaves servers behind when it stops half way; they are of its process group.
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err := os.WriteFile(filepath.Join(tree, "output"), out.Bytes(), 0o644); err != nil {
		return nil, err
	}

	r := parseOutput(out.String())
	r.elapsed = time.Since(began)
	if ctx.Err() != nil {
		r.complete = false
		r.fail("(ended after "+s.bound.String()+", after: "+r.last+")", "took longer than --bound")
	} else if !r.complete && len(r.failed) == 0 {
		r.fail("(the suite stopped, after: "+r.last+")", brief(lastLines(out.String(), 3)))
	}
	if srv != nil {
		if err := srv.stop(); err != nil {
			r.fail("(the server)", err.Error())
		}
	}
	for _, c := range crashes(tree) {
		r.fail("(a server's log)", c)
	}
	return r, nil
}

// prepare makes a tree in which the suite finds everything it looks for below its directory: a copy of
// tests/, where it writes, and in src/ the server and Redis's tools.
func (s *suite) prepare(tree string) error {
	if err := os.MkdirAll(filepath.Join(tree, "src"), 0o755); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(tree, "tests"), os.DirFS(filepath.Join(s.src, "tests"))); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(tree, "tests", "tmp"), 0o755); err != nil {
		return err
	}
	// exec keeps the process id, by which the suite finds the server's start in its log.
	start := "exec '" + strings.ReplaceAll(s.bin, "'", `'\''`) + "' \"$@\""
	launcher := "#!/bin/sh\ncase \"$1\" in --*) " + start + ";; esac\n" + start + s.extraFlags() + "\n"
	if err := os.WriteFile(filepath.Join(tree, "src", "redis-server"), []byte(launcher), 0o755); err != nil {
		return err
	}
	for _, tool := range []string{"redis-cli", "redis-benchmark", "redis-check-rdb", "redis-check-aof"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			continue // the tests that use it fail and say so
		}
		if err := os.Symlink(path, filepath.Join(tree, "src", tool)); err != nil {
			return err
		}
	}
	return nil
}

// certificates puts those of the suite into a tree; they are made once.
func (s *suite) certificates(ctx context.Context, tree string) error {
	made := filepath.Join(s.work, "tls")
	if _, err := os.Stat(made); err != nil {
		if err := os.Mkdir(made, 0o755); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "sh", "-ec", makeCertificates)
		cmd.Dir = made
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("making certificates: %w\n%s", err, out)
		}
	}
	return os.CopyFS(filepath.Join(tree, "tests", "tls"), os.DirFS(made))
}

// makeCertificates is what the suite's utils/gen-test-certs.sh does, with smaller keys for
// what no test looks at.
const makeCertificates = `
openssl genrsa -out ca.key 2048
openssl req -x509 -new -nodes -sha256 -key ca.key -days 30 -subj '/O=Test/CN=Certificate Authority' -out ca.crt
printf '[ server_cert ]\nkeyUsage = digitalSignature, keyEncipherment\nnsCertType = server\n[ client_cert ]\nkeyUsage = digitalSignature, keyEncipherment\nnsCertType = client\n' >openssl.cnf
one() {
	name=$1; cn=$2; shift 2
	openssl genrsa -out $name.key 2048
	openssl req -new -sha256 -subj "/O=Test/CN=$cn" -key $name.key | openssl x509 -req -sha256 -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out $name.crt "$@"
}
one server Server-only -extfile openssl.cnf -extensions server_cert
one client Client-only -extfile openssl.cnf -extensions client_cert
one redis Generic-cert
openssl dhparam -dsaparam -out redis.dh 2048
`

// replaceText replaces words of a unit. One that is not there is an error: the line has
// become void.
func replaceText(name string, words []string) error {
	if len(words) == 0 {
		return nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text := string(b)
	for i := 0; i < len(words); i += 2 {
		if !strings.Contains(text, words[i]) {
			return fmt.Errorf("%s: there is no %q to be replaced", name, words[i])
		}
		text = strings.ReplaceAll(text, words[i], words[i+1])
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// dropCommands has the suite's client take these commands without sending them: it calls a procedure
// of such a name in the place of the server. Of "script|debug" it drops the one subcommand.
func dropCommands(tree string, names []string) error {
	f, err := os.OpenFile(filepath.Join(tree, "tests", "support", "redis.tcl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name, sub, ok := strings.Cut(name, "|"); ok {
			fmt.Fprintf(f, dropSubcommand, name, sub)
			continue
		}
		for _, name := range []string{name, strings.ToUpper(name)} {
			fmt.Fprintf(f, "\nproc ::redis::__method__%s {id fd args} {}\n", name)
		}
	}
	return f.Close()
}

// dropSubcommand steps aside while it sends the other subcommands.
const dropSubcommand = `
proc ::redis::__method__%[1]s {id fd args} {
	if {[string tolower [lindex $args 0]] eq {%[2]s}} return
	rename ::redis::__method__%[1]s ::redis::__aside__
	set code [catch {uplevel 1 [list ::redis::redisHandle$id %[1]s {*}$args]} reply]
	rename ::redis::__aside__ ::redis::__method__%[1]s
	return -code $code $reply
}
`

// extraFlags are further flags of the server. The suite starts servers with
// directives that kvd does not act on yet (appendonly yes, say) around tests
// of which most need something else; with this flag kvd starts all the same.
// A start without a configuration file is a test of wrong flags.
func (s *suite) extraFlags() string {
	out, _ := exec.Command(s.bin, "--version").Output()
	if strings.HasPrefix(string(out), "kvd ") {
		return " --ignore-unsupported"
	}
	return ""
}

// groupCommand is a command in a process group of its own. At the context's end the group is asked to
// end, and killed if it has not done so in five seconds.
func groupCommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// A server is one that was started here, for the external mode.
type server struct {
	cmd  *exec.Cmd
	port int
	done chan struct{} // closed when the process has ended
}

// startServer starts the binary on a free port and waits until it answers.
func (s *suite) startServer(ctx context.Context, tree string) (*server, error) {
	// Not in tests/tmp: the suite empties that when it starts.
	dir := filepath.Join(tree, "server.external")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	port, err := harness.FreePort()
	if err != nil {
		return nil, err
	}
	// What the suite needs from a server that it did not configure: no protections, no snapshots.
	conf := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsave \"\"\n"+
		"enable-protected-configs yes\nenable-debug-command yes\nenable-module-command yes\n", port, dir)
	confFile := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(confFile, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	logFile, err := os.Create(filepath.Join(dir, "stdout"))
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	errFile, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		return nil, err
	}
	defer errFile.Close()
	srv := &server{cmd: groupCommand(ctx, s.bin, confFile), port: port, done: make(chan struct{})}
	srv.cmd.Dir = dir
	srv.cmd.Stdout, srv.cmd.Stderr = logFile, errFile
	if err := srv.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		srv.cmd.Wait()
		close(srv.done)
	}()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if answers(port) {
			return srv, nil
		}
		select {
		case <-srv.done:
			log, _ := os.ReadFile(logFile.Name())
			trouble, _ := os.ReadFile(errFile.Name())
			return nil, fmt.Errorf("the server ended at its start: %v\n%s%s", srv.cmd.ProcessState, log, trouble)
		case <-time.After(20 * time.Millisecond):
		}
	}
	srv.kill()
	return nil, fmt.Errorf("the server did not answer on port %d within 30 s", port)
}

func answers(port int) bool {
	c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(c, "PING\r\n"); err != nil {
		return false
	}
	buf := make([]byte, 5)
	_, err = io.ReadFull(c, buf)
	return err == nil && string(buf) == "+PONG"
}

// stop ends the server as an operator would. The error says if it had ended before, or would not.
func (srv *server) stop() error {
	select {
	case <-srv.done:
		return fmt.Errorf("ended during the tests: %v", srv.cmd.ProcessState)
	default:
	}
	srv.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-srv.done:
		if code := srv.cmd.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("ended on SIGTERM with: %v", srv.cmd.ProcessState)
		}
		return nil
	case <-time.After(10 * time.Second):
		srv.kill()
		return errors.New("did not end within 10 s of SIGTERM")
	}
}

// kill may be called at any time, and returns when the process has ended.
func (srv *server) kill() {
	select {
	case <-srv.done:
	default:
		syscall.Kill(-srv.cmd.Process.Pid, syscall.SIGKILL)
		<-srv.done
	}
}

// What a Go server prints when it dies, or when the race detector finds something.
var crashLine = regexp.MustCompile(`(?m)^(panic: .*|fatal error: .*|WARNING: DATA RACE)$`)

// crashes looks through the logs of all servers of a job. Redis's suite knows the marks of a C server only.
func crashes(tree string) (found []string) {
	logs, _ := filepath.Glob(filepath.Join(tree, "tests", "tmp", "server.*", "std*"))
	own, _ := filepath.Glob(filepath.Join(tree, "server.external", "std*"))
	for _, name := range append(logs, own...) {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if at := crashLine.FindIndex(text); at != nil {
			found = append(found, brief(strings.SplitN(string(text[at[0]:]), "\n", 6)))
		}
	}
	return found
}

func lastLines(s string, n int) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[max(0, len(lines)-n):]
}
