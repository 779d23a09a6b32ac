package command

import (
	"fmt"
	"io"
	"testing"
	"time"

	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
	"kvd/resp/wire"
)

// BenchmarkRun is what a command costs inside the server, in pipelines of 64
// that are read 16 ahead as the front end does: what timing every command adds
// shows here.
func BenchmarkRun(b *testing.B) {
	for _, name := range []string{"SET", "GET"} {
		b.Run(name, func(b *testing.B) {
			ks := keyspace.New(keyspace.Options{Stripes: 16})
			defer ks.Close()
			s := NewServer(config.New(), ks, logf.NewWriter(io.Discard, logf.Nothing), "test")
			x, c := s.NewExec(), s.NewClient(nil, "127.0.0.1:1", "127.0.0.1:2", 3)
			value := make([]byte, 64)
			const keys = 100000
			cmds := make([]Pending, keys)
			for i := range cmds {
				key := fmt.Appendf(nil, "key:%012d", i*7919%keys)
				cmds[i].Args = [][]byte{[]byte("SET"), key, value}
			}
			var w wire.Writer
			x.SetTime(time.Now())
			for i := range cmds {
				x.RunPending(c, &cmds[i], &w)
				w.Buf = w.Buf[:0]
				if name == "GET" {
					cmds[i].Args = [][]byte{[]byte("GET"), cmds[i].Args[1]}
				}
			}
			b.ResetTimer()
			at := 0
			for n := 0; n < b.N; n += 64 {
				x.SetTime(time.Now())
				if at+64 > keys {
					at = 0
				}
				for range 4 {
					x.Foresee(c, cmds[at:at+16])
					for i := range 16 {
						x.RunPending(c, &cmds[at+i], &w)
					}
					at += 16
				}
				w.Buf = w.Buf[:0]
			}
		})
	}
}
