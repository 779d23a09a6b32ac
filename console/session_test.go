package console_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kvd/console"
)

// signIn signs in as a user.
func (p *page) signIn(user, password string) {
	p.t.Helper()
	p.want(200, "", "signin", map[string]any{"user": user, "password": password})
	p.refresh()
}

// eventually waits for something that happens soon.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// A session is of the user whose password was shown, as long as that is his.
func TestSessionEndsWithTheUser(t *testing.T) {
	s, c, p := serve(t)
	s.Do("CONFIG", "SET", "metrics-token", "letmein")
	for what, end := range map[string][][]string{
		"off":                {{"ACL", "SETUSER", "alice", "off"}},
		"deleted":            {{"ACL", "DELUSER", "alice"}},
		"another one":        {{"ACL", "DELUSER", "alice"}, {"ACL", "SETUSER", "alice", "on", ">other", "~*", "+@all"}},
		"a changed password": {{"ACL", "SETUSER", "alice", "resetpass", ">other"}},
		"nopass":             {{"ACL", "SETUSER", "alice", "nopass"}},
	} {
		s.Do("ACL", "SETUSER", "alice", "reset", "on", ">secret", "~*", "+@all")
		p.refresh()
		p.signIn("alice", "secret")
		p.want(200, b64("OK"), "run", line("SET k v"))
		r, err := p.http.Get(p.url + "/api/live")
		if err != nil || r.StatusCode != 200 {
			t.Fatal(r, err)
		}
		in := bufio.NewReader(r.Body)
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		for _, words := range end {
			s.Do(words...)
		}
		c.Sampled(s.Engine().Figures())
		if rest, _ := io.ReadAll(in); strings.Contains(string(rest), "data:") {
			t.Errorf("%s: figures are sent still", what)
		}
		r.Body.Close()
		p.want(401, "session", "run", line("SET k w"))
		if got := p.refresh()["user"]; got != "" {
			t.Errorf("%s: the session is %v's still", what, got)
		}
		eventually(t, what+": the prompt's client is there still", func() bool { return !strings.Contains(fmt.Sprint(s.Do("CLIENT", "LIST")), "user=alice") })
	}
	if v := s.Do("GET", "k"); v != "v" {
		t.Errorf("k is %q", v)
	}
	// Another password more does not end it.
	s.Do("ACL", "SETUSER", "alice", "reset", "on", ">secret", "~*", "+@all")
	p.signIn("alice", "secret")
	s.Do("ACL", "SETUSER", "alice", ">another", "-flushall")
	p.want(200, b64("OK"), "run", line("SET k w"))
}

// A token that is not wanted any more does not admit.
func TestTokenChanges(t *testing.T) {
	s, _, p := serve(t)
	s.Do("CONFIG", "SET", "metrics-token", "one")
	p.want(200, "", "signin", map[string]any{"token": "one"})
	p.refresh()
	p.want(200, b64("PONG"), "run", line("PING"))
	s.Do("CONFIG", "SET", "metrics-token", "two")
	p.want(401, "session", "run", line("PING"))
	if p.refresh()["admitted"] != false {
		t.Error("the old token admits")
	}
}

// from makes a request to the console as if it came from an address.
func from(c *console.Console, remote, path, body string, token string, cookies []*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "http://127.0.0.1:1"+path, strings.NewReader(body))
	if path == "/api/session" {
		r.Method = "GET"
	}
	r.RemoteAddr = remote
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9), Port: 99}))
	r.Header.Set("Kvd-Token", token)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

// protected-mode holds for addresses of every kind, and the addresses of clients are real.
func TestAddresses(t *testing.T) {
	s, c, _ := serve(t)
	s.Do("CONFIG", "SET", "protected-mode", "yes")
	w := from(c, "127.0.0.1:5", "/api/session", "", "", nil)
	_, token, _ := strings.Cut(w.Body.String(), `"token":"`)
	token, _, _ = strings.Cut(token, `"`)
	run := func(remote, command string) string {
		return from(c, remote, "/api/run", `{"line":"`+command+`"}`, token, w.Result().Cookies()).Body.String()
	}
	for _, remote := range []string{"[fe80::1%eth0]:5", "192.0.2.1:5", "[2001:db8::1]:5"} {
		if got := run(remote, "PING"); !strings.Contains(got, "DENIED") {
			t.Errorf("%s: %s", remote, got)
		}
	}
	for _, remote := range []string{"@", ""} {
		if got := run(remote, "PING"); !strings.Contains(got, "address") {
			t.Errorf("%s: %s", remote, got)
		}
	}
	for _, remote := range []string{"127.0.0.1:5", "[::1]:5", "[::1%lo]:5", "[::ffff:127.0.0.1]:5"} {
		if got := run(remote, "PING"); !strings.Contains(got, b64("PONG")) {
			t.Errorf("%s: %s", remote, got)
		}
	}
	list := fmt.Sprint(s.Do("CLIENT", "LIST"))
	if !strings.Contains(list, "addr=127.0.0.1:5 laddr=127.0.0.9:99") {
		t.Errorf("the addresses: %s", list)
	}
}

// A request whose session ends while its body comes leaves no client behind.
func TestSignOutBeforeTheBody(t *testing.T) {
	s, _, p := serve(t)
	clients := func() int { return strings.Count(fmt.Sprint(s.Do("CLIENT", "LIST")), "id=") }
	before := clients()
	body, write := io.Pipe()
	r, _ := http.NewRequest("POST", p.url+"/api/run", body)
	r.Header.Set("Kvd-Token", p.token)
	status := make(chan int)
	go func() {
		reply, err := p.http.Do(r)
		if err != nil {
			status <- 0
			return
		}
		reply.Body.Close()
		status <- reply.StatusCode
	}()
	io.WriteString(write, `{"line":`)
	p.want(200, "", "signout", nil)
	io.WriteString(write, `"PING"}`)
	write.Close()
	if got := <-status; got != 401 {
		t.Errorf("the request was answered with %d", got)
	}
	eventually(t, "a client is left", func() bool { return clients() <= before })

	// Who shows the token has another session, and the old one's client goes.
	p.refresh()
	p.want(200, b64("PONG"), "run", line("PING"))
	s.Do("CONFIG", "SET", "metrics-token", "one")
	p.want(200, "", "signin", map[string]any{"token": "one"})
	eventually(t, "the client of the session before is left", func() bool { return clients() <= before })
}

// Who is not admitted sends nothing that is kept, others not more than they need, and
// not too many at once.
func TestRequestsAreBounded(t *testing.T) {
	s, _, p := serve(t)
	s.Do("SET", "k", "v")
	long := line("GET k" + strings.Repeat(" ", console.MaxRequest))
	p.want(413, "too large", "run", long)
	s.Do("ACL", "SETUSER", "alice", "on", ">secret", "~*", "+@all")
	q := visit(t, p.url)
	q.signIn("alice", "secret")
	q.want(200, b64("v"), "run", long)
	q.want(413, "too large", "keys", map[string]any{"match": strings.Repeat("*", console.MaxRequest)})
	q.want(413, "too large", "signin", map[string]any{"password": strings.Repeat("*", console.MaxRequest)})

	// Bodies that do not end. Some of the requests are too many.
	const many = 2 * console.MaxAtOnce
	var open []*io.PipeWriter
	replied := make(chan int, many)
	for range many {
		body, w := io.Pipe()
		open = append(open, w)
		r, _ := http.NewRequest("POST", p.url+"/api/run", body)
		r.Header.Set("Kvd-Token", p.token)
		go func() {
			reply, err := p.http.Do(r)
			if err != nil {
				replied <- 0
				return
			}
			reply.Body.Close()
			replied <- reply.StatusCode
		}()
		io.WriteString(w, `{"line":`)
	}
	eventually(t, "there is no end of requests", func() bool {
		status, _ := p.post("run", line("GET k"))
		return status == 503
	})
	q.want(200, b64("v"), "run", line("GET k")) // who has signed in is not hindered
	for _, w := range open {
		io.WriteString(w, `"PING"}`)
		w.Close()
	}
	done := 0
	for range open {
		switch got := <-replied; got {
		case 200:
			done++
		case 503, 0: // 0: the reply came before the body, and the connection was closed
		default:
			t.Errorf("one of them got %d", got)
		}
	}
	if done == 0 { // one that came late may have found a place
		t.Errorf("none of them was done")
	}
	p.want(200, b64("v"), "run", line("GET k"))

	s.Do("CONFIG", "SET", "requirepass", "secret")
	p.want(401, "sign in", "run", long)
	s.Do("CONFIG", "SET", "requirepass", "", "metrics-token", "x")
	p.want(401, "sign in", "run", long)
}

// Tries to sign in that fail take longer and longer.
func TestTries(t *testing.T) {
	s, _, p := serve(t)
	s.Do("ACL", "SETUSER", "alice", "on", ">secret", "~*", "+@all")
	s.Do("CONFIG", "SET", "metrics-token", "x")
	began := time.Now()
	done := make(chan bool)
	for i := range 4 {
		q := visit(t, p.url)
		go func() {
			defer func() { done <- true }()
			if i == 0 {
				q.want(403, "metrics-token", "signin", map[string]any{"token": "wrong"})
			} else {
				q.want(403, "WRONGPASS", "signin", map[string]any{"user": "alice", "password": "x"})
			}
		}()
	}
	for range 4 {
		<-done
	}
	if took := time.Since(began); took < (1+2+4+8)*console.FirstFailure {
		t.Errorf("four tries took %v", took)
	}
	p.signIn("alice", "secret")
}

// More sessions than there may be: the ones of long ago go, but for those of who has signed in.
func TestManySessions(t *testing.T) {
	s, _, p := serve(t)
	p.want(200, b64("PONG"), "run", line("PING"))
	s.Do("ACL", "SETUSER", "alice", "on", ">secret", "~*", "+@all")
	q, first := visit(t, p.url), visit(t, p.url)
	first.signIn("alice", "secret")
	q.signIn("alice", "secret")
	for range console.MaxSessions + 1 {
		r, err := http.Get(p.url + "/api/session")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	p.want(401, "session", "run", line("PING"))
	first.want(200, b64("PONG"), "run", line("PING"))
	q.want(200, b64("PONG"), "run", line("PING"))
	for range console.MaxSessions - 1 {
		visit(t, p.url).want(200, "", "signin", map[string]any{"user": "alice", "password": "secret"})
	}
	first.want(401, "session", "run", line("PING"))
	q.want(200, b64("PONG"), "run", line("PING"))
}

// Who only looks on does not use the session.
func TestIdleSession(t *testing.T) {
	_, c, p := serve(t)
	p.want(200, b64("PONG"), "run", line("PING"))
	c.Age(console.IdleSession - time.Minute)
	p.want(200, "", "clients", nil, "Kvd-Again", "1")
	r, err := p.http.Get(p.url + "/api/live")
	if err != nil || r.StatusCode != 200 {
		t.Fatal(r, err)
	}
	r.Body.Close()
	c.Age(2 * time.Minute)
	p.want(401, "session", "run", line("PING"))
	p.refresh()
	c.Age(console.IdleSession - time.Minute)
	p.want(200, "", "clients", nil)
	c.Age(2 * time.Minute)
	p.want(200, b64("PONG"), "run", line("PING"))
}

// The prompt stays the user's: it does not become one without a password.
func TestPromptKeepsItsUser(t *testing.T) {
	s, _, p := serve(t)
	s.Do("ACL", "SETUSER", "alice", "on", ">secret", "~*", "+@all", "-set")
	p.signIn("alice", "secret")
	for _, command := range []string{"RESET", "AUTH default x", "auth x", "HELLO 3 AUTH default x", "HELLO 2 SETNAME n AUTH default x"} {
		p.want(403, "the prompt is", "run", line(command))
	}
	p.want(200, b64("OK"), "run", line("MULTI"))
	p.want(403, "the prompt is", "run", line("AUTH default x"))
	p.want(200, b64("OK"), "run", line("DISCARD"))
	p.want(200, b64("alice"), "run", line("ACL WHOAMI"))
	p.want(200, b64("NOPERM"), "run", line("SET k v"))
	p.want(200, "", "run", line("HELLO 3"))
}

// What buttons do is done at once, and where it should be, whatever the prompt is at.
func TestActs(t *testing.T) {
	s, _, p := serve(t)
	do := func(part, act string, more ...any) {
		t.Helper()
		body := map[string]any{"act": act, "db": 3, "key": b64("k")}
		for i := 0; i < len(more); i += 2 {
			body[more[i].(string)] = more[i+1]
		}
		p.want(200, part, "act", body)
	}
	p.want(403, "only reading", "act", map[string]any{"act": "delete", "key": b64("k")})
	s.Do("SET", "k", "zero")
	s.Do("ACL", "SETUSER", "alice", "on", ">secret", "~*", "+@all")
	p.signIn("alice", "secret")
	p.want(200, b64("OK"), "run", line("SELECT 3"))
	p.want(200, b64("OK"), "run", line("SET k three"))
	p.want(200, b64("OK"), "run", line("SELECT 1"))
	p.want(200, b64("OK"), "run", line("MULTI"))
	do(`{"kind":":","text":{"b":"`+b64("1"), "expire", "ms", 100000)
	do(b64("1"), "persist")
	do(b64("0"), "persist")
	do(b64("OK"), "hot-start")
	do(b64("OK"), "hot-stop")
	do(b64("1"), "delete")
	p.want(400, "nothing", "act", map[string]any{"act": "flush"})
	p.want(409, "out of range", "act", map[string]any{"act": "delete", "db": 99, "key": b64("k")})
	p.want(200, `"kind":"*"`, "run", line("EXEC"))
	p.want(200, `"kind":"_"`, "run", map[string]any{"line": "GET k", "db": 3})
	if v := s.Do("GET", "k"); v != "zero" {
		t.Errorf("k of another database is %v", v)
	}
	// A prompt that is made anew where it may not go runs nothing somewhere else.
	p.want(200, "", "run", line("SELECT 3"))
	s.Do("CLIENT", "KILL", "USER", "alice")
	s.Do("ACL", "SETUSER", "alice", "-select")
	p.want(409, "NOPERM", "run", map[string]any{"line": "SET k wrong", "db": 3})
	s.Do("ACL", "SETUSER", "alice", "-unlink")
	p.want(200, b64("NOPERM"), "act", map[string]any{"act": "delete", "key": b64("k")})
	if v := s.Do("GET", "k"); v != "zero" {
		t.Errorf("k is %v", v)
	}
}

// As docs/console.md says: such a user browses his keys, and nothing is noted against him.
func TestReaderOfSomeKeys(t *testing.T) {
	s, _, p := serve(t)
	for i := range 300 {
		s.Do("SET", fmt.Sprint("foreign:", i), "v")
	}
	s.Do("SET", "orders:1", "v")
	s.Do("RPUSH", "orders:2", "v")
	s.Do("ACL", "SETUSER", "reader", "on", ">look", "~orders:*", "+@read")
	s.Do("ACL", "LOG", "RESET")
	p.signIn("reader", "look")
	for path, part := range map[string]string{"keys": b64("orders:1"), "weigh": b64("orders:2")} {
		text, cursor := "", "0"
		for range 10000 {
			out := p.want(200, "", path, map[string]any{"cursor": cursor})
			text += fmt.Sprint(out)
			if cursor = out["cursor"].(string); cursor == "0" {
				break
			}
		}
		if !strings.Contains(text, part) || strings.Contains(text, b64("foreign:1")) {
			t.Errorf("%s: %.500s", path, text)
		}
	}
	p.want(200, b64("orders:2"), "keys", map[string]any{"match": "orders:2", "type": "list"})
	p.want(200, b64("v"), "value", map[string]any{"key": b64("orders:1")})
	if log := fmt.Sprint(s.Do("ACL", "LOG")); log != "[]" {
		t.Errorf("ACL LOG has %s", log)
	}
	p.want(409, "NOPERM", "value", map[string]any{"key": b64("foreign:1")})
	p.want(409, "NOPERM", "keys", map[string]any{"db": 1}) // SELECT is not his
	// Rights by command and key: what is not for the command is left out.
	s.Do("ACL", "SETUSER", "reader", "resetkeys", "-type", "(~orders:* +type)", "(~foreign:1 +get)", "~orders:*")
	p.want(200, b64("orders:1"), "keys", map[string]any{"match": "*s:1"})
	p.want(200, `"keys":[]`, "keys", map[string]any{"match": "foreign:1"})
	// To look is not to use.
	s.Advance(100 * time.Second)
	p.want(200, b64("v"), "value", map[string]any{"key": b64("orders:1")})
	if idle := s.Do("OBJECT", "IDLETIME", "orders:1"); idle.(int64) < 90 {
		t.Errorf("the key was idle for %v s", idle)
	}
}

// All of the slow log's last entries are shown, long ones, too.
func TestSlowlogIsWhole(t *testing.T) {
	s, _, p := serve(t)
	s.Do("CONFIG", "SET", "slowlog-log-slower-than", "0")
	words := []string{"MSET"}
	for range 32 {
		words = append(words, strings.Repeat("k", 200), strings.Repeat("v", 200))
	}
	for range 60 {
		s.Do(words...)
	}
	s.Do("CONFIG", "SET", "slowlog-log-slower-than", "-1")
	out := p.want(200, "", "slowlog", nil)
	items := out["items"].([]any)
	if len(items) != 50 {
		t.Errorf("%d entries are shown", len(items))
	}
	for _, e := range items {
		args := e.(map[string]any)["items"].([]any)[3].(map[string]any)
		if args["len"] != nil || len(args["items"].([]any)) < 3 {
			t.Errorf("an entry is shown as %.300s", fmt.Sprint(e))
		}
	}
}

// Hints are of commands that clients can call.
func TestHints(t *testing.T) {
	s, _, p := serve(t)
	for _, from := range []string{"config", "flushall"} {
		if err := s.Engine().Table.Rename(from, "elsewhere-"+from); err != nil {
			t.Fatal(err)
		}
	}
	r, err := p.http.Get(p.url + "/api/commands")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	for name, want := range map[string]bool{"get": true, "client list": true, "memory usage": true, "config get": false, "flushall": false} {
		if strings.Contains(string(text), `"name":"`+name+`"`) != want {
			t.Errorf("%s is among the hints: %v", name, !want)
		}
	}
	for _, r := range s.Engine().Table.Rows() {
		if r.Front != "" && strings.Contains(string(text), `"name":"`+r.FullName()+`"`) {
			t.Errorf("a hint is of %s, which is %s's", r.FullName(), r.Front)
		}
	}
}

// A page that comes gets the last sample, and of its paths nothing.
func TestLiveReusesTheSample(t *testing.T) {
	s, c, p := serve(t)
	first := func() string {
		r, err := p.http.Get(p.url + "/api/live")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, _ := bufio.NewReader(r.Body).ReadString('\n')
		return text
	}
	f := s.Engine().Figures()
	f.At = f.At.Add(-time.Hour)
	c.Sampled(f)
	text := first()
	if !strings.Contains(text, fmt.Sprint(`"at":`, f.At.UnixMilli(), ",")) {
		t.Errorf("figures were taken for a page: %.100s", text)
	}
	if !strings.Contains(text, `"timed":true`) || strings.Contains(text, "config_file") || strings.Contains(text, "executable") {
		t.Errorf("the event is %s", text)
	}
	s.Do("CONFIG", "SET", "latency-tracking", "no")
	eventually(t, "that calls are not timed is not said", func() bool {
		c.Sampled(f)
		return strings.Contains(first(), `"timed":false`)
	})
}

// Those clients are shown that take most memory.
func TestClients(t *testing.T) {
	s, _, p := serve(t)
	for range 120 {
		nc, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	eventually(t, "clients do not come", func() bool { return strings.Count(fmt.Sprint(s.Do("CLIENT", "LIST")), "id=") >= 120 })
	out := p.want(200, `"tot-mem"`, "clients", nil)
	last := ""
	for i, c := range out["clients"].([]any) {
		mem := c.(map[string]any)["fields"].(map[string]any)["tot-mem"].(string)
		if i > 0 && (len(mem) > len(last) || len(mem) == len(last) && mem > last) {
			t.Fatalf("%s stands behind %s", mem, last)
		}
		last = mem
	}
	if n := len(out["clients"].([]any)); n != 100 || out["total"].(float64) < 121 {
		t.Errorf("%d of %v clients are shown", n, out["total"])
	}
}
