// Package certtest makes certificates for tests.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates and writes them to a directory.
type Authority struct {
	Dir  string
	Name string

	t      testing.TB
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

// Options of a certificate.
type Options struct {
	For time.Duration // how long it is valid from now on; 0: a year
	URI string
}

// New makes an authority, whose certificate is in NAME.crt.
func New(t testing.TB, dir, name string) *Authority {
	t.Helper()
	a := &Authority{Dir: dir, Name: name, t: t, serial: 1}
	a.key = newKey(t)
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.write(name, a.cert, a.key, a.cert, a.key)
	var err error
	if a.cert, err = x509.ParseCertificate(a.cert.Raw); err != nil {
		t.Fatal(err)
	}
	return a
}

// Issue makes NAME.crt and NAME.key, for servers and clients, of the common name cn.
func (a *Authority) Issue(name, cn string, o Options) {
	a.t.Helper()
	a.serial++
	if o.For == 0 {
		o.For = 365 * 24 * time.Hour
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(o.For),
		KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if o.URI != "" {
		u, err := url.Parse(o.URI)
		if err != nil {
			a.t.Fatal(err)
		}
		c.URIs = []*url.URL{u}
	}
	a.write(name, c, newKey(a.t), a.cert, a.key)
}

// File is a file's path: "server.crt".
func (a *Authority) File(name string) string { return filepath.Join(a.Dir, name) }

// Client is the configuration of a client that trusts the authority and shows
// the certificate of the name, or none.
func (a *Authority) Client(name string) *tls.Config {
	a.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c := &tls.Config{RootCAs: pool, ServerName: "localhost"}
	if name != "" {
		p, err := tls.LoadX509KeyPair(a.File(name+".crt"), a.File(name+".key"))
		if err != nil {
			a.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{p}
	}
	return c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// write signs a certificate and writes it with its key.
func (a *Authority) write(name string, c *x509.Certificate, key *ecdsa.PrivateKey, parent *x509.Certificate, by *ecdsa.PrivateKey) {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	c.Raw = der
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.file(name+".crt", "CERTIFICATE", der)
	a.file(name+".key", "PRIVATE KEY", k)
}

func (a *Authority) file(name, kind string, der []byte) {
	if err := os.WriteFile(a.File(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}
