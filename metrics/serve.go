package metrics

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kvd/command"
	"kvd/lockrank"
)

// Page is what metrics-port serves: /metrics, /ready, which tells whoever sends clients
// here whether they are served, and beside them what is mounted.
type Page struct {
	srv     *command.Server
	handler http.Handler
	collect *Collector
	sampled func(*command.Figures)

	mu      lockrank.Mutex[lockrank.MetricsPage] // protects what follows; nobody waits under it, and no other lock is taken
	closed  bool
	servers map[string]*http.Server // by address
	stop    chan struct{}           // ends the sampling; nil: there is none
}

// NewPage makes the page of a server, which follows CONFIG SET of metrics-port and
// metrics-bind; Listen follows. beside serves all other paths, and asks for no
// metrics-token; sampled gets each sample of the figures, while somebody listens.
func NewPage(srv *command.Server, beside http.Handler, sampled func(*command.Figures)) *Page {
	p := &Page{srv: srv, collect: New(srv), sampled: sampled, servers: make(map[string]*http.Server)}
	reg := prometheus.NewRegistry()
	reg.MustRegister(p.collect)
	metrics := promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4, ErrorHandling: promhttp.ContinueOnError})
	p.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch token := srv.Config.MetricsToken.Load(); {
		case r.URL.Path == "/ready" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			if why := srv.NotReady(); why != "" {
				http.Error(w, why, http.StatusServiceUnavailable)
				return
			}
			io.WriteString(w, "ready\n")
		case r.URL.Path != "/metrics":
			beside.ServeHTTP(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "/metrics is read by GET", http.StatusMethodNotAllowed)
		case token != "" && subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token of metrics-token is wanted: Authorization: Bearer ...", http.StatusUnauthorized)
		default:
			metrics.ServeHTTP(w, r)
		}
	})
	for _, name := range []string{"metrics-port", "metrics-bind"} {
		srv.Config.OnChange(name, p.Listen)
	}
	return p
}

// Listen has the page served where the directives say now, and no longer elsewhere;
// after an error it is served where it was.
func (p *Page) Listen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("the server is being ended")
	}
	cfg := p.srv.Config
	wanted := map[string]bool{}
	if port := cfg.MetricsPort.Load(); port != 0 {
		for _, host := range cfg.MetricsBind.Load() {
			wanted[net.JoinHostPort(host, strconv.FormatInt(port, 10))] = true
		}
	}
	added := map[string]net.Listener{}
	for addr := range wanted {
		if p.servers[addr] != nil {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			for _, l := range added {
				l.Close()
			}
			return fmt.Errorf("metrics-port: %w", err)
		}
		added[addr] = l
	}
	for addr, s := range p.servers {
		if !wanted[addr] {
			s.Close()
			delete(p.servers, addr)
		}
	}
	for addr, l := range added {
		s := &http.Server{Handler: p.handler, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
		p.servers[addr] = s
		go s.Serve(l) // ends with Close
	}
	switch {
	case len(wanted) > 0 && p.stop == nil:
		p.stop = make(chan struct{})
		go p.collect.run(p.stop, p.sampled)
	case len(wanted) == 0 && p.stop != nil:
		close(p.stop)
		p.stop = nil
	}
	return nil
}

// Close ends the page.
func (p *Page) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, s := range p.servers {
		s.Close()
	}
	if p.stop != nil {
		close(p.stop)
		p.stop = nil
	}
}
