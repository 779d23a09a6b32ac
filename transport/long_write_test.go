package transport_test

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/transport"
)

// TestLongWrites: writes that run beside the event loops are done once, as wholes, and in the order of their clients,
// beside others of the same key and stripe.
func TestLongWrites(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		const n, rounds, clients = 5000, 6, 3
		words := func(name, key, prefix string, scores bool) []byte {
			all := []string{name, key}
			for i := range n {
				if scores {
					all = append(all, strconv.Itoa(i))
				}
				all = append(all, prefix+strconv.Itoa(i))
			}
			return bulk(all...)
		}
		number := func(i int) string { return fmt.Sprintf(":%d\r\n", i) }
		waiter := dial()
		_, _ = waiter.Write(bulk("BLPOP", "{a}fresh", "0"))
		watcher := dial()
		_, _ = watcher.Write([]byte("WATCH {a}list\r\nMULTI\r\nPING\r\n"))
		expect(t, watcher, "+OK\r\n+OK\r\n+QUEUED\r\n")
		var wg sync.WaitGroup
		for i := range clients {
			c := dial()
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			wg.Go(func() {
				set, zset, mine := fmt.Sprint("{a}set", i), fmt.Sprint("{a}zset", i), fmt.Sprint("{a}counter", i)
				for round := range rounds {
					var in bytes.Buffer
					var want strings.Builder
					send := func(args []byte, reply string) {
						in.Write(args)
						want.WriteString(reply)
					}
					send(words("SADD", set, "m", false), number(n))
					send(bulk("INCR", mine), number(2*round+1))
					send(words("ZADD", zset, "m", true), number(n))
					send(bulk("SCARD", set), number(n))
					send(bulk("ZREMRANGEBYRANK", zset, "0", "4499"), number(4500))
					send(bulk("ZCARD", zset), number(500))
					send(words("RPUSH", "{a}list", fmt.Sprint("of", i, "."), false), "")
					_, _ = c.Write(in.Bytes())
					expect(t, c, want.String())
					in.Reset()
					want.Reset()
					var b [1]byte
					line := ""
					for !strings.HasSuffix(line, "\r\n") { // the list's length, which others change, too
						if _, err := c.Read(b[:]); err != nil {
							t.Error(err)
							return
						}
						line += string(b[0])
					}
					if length, _ := strconv.Atoi(strings.TrimSpace(line[1:])); line[0] != ':' || length%n != 0 || length == 0 {
						t.Errorf("RPUSH of %d: %q", n, line)
					}
					send([]byte("MULTI\r\n"), "+OK\r\n")
					send(words("SREM", set, "m", false), "+QUEUED\r\n")
					send(bulk("INCR", mine), "+QUEUED\r\n")
					send([]byte("EXEC\r\n"), "*2\r\n"+number(n)+number(2*round+2))
					send(bulk("DEL", zset), number(1))
					_, _ = c.Write(in.Bytes())
					expect(t, c, want.String())
				}
			})
		}
		other := dial()
		for i := range 200 {
			_, _ = other.Write(bulk("INCR", "{a}other"))
			expect(t, other, number(i+1))
			_, _ = other.Write(bulk("INCR", "elsewhere"))
			expect(t, other, number(i+1))
		}
		wg.Wait()
		// What was pushed together lies together.
		_, _ = other.Write(bulk("LLEN", "{a}list"))
		expect(t, other, number(n*rounds*clients))
		for i := range rounds * clients {
			_, _ = other.Write(bulk("LRANGE", "{a}list", strconv.Itoa(i*n), strconv.Itoa(i*n)))
			expect(t, other, "*1\r\n$5\r\nof")
			who := make([]byte, 1)
			_, _ = other.Read(who)
			expect(t, other, ".0\r\n")
			_, _ = other.Write(bulk("LINDEX", "{a}list", strconv.Itoa(i*n+n-1)))
			expect(t, other, fmt.Sprintf("$8\r\nof%s.4999\r\n", who))
		}
		_, _ = watcher.Write([]byte("EXEC\r\n"))
		expect(t, watcher, "*-1\r\n")
		// It serves who waits, and goes on when a client is gone.
		_, _ = other.Write(words("RPUSH", "{a}fresh", "m", false))
		expect(t, other, number(n))
		expect(t, waiter, "*2\r\n$8\r\n{a}fresh\r\n$2\r\nm0\r\n")
		gone := dial()
		_, _ = gone.Write(words("SADD", "{a}gone", "m", false))
		gone.Close()
		until(t, "the write of a client that is gone", func() bool {
			_, _ = other.Write(bulk("SCARD", "{a}gone"))
			line := make([]byte, 7)
			k, _ := other.Read(line)
			return string(line[:k]) == number(n)
		})
		_, _ = other.Write(bulk("SPOP", "{a}gone", "4800"))
		expect(t, other, "*4800\r\n")
	})
}
