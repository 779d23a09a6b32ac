// Package secure makes TLS what the tls- directives say: certificates and keys
// from files, versions, ciphers, which clients must show a certificate; for
// connections that come in and for those that go out. Files that change are read
// anew. It knows no command and no event loop.
package secure
