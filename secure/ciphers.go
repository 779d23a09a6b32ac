package secure

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// protocols reads tls-protocols: names of versions, which must lie side by side,
// since crypto/tls takes a lowest and a highest. "" is Redis's default, 1.2 and 1.3.
func protocols(text string) (low, high uint16, err error) {
	versions := []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}
	names := []string{"tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3"}
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 0 {
		return tls.VersionTLS12, tls.VersionTLS13, nil
	}
	var on [4]bool
	for _, w := range words {
		i := slices.Index(names, w)
		if i < 0 {
			return 0, 0, errors.New("Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.")
		}
		on[i] = true
	}
	first, last := slices.Index(on[:], true), 3
	for !on[last] {
		last--
	}
	for i := first; i <= last; i++ {
		if !on[i] {
			return 0, 0, fmt.Errorf("Invalid tls-protocols specified: %q leaves out %s, which lies between the others; kvd takes versions that follow one another", text, names[i])
		}
	}
	return versions[first], versions[last], nil
}

// suites13 are the cipher suites of TLS 1.3, which crypto/tls has all of, always.
var suites13 = []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}

// checkSuites13 refuses a tls-ciphersuites that could not be kept.
func checkSuites13(text string) error {
	if text == "" {
		return nil
	}
	names := strings.FieldsFunc(strings.ToUpper(text), func(r rune) bool { return r == ':' || r == ',' || r == ' ' })
	for _, n := range names {
		if !slices.Contains(suites13, n) && n != "TLS_AES_128_CCM_SHA256" && n != "TLS_AES_128_CCM_8_SHA256" {
			return fmt.Errorf("Failed to configure ciphersuites: %s", text)
		}
	}
	for _, s := range suites13 {
		if !slices.Contains(names, s) {
			return fmt.Errorf("Failed to configure ciphersuites: %s lacks %s; kvd's TLS 1.3 always has all of %s (leave tls-ciphersuites empty, or TLSv1.3 out of tls-protocols)", text, s, strings.Join(suites13, ":"))
		}
	}
	return nil
}

// cipher is a suite of TLS up to 1.2 that crypto/tls has, with what OpenSSL's
// lists call it by.
type cipherSuite struct {
	id   uint16
	name string   // OpenSSL's
	tags []string // the groups that it is in
}

// cipherSuites are those that crypto/tls has, the best first.
var cipherSuites = []cipherSuite{
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", words("HIGH ECDHE EECDH kECDHE kEECDH ECDSA aECDSA AES AES256 AESGCM TLSv1.2 FIPS")},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", words("HIGH ECDHE EECDH kECDHE kEECDH aRSA AES AES256 AESGCM TLSv1.2 FIPS")},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", words("HIGH ECDHE EECDH kECDHE kEECDH ECDSA aECDSA CHACHA20 TLSv1.2")},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", words("HIGH ECDHE EECDH kECDHE kEECDH aRSA CHACHA20 TLSv1.2")},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", words("HIGH ECDHE EECDH kECDHE kEECDH ECDSA aECDSA AES AES128 AESGCM TLSv1.2 FIPS")},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", words("HIGH ECDHE EECDH kECDHE kEECDH aRSA AES AES128 AESGCM TLSv1.2 FIPS")},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256", words("HIGH ECDHE EECDH kECDHE kEECDH ECDSA aECDSA AES AES128 SHA256 TLSv1.2 FIPS")},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256", words("HIGH ECDHE EECDH kECDHE kEECDH aRSA AES AES128 SHA256 TLSv1.2 FIPS")},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", words("HIGH ECDHE EECDH kECDHE kEECDH ECDSA aECDSA AES AES256 SHA SHA1 TLSv1 FIPS")},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", words("HIGH ECDHE EECDH kECDHE kEECDH aRSA AES AES256 SHA SHA1 TLSv1 FIPS")},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", words("HIGH ECDHE EECDH kECDHE kEECDH ECDSA aECDSA AES AES128 SHA SHA1 TLSv1 FIPS")},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", words("HIGH ECDHE EECDH kECDHE kEECDH aRSA AES AES128 SHA SHA1 TLSv1 FIPS")},
	{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", words("HIGH RSA kRSA aRSA AES AES256 AESGCM TLSv1.2 FIPS")},
	{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", words("HIGH RSA kRSA aRSA AES AES128 AESGCM TLSv1.2 FIPS")},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", words("HIGH RSA kRSA aRSA AES AES128 SHA256 TLSv1.2 FIPS")},
	{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", words("HIGH RSA kRSA aRSA AES AES256 SHA SHA1 SSLv3 TLSv1 FIPS")},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", words("HIGH RSA kRSA aRSA AES AES128 SHA SHA1 SSLv3 TLSv1 FIPS")},
	// These are in no group but their own: they have to be asked for by name.
	{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, "ECDHE-RSA-DES-CBC3-SHA", nil},
	{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, "DES-CBC3-SHA", nil},
}

func words(s string) []string { return strings.Fields(s) }

// Ciphers reads an OpenSSL cipher list: names and groups (joined with + for what
// is in all of them), each to be added, or after - taken out, after ! taken out
// for good, after + moved to the end. The order is crypto/tls's own, so only what is
// in the list counts. Names that crypto/tls has no suite for are passed over, as
// OpenSSL passes over those it does not know; a list with nothing left is an
// error. "" is what crypto/tls deems safe.
func Ciphers(list string) ([]uint16, error) {
	if list == "" {
		return nil, nil
	}
	in := make([]bool, len(cipherSuites))
	never := make([]bool, len(cipherSuites))
	for i, word := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(":,; ", r) }) {
		if strings.HasPrefix(word, "@") {
			continue // an order, or a level of security, which is what crypto/tls has
		}
		op := word[0]
		if strings.ContainsRune("!-+", rune(op)) {
			word = word[1:]
		} else {
			op = 0
		}
		if word == "DEFAULT" && (op != 0 || i > 0) {
			continue // OpenSSL knows it at the beginning only
		}
		for k, c := range cipherSuites {
			if !c.is(word) {
				continue
			}
			switch op {
			case 0:
				in[k] = !never[k]
			case '-':
				in[k] = false
			case '!':
				in[k], never[k] = false, true
			}
		}
	}
	out := []uint16{}
	for k, c := range cipherSuites {
		if in[k] {
			out = append(out, c.id)
		}
	}
	if len(out) == 0 && !slices.ContainsFunc(suites13, func(s string) bool { return strings.Contains(list, s) }) {
		return nil, fmt.Errorf("Failed to configure ciphers: %s", list)
	}
	return out, nil
}

// is tells whether a word of a list means the suite.
func (c *cipherSuite) is(word string) bool {
	if word == c.name {
		return true
	}
	for _, w := range strings.Split(word, "+") {
		switch w {
		case "ALL", "DEFAULT", "COMPLEMENTOFDEFAULT":
			if w == "COMPLEMENTOFDEFAULT" || c.tags == nil {
				return false
			}
		default:
			if !slices.Contains(c.tags, w) {
				return false
			}
		}
	}
	return true
}
