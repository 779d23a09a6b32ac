package secure

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
)

// certificates reads the certificates of a PEM file; what else is in it is
// passed over.
func certificates(b []byte) (out []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return out, nil
		}
		if block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return out, err
		}
		out = append(out, c)
	}
}

var errPass = errors.New("the key is encrypted, and tls-key-file-pass does not open it")

// decryptKey opens a private key in PEM that is encrypted; others are returned
// as they are.
func decryptKey(b []byte, pass string) ([]byte, error) {
	var out []byte
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if out == nil {
				return b, nil
			}
			return out, nil
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY":
			der, err := decryptPKCS8(block.Bytes, []byte(pass))
			if err != nil {
				return nil, err
			}
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
		//lint:ignore SA1019 keys of old are kept in this form, and to refuse them makes nobody safer
		case x509.IsEncryptedPEMBlock(block):
			//lint:ignore SA1019 likewise
			der, err := x509.DecryptPEMBlock(block, []byte(pass))
			if err != nil {
				return nil, errPass
			}
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der})...)
		}
	}
}

// The structures of PKCS #8 (RFC 5958) and PKCS #5 (RFC 8018, appendix A).
type (
	algorithm struct {
		ID     asn1.ObjectIdentifier
		Params asn1.RawValue `asn1:"optional"`
	}
	encryptedKey struct {
		Algorithm algorithm
		Data      []byte
	}
	pbes2 struct {
		Derive algorithm
		Scheme algorithm
	}
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		Length     int       `asn1:"optional"`
		PRF        algorithm `asn1:"optional"`
	}
)

// maxIterations bounds the work that a key file can ask for.
const maxIterations = 10_000_000

// decryptPKCS8 opens an encrypted private key of PKCS #8 (PBES2 with PBKDF2,
// which is what openssl writes).
func decryptPKCS8(der, pass []byte) ([]byte, error) {
	var k encryptedKey
	var p pbes2
	var d pbkdf2Params
	if rest, err := asn1.Unmarshal(der, &k); err != nil || len(rest) > 0 {
		return nil, errors.New("not an encrypted private key of PKCS #8")
	}
	if id := k.Algorithm.ID.String(); id != "1.2.840.113549.1.5.13" {
		return nil, fmt.Errorf("the key is encrypted by algorithm %s; kvd reads PBES2", id)
	}
	if _, err := asn1.Unmarshal(k.Algorithm.Params.FullBytes, &p); err != nil {
		return nil, err
	}
	if id := p.Derive.ID.String(); id != "1.2.840.113549.1.5.12" {
		return nil, fmt.Errorf("the key of the key is derived by algorithm %s; kvd reads PBKDF2", id)
	}
	if _, err := asn1.Unmarshal(p.Derive.Params.FullBytes, &d); err != nil {
		return nil, err
	}
	if d.Iterations < 1 || d.Iterations > maxIterations {
		return nil, fmt.Errorf("%d iterations of PBKDF2", d.Iterations)
	}
	prf := map[string]func() hash.Hash{
		"": sha1.New, "1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.9": sha256.New, "1.2.840.113549.2.10": sha512.New384, "1.2.840.113549.2.11": sha512.New,
	}[d.PRF.ID.String()]
	scheme := p.Scheme.ID.String()
	length := map[string]int{
		"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, "2.16.840.1.101.3.4.1.42": 32, "1.2.840.113549.3.7": 24,
	}[scheme]
	var iv []byte
	if _, err := asn1.Unmarshal(p.Scheme.Params.FullBytes, &iv); err != nil || prf == nil || length == 0 {
		return nil, fmt.Errorf("the key is encrypted by %s with %s, which kvd does not know", scheme, d.PRF.ID)
	}
	key, err := pbkdf2.Key(prf, string(pass), d.Salt, d.Iterations, length)
	if err != nil {
		return nil, err
	}
	var block cipher.Block
	if scheme == "1.2.840.113549.3.7" {
		block, err = des.NewTripleDESCipher(key)
	} else {
		block, err = aes.NewCipher(key)
	}
	if err != nil {
		return nil, err
	}
	if len(iv) != block.BlockSize() || len(k.Data) == 0 || len(k.Data)%block.BlockSize() != 0 {
		return nil, errors.New("the encrypted key is cut")
	}
	out := make([]byte, len(k.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, k.Data)
	pad := int(out[len(out)-1])
	if pad == 0 || pad > block.BlockSize() {
		return nil, errPass
	}
	for _, b := range out[len(out)-pad:] {
		if int(b) != pad {
			return nil, errPass
		}
	}
	out = out[:len(out)-pad]
	var any asn1.RawValue
	if rest, err := asn1.Unmarshal(out, &any); err != nil || len(rest) > 0 {
		return nil, errPass
	}
	return out, nil
}
