package tests

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

// TestFollowerIsUser: a follower is a user of its leader (masteruser, masterauth) who may
// synchronize and nothing else. One whose rights do not suffice, or whose password is
// wrong, gets nothing and tries again.
func TestFollowerIsUser(t *testing.T) {
	for _, c := range []struct {
		name             string
		leader, follower startServer
	}{
		{"kvd to kvd", harness.StartKVD, harness.StartKVD},
		{"redis to kvd", harness.StartRedis, harness.StartKVD},
		{"kvd to redis", harness.StartKVD, harness.StartRedis},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			leader := c.leader(t, "--repl-diskless-sync-delay", "0")
			l := leader.MustDial(t)
			l.MustDo(t, "ACL", "SETUSER", "copier", "on", ">secret", "+psync", "+replconf", "+ping")
			l.MustDo(t, "ACL", "SETUSER", "mute", "on", ">secret", "+ping", "+replconf")
			l.MustDo(t, "SET", "k", "v")
			follower := c.follower(t, "--masteruser", "mute", "--masterauth", "secret")
			f := follower.MustDial(t)
			f.MustDo(t, "REPLICAOF", "127.0.0.1", strconv.Itoa(leader.Port))
			denied := func(object string) {
				t.Helper()
				within(t, 10*time.Second, "an entry of ACL LOG for "+object, func() bool {
					return strings.Contains(string(l.MustDo(t, "ACL", "LOG").Raw), "\r\n"+object+"\r\n")
				})
				l.MustDo(t, "ACL", "LOG", "RESET")
			}
			denied("psync")
			f.MustDo(t, "CONFIG", "SET", "masterauth", "wrong", "masteruser", "copier")
			denied("AUTH")
			if info(t, f, "replication", "master_link_status") != "down" {
				t.Error("it follows without a right to")
			}
			f.MustDo(t, "CONFIG", "SET", "masterauth", "secret")
			inSync(t, f)
			if got := f.MustDo(t, "GET", "k").Str; got != "v" {
				t.Errorf("the follower has %q", got)
			}
			l.MustDo(t, "SET", "k", "w") // what it applies is no matter of rights
			within(t, 10*time.Second, "the stream", func() bool { return f.MustDo(t, "GET", "k").Str == "w" })
		})
	}
}

// TestProcessorLists: server_cpulist binds every thread, and a list that cannot be obeyed
// is warned of.
func TestProcessorLists(t *testing.T) {
	allowed := func(pid int) map[string]int {
		tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/status")
		if err != nil || len(tasks) == 0 {
			t.Skip("there is no /proc")
		}
		lists := map[string]int{}
		for _, name := range tasks {
			text, err := os.ReadFile(name)
			if err != nil {
				continue // it has ended
			}
			_, list, _ := strings.Cut(string(text), "Cpus_allowed_list:\t")
			list, _, _ = strings.Cut(list, "\n")
			lists[list]++
		}
		return lists
	}
	status, _ := os.ReadFile("/proc/self/status")
	one := firstProcessor(status)
	s := harness.StartKVD(t, "--server_cpulist", one, "--bgsave_cpulist", "x-y")
	c := s.MustDial(t)
	c.MustDo(t, "SET", "k", "v")
	c.MustDo(t, "BGSAVE")
	within(t, 10*time.Second, "saved", func() bool { return info(t, c, "persistence", "rdb_bgsave_in_progress") == "0" })
	var lists map[string]int
	defer func() { t.Logf("threads by the processors that they may run on: %v", lists) }()
	within(t, 10*time.Second, "every thread on one processor", func() bool { // one that is about to end may show another list
		lists = allowed(s.PID())
		return len(lists) == 1 && lists[one] > 0
	})
	if log := s.LogTail(); !strings.Contains(log, "it is not obeyed") {
		t.Errorf("no warning of a wrong list:\n%s", log)
	}
}
