package keys_test

import (
	"fmt"
	"kvd/command"
	"kvd/command/commandtest"
	"kvd/command/keys"
	"strings"
	"testing"
	"time"
)

func waitJob(s *commandtest.Server, id int) string {
	s.T.Helper()
	for range 2000 {
		st := s.Run(fmt.Sprint("keyjob status ", id))
		if !strings.Contains(st, "running") {
			return st
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.T.Fatal("a job does not end")
	return ""
}

// TestKeyJob: of the keys that are there all the time a job meets each once,
// while others come and go.
func TestKeyJob(t *testing.T) {
	s := commandtest.New(t)
	const n = 3000
	for i := range n {
		s.Do("set", fmt.Sprint("a:", i), "v")
		s.Do("set", fmt.Sprint("b:", i), "v")
	}
	s.Effects = nil
	s.Want("keyjob start count a:*", ":1\n")
	for i := range 2000 {
		s.Do("set", fmt.Sprint("c:", i), "v")
		s.Do("del", fmt.Sprint("c:", i-50))
	}
	if st := waitJob(s, 1); !strings.Contains(st, "matched\r\n:3000\r\n") || !strings.Contains(st, "$4\r\ndone\r\n") || !strings.Contains(st, "$6\r\n100.00\r\n") {
		t.Errorf("%q", st)
	}
	s.Run("flushall")
	for i := range n {
		s.Do("set", fmt.Sprint("a:", i), "v")
		s.Do("set", fmt.Sprint("b:", i), "v")
	}
	s.Want("keyjob start expire a:* 100", ":2\n")
	waitJob(s, 2)
	s.Want("ttl a:17", ":100\n")
	s.Want("ttl b:17", ":-1\n")
	s.Effects = nil
	s.Want("keyjob start unlink a:*", ":3\n")
	if st := waitJob(s, 3); !strings.Contains(st, "matched\r\n:3000\r\n") {
		t.Errorf("%q", st)
	}
	s.Want("dbsize", fmt.Sprintf(":%d\n", n))
	gone := 0
	for _, e := range s.Effects {
		if strings.HasPrefix(e, "UNLINK a:") {
			gone += strings.Count(e, " ")
		}
	}
	if gone != n {
		t.Errorf("%d keys journaled as gone", gone)
	}
	s.Want("keyjob start expire b:* -5", ":4\n")
	waitJob(s, 4)
	s.Want("dbsize", ":0\n")
	if info := s.Run("info keyjobs"); !strings.Contains(info, "keyjob_3:op=unlink,db=0,state=done,seen=") {
		t.Errorf("%q", info)
	}
}

func TestKeyJobArguments(t *testing.T) {
	s := commandtest.New(t)
	s.Want("keyjob start unlink a b", "-ERR syntax error\n")
	s.Want("keyjob start move a", "-ERR syntax error\n")
	s.Want("keyjob start expire a", "-ERR syntax error\n")
	s.Want("keyjob start expire a x", "-"+command.ErrNotInt+"\n")
	s.Want("keyjob start expire a 9223372036854775807", "-ERR invalid expire time in 'keyjob|start' command\n")
	s.Want("keyjob status 7", "-ERR no such job\n")
	s.Want("keyjob cancel 7", "-ERR no such job\n")
	s.Want("keyjob status", "*0\n")
	s.Want("keyjob start count *", ":1\n")
	waitJob(s, 1)
	s.Want("keyjob cancel 1", "-ERR the job has ended\n")
}

// A job waits while writes are paused, can be cancelled then, and no more than
// some run at a time.
func TestKeyJobCancel(t *testing.T) {
	s := commandtest.New(t)
	s.Want("set a v", "+OK\n")
	s.Want("client pause 100000 write", "+OK\n")
	for range keys.KeyJobsAtOnce {
		if !keys.StartUnlinkJob(s.Server, "*") { // KEYJOB START would wait, too
			t.Fatal("too many jobs")
		}
	}
	if keys.StartUnlinkJob(s.Server, "*") {
		t.Error("one more job")
	}
	for i := range keys.KeyJobsAtOnce {
		s.Want(fmt.Sprint("keyjob cancel ", i+1), "+OK\n")
	}
	s.Want("client unpause", "+OK\n")
	time.Sleep(50 * time.Millisecond)
	s.Want("exists a", ":1\n")
	for i := range keys.KeyJobsKept + 5 {
		s.Want("keyjob start count *", fmt.Sprintf(":%d\n", keys.KeyJobsAtOnce+i+1))
		waitJob(s, keys.KeyJobsAtOnce+i+1)
	}
	if n := strings.Count(s.Run("keyjob status"), "pattern"); n > keys.KeyJobsKept+1 {
		t.Errorf("%d jobs are remembered", n)
	}
}
