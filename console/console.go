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
	"sync/atomic"
	"time"

	"kvd/acl"
	"kvd/command"
	"kvd/lockrank"
	"kvd/resp/wire"
	"kvd/transport"
)

const (
	maxSessions = 256              // of each kind: the one that was used longest ago goes
	idleSession = 30 * time.Minute // a session that nobody uses ends
	oldSession  = 12 * time.Hour   // and any, after this
	maxRequest  = 128 << 10        // bytes of a request: a key of maxName fits
	maxLine     = 4 << 20          // likewise, of a line at the prompt of who has signed in
	maxAtOnce   = 64               // requests at work, of those who have signed in, and of others
	// commandTime is how long a blocking command waits.
	commandTime = 5 * time.Second
	// Tries to sign in are made one after the other. One waits so long for its turn,
	tryTime = 10 * time.Second
	// and one that fails takes the first time, then twice as long each, up to the longest.
	firstFailure   = 50 * time.Millisecond
	longestFailure = time.Second
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
	busy  [2]atomic.Int32 // requests at work: of others, and of those who have signed in

	trying   chan struct{} // has an item while somebody tries to sign in, who may use failures
	failures int           // one after the other

	mu       lockrank.Mutex[lockrank.ConsoleSessions] // protects sessions, and what of them says so; held for map operations
	sessions map[string]*session                      // by what the cookie holds
}

// session is a browser's.
type session struct {
	id    string
	token string // what a request must show besides the cookie
	began time.Time
	proof

	used   time.Time                              // last; Console.mu protects it
	mu     lockrank.Mutex[lockrank.ConsolePrompt] // held while the prompt's command runs; protects what follows
	prompt *transport.Local                       // nil: none yet, or not any more
	ended  bool                                   // there must be no prompt any more
}

// proof is what was shown when the session began. It does not change, and is compared with
// what is right whenever the session is used.
type proof struct {
	user  string // "": nobody has signed in
	hash  string // of the user's password, see acl.Hash
	shown string // metrics-token
}

// signed tells whether something was shown.
func (p proof) signed() bool { return p.user != "" || p.shown != "" }

// New makes the console of a server; front is where its clients are made.
func New(srv *command.Server, front *transport.Server) *Console {
	c := &Console{srv: srv, front: front, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection(), sessions: make(map[string]*session), trying: make(chan struct{}, 1)}
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
	for path, e := range map[string]endpoint{
		"signin": {f: c.signIn, open: true}, "signout": {f: c.signOut, open: true}, "clients": {f: c.clients}, "slowlog": {f: c.slowlog}, "hotkeys": {f: c.hotkeys},
		"keys": {f: c.keys}, "value": {f: c.value}, "weigh": {f: c.weigh}, "act": {f: c.act}, "run": {f: c.run, lines: true},
	} {
		c.mux.HandleFunc("POST /api/"+path, func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, e) })
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

// sessionOf is the session that a request belongs to, nil if there is none. It is ended
// here where it is too old, or what was shown at its begin is not right any more.
func (c *Console) sessionOf(r *http.Request) *session {
	k, err := r.Cookie(cookie(r))
	if err != nil {
		return nil
	}
	c.mu.Lock()
	s := c.sessions[k.Value]
	old := s != nil && s.old(time.Now())
	c.mu.Unlock()
	if s != nil && (old || !c.holds(s)) {
		c.drop(s)
		return nil
	}
	return s
}

// old tells whether a session has ended by itself; Console.mu is held.
func (s *session) old(now time.Time) bool {
	return now.Sub(s.used) > idleSession || now.Sub(s.began) > oldSession
}

// holds tells whether what was shown at the session's begin is still right.
func (c *Console) holds(s *session) bool {
	return (s.user == "" || c.srv.Proves(s.user, s.hash)) && (s.shown == "" || s.shown == c.srv.Config.MetricsToken.Load())
}

// touch notes that somebody uses the session, and does not only look on.
func (c *Console) touch(s *session) {
	c.mu.Lock()
	s.used = time.Now()
	c.mu.Unlock()
}

// begin makes a session. Those that nobody has signed in to are counted by themselves:
// anybody can make such.
func (c *Console) begin(w http.ResponseWriter, r *http.Request, p proof) *session {
	now := time.Now()
	s := &session{id: rand.Text(), token: rand.Text(), began: now, proof: p, used: now}
	c.mu.Lock()
	var over []*session
	var oldest *session
	alike := 0
	for _, o := range c.sessions {
		switch {
		case o.old(now):
			over = append(over, o)
		case o.signed() == s.signed():
			if alike++; oldest == nil || o.used.Before(oldest.used) {
				oldest = o
			}
		}
	}
	if alike >= maxSessions {
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

// drop ends a session.
func (c *Console) drop(s *session) {
	c.mu.Lock()
	delete(c.sessions, s.id)
	c.mu.Unlock()
	go s.end() // its prompt may be at work
}

// end gives the prompt's client up, for good.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.prompt != nil {
		s.prompt.Close()
		s.prompt = nil
	}
}

// admits tells whether a request may see figures: who asks has signed in, or shown
// metrics-token, or none is wanted.
func (c *Console) admits(r *http.Request, s *session) bool {
	return s != nil && s.signed() || c.srv.Config.MetricsToken.Load() == "" && named(r)
}

// getSession tells the page who it is for.
func (c *Console) getSession(w http.ResponseWriter, r *http.Request) {
	s := c.sessionOf(r)
	if s == nil {
		s = c.begin(w, r, proof{})
	}
	c.touch(s)
	send(w, map[string]any{
		"token": s.token, "user": s.user, "admitted": c.admits(r, s), "tokenWanted": c.srv.Config.MetricsToken.Load() != "",
		"version": c.srv.Version, "databases": c.srv.Keyspace.Databases(),
	})
}

// call is a request of the page.
type call struct {
	r     *http.Request
	reply http.ResponseWriter
	s     *session
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
	errOver   = &refused{http.StatusUnauthorized, "the session is over"}
)

// endpoint is what the page may ask for.
type endpoint struct {
	f     func(*call) (any, error)
	open  bool // to everybody
	lines bool // who has signed in may send long ones
}

// serve runs a request of the page. Who may not make it sends nothing that is kept.
func (c *Console) serve(w http.ResponseWriter, r *http.Request, e endpoint) {
	s := c.sessionOf(r)
	if s == nil || subtle.ConstantTimeCompare([]byte(r.Header.Get("Kvd-Token")), []byte(s.token)) != 1 {
		fail(w, errOver.status, errOver.text)
		return
	}
	if !e.open && (!c.admits(r, s) || s.user == "" && c.srv.HasPassword("default")) {
		fail(w, errSignIn.status, errSignIn.text)
		return
	}
	busy, most := &c.busy[0], int64(maxRequest)
	if s.signed() {
		busy = &c.busy[1]
	}
	if e.lines && s.user != "" {
		most = maxLine
	}
	defer busy.Add(-1)
	if busy.Add(1) > maxAtOnce {
		fail(w, http.StatusServiceUnavailable, "too many requests at once")
		return
	}
	if r.Header.Get("Kvd-Again") == "" { // else the page asks by itself
		c.touch(s)
	}
	k := &call{r: r, reply: w, s: s}
	var err error
	if k.body, err = read(w, r, most); err != nil {
		fail(w, http.StatusRequestEntityTooLarge, err.Error())
		return
	}
	if c.sessionOf(r) != s { // it took its time
		fail(w, errOver.status, errOver.text)
		return
	}
	defer func() {
		if k.l != nil {
			k.l.Close()
		}
	}()
	out, err := e.f(k)
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

// local makes a client that has a session's rights, or for nil those of a new connection.
func (c *Console) local(r *http.Request, s *session) (*transport.Local, error) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil { // protected-mode could not tell where it comes from
		return nil, &refused{http.StatusForbidden, "requests come from an address"}
	}
	to := ""
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		to = a.String()
	}
	l, err := c.front.NewLocal(r.RemoteAddr, to, from.Addr().WithZone("").Unmap().AsSlice(), nil)
	if err != nil {
		return nil, err
	}
	if s != nil && s.user != "" && !c.srv.LoginProved(l.Client, s.user, s.hash) { // he is there no more
		l.Close()
		return nil, errSignIn
	}
	return l, nil
}

// do runs a command as who has called.
func (c *Console) do(k *call, args ...string) wire.Reply {
	if k.l == nil {
		l, err := c.local(k.r, k.s)
		if err != nil {
			return wire.Failed(err)
		}
		k.l = l
		l.Client.NoTouch = true // to look is not to use
	}
	words := make([][]byte, len(args))
	for i, a := range args {
		words[i] = []byte(a)
	}
	k.w.Buf = k.w.Buf[:0]
	ctx, cancel := contextFor(k)
	defer cancel()
	if err := k.l.Call(ctx, words, &k.w, nil); err != nil {
		return wire.Failed(err)
	}
	return wire.ReplyIn(k.w.Buf)
}

// in chooses the database. A client begins in the first one, where SELECT is not needed.
func (c *Console) in(k *call, db int) error {
	if db == 0 {
		return nil
	}
	return c.do(k, "SELECT", strconv.Itoa(db)).Err()
}

// signIn makes the session a user's. One without a password stays out: anybody could be
// him, and do more than read.
func (c *Console) signIn(k *call) (any, error) {
	var in struct{ User, Password, Token string }
	if err := json.Unmarshal(k.body, &in); err != nil {
		return nil, err
	}
	if in.User == "" {
		in.User = "default"
	}
	shown := proof{user: in.User, hash: acl.Hash([]byte(in.Password))}
	if in.Token != "" {
		shown = proof{shown: in.Token}
	}
	if err := c.try(k.r.Context(), func() error { return c.right(k, shown, in.Password) }); err != nil {
		return nil, err
	}
	// The cookie is a new one: somebody may know that of before.
	c.begin(k.reply, k.r, shown)
	c.drop(k.s)
	return map[string]any{}, nil
}

// right tests what is shown to sign in.
func (c *Console) right(k *call, p proof, password string) error {
	if p.shown != "" {
		want := c.srv.Config.MetricsToken.Load()
		if want == "" || subtle.ConstantTimeCompare([]byte(p.shown), []byte(want)) != 1 {
			return &refused{http.StatusForbidden, "that is not metrics-token"}
		}
		return nil
	}
	l, err := c.local(k.r, nil)
	if err != nil {
		return err
	}
	defer l.Close()
	var w wire.Writer
	if err := l.Call(k.r.Context(), [][]byte{[]byte("AUTH"), []byte(p.user), []byte(password)}, &w, nil); err != nil {
		return err
	}
	if err := wire.ReplyIn(w.Buf).Err(); err != nil {
		return &refused{http.StatusForbidden, err.Error()}
	}
	if !c.srv.Proves(p.user, p.hash) {
		return &refused{http.StatusForbidden, "a user without a password only reads here: set requirepass, or make a user with a password"}
	}
	return nil
}

// try makes a try to sign in when its turn comes. Those that fail take their time, so that
// passwords are not found by trying many.
func (c *Console) try(ctx context.Context, right func() error) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	select {
	case c.trying <- struct{}{}:
	case <-ctx.Done():
		return &refused{http.StatusTooManyRequests, "many try to sign in: try again"}
	}
	defer func() { <-c.trying }()
	if err := right(); err != nil {
		time.Sleep(min(firstFailure<<min(c.failures, 10), longestFailure)) // also where who has asked is gone
		c.failures++
		return err
	}
	c.failures = 0
	return nil
}

// signOut ends the session.
func (c *Console) signOut(k *call) (any, error) {
	c.drop(k.s)
	return map[string]any{}, nil
}

// read is the body of a request.
func read(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	var body json.RawMessage
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, most)).Decode(&body)
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
