package command

import (
	"testing"
)

// What tools ask to know what a server is, they know the answers to by heart.
func TestAbsent(t *testing.T) {
	s := newTestServer(t)
	for _, line := range []string{"cluster info", "cluster slots", "cluster help", "asking", "readonly", "readwrite"} {
		s.want(line, "-ERR This instance has cluster support disabled\n")
	}
	s.want("cluster", "-ERR wrong number of arguments for 'cluster' command\n")
	s.want("module list", "*0\n")
	s.want("module load x", "-ERR unknown subcommand 'load'. Try MODULE HELP.\n")
}

// A refused EXEC says EXECABORT and why, whether a transaction is open or not.
func TestRefusedExec(t *testing.T) {
	const abort = "-EXECABORT Transaction discarded because of: "
	s := newTestServer(t)
	s.want("exec x", abort+"wrong number of arguments for 'exec' command\n")
	s.run("multi")
	s.run("set k 1")
	s.want("exec x", abort+"wrong number of arguments for 'exec' command\n")
	s.want("exec", "-ERR EXEC without MULTI\n")
	s.want("exists k", ":0\n")
	s.run("config set requirepass pw")
	s.run("reset")
	s.want("exec", abort+"NOAUTH Authentication required.\n")
	s.run("auth pw")
	s.run("multi")
	s.run("set k 1")
	s.run("reset")
	s.want("exec", abort+"NOAUTH Authentication required.\n")
}
