// Package console is the page that people look at a server with: what it does, live, its
// keys, and a prompt. It is mounted beside /metrics on metrics-port.
//
// What is shown of the data is read by commands, which run as the user who has signed
// in, or as a connection that has not: users' rights and passwords hold here as they do
// everywhere. Who has not signed in only reads.
package console

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"kvd/command"
	"kvd/lockrank"
	"kvd/resp/wire"
	"kvd/transport"
)

const (
	maxSessions = 256              // the one that was used longest ago goes
	idleSession = 30 * time.Minute // a session that nobody uses ends
	oldSession  = 12 * time.Hour   // and any, after this
	maxRequest  = 4 << 20          // bytes of a request
	// commandTime is how long a blocking command waits.
	commandTime = 5 * time.Second
)

//go:embed assets
var assets embed.FS

// Console serves the page of one server.
type Console struct {
	srv   *command.Server
	front *transport.Server
	mux   *http.ServeMux
	cross *http.CrossOriginProtection
	live  live

	mu       lockrank.Mutex[lockrank.ConsoleSessions] // protects sessions, and what of them says so; held for map operations
	sessions map[string]*session                      // by what the cookie holds
}

// session is a browser's.
type session struct {
	id    string
	token string // what a request must show besides the cookie
	began time.Time

	user   string                                 // "": nobody has signed in; Console.mu protects it, and what follows
	admits bool                                   // metrics-token was shown
	used   time.Time                              // last
	mu     lockrank.Mutex[lockrank.ConsolePrompt] // held while the prompt's command runs; protects prompt
	prompt *transport.Local                       // nil: none yet, or not any more
}

// New makes the console of a server; front is where its clients are made.
func New(srv *command.Server, front *transport.Server) *Console {
	c := &Console{srv: srv, front: front, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection(), sessions: make(map[string]*session)}
	c.live.init(srv)
	for path, kind := range map[string]string{"console.html": "text/html; charset=utf-8", "console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		body, err := assets.ReadFile("assets/" + path)
		if err != nil {
			panic(err) // it is a part of the program
		}
		where := "GET /" + path
		if path == "console.html" {
			where = "GET /{$}"
		}
		c.mux.HandleFunc(where, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "no-cache")
			w.Write(body)
		})
	}
	c.mux.HandleFunc("GET /api/session", c.getSession)
	c.mux.HandleFunc("GET /api/live", c.getLive)
	c.mux.HandleFunc("GET /api/commands", c.getCommands)
	for path, f := range map[string]func(*call) (any, error){
		"signin": c.signIn, "signout": c.signOut, "clients": c.clients, "slowlog": c.slowlog, "hotkeys": c.hotkeys,
		"keys": c.keys, "value": c.value, "weigh": c.weigh, "run": c.run,
	} {
		c.mux.HandleFunc("POST /api/"+path, func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, f) })
	}
	return c
}

// policy lets the page's own files do what they do, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// ServeHTTP is all of metrics-port but /metrics.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if strings.HasPrefix(r.URL.Path, "/api/") {
		h.Set("Cache-Control", "no-store")
		// Other pages' scripts could not read the replies, but need not cause them either.
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
			fail(w, http.StatusForbidden, "this is for the console's own page")
			return
		}
		if err := c.cross.Check(r); err != nil {
			fail(w, http.StatusForbidden, err.Error())
			return
		}
	}
	c.mux.ServeHTTP(w, r)
}

// cookie is the name of the session's: cookies know no ports, servers have one each.
func cookie(r *http.Request) string {
	_, port, _ := net.SplitHostPort(r.Host)
	return "kvd-console-" + port
}

// named tells whether a request names this machine in a way that another site's page
// cannot: by an address. A name may be the other site's own, which has been made to
// lead here (DNS rebinding).
func named(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// sessionOf is the session that a request belongs to, nil if there is none.
func (c *Console) sessionOf(r *http.Request) *session {
	k, err := r.Cookie(cookie(r))
	if err != nil {
		return nil
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[k.Value]
	if s == nil || now.Sub(s.used) > idleSession || now.Sub(s.began) > oldSession {
		return nil
	}
	s.used = now
	return s
}

// begin makes a session.
func (c *Console) begin(w http.ResponseWriter, r *http.Request) *session {
	now := time.Now()
	s := &session{id: rand.Text(), token: rand.Text(), began: now, used: now}
	c.mu.Lock()
	var over []*session
	var oldest *session
	for _, o := range c.sessions {
		if now.Sub(o.used) > idleSession || now.Sub(o.began) > oldSession {
			over = append(over, o)
		} else if oldest == nil || o.used.Before(oldest.used) {
			oldest = o
		}
	}
	if len(c.sessions)-len(over) >= maxSessions {
		over = append(over, oldest)
	}
	for _, o := range over {
		delete(c.sessions, o.id)
	}
	c.sessions[s.id] = s
	c.mu.Unlock()
	for _, o := range over {
		go o.end() // its prompt may be at work
	}
	http.SetCookie(w, &http.Cookie{Name: cookie(r), Value: s.id, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	return s
}

// end gives the prompt's client up.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prompt != nil {
		s.prompt.Close()
		s.prompt = nil
	}
}

// who is the user of a session, and whether metrics-token was shown.
func (c *Console) who(s *session) (user string, admitted bool) {
	if s == nil {
		return "", false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.user, s.admits
}

// admits tells whether a request may see figures: who asks has signed in, or shown
// metrics-token, or none is wanted.
func (c *Console) admits(r *http.Request, s *session) bool {
	user, shown := c.who(s)
	return user != "" || shown || c.srv.Config.MetricsToken.Load() == "" && named(r)
}

// getSession tells the page who it is for.
func (c *Console) getSession(w http.ResponseWriter, r *http.Request) {
	s := c.sessionOf(r)
	if s == nil {
		s = c.begin(w, r)
	}
	user, _ := c.who(s)
	send(w, map[string]any{
		"token": s.token, "user": user, "admitted": c.admits(r, s), "tokenWanted": c.srv.Config.MetricsToken.Load() != "",
		"version": c.srv.Version, "databases": c.srv.Keyspace.Databases(),
	})
}

// call is a request of the page.
type call struct {
	r     *http.Request
	reply http.ResponseWriter
	s     *session
	user  string
	body  []byte
	l     *transport.Local // what its commands run as, nil: none yet
	w     wire.Writer
}

// refused is an error with the HTTP status that tells the page what to do.
type refused struct {
	status int
	text   string
}

func (e *refused) Error() string { return e.text }

var (
	errSignIn = &refused{http.StatusUnauthorized, "sign in to see this"}
	errReads  = &refused{http.StatusForbidden, "only reading is allowed to who has not signed in"}
	errKey    = &refused{http.StatusNotFound, "there is no such key any more"}
)

// serve runs a request of the page.
func (c *Console) serve(w http.ResponseWriter, r *http.Request, f func(*call) (any, error)) {
	s := c.sessionOf(r)
	if s == nil || subtle.ConstantTimeCompare([]byte(r.Header.Get("Kvd-Token")), []byte(s.token)) != 1 {
		fail(w, http.StatusUnauthorized, "the session is over")
		return
	}
	k := &call{r: r, reply: w, s: s}
	k.user, _ = c.who(s)
	var err error
	if k.body, err = read(w, r); err != nil {
		fail(w, http.StatusRequestEntityTooLarge, err.Error())
		return
	}
	out, err := f(k)
	if k.l != nil {
		k.l.Close()
	}
	var no *refused
	var replied wire.ReplyError
	switch {
	case err == nil:
		send(w, out)
	case errors.As(err, &no):
		fail(w, no.status, no.text)
	case errors.As(err, &replied) && replied.Code() == "NOAUTH":
		fail(w, http.StatusUnauthorized, errSignIn.text)
	case errors.As(err, &replied):
		fail(w, http.StatusConflict, string(replied))
	default:
		fail(w, http.StatusServiceUnavailable, err.Error())
	}
}

// local makes a client that has a session's rights.
func (c *Console) local(r *http.Request, user string) (*transport.Local, error) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	l, err := c.front.NewLocal(r.RemoteAddr, r.Host, net.ParseIP(host), nil)
	if err != nil {
		return nil, err
	}
	if user != "" && !c.srv.LoginAs(l.Client, user) { // he is there no more
		l.Close()
		return nil, errSignIn
	}
	return l, nil
}

// do runs a command as who has called.
func (c *Console) do(k *call, args ...string) wire.Reply {
	if k.l == nil {
		if !c.admits(k.r, k.s) {
			return wire.Failed(errSignIn)
		}
		l, err := c.local(k.r, k.user)
		if err != nil {
			return wire.Failed(err)
		}
		k.l = l
		c.do(k, "CLIENT", "NO-TOUCH", "ON") // to look is not to use; where that is forbidden it is
	}
	words := make([][]byte, len(args))
	for i, a := range args {
		words[i] = []byte(a)
	}
	k.w.Buf = k.w.Buf[:0]
	ctx, cancel := context.WithTimeout(k.r.Context(), commandTime)
	defer cancel()
	if err := k.l.Call(ctx, words, &k.w, nil); err != nil {
		return wire.Failed(err)
	}
	return wire.ReplyIn(k.w.Buf)
}

// in chooses the database.
func (c *Console) in(k *call, db int) error { return c.do(k, "SELECT", strconv.Itoa(db)).Err() }

// signIn makes the session a user's. One without a password stays out: anybody could be
// him, and do more than read.
func (c *Console) signIn(k *call) (any, error) {
	var in struct{ User, Password, Token string }
	if err := json.Unmarshal(k.body, &in); err != nil {
		return nil, err
	}
	if in.Token != "" {
		want := c.srv.Config.MetricsToken.Load()
		if want == "" || subtle.ConstantTimeCompare([]byte(in.Token), []byte(want)) != 1 {
			return nil, &refused{http.StatusForbidden, "that is not metrics-token"}
		}
		s := c.begin(k.reply, k.r)
		c.mu.Lock()
		s.admits = true
		delete(c.sessions, k.s.id)
		c.mu.Unlock()
		return map[string]any{}, nil
	}
	if in.User == "" {
		in.User = "default"
	}
	l, err := c.local(k.r, "")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	var w wire.Writer
	if err := l.Call(k.r.Context(), [][]byte{[]byte("AUTH"), []byte(in.User), []byte(in.Password)}, &w, nil); err != nil {
		return nil, err
	}
	if err := wire.ReplyIn(w.Buf).Err(); err != nil {
		return nil, &refused{http.StatusForbidden, err.Error()}
	}
	if !c.srv.HasPassword(in.User) {
		return nil, &refused{http.StatusForbidden, "a user without a password only reads here: set requirepass, or make a user with a password"}
	}
	// The cookie is a new one: somebody may know that of before.
	s := c.begin(k.reply, k.r)
	c.mu.Lock()
	s.user = in.User
	delete(c.sessions, k.s.id)
	c.mu.Unlock()
	k.s.end()
	return map[string]any{}, nil
}

// signOut ends the session.
func (c *Console) signOut(k *call) (any, error) {
	c.mu.Lock()
	delete(c.sessions, k.s.id)
	c.mu.Unlock()
	k.s.end()
	return map[string]any{}, nil
}

// read is the body of a request.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body json.RawMessage
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&body)
	return body, err
}

func send(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // whoever asked may be gone
}

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	send(w, map[string]string{"error": text})
}
