package stream_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/families"
	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
	"kvd/resp/wire"
)

// BenchmarkStream is what commands on streams cost inside the server.
func BenchmarkStream(b *testing.B) {
	for _, c := range []struct{ name, lines string }{
		{"XADD", "XADD s * field1 value-1234 field2 123456 field3 xxxxxxxxxx"},
		{"XRANGE", "XRANGE t 50000 + COUNT 10"},
		{"XREVRANGE", "XREVRANGE t + - COUNT 1"},
		{"XREAD", "XREAD COUNT 10 STREAMS t 50000-0"},
		{"XREAD-last", "XREAD STREAMS t $"},
		{"XREADGROUP", "XREADGROUP GROUP g c COUNT 1 STREAMS t >;XACK t g 7-0"},
	} {
		b.Run(c.name, func(b *testing.B) {
			ks := keyspace.New(keyspace.Options{Stripes: 16})
			defer ks.Close()
			s := command.NewServer(families.Table(), config.New(), ks, logf.NewWriter(io.Discard, logf.Nothing), "test")
			x, cl := s.NewExec(), s.NewClient(nil, "127.0.0.1:1", "127.0.0.1:2", 3)
			var cmds [][][]byte
			words := func(line string) (args [][]byte) {
				for _, w := range strings.Fields(line) {
					args = append(args, []byte(w))
				}
				return args
			}
			var w wire.Writer
			x.SetTime(time.Now())
			for i := range 100_000 {
				args := words("XADD t 1-0 field1 value-1234 field2 123456 field3 xxxxxxxxxx")
				args[2] = command.IntArg(int64(i + 1))
				x.Run(cl, args, &w)
			}
			x.Run(cl, words("XGROUP CREATE t g 0"), &w)
			for _, line := range strings.Split(c.lines, ";") {
				cmds = append(cmds, words(line))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				w.Buf = w.Buf[:0]
				if n%16 == 0 {
					x.SetTime(time.Now())
				}
				x.Run(cl, cmds[n%len(cmds)], &w)
			}
		})
	}
}
