// Package harness starts whole servers for tests: kvd, built once for a test run (or the binary
// that KVD_BIN names), and a real redis-server as the referee. Each listens on a free port of
// 127.0.0.1, works in a temporary directory of its own and is stopped by its process id.
//
// It holds the smallest client that can show everything that a server says: the raw bytes of a reply and
// the tree that they spell, in RESP2 and RESP3. It knows nothing of kvd's packages: what it
// learns of a server, it learns over TCP or from the server's log.
package harness
