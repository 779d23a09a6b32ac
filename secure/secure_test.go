package secure_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"kvd/config"
	"kvd/logf"
	"kvd/secure"
	"kvd/secure/certtest"
)

// source is a Source with directives besides the certificate of an authority.
func source(t *testing.T, ca *certtest.Authority, directives ...string) (*secure.Source, *config.Config, error) {
	t.Helper()
	cfg := config.New()
	all := append([]string{"tls-cert-file " + ca.File("server.crt"), "tls-key-file " + ca.File("server.key"), "tls-ca-cert-file " + ca.File("ca.crt")}, directives...)
	for _, d := range all {
		name, value, _ := strings.Cut(d, " ")
		if err := cfg.SetInitial(name, []string{value}); err != nil {
			t.Fatal(d, err)
		}
	}
	s := secure.New(cfg, logf.NewWriter(io.Discard, logf.Nothing))
	return s, cfg, s.Load()
}

func authority(t *testing.T) *certtest.Authority {
	ca := certtest.New(t, t.TempDir(), "ca")
	ca.Issue("server", "server", certtest.Options{})
	ca.Issue("client", "client", certtest.Options{})
	return ca
}

// shake has a client shake hands with the source.
func shake(t *testing.T, s *secure.Source, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	cfg, err := s.Server()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer nc.Close()
		c := tls.Server(nc, cfg)
		if err = c.Handshake(); err == nil {
			_, err = c.Write([]byte("x")) // behind the session's ticket
		}
		served <- err
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		<-served
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	_, err = io.ReadFull(c, make([]byte, 1))
	if e := <-served; err == nil {
		err = e
	}
	return c.ConnectionState(), err
}

// TestProtocols: the versions are those of the directive, and no others.
func TestProtocols(t *testing.T) {
	ca := authority(t)
	versions := []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}
	for _, x := range []struct{ text, works string }{
		{"", "0011"}, {"TLSv1.2", "0010"}, {"tlsv1.3", "0001"}, {"TLSv1.3 TLSv1.2", "0011"}, {"TLSv1 TLSv1.1", "1100"},
		{"TLSv1.4", ""}, {"TLSv1.1 TLSv1.3", ""}, {"SSLv3", ""},
	} {
		s, _, err := source(t, ca, "tls-auth-clients no", "tls-protocols "+x.text)
		if err != nil {
			if x.works != "" {
				t.Errorf("%q: %v", x.text, err)
			}
			continue
		}
		got := ""
		for _, v := range versions {
			c := ca.Client("")
			c.MinVersion, c.MaxVersion = v, v
			if _, err := shake(t, s, c); err == nil {
				got += "1"
			} else {
				got += "0"
			}
		}
		if got != x.works {
			t.Errorf("%q: versions 1.0 to 1.3 work %s, want %s", x.text, got, x.works)
		}
	}
}

// TestCiphers reads OpenSSL's lists; where openssl is there, each list has what
// openssl makes of it, of the suites that both know.
func TestCiphers(t *testing.T) {
	all, _ := secure.Ciphers("ALL")
	if len(all) < 17 {
		t.Fatalf("ALL has %d suites", len(all))
	}
	for _, list := range []string{
		"DEFAULT", "ALL", "HIGH", "ECDHE", "ECDHE+AESGCM", "kRSA", "AES128-SHA256", "DEFAULT:-AES128-SHA256", "ALL:!kRSA", "ALL:!kRSA:AES128-SHA256",
		"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384", "AES256,AES128+SHA256", "HIGH:!aNULL:!MD5", "HIGH:!SHA1:!SHA256", "CHACHA20", "ALL:-AES", "aRSA+AESGCM:!AES128",
		"ECDHE-ECDSA-AES128-GCM-SHA256:nonsense", "@STRENGTH:HIGH", "+AES128:HIGH", "ECDSA",
	} {
		got, err := secure.Ciphers(list)
		if err != nil {
			t.Errorf("%s: %v", list, err)
			continue
		}
		out, err := exec.Command("openssl", "ciphers", "-stdname", list+":@SECLEVEL=0").Output()
		if err != nil {
			continue
		}
		theirs := string(out)
		for _, id := range all {
			name := tls.CipherSuiteName(id) + " "
			if name = strings.Replace(name, "CHACHA20_POLY1305 ", "CHACHA20_POLY1305_SHA256 ", 1); strings.Contains(theirs, name) != slices.Contains(got, id) {
				t.Errorf("%s: %s: openssl has it: %v", list, name, strings.Contains(theirs, name))
			}
		}
	}
	for _, list := range []string{"nonsense", "!ALL", "ALL:!ALL", "-", "!", "+"} {
		if got, err := secure.Ciphers(list); err == nil {
			t.Errorf("%s has %d suites", list, len(got))
		}
	}
	ca := authority(t)
	s, _, err := source(t, ca, "tls-auth-clients no", "tls-protocols TLSv1.2", "tls-ciphers ECDHE-ECDSA-AES128-GCM-SHA256")
	if err != nil {
		t.Fatal(err)
	}
	if st, err := shake(t, s, ca.Client("")); err != nil || st.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 {
		t.Error(tls.CipherSuiteName(st.CipherSuite), err)
	}
	c := ca.Client("")
	c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	if _, err := shake(t, s, c); err == nil {
		t.Error("a cipher that is not in the list was taken")
	}
	for suites, ok := range map[string]bool{
		"": true, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256": true, "TLS_AES_256_GCM_SHA384": false, "TLS_NONSENSE": false,
	} {
		if _, _, err := source(t, ca, "tls-ciphersuites "+suites); (err == nil) != ok {
			t.Errorf("tls-ciphersuites %q: %v", suites, err)
		}
	}
}

// TestKeyPassword: keys that openssl has encrypted are opened with their password
// and with no other.
func TestKeyPassword(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl on PATH")
	}
	ca := authority(t)
	for _, args := range [][]string{
		{"pkcs8", "-topk8", "-v2", "aes-256-cbc"}, {"pkcs8", "-topk8", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"}, {"pkcs8", "-topk8", "-v2", "des3", "-v2prf", "hmacWithSHA1"},
		{"ec", "-aes256"}, {"ec", "-des3"},
	} {
		key := ca.File("encrypted.key")
		cmd := exec.Command(openssl, append(args, "-in", ca.File("server.key"), "-out", key, "-passout", "pass:1234")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %s", args, out)
		}
		if b, _ := os.ReadFile(key); !bytes.Contains(b, []byte("ENCRYPTED")) {
			t.Fatalf("%q: not encrypted", args)
		}
		for pass, ok := range map[string]bool{"1234": true, "123": false, "": false} {
			if _, _, err := source(t, ca, "tls-key-file "+key, "tls-key-file-pass "+pass); (err == nil) != ok {
				t.Errorf("%q with password %q: %v", args, pass, err)
			}
		}
	}
}

// TestMissing: what is needed and is not there is named.
func TestMissing(t *testing.T) {
	ca := authority(t)
	for _, x := range []struct {
		directives []string
		want       string
	}{
		{[]string{"tls-cert-file "}, "No tls-cert-file configured!"},
		{[]string{"tls-key-file "}, "No tls-key-file configured!"},
		{[]string{"tls-ca-cert-file "}, "Either tls-ca-cert-file or tls-ca-cert-dir must be specified"},
		{[]string{"tls-ca-cert-file ", "tls-auth-clients no", "tls-replication yes"}, "Either tls-ca-cert-file"},
		{[]string{"tls-key-file " + ca.File("client.key")}, "Failed to load certificate"},
		{[]string{"tls-key-file /none"}, "Failed to load private key"},
		{[]string{"tls-ca-cert-file " + ca.File("server.key")}, "no certificate in"},
		{[]string{"tls-client-cert-file " + ca.File("client.crt")}, "go together"},
		{[]string{"tls-ca-cert-file ", "tls-auth-clients no"}, ""},
		{[]string{"tls-ca-cert-file ", "tls-ca-cert-dir " + ca.Dir}, ""},
	} {
		_, _, err := source(t, ca, x.directives...)
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%q: %v", x.directives, err)
		}
	}
}

// TestSessions: a session is resumed within its time, and not after it, nor where
// that is switched off, nor under other rules.
func TestSessions(t *testing.T) {
	ca := authority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, cfg, err := source(t, ca, "tls-port 1", "tls-session-cache-timeout 2")
		if err != nil {
			t.Fatal(err)
		}
		client := ca.Client("client")
		client.MinVersion, client.MaxVersion, client.ClientSessionCache = version, version, tls.NewLRUClientSessionCache(1)
		var last time.Time // before the last handshake began
		resumed := func(want bool, what string) {
			t.Helper()
			began := last
			last = time.Now()
			st, err := shake(t, s, client)
			if err == nil && want && !st.DidResume && time.Since(began) >= 2*time.Second { // its time may have been over
				last = time.Now()
				st, err = shake(t, s, client)
			}
			if err != nil || st.DidResume != want {
				t.Errorf("%s: resumed %v, %v", what, st.DidResume, err)
			}
		}
		set := func(name, value string) {
			t.Helper()
			if err := cfg.Set([]config.Pair{{Name: name, Value: value}}, config.Caller{Local: true}); err != nil {
				t.Fatal(err)
			}
		}
		resumed(false, "the first")
		resumed(true, "the second")
		time.Sleep(2100 * time.Millisecond)
		resumed(false, "after its time")
		resumed(true, "a new one")
		set("tls-session-caching", "no")
		resumed(false, "switched off")
		set("tls-session-caching", "yes")
		resumed(false, "under other rules")
		resumed(true, "under these")
	}
}

// TestClose: nothing goes on by itself behind Close, also where the clock has just struck.
func TestClose(t *testing.T) {
	for _, struck := range []bool{false, true} {
		s, _, err := source(t, authority(t))
		if err != nil {
			t.Fatal(err)
		}
		if !s.StopTicking() {
			t.Error("nobody looks at the files")
		}
		s.Tick() // sets the clock anew
		s.Close()
		if struck {
			s.Tick()
		}
		if err := s.Load(); err != nil {
			t.Fatal(err)
		}
		if s.StopTicking() {
			t.Error("the files are still looked at")
		}
		if _, err := s.Server(); err != nil {
			t.Errorf("handshakes that were begun: %v", err)
		}
	}
}
