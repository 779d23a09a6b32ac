package secure

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"kvd/config"
	"kvd/lockrank"
	"kvd/logf"
)

// Source has the configurations for both directions.
type Source struct {
	cfg *config.Config
	log *logf.Logger

	now atomic.Pointer[made] // nil before the first success

	mu     lockrank.Mutex[lockrank.Secure] // protects what follows, and the making of a new one
	looked time.Time                       // when the files were last compared with what is in force
	failed string                          // the state of the files that could not be used, which was logged
	warned time.Time                       // when the log last said that a certificate is about to expire
	timer  *time.Timer                     // has the files looked at where nobody connects; nil before the first success
	closed bool
}

// made is what was read at one moment. It never changes.
type made struct {
	server, client *tls.Config
	state          string // of the files; see fileState
	files          []string
	serverCert     *x509.Certificate
	clientCert     *x509.Certificate // nil: none
	ca             *x509.Certificate // the one of the authorities that expires first; nil: none
}

const (
	// tickEvery is how often the files and the dates are looked at where nobody connects.
	tickEvery = time.Hour
	// lookEvery is how long a change of a file may go unnoticed.
	lookEvery = time.Second
	// warnWithin is how long before its end a certificate is warned of, and
	// warnEvery how often.
	warnWithin = 30 * 24 * time.Hour
	warnEvery  = 24 * time.Hour
	// maxCAFiles is the most files that are read of tls-ca-cert-dir.
	maxCAFiles = 10_000
)

// Directives are those that a Source follows.
var Directives = []string{
	"tls-cert-file", "tls-key-file", "tls-key-file-pass", "tls-client-cert-file", "tls-client-key-file", "tls-client-key-file-pass",
	"tls-ca-cert-file", "tls-ca-cert-dir", "tls-auth-clients", "tls-protocols", "tls-ciphers", "tls-ciphersuites",
	"tls-session-caching", "tls-session-cache-timeout", "tls-replication", "tls-cluster", "tls-port",
}

// New makes a Source that follows CONFIG SET. Call it before anything else
// listens to tls-port, so that a port is opened only for what can be served.
func New(cfg *config.Config, log *logf.Logger) *Source {
	s := &Source{cfg: cfg, log: log}
	for _, name := range Directives {
		cfg.OnChange(name, func() error {
			if !s.Wanted() {
				s.now.Store(nil)
				return nil
			}
			if err := s.Load(); err != nil {
				return errors.New("Unable to update TLS configuration. Check server logs.")
			}
			return nil
		})
	}
	return s
}

// Wanted tells whether anything is to use TLS.
func (s *Source) Wanted() bool {
	return s.cfg.TLSPort.Load() > 0 || s.cfg.TLSReplication.Load() || s.cfg.TLSCluster.Load()
}

// Load reads the files and puts what they say in force. After an error, which is
// logged, what was in force stays.
func (s *Source) Load() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.make()
	if err != nil {
		s.log.Warningf("%v", err)
		return err
	}
	s.use(m)
	return nil
}

// use puts m in force; s.mu is held.
func (s *Source) use(m *made) {
	s.now.Store(m)
	s.failed, s.warned, s.looked = "", time.Time{}, time.Now()
	s.warn()
	if s.timer == nil && !s.closed {
		s.timer = time.AfterFunc(tickEvery, s.tick)
	}
}

// Close ends what goes on by itself. What is in force stays so.
func (s *Source) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// tick looks at the files and the dates where nobody connects for long.
func (s *Source) tick() {
	_, _ = s.current() // it is nothing in force where TLS was turned off
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed { // it may have been called before Close, and have waited for it
		return
	}
	s.warn()
	s.timer.Reset(tickEvery)
}

// warn says which certificates are about to expire, once a day; s.mu is held.
func (s *Source) warn() {
	m, now := s.now.Load(), time.Now()
	if m == nil || now.Sub(s.warned) < warnEvery {
		return
	}
	for _, x := range m.named() {
		switch left := x.cert.NotAfter.Sub(now); {
		case left <= 0:
			s.log.Warningf("The TLS %s certificate has expired on %s", x.name, x.cert.NotAfter.UTC().Format(time.DateTime))
			s.warned = now
		case left < warnWithin:
			s.log.Warningf("The TLS %s certificate expires in %d days, on %s", x.name, int(left.Hours()/24), x.cert.NotAfter.UTC().Format(time.DateTime))
			s.warned = now
		}
	}
}

type namedCert struct {
	name string
	cert *x509.Certificate
}

// named are the certificates that there are.
func (m *made) named() (out []namedCert) {
	for _, x := range []namedCert{{"server", m.serverCert}, {"client", m.clientCert}, {"ca", m.ca}} {
		if x.cert != nil {
			out = append(out, x)
		}
	}
	return out
}

// Expiry is when a certificate ends.
type Expiry struct {
	Name   string // server, client or ca
	Serial string // in hexadecimal
	In     time.Duration
}

// Expiries are those of the certificates in force: the server's, that of
// outgoing connections, and the first authority's to end.
func (s *Source) Expiries() (out []Expiry) {
	if m := s.now.Load(); m != nil {
		for _, x := range m.named() {
			out = append(out, Expiry{x.name, fmt.Sprintf("%X", x.cert.SerialNumber), time.Until(x.cert.NotAfter)})
		}
	}
	return out
}

// errOff: TLS is not configured.
var errOff = errors.New("TLS is not configured")

// current is what is in force, of the files as they are now. It may read files.
func (s *Source) current() (*made, error) {
	m := s.now.Load()
	if m == nil {
		return nil, errOff
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.looked) < lookEvery {
		return s.now.Load(), nil
	}
	s.looked = now
	state := fileState(m.files)
	if state == m.state || state == s.failed {
		return m, nil
	}
	next, err := s.make()
	if err != nil { // it may be half of a change; what is in force goes on
		s.log.Warningf("The TLS certificates have changed and cannot be used: %v", err)
		s.failed = state
		return m, nil
	}
	s.use(next)
	s.log.Noticef("The TLS certificates were read anew")
	return next, nil
}

// Server is the configuration for a connection that comes in. It may read
// files, so no event loop asks for it.
func (s *Source) Server() (*tls.Config, error) {
	m, err := s.current()
	if err != nil {
		return nil, err
	}
	return m.server, nil
}

// Client makes a connection that goes out one of TLS; nc is closed where that
// fails. The handshake ends when the timeout is over.
func (s *Source) Client(nc net.Conn, timeout time.Duration) (net.Conn, error) {
	m, err := s.current()
	if err != nil {
		nc.Close()
		return nil, err
	}
	c := tls.Client(nc, m.client)
	if timeout > 0 {
		_ = nc.SetDeadline(time.Now().Add(timeout))
	}
	if err := c.Handshake(); err != nil {
		nc.Close()
		return nil, err
	}
	_ = nc.SetDeadline(time.Time{})
	return c, nil
}

// User is the name that tls-auth-clients-user takes from a client's certificate;
// "" for none. A name with a zero byte is none: where C reads it, it is another.
func (s *Source) User(state tls.ConnectionState) string {
	if len(state.PeerCertificates) == 0 {
		return ""
	}
	cert, name := state.PeerCertificates[0], ""
	switch strings.ToLower(s.cfg.TLSAuthClientsUser.Load()) {
	case "cn":
		name = cert.Subject.CommonName
	case "uri":
		if len(cert.URIs) > 0 {
			name = cert.URIs[0].String()
		}
	}
	if strings.ContainsRune(name, 0) {
		return ""
	}
	return name
}

// make reads what the directives name.
func (s *Source) make() (*made, error) {
	cfg := s.cfg
	m := &made{}
	certFile, keyFile := cfg.TLSCertFile.Load(), cfg.TLSKeyFile.Load()
	caFile, caDir := cfg.TLSCACertFile.Load(), cfg.TLSCACertDir.Load()
	auth := cfg.TLSAuthClients.Load()
	switch {
	case certFile == "":
		return nil, errors.New("No tls-cert-file configured!")
	case keyFile == "":
		return nil, errors.New("No tls-key-file configured!")
	case caFile == "" && caDir == "" && (auth != "no" || cfg.TLSCluster.Load() || cfg.TLSReplication.Load()):
		return nil, errors.New("Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or tls-auth-clients are enabled!")
	case cfg.TLSClientCertFile.Load() == "" != (cfg.TLSClientKeyFile.Load() == ""):
		return nil, errors.New("tls-client-cert-file and tls-client-key-file go together")
	}
	for _, f := range []string{certFile, keyFile, cfg.TLSClientCertFile.Load(), cfg.TLSClientKeyFile.Load(), caFile, caDir} {
		if f != "" {
			m.files = append(m.files, f)
		}
	}
	m.state = fileState(m.files) // before they are read: what changes meanwhile is read again
	low, high, err := protocols(cfg.TLSProtocols.Load())
	if err != nil {
		return nil, err
	}
	suites, err := Ciphers(cfg.TLSCiphers.Load())
	if err != nil {
		return nil, err
	}
	if err := checkSuites13(cfg.TLSCiphersuites.Load()); err != nil {
		return nil, err
	}
	cert, err := pair(certFile, keyFile, cfg.TLSKeyFilePass.Load())
	if err != nil {
		return nil, err
	}
	m.serverCert = cert.Leaf
	out := cert
	if f := cfg.TLSClientCertFile.Load(); f != "" {
		if out, err = pair(f, cfg.TLSClientKeyFile.Load(), cfg.TLSClientKeyFilePass.Load()); err != nil {
			return nil, err
		}
		m.clientCert = out.Leaf
	}
	var pool *x509.CertPool
	if caFile != "" || caDir != "" {
		if pool, m.ca, err = authorities(caFile, caDir); err != nil {
			return nil, err
		}
	}
	m.server = &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: pool, MinVersion: low, MaxVersion: high, CipherSuites: suites,
		SessionTicketsDisabled: !cfg.TLSSessionCaching.Load(),
		// A record as long as it may be costs less than many short ones, and a reply
		// of this kind is of no use before all of it is there.
		DynamicRecordSizingDisabled: true,
	}
	switch auth {
	case "yes":
		m.server.ClientAuth = tls.RequireAndVerifyClientCert
	case "optional":
		m.server.ClientAuth = tls.VerifyClientCertIfGiven
	}
	resumeWithin(m.server, time.Duration(cfg.TLSSessionCacheTimeout.Load())*time.Second)
	m.client = &tls.Config{
		Certificates: []tls.Certificate{out}, MinVersion: low, MaxVersion: high, CipherSuites: suites,
		// As Redis does: the chain is verified, the name is not, since leaders are
		// mostly given by address.
		InsecureSkipVerify: true,
		VerifyConnection:   func(st tls.ConnectionState) error { return verifyServer(st, pool) },

		DynamicRecordSizingDisabled: true,
	}
	return m, nil
}

// verifyServer is what InsecureSkipVerify leaves out, but for the host's name.
func verifyServer(st tls.ConnectionState, pool *x509.CertPool) error {
	if len(st.PeerCertificates) == 0 {
		return errors.New("the server has shown no certificate")
	}
	o := x509.VerifyOptions{Roots: pool, Intermediates: x509.NewCertPool()}
	if pool == nil {
		o.Roots = x509.NewCertPool()
	}
	for _, c := range st.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := st.PeerCertificates[0].Verify(o)
	return err
}

// resumeWithin has sessions end after a time; 0: never before their keys do. Go
// keeps a session in the client's ticket and takes it for a week.
func resumeWithin(c *tls.Config, most time.Duration) {
	if most <= 0 {
		return
	}
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ss.Extra = append(ss.Extra, binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix())))
		return c.EncryptTicket(cs, ss)
	}
	c.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := c.DecryptTicket(ticket, cs)
		if err != nil || ss == nil {
			return nil, err
		}
		for _, b := range ss.Extra {
			if len(b) == 8 && time.Since(time.Unix(int64(binary.BigEndian.Uint64(b)), 0)) < most {
				return ss, nil
			}
		}
		return nil, nil // a full handshake
	}
}

// pair reads a certificate with its key.
func pair(certFile, keyFile, pass string) (tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("Failed to load certificate: %s: %w", certFile, err)
	}
	key, err := os.ReadFile(keyFile)
	if err == nil {
		key, err = decryptKey(key, pass)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("Failed to load private key: %s: %w", keyFile, err)
	}
	p, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return p, fmt.Errorf("Failed to load certificate: %s with private key: %s: %w", certFile, keyFile, err)
	}
	return p, nil
}

// authorities reads those of a file and of the files of a directory, and tells
// which of them ends first.
func authorities(file, dir string) (*x509.CertPool, *x509.Certificate, error) {
	var names []string
	if file != "" {
		names = append(names, file)
	}
	if dir != "" {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, nil, fmt.Errorf("Failed to configure CA certificate(s) file/directory: %w", err)
		}
		if len(entries) > maxCAFiles {
			return nil, nil, fmt.Errorf("Failed to configure CA certificate(s) file/directory: %s has more than %d files", dir, maxCAFiles)
		}
		for _, e := range entries {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	pool := x509.NewCertPool()
	var first *x509.Certificate
	for i, name := range names {
		inDir := i > 0 || file == ""
		b, err := os.ReadFile(name)
		if err != nil {
			if inDir { // a directory, or a link to a file that has gone
				continue
			}
			return nil, nil, fmt.Errorf("Failed to configure CA certificate(s) file/directory: %w", err)
		}
		certs, err := certificates(b)
		if err != nil && !inDir {
			return nil, nil, fmt.Errorf("Failed to configure CA certificate(s) file/directory: %s: %w", name, err)
		}
		for _, c := range certs {
			pool.AddCert(c)
			if first == nil || c.NotAfter.Before(first.NotAfter) {
				first = c
			}
		}
	}
	if first == nil {
		return nil, nil, fmt.Errorf("Failed to configure CA certificate(s) file/directory: no certificate in %s", strings.Join(slices.DeleteFunc([]string{file, dir}, func(s string) bool { return s == "" }), " or "))
	}
	return pool, first, nil
}

// fileState tells one content of files from another by their times and sizes,
// and, for a directory, by those of what is in it.
func fileState(files []string) string {
	var b strings.Builder
	note := func(name string) os.FileInfo {
		fi, err := os.Stat(name)
		if err != nil {
			fmt.Fprintf(&b, "%s: -\n", name)
			return nil
		}
		fmt.Fprintf(&b, "%s: %d %d\n", name, fi.Size(), fi.ModTime().UnixNano())
		return fi
	}
	for _, f := range files {
		if fi := note(f); fi != nil && fi.IsDir() {
			entries, _ := os.ReadDir(f)
			for _, e := range entries[:min(len(entries), maxCAFiles)] {
				note(filepath.Join(f, e.Name()))
			}
		}
	}
	return b.String()
}
