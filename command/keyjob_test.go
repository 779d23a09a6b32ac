package command

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func (s *testServer) waitJob(id int) string {
	s.t.Helper()
	for range 2000 {
		st := s.run(fmt.Sprint("keyjob status ", id))
		if !strings.Contains(st, "running") {
			return st
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatal("a job does not end")
	return ""
}

// TestKeyJob: of the keys that are there all the time a job meets each once,
// while others come and go.
func TestKeyJob(t *testing.T) {
	s := newTestServer(t)
	const n = 3000
	for i := range n {
		s.do("set", fmt.Sprint("a:", i), "v")
		s.do("set", fmt.Sprint("b:", i), "v")
	}
	s.effects = nil
	s.want("keyjob start count a:*", ":1\n")
	for i := range 2000 {
		s.do("set", fmt.Sprint("c:", i), "v")
		s.do("del", fmt.Sprint("c:", i-50))
	}
	if st := s.waitJob(1); !strings.Contains(st, "matched\r\n:3000\r\n") || !strings.Contains(st, "$4\r\ndone\r\n") || !strings.Contains(st, "$6\r\n100.00\r\n") {
		t.Errorf("%q", st)
	}
	s.run("flushall")
	for i := range n {
		s.do("set", fmt.Sprint("a:", i), "v")
		s.do("set", fmt.Sprint("b:", i), "v")
	}
	s.want("keyjob start expire a:* 100", ":2\n")
	s.waitJob(2)
	s.want("ttl a:17", ":100\n")
	s.want("ttl b:17", ":-1\n")
	s.effects = nil
	s.want("keyjob start unlink a:*", ":3\n")
	if st := s.waitJob(3); !strings.Contains(st, "matched\r\n:3000\r\n") {
		t.Errorf("%q", st)
	}
	s.want("dbsize", fmt.Sprintf(":%d\n", n))
	gone := 0
	for _, e := range s.effects {
		if strings.HasPrefix(e, "UNLINK a:") {
			gone += strings.Count(e, " ")
		}
	}
	if gone != n {
		t.Errorf("%d keys journaled as gone", gone)
	}
	s.want("keyjob start expire b:* -5", ":4\n")
	s.waitJob(4)
	s.want("dbsize", ":0\n")
	if info := s.run("info keyjobs"); !strings.Contains(info, "keyjob_3:op=unlink,db=0,state=done,seen=") {
		t.Errorf("%q", info)
	}
}

func TestKeyJobArguments(t *testing.T) {
	s := newTestServer(t)
	s.want("keyjob start unlink a b", "-ERR syntax error\n")
	s.want("keyjob start move a", "-ERR syntax error\n")
	s.want("keyjob start expire a", "-ERR syntax error\n")
	s.want("keyjob start expire a x", "-"+ErrNotInt+"\n")
	s.want("keyjob start expire a 9223372036854775807", "-ERR invalid expire time in 'keyjob|start' command\n")
	s.want("keyjob status 7", "-ERR no such job\n")
	s.want("keyjob cancel 7", "-ERR no such job\n")
	s.want("keyjob status", "*0\n")
	s.want("keyjob start count *", ":1\n")
	s.waitJob(1)
	s.want("keyjob cancel 1", "-ERR the job has ended\n")
}

// A job waits while writes are paused, can be cancelled then, and no more than
// some run at a time.
func TestKeyJobCancel(t *testing.T) {
	s := newTestServer(t)
	s.want("set a v", "+OK\n")
	s.want("client pause 100000 write", "+OK\n")
	for i := range keyJobsAtOnce {
		s.c.multi = nil
		j := &keyJob{op: "unlink", pattern: []byte("*"), started: time.Now()}
		if !s.keyJobs.add(j) {
			t.Fatal("too many jobs")
		}
		go s.runKeyJob(j)
		_ = i
	}
	if s.keyJobs.add(&keyJob{}) {
		t.Error("one more job")
	}
	for i := range keyJobsAtOnce {
		s.want(fmt.Sprint("keyjob cancel ", i+1), "+OK\n")
	}
	s.want("client unpause", "+OK\n")
	time.Sleep(50 * time.Millisecond)
	s.want("exists a", ":1\n")
	for range keyJobsKept + 5 {
		j := &keyJob{started: time.Now()}
		if !s.keyJobs.add(j) {
			t.Fatal("too many jobs")
		}
		j.end(jobDone)
	}
	if n := len(s.keyJobs.list()); n > keyJobsKept+1 {
		t.Errorf("%d jobs are remembered", n)
	}
}
