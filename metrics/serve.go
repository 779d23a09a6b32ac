package metrics

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kvd/command"
	"kvd/lockrank"
)

// Page is the page that metrics-port serves: /metrics, and nothing else.
type Page struct {
	srv     *command.Server
	handler http.Handler
	collect *Collector

	mu      lockrank.Mutex[lockrank.MetricsPage] // protects what follows; nobody waits under it, and no other lock is taken
	closed  bool
	servers map[string]*http.Server // by address
	stop    chan struct{}           // ends the sampling; nil: there is none
}

// NewPage makes the page of a server, which follows CONFIG SET of metrics-port and
// metrics-bind; Listen follows.
func NewPage(srv *command.Server) *Page {
	p := &Page{srv: srv, collect: New(srv), servers: make(map[string]*http.Server)}
	reg := prometheus.NewRegistry()
	reg.MustRegister(p.collect)
	metrics := promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4, ErrorHandling: promhttp.ContinueOnError})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	p.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := srv.Config.MetricsToken.Load()
		if token != "" && subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token of metrics-token is wanted: Authorization: Bearer ...", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
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
		go p.collect.Run(p.stop)
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
