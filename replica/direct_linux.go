package replica

import (
	"net"
	"syscall"
	"unsafe"
)

// sender returns a function that writes to a connection what it takes without a
// wait; nil: there is no such way. A raw system call: it does not block, and the
// caller is an event loop.
func sender(nc net.Conn) func([]byte) int {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	var b []byte // one caller at a time
	n := 0
	write := func(fd uintptr) {
		// The stream's block, where b lies, is in place and alive over the call: the
		// closure holds it.
		const flags = syscall.MSG_NOSIGNAL | syscall.MSG_DONTWAIT
		r, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
		if e == 0 {
			n = int(r)
		}
	}
	return func(p []byte) int {
		b, n = p, 0
		_ = raw.Control(write) // of what goes wrong, the goroutine's own write tells
		b = nil
		return n
	}
}
