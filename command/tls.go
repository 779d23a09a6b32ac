package command

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// What commands want of TLS; nothing of it is there in a server without. The
// fields are set before the server serves.
type tlsHooks struct {
	// DialTLS makes a connection to another server one of TLS, or closes it.
	DialTLS func(nc net.Conn, timeout time.Duration) (net.Conn, error)
	// TLSExpiries tells when the certificates in force end.
	TLSExpiries func() []Expiry

	certDenied atomic.Int64 // clients whose certificates named no user
}

// Expiry is when a certificate ends.
type Expiry struct {
	Name   string // server, client or ca
	Serial string // in hexadecimal
	In     time.Duration
}

// Certified makes a client that has connected the user whom its certificate
// names. Where there is no such user it stays what it is.
func (s *Server) Certified(c *Client, name string) {
	if !s.LoginAs(c, name) {
		s.certDenied.Add(1)
	}
}

// tls is INFO's section of that name, of Valkey 9.1, with the days besides.
func (w *InfoWriter) tls() {
	if w.s.TLSExpiries == nil {
		return
	}
	for _, e := range w.s.TLSExpiries() {
		w.Field("tls_"+e.Name+"_cert_serial", e.Serial)
		w.Field("tls_"+e.Name+"_cert_expires_in_seconds", int64(e.In/time.Second))
		w.Field(fmt.Sprintf("tls_%s_cert_expires_in_days", e.Name), int64(e.In/(24*time.Hour)))
	}
}

// port is what INFO calls tcp_port: that of plain text, if there is one.
func (w *InfoWriter) port() int64 {
	if p := w.s.Config.Port.Load(); p != 0 {
		return p
	}
	return w.s.Config.TLSPort.Load()
}
