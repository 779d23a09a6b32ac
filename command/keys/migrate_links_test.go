package keys

import (
	"bufio"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// TestLinks: no more than linksMax connections are kept, none for longer than
// linksKept, and the oldest go first.
func TestLinks(t *testing.T) {
	kept := &links{kept: new(atomic.Int64)}
	put := func(name string) {
		a, b := net.Pipe()
		t.Cleanup(func() { b.Close() })
		kept.put(name, &link{Conn: a, r: bufio.NewReader(a)})
	}
	put("old")
	kept.expire(time.Now().Add(linksKept - time.Second))
	if kept.kept.Load() != 1 {
		t.Error("a connection was closed early")
	}
	kept.expire(time.Now().Add(linksKept))
	if kept.kept.Load() != 0 {
		t.Error("a connection was kept for too long")
	}
	for i := range linksMax + 1 {
		put(fmt.Sprint(i))
	}
	if kept.kept.Load() != linksMax || kept.take("0") != nil || kept.take("1") == nil {
		t.Error("the wrong connections are kept")
	}
}
