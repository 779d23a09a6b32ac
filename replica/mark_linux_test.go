package replica

import (
	"os"
	"syscall"
	"testing"

	"kvd/config"
)

// TestMark: connections to a leader have the mark of socket-mark-id.
func TestMark(t *testing.T) {
	cfg := config.New()
	if markSocket(cfg) != nil {
		t.Error("there is a mark without the directive")
	}
	if err := cfg.SetInitial("socket-mark-id", []string{"77"}); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := markSocket(cfg)("tcp", "", raw); err != nil {
		t.Skip("no right to mark sockets: ", err)
	}
	if n, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_MARK); err != nil || n != 77 {
		t.Errorf("the mark is %d, %v", n, err)
	}
}
