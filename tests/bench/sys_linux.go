package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// cpuMask is the kernel's cpu_set_t: one bit a CPU.
type cpuMask [16]uint64

// maskOf makes a mask of CPU numbers below 1024.
func maskOf(cpus []int) (m cpuMask) {
	for _, c := range cpus {
		m[c/64] |= 1 << (c % 64)
	}
	return m
}

// getAffinity returns the CPUs that a thread may run on; 0 is the calling thread.
func getAffinity(tid int) (cpuMask, error) {
	var m cpuMask
	// The kernel writes at most sizeof(m) bytes to m, which lives during the call.
	_, _, e := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(tid), unsafe.Sizeof(m), uintptr(unsafe.Pointer(&m)))
	if e != 0 {
		return m, e
	}
	return m, nil
}

// setAffinity binds a thread to CPUs; 0 is the calling thread.
func setAffinity(tid int, m cpuMask) error {
	// The kernel reads sizeof(m) bytes of m, which lives during the call.
	_, _, e := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(m), uintptr(unsafe.Pointer(&m)))
	if e != 0 {
		return e
	}
	return nil
}

// allowedCPUs returns the CPUs that this process may use, ascending.
func allowedCPUs() ([]int, error) {
	m, err := getAffinity(0)
	var cpus []int
	for c := range len(m) * 64 {
		if m[c/64]>>(c%64)&1 == 1 {
			cpus = append(cpus, c)
		}
	}
	return cpus, err
}

// pinAll binds every thread of a process. Threads born meanwhile inherit the binding or
// are caught by another pass: it repeats until a pass finds no thread that it has not seen.
func pinAll(pid int, cpus []int) error {
	m := maskOf(cpus)
	var before []string
	for range 20 {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return err
		}
		names := make([]string, len(tasks))
		for i, t := range tasks {
			names[i] = t.Name()
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := setAffinity(tid, m); err != nil && err != syscall.ESRCH {
				return fmt.Errorf("bind thread %d to CPUs %v: %w", tid, cpus, err)
			}
		}
		if slices.Equal(names, before) {
			return nil
		}
		before = names
	}
	return fmt.Errorf("process %d keeps making threads", pid)
}

// startOn starts cmd so that it runs on cpus from its first instruction (nil: wherever this process may).
// It gets a process group of its own, so that a terminal's interrupt reaches only this program, which then stops it in order;
// and it is killed should this program die without doing so. The kernel means the death of the thread that
// started it: here no goroutine ends while locked to a thread, so threads die with the process only.
func startOn(cmd *exec.Cmd, cpus []int) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if cpus == nil {
		return cmd.Start()
	}
	runtime.LockOSThread() // affinity is the thread's, and the child inherits it
	defer runtime.UnlockOSThread()
	old, err := getAffinity(0)
	if err != nil {
		return err
	}
	if err := setAffinity(0, maskOf(cpus)); err != nil {
		return fmt.Errorf("bind to CPUs %v: %w", cpus, err)
	}
	startErr := cmd.Start()
	if err := setAffinity(0, old); err != nil && startErr == nil {
		return fmt.Errorf("bind back: %w", err)
	}
	return startErr
}

// raiseFiles raises this process's limit of open files, and that of the children, to the hard limit, and returns it.
func raiseFiles() (uint64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	l.Cur = l.Max
	// Go hands its children the limit that it started with, unless the program has set one itself.
	return l.Cur, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}

// blockingConn is a TCP connection whose reads and writes block the thread in the kernel.
type blockingConn int

// dialBlocking connects to addr. A read that gets nothing for timeout fails with EAGAIN.
func dialBlocking(addr string, timeout time.Duration) (io.ReadWriteCloser, error) {
	c, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(from uintptr) { fd, dupErr = syscall.Dup(int(from)) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, dupErr
	}
	tv := syscall.NsecToTimeval(timeout.Nanoseconds())
	err = syscall.SetNonblock(fd, false)
	if err == nil {
		err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &tv)
	}
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return blockingConn(fd), nil
}

func (c blockingConn) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(c), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (c blockingConn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := syscall.Write(int(c), p[done:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

func (c blockingConn) Close() error { return syscall.Close(int(c)) }

// threadSleep sleeps in the kernel, without the runtime's timers.
func threadSleep(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // cut short by a signal: the caller looks at the clock again
}

// threadCPU is the CPU time of the calling thread.
func threadCPU() time.Duration {
	const clockThreadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	var ts syscall.Timespec
	// The kernel writes to ts, which lives during the call.
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}

// ownCPU returns the CPU time of this process and of its children that have ended and been waited for.
func ownCPU() (time.Duration, error) {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			return 0, err
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum, nil
}
