package command

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
	"kvd/resp/wire"
)

// BenchmarkRun is what a command costs inside the server, in pipelines of 64
// that are read 16 ahead as the front end does: what timing every command adds
// shows here. cpu-ns/op is the thread's CPU time in the tenth of the pipelines that
// took least, which a busy machine disturbs least.
func BenchmarkRun(b *testing.B) {
	value := make([]byte, 64)
	for _, v := range []struct {
		name string
		// make is the command of a key in round i, first what prepares it.
		first, make func(key []byte, i int) [][]byte
	}{
		{"SET", nil, func(key []byte, _ int) [][]byte { return [][]byte{[]byte("SET"), key, value} }},
		{"GET", func(key []byte, _ int) [][]byte { return [][]byte{[]byte("SET"), key, value} },
			func(key []byte, _ int) [][]byte { return [][]byte{[]byte("GET"), key} }},
		{"GET of a user with ten patterns", func(key []byte, _ int) [][]byte { return [][]byte{[]byte("SET"), key, value} },
			func(key []byte, _ int) [][]byte { return [][]byte{[]byte("GET"), key} }},
		{"SET of a user with ten patterns", nil, func(key []byte, _ int) [][]byte { return [][]byte{[]byte("SET"), key, value} }},
		{"INCR", nil, func(key []byte, _ int) [][]byte { return [][]byte{[]byte("INCR"), key} }},
		{"LPUSH", nil, func(key []byte, _ int) [][]byte { return [][]byte{[]byte("LPUSH"), key, []byte("element")} }},
		{"HSET", nil, func(key []byte, i int) [][]byte {
			return [][]byte{[]byte("HSET"), key, fmt.Appendf(nil, "field%d", i%8), []byte("value")}
		}},
		{"ZADD", nil, func(key []byte, i int) [][]byte {
			return [][]byte{[]byte("ZADD"), key, fmt.Appendf(nil, "%d", i%100), fmt.Appendf(nil, "member%d", i%8)}
		}},
		{"SADD", nil, func(key []byte, i int) [][]byte {
			return [][]byte{[]byte("SADD"), key, fmt.Appendf(nil, "member%d", i%8)}
		}},
		{"MSET", nil, func(key []byte, _ int) [][]byte {
			return [][]byte{[]byte("MSET"), key, value, append([]byte("a"), key...), value}
		}},
	} {
		b.Run(v.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ks := keyspace.New(keyspace.Options{Stripes: 16})
			defer ks.Close()
			s := NewServer(newTestTable(), config.New(), ks, logf.NewWriter(io.Discard, logf.Nothing), "test")
			x, c := s.NewExec(), s.NewClient(nil, "127.0.0.1:1", "127.0.0.1:2", 3)
			const keys, each = 20000, 8
			cmds := make([]Pending, keys*each)
			var w wire.Writer
			x.SetTime(time.Now())
			for i := range cmds {
				key := fmt.Appendf(nil, "key:%012d", i*7919%keys)
				if v.first != nil && i < keys {
					cmds[i].Set(v.first(key, i/keys), 0)
					x.RunPending(c, &cmds[i], &w)
				}
				args := v.make(key, i/keys)
				cmds[i].Set(args, int(requestLen(args)))
				if v.first == nil {
					x.RunPending(c, &cmds[i], &w)
				}
				w.Buf = w.Buf[:0]
			}
			if strings.Contains(v.name, "of a user") {
				rules := []string{"on", "nopass", "+@all"}
				for i := range 9 {
					rules = append(rules, fmt.Sprintf("~other%d:*", i))
				}
				rules = append(rules, "~key:*")
				if err := s.changeUser("u", rules, nil); err != nil || !s.LoginAs(c, "u") {
					b.Fatal("no such user: ", err)
				}
			}
			runtime.GC()
			b.ResetTimer()
			at := 0
			var times []int64
			cpu := keyspace.ThreadCPU()
			for n := 0; n < b.N; n += 64 {
				if n > 0 && n%1024 == 0 {
					now := keyspace.ThreadCPU()
					times, cpu = append(times, now-cpu), now
				}
				x.SetTime(time.Now())
				if at+64 > len(cmds) {
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
			if len(times) > 0 {
				slices.Sort(times)
				b.ReportMetric(float64(times[len(times)/10])/1024, "cpu-ns/op")
			}
		})
	}
}
