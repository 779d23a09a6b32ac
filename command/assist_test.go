package command

import (
	"fmt"
	"testing"
	"time"

	"kvd/resp/wire"
)

// TestExpiryKeepsPace: where the background is not let run at all, what is due does
// not pile up behind commands that write more of it, nor in transactions.
func TestExpiryKeepsPace(t *testing.T) {
	for _, multi := range []bool{false, true} {
		t.Run(fmt.Sprint(multi), func(t *testing.T) {
			s := newTestServer(t)
			s.activeExpire(true)
			s.Keyspace.Close() // no background
			x, c := s.NewExec(), s.NewClient(nil, "127.0.0.1:1", "127.0.0.1:2", 3)
			now := time.Now()
			var w wire.Writer
			do := func(args ...string) {
				var b [][]byte
				for _, a := range args {
					b = append(b, []byte(a))
				}
				x.Run(c, b, &w)
				w.Buf = w.Buf[:0]
			}
			worst := 0
			for i := range 40_000 { // 20 of them a millisecond, so 400 live
				if i%20 == 0 {
					now = now.Add(time.Millisecond)
					x.SetTime(now)
				}
				if multi && i%10 == 0 {
					do("MULTI")
				}
				do("SET", fmt.Sprint("k", i), "v", "PXAT", fmt.Sprint(now.UnixMilli()+20))
				if multi && i%10 == 9 {
					do("EXEC")
				}
				keys, _ := s.Keyspace.Size(0, false)
				worst = max(worst, keys)
			}
			// The live ones, and what is not old yet.
			if worst > 5000 {
				t.Errorf("%d keys at once", worst)
			}
			if err := s.Keyspace.Check(); err != nil {
				t.Error(err)
			}
			// Whoever has switched expiry off finds that commands leave it alone.
			s.Keyspace.SetActiveExpire(false)
			now = now.Add(time.Second)
			x.SetTime(now)
			before, _ := s.Keyspace.Size(0, false)
			for i := range 100 {
				do("GET", fmt.Sprint("other", i))
			}
			if keys, _ := s.Keyspace.Size(0, false); keys != before || keys == 0 {
				t.Errorf("%d keys, then %d", before, keys)
			}
		})
	}
}
