// Package tyrant is Tokyo Tyrant's protocols: binary, memcached's text, and HTTP. A session
// turns the bytes of a connection into commands of package command/tyrant; the first byte
// of the connection says which protocol it speaks.
package tyrant
