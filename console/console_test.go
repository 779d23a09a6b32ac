package console_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"kvd/console"
	"kvd/kvdtest"
	"kvd/transport"
)

// page is a browser without a screen.
type page struct {
	t     *testing.T
	http  *http.Client
	url   string
	token string
}

// serve mounts a console of a fresh server.
func serve(t *testing.T) (*kvdtest.Server, *console.Console, *page) {
	s := kvdtest.New(t)
	front := transport.New(s.Engine(), nil)
	t.Cleanup(front.Close)
	c := console.New(s.Engine(), front)
	w := httptest.NewServer(c)
	t.Cleanup(w.Close)
	return s, c, visit(t, w.URL)
}

func visit(t *testing.T, url string) *page {
	jar, _ := cookiejar.New(nil)
	p := &page{t: t, http: &http.Client{Jar: jar}, url: url}
	p.refresh()
	return p
}

func (p *page) refresh() map[string]any {
	p.t.Helper()
	r, err := p.http.Get(p.url + "/api/session")
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(r.Body).Decode(&out); err != nil {
		p.t.Fatal(err)
	}
	p.token, _ = out["token"].(string)
	return out
}

// post asks for something; header are names and values by turns.
func (p *page) post(path string, body any, header ...string) (int, map[string]any) {
	p.t.Helper()
	text, _ := json.Marshal(body)
	r, _ := http.NewRequest("POST", p.url+"/api/"+path, bytes.NewReader(text))
	r.Header.Set("Kvd-Token", p.token)
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
			for _, c := range p.http.Jar.Cookies(r.URL) { // the jar knows nothing of the other name
				r.AddCookie(c)
			}
		}
	}
	reply, err := p.http.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer reply.Body.Close()
	out := map[string]any{}
	if err := json.NewDecoder(reply.Body).Decode(&out); err != nil {
		p.t.Fatal(err)
	}
	return reply.StatusCode, out
}

// want asks for something, which has a status; what comes is JSON that has a part.
func (p *page) want(status int, part, path string, body any, header ...string) map[string]any {
	p.t.Helper()
	got, out := p.post(path, body, header...)
	text, _ := json.Marshal(out)
	if got != status || !strings.Contains(string(text), part) {
		p.t.Errorf("%s %v: %d %.300s, want %d with %q", path, body, got, text, status, part)
	}
	return out
}

func line(text string) map[string]any { return map[string]any{"line": text} }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// The page may run its own files, and nothing else may be done with it.
func TestHeaders(t *testing.T) {
	_, _, p := serve(t)
	for _, path := range []string{"/", "/console.js", "/console.css", "/api/session", "/nothing"} {
		r, err := p.http.Get(p.url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		csp := r.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'; script-src 'self';") || strings.Contains(csp, "unsafe") || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s has the headers %v", path, r.Header)
		}
		if path == "/" && (bytes.Contains(body, []byte("<style")) || bytes.Contains(body, []byte("style=")) || bytes.Contains(body, []byte("onclick")) || bytes.Contains(body, []byte("http"))) {
			t.Error("the page has something inline, or from elsewhere")
		}
		for _, way := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("} {
			if path == "/console.js" && bytes.Contains(body, []byte(way)) {
				t.Errorf("the script has %s, by which data could become elements", way)
			}
		}
	}
}

// Who has not signed in only reads, who has does what the user may, and other pages get nothing.
func TestRights(t *testing.T) {
	s, _, p := serve(t)
	s.Do("SET", "k", "v")
	p.want(200, b64("v"), "run", line("GET k"))
	for _, command := range []string{"SET k w", "DEL k", "CONFIG GET *", "EVAL 'return 1' 0", "EVAL_RO 'return 1' 0", "BLPOP l 0", "SUBSCRIBE x", "MONITOR", "SHUTDOWN", "ACL LIST", "MULTI", "AUTH x", "DEBUG SLEEP 0", "FLUSHALL", "HOTKEYS START METRICS 1 CPU"} {
		p.want(403, "only reading", "run", line(command))
	}
	p.want(200, `"kind":"-"`, "run", line("NOTHING"))
	p.want(400, "quote", "run", line(`GET "k`))
	p.want(403, "without a password", "signin", map[string]any{"user": "default", "password": "x"}) // AUTH would take any
	// Others' pages, and such as do not know the token.
	p.want(401, "session", "run", line("GET k"), "Kvd-Token", "x")
	p.want(403, "console", "run", line("GET k"), "Sec-Fetch-Site", "cross-site")
	p.want(403, "console", "run", line("GET k"), "Sec-Fetch-Site", "same-site")
	p.want(403, "", "run", line("GET k"), "Origin", "http://elsewhere.example")
	// Under a name that somebody else may have made lead here.
	p.want(401, "sign in", "run", line("GET k"), "Host", "elsewhere.example"+p.url[strings.LastIndexByte(p.url, ':'):])
	if r, err := p.http.Get(p.url + "/api/run"); err != nil || r.StatusCode != 405 {
		t.Errorf("GET: %v %v", r.StatusCode, err)
	}

	s.Do("CONFIG", "SET", "requirepass", "secret")
	s.Do("ACL", "SETUSER", "reader", "on", ">look", "~k*", "+@read", "+select")
	p.want(401, "sign in", "run", line("GET k"))
	for _, path := range []string{"keys", "value", "weigh", "clients", "slowlog", "hotkeys"} {
		p.want(401, "sign in", path, map[string]any{"key": b64("k")})
	}
	p.want(403, "WRONGPASS", "signin", map[string]any{"user": "default", "password": "x"})
	p.want(200, "", "signin", map[string]any{"user": "reader", "password": "look"})
	if old := p.token; p.refresh()["user"] != "reader" || p.token == old {
		t.Error("who signs in has the session of before")
	}
	p.want(200, b64("v"), "run", line("GET k"))
	p.want(200, b64("NOPERM"), "run", line("GET other"))
	p.want(200, b64("NOPERM"), "run", line("SET k w"))
	p.want(409, "NOPERM", "clients", nil)
	p.want(200, "", "signout", nil)
	p.want(401, "session", "run", line("GET k"))
	p.refresh()
	p.want(200, "", "signin", map[string]any{"user": "default", "password": "secret"})
	p.refresh()
	p.want(200, b64("OK"), "run", line("SET k w"))
	p.want(200, b64("OK"), "run", line("MULTI"))
	p.want(200, b64("QUEUED"), "run", line("INCR n"))
	p.want(200, `"items":[{"kind":":","text":{"b":"`+b64("1"), "run", line("EXEC"))
	p.want(200, `"db":3`, "run", line("SELECT 3"))
	p.want(409, "connection of its own", "run", line("SUBSCRIBE news"))
	p.want(200, b64("w"), "run", line("GET k"))
	// The accounts of another visitor are his own.
	q := visit(t, p.url)
	q.want(401, "sign in", "run", line("GET k"))
}

// metrics-token is wanted for figures, where it is set.
func TestToken(t *testing.T) {
	s, _, p := serve(t)
	s.Do("CONFIG", "SET", "metrics-token", "letmein")
	live := func() int {
		r, err := p.http.Get(p.url + "/api/live")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	if live() != 401 {
		t.Error("figures are shown without the token")
	}
	p.want(401, "sign in", "run", line("PING"))
	p.want(403, "metrics-token", "signin", map[string]any{"token": "wrong"})
	p.want(200, "", "signin", map[string]any{"token": "letmein"})
	p.refresh()
	if live() != 200 {
		t.Error("figures are not shown to who has the token")
	}
	p.want(200, b64("PONG"), "run", line("PING"))
	p.want(403, "only reading", "run", line("SET k v"))
}

// All pages of a value of every type are all of it, each element once.
func TestValues(t *testing.T) {
	s, _, p := serve(t)
	const n = 260
	add := func(args ...string) {
		t.Helper()
		if err, bad := s.Do(args...).(error); bad {
			t.Fatal(args, err)
		}
	}
	for i := range n {
		m := fmt.Sprintf("<b>%d\xff", i)
		add("RPUSH", "list", m)
		add("SADD", "set", m)
		add("ZADD", "zset", fmt.Sprint(i), m)
		add("HSET", "hash", m, m)
		add("XADD", "stream", fmt.Sprint("5-", i+1), "f", m)
		add("ARINSERT", "array", m)
	}
	add("SET", "string", strings.Repeat("0123456789abcdef", 3000))
	for _, key := range []string{"list", "set", "zset", "hash", "stream", "array", "string"} {
		seen, cursor, bytes := map[string]bool{}, "", 0
		for range 2 * n {
			out := p.want(200, `"type":"`+key+`"`, "value", map[string]any{"key": b64(key), "cursor": cursor})
			rows, _ := out["rows"].([]any)
			for _, r := range rows {
				last := r.([]any)[len(r.([]any))-1]
				if key == "zset" {
					last = r.([]any)[0]
				}
				b, _ := base64.StdEncoding.DecodeString(last.(map[string]any)["b"].(string))
				if key != "string" && seen[string(b)] {
					t.Fatalf("%s shows %q twice", key, b)
				}
				seen[string(b)] = true
				bytes += len(b)
			}
			if cursor, _ = out["next"].(string); cursor == "" {
				break
			}
		}
		if key == "string" && bytes != 48000 || key != "string" && len(seen) != n {
			t.Errorf("%s: %d elements, %d bytes", key, len(seen), bytes)
		}
	}
	p.want(404, "no such key", "value", map[string]any{"key": b64("missing")})
	// A long element is cut, and a big collection's pages hold fewer of them.
	add("RPUSH", "long", strings.Repeat("x", 1<<20), strings.Repeat("y", 1<<20), strings.Repeat("z", 3<<20), "w")
	out := p.want(200, `"n":1048576`, "value", map[string]any{"key": b64("long")})
	if rows := out["rows"].([]any); len(rows) > 3 {
		t.Errorf("a page has %d elements of a MiB", len(rows))
	}
}

// All pages of keys are all keys, with types and deadlines; and what they take adds up.
func TestKeys(t *testing.T) {
	s, _, p := serve(t)
	for i := range 1000 {
		s.Do("SET", fmt.Sprint("user:", i), "v", "EX", "100")
		s.Do("SADD", fmt.Sprint("set:", i), "m")
	}
	s.Do("SET", "big", strings.Repeat("x", 1<<20))
	all := func(body map[string]any) int {
		seen, cursor := map[string]bool{}, "0"
		for range 10000 {
			body["cursor"] = cursor
			out := p.want(200, "", "keys", body)
			for _, k := range out["keys"].([]any) {
				seen[k.(map[string]any)["key"].(map[string]any)["b"].(string)] = true
			}
			if cursor = out["cursor"].(string); cursor == "0" {
				break
			}
		}
		return len(seen)
	}
	for want, body := range map[int]map[string]any{2001: {}, 1000: {"match": "user:*"}, 1001: {"type": "string"}, 0: {"db": 1}} {
		if got := all(body); got != want {
			t.Errorf("%v: %d keys, want %d", body, got, want)
		}
	}
	p.want(200, `"ttl":`, "keys", map[string]any{"match": "user:1"})
	p.want(409, "ERR", "keys", map[string]any{"db": 99})
	keys, cursor, big := 0, "0", int64(0)
	for range 10000 {
		out := p.want(200, "types", "weigh", map[string]any{"cursor": cursor})
		keys += int(out["keys"].(float64))
		if list := out["big"].([]any); len(list) > 0 {
			big = max(big, int64(list[0].(map[string]any)["bytes"].(float64)))
		}
		if cursor = out["cursor"].(string); cursor == "0" {
			break
		}
	}
	if keys != 2001 || big < 1<<20 {
		t.Errorf("%d keys were weighed, the biggest is %d", keys, big)
	}
}

// Events tell everything at first, then what has changed; who does not read is let go.
func TestLive(t *testing.T) {
	s, c, p := serve(t)
	r, err := p.http.Get(p.url + "/api/live")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	type event struct {
		All      bool
		Fields   map[string]string
		Commands map[string][2]float64
		Heat     []int64
	}
	in := bufio.NewReaderSize(r.Body, 1<<20)
	next := func() (e event) {
		t.Helper()
		text, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if blank, _ := in.ReadString('\n'); blank != "\n" {
			t.Fatalf("behind an event: %q", blank)
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "data: ")), &e); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		return e
	}
	first := next()
	if !first.All || first.Fields["role"] != "master" || first.Fields["db0"] != "" {
		t.Errorf("the first event is %v", first)
	}
	s.Do("SET", "k", "v")
	c.Sampled(s.Engine().Figures())
	second := next()
	if second.All || second.Fields["role"] != "" || !strings.HasPrefix(second.Fields["db0"], "keys=1,") || second.Commands["set"][0] != 1 {
		t.Errorf("the second event is %v", second)
	}
	sum := func(heat []int64) (n int64) {
		for _, h := range heat {
			n += h
		}
		return n
	}
	if sum(second.Heat) != sum(first.Heat)+1 {
		t.Errorf("the calls by their time: %v, then %v", first.Heat, second.Heat)
	}
	s.Do("DEL", "k")
	c.Sampled(s.Engine().Figures())
	third := next()
	if v, told := third.Fields["db0"]; !told || v != "" {
		t.Errorf("that the database is empty is told as %q, %v", v, told)
	}
}
