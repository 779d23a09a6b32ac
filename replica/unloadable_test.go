package replica_test

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/replica"
)

// TestUnloadableSnapshot: a snapshot that cannot be loaded costs a follower neither its data nor its file.
func TestUnloadableSnapshot(t *testing.T) {
	for name, rdb := range map[string]string{
		"unknown type": "REDIS0010\xfe\x00\x63\x01a\x01b\xff" + strings.Repeat("\x00", 8),
		"torn":         "REDIS0010\xfe\x00\x00\x01a\x01",
		"wrong sum":    "REDIS0010\xfe\x00\x00\x01a\x011\xff12345678",
		"no database":  "REDIS0010\xfe\x20\x00\x01a\x011\xff" + strings.Repeat("\x00", 8),
	} {
		for _, loading := range []string{"disabled", "swapdb"} {
			t.Run(name+" "+loading, func(t *testing.T) {
				f := newFollower(t, loading)
				a := f.srv.NewApplier()
				if err := a.Apply([][]byte{[]byte("SET"), []byte("mine"), []byte("7")}); err != nil {
					t.Fatal(err)
				}
				if _, err := f.saver.Save(); err != nil {
					t.Fatal(err)
				}
				file, err := os.ReadFile("dump.rdb")
				if err != nil {
					t.Fatal(err)
				}
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				var mu sync.Mutex // protects asked
				var asked []string
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						br := bufio.NewReader(c)
						for {
							args, err := readCommand(br)
							if err != nil {
								break
							}
							if args[0] == "PSYNC" {
								mu.Lock()
								asked = append(asked, args[1])
								mu.Unlock()
								io.WriteString(c, "+FULLRESYNC "+replica.NewID()+" 5\r\n$"+strconv.Itoa(len(rdb))+"\r\n"+rdb)
							} else {
								io.WriteString(c, "+OK\r\n")
							}
						}
						c.Close()
					}
				}()
				host, port, _ := net.SplitHostPort(l.Addr().String())
				p, _ := strconv.Atoi(port)
				f.Follow(host, p)
				for end := time.Now().Add(20 * time.Second); !strings.Contains(f.log.String(), "cannot be applied here"); time.Sleep(5 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatal("the snapshot was not refused")
					}
				}
				h := f.ks.LockAll()
				n := f.number("mine")
				f.ks.Unlock(&h)
				if n != 7 {
					t.Errorf("the own key is %d", n)
				}
				if now, _ := os.ReadFile("dump.rdb"); string(now) != string(file) {
					t.Errorf("the own file of %d bytes has become one of %d", len(file), len(now))
				}
				if list, _ := os.ReadDir("."); len(list) != 2 { // and the lock
					t.Errorf("files are left: %v", list)
				}
				// Nothing was ever numbered here, so no leader could go on from it.
				mu.Lock()
				defer mu.Unlock()
				if len(asked) == 0 || asked[0] != "?" {
					t.Errorf("PSYNC has named %q", asked)
				}
			})
		}
	}
}

// TestKeepsLoadable: a snapshot that was loaded is the file of the next start.
func TestKeepsLoadable(t *testing.T) {
	lead := newFakeLeader(t, 20, rand.New(rand.NewPCG(1, 2)))
	lead.cutAfter = func() int { return 1 << 30 }
	f := newFollower(t, "disabled")
	host, port, _ := net.SplitHostPort(lead.l.Addr().String())
	p, _ := strconv.Atoi(port)
	f.Follow(host, p)
	for end := time.Now().Add(20 * time.Second); f.stream.Offset() < int64(len(lead.history)); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no sync")
		}
	}
	if file, err := os.ReadFile("dump.rdb"); err != nil || string(file) != emptyRDB {
		t.Errorf("the file is %q, %v", file, err)
	}
}
