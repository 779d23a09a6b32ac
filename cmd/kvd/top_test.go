package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"kvd"
)

func TestTopPage(t *testing.T) {
	at := time.Unix(1000, 0)
	last := readInfo("# Server\r\nredis_version:7.0\r\nuptime_in_seconds:59\r\nrole:master\r\ntotal_commands_processed:100\r\nkeyspace_hits:10\r\nkeyspace_misses:0\r\n"+
		"used_cpu_sys:1.0\r\nused_cpu_user:1.0\r\ncmdstat_get:calls=50,usec=100,usec_per_call=2.00\r\ncmdstat_config|set:calls=9,usec=9\r\n", at)
	now := readInfo("# Server\r\nredis_version:7.0\r\nuptime_in_seconds:61\r\nrole:master\r\ntotal_commands_processed:300\r\nkeyspace_hits:40\r\nkeyspace_misses:10\r\n"+
		"used_memory:2048\r\nmaxmemory:1048576\r\nmaxmemory_policy:allkeys-lru\r\nused_cpu_sys:1.5\r\nused_cpu_user:1.5\r\nmaster_repl_offset:5000\r\nslave0:ip=10.0.0.1,port=1,state=online,offset=904,lag=0\r\n"+
		"db0:keys=5,expires=2,avg_ttl=0\r\ndb12:keys=1,expires=0\r\nrdb_last_bgsave_status:err\r\n"+
		"cmdstat_get:calls=150,usec=400,usec_per_call=2.00\r\ncmdstat_set:calls=1,usec=700\r\ncmdstat_config|set:calls=9,usec=9\r\n", at.Add(2*time.Second))
	page := topPage("redis://me:secret@h:1", last, now)
	for _, want := range []string{"Redis 7.0 at redis://h:1, master, up 1m1s", "         100 /s    hits 75.0%", "2.0 KiB of 1.0 MiB, allkeys-lru", " 50% of a core", "follower 10.0.0.1, 4.0 KiB behind",
		"database 0: 5 keys, 2 with a deadline", "database 12: 1 keys", "THE LAST SNAPSHOT FAILED"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	set, get := strings.Index(page, "\nset "), strings.Index(page, "\nget ")
	if set < 0 || get < set || !strings.Contains(page[get:], "          50         3.00    30.0%") {
		t.Errorf("the commands are not as they should be")
	}
	if strings.Contains(page, "config set") || strings.Contains(page, "secret") {
		t.Error("a command that was not called, or the password, is shown")
	}
	if t.Failed() {
		t.Log(page)
	}
	if line := topLine(last, now); !strings.Contains(line, " ops/s=100 hits=75.0% ") {
		t.Errorf("%s", line)
	}
}

func TestTop(t *testing.T) {
	socket := t.TempDir() + "/s"
	s, err := kvd.Open(kvd.Options{Directives: []string{"unixsocket " + socket}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out, errs bytes.Buffer
	if code := run([]string{"kvd", "top", "--every", "100ms", "--count", "2", "unix://" + socket}, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("%d: %s%s", code, out.String(), errs.String())
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[1], " clients=1 ") {
		t.Errorf("%q", lines)
	}
}
