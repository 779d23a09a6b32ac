package persist_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kvd/persist"
	"kvd/resp/wire"
)

// restored starts a server whose log is a backup.
func restored(t *testing.T, disk persist.Disk) *node {
	t.Helper()
	return mustStart(t, disk, "appendonly", "yes", "appenddirname", "backupdir", "backupdirname", "other")
}

func (n *node) backupState() string {
	return strings.Fields(n.run("BACKUP STATUS"))[4]
}

// TestBackup: a backup holds what there was when it was sealed, with the log on and off,
// while clients go on; the files that LIST names are the whole of it.
func TestBackup(t *testing.T) {
	for _, on := range []string{"no", "yes"} {
		t.Run("appendonly "+on, func(t *testing.T) {
			disk := persist.NewTestDisk()
			n := mustStart(t, disk, "appendonly", on, "aof-timestamp-enabled", "yes")
			rng := aofRand(t)
			for range 300 {
				n.change(rng)
			}
			if got := n.run("BACKUP SEAL"); !strings.HasPrefix(got, "-ERR there is no backup") {
				t.Error(got)
			}
			n.must("BACKUP START")
			if got := n.run("BACKUP START"); !strings.HasPrefix(got, "-ERR a backup is in progress") {
				t.Error(got)
			}
			for range 300 {
				n.change(rng)
			}
			poll(t, "the base is whole", func() bool { return n.backupState() == "incrementing" })
			if n.info("backup_in_progress") != "1" {
				t.Error("INFO does not know of it")
			}
			if got := n.run("BACKUP LIST"); strings.Count(got, "\n$") != 1 || !strings.Contains(got, "/backupdir/appendonly.aof.1.base.rdb") {
				t.Errorf("%q", got)
			}
			for range 300 {
				n.change(rng)
			}
			n.must("BACKUP SEAL")
			want := n.digest()
			if got := n.run("BACKUP LIST"); !strings.Contains(got, "appendonly.aof.1.incr.aof") || !strings.Contains(got, "appendonly.aof.manifest") {
				t.Errorf("%q", got)
			}
			if n.info("backup_in_progress") != "0" || n.backupState() != "sealed" {
				t.Error(n.run("BACKUP STATUS"))
			}
			for range 50 {
				n.change(rng)
			}
			if got := n.run("BACKUP START"); !strings.HasPrefix(got, "-ERR the last backup is sealed") {
				t.Error(got)
			}
			n.stop()
			n = restored(t, disk)
			if got := n.digest(); got != want {
				t.Errorf("%s was restored, not %s", got, want)
			}
			n.stop()
			n = mustStart(t, disk, "appendonly", on)
			if got := n.run("BACKUP START"); !strings.Contains(got, "is not empty") {
				t.Error(got)
			}
			n.must("BACKUP CLEANUP")
			n.must("BACKUP START")
			if got := n.run("BACKUP ABORT"); got != "+OK\r\n" {
				t.Error(got)
			}
			if n.backupState() != "failed" {
				t.Error(n.run("BACKUP STATUS"))
			}
			n.must("BACKUP START") // nothing is left of that
			poll(t, "another base is whole", func() bool { return n.backupState() == "incrementing" })
			if got := n.run("BACKUP CLEANUP"); !strings.HasPrefix(got, "-ERR a backup is in progress") {
				t.Error(got)
			}
			n.must("CONFIG SET backup-sealed-ttl 1")
			n.must("BACKUP SEAL")
			poll(t, "backup-sealed-ttl has removed it", func() bool { return n.backupState() == "idle" })
			if names, _ := disk.ReadDir("backupdir"); len(names) > 0 {
				t.Errorf("%v is left", names)
			}
		})
	}
}

// TestBackupRemoval: a backup is what it was until its files are gone, and no other one begins
// before, whose files have the same names.
func TestBackupRemoval(t *testing.T) {
	disk := persist.NewTestDisk()
	n := mustStart(t, disk)
	left := func() int {
		names, _ := disk.ReadDir("backupdir")
		return len(names)
	}
	n.must("BACKUP START")
	poll(t, "the base is whole", func() bool { return n.backupState() == "incrementing" })
	// The contents become others, and the writer removes what it wrote.
	waiting, release := disk.HoldRemovals()
	n.must("SAVE")
	n.must("DEBUG RELOAD NOSAVE")
	<-waiting
	if got := n.run("BACKUP START"); !strings.HasPrefix(got, "-ERR the files of the last backup are being removed") || n.backupState() != "failed" {
		t.Error(got, n.backupState())
	}
	release()
	poll(t, "another may begin", func() bool { return n.run("BACKUP START") == "+OK\r\n" })
	poll(t, "another base is whole", func() bool { return n.backupState() == "incrementing" })
	n.must("BACKUP SEAL")
	waiting, release = disk.HoldRemovals()
	n.must("CONFIG SET backup-sealed-ttl 1")
	<-waiting
	if got := n.run("BACKUP START"); !strings.HasPrefix(got, "-ERR the last backup is sealed") || left() == 0 {
		t.Error(got, n.backupState())
	}
	release()
	poll(t, "backup-sealed-ttl has removed it", func() bool { return n.backupState() == "idle" })
	if left() > 0 {
		t.Error("files are left")
	}
	n.must("BACKUP START")
	n.must("BACKUP ABORT")
	if left() > 0 {
		t.Error("files are left of what was given up")
	}
	n.must("BACKUP START")
	n.stop() // it does not wait for what never comes
}

// TestBackupUnit: what is sealed in the middle of an EXEC has all of it or nothing.
func TestBackupUnit(t *testing.T) {
	disk := persist.NewTestDisk()
	n := mustStart(t, disk, "appendonly", "no")
	n.must("BACKUP START")
	poll(t, "the base is whole", func() bool { return n.backupState() == "incrementing" })
	done := make(chan struct{})
	over := make(chan struct{})
	var made atomic.Int64
	go func() { // another client, whose every EXEC makes two keys equal
		x := n.srv.NewExec()
		c := n.srv.NewClient(nil, "127.0.0.1:3", "127.0.0.1:2", 9)
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
			}
			for _, line := range []string{"MULTI", fmt.Sprint("SET a ", i), fmt.Sprint("SET b ", i), "EXEC"} {
				w := wire.Writer{Proto: 2}
				x.SetTime(time.Now())
				x.Run(c, bytes.Fields([]byte(line)), &w)
			}
			made.Add(1)
		}
	}()
	poll(t, "an EXEC", func() bool { return made.Load() > 0 })
	n.must("BACKUP SEAL")
	close(over)
	<-done
	n.stop()
	n = restored(t, disk)
	if a, b := n.run("GET a"), n.run("GET b"); a != b || a == "$-1\r\n" {
		t.Errorf("a is %q, b %q", a, b)
	}
}

// TestBackupEnds: what cannot be written, and contents that are replaced, end a backup and
// nothing else.
func TestBackupEnds(t *testing.T) {
	disk := persist.NewTestDisk()
	n := mustStart(t, disk, "appendonly", "no")
	n.must("SET k v")
	n.must("BACKUP START")
	poll(t, "the base is whole", func() bool { return n.backupState() == "incrementing" })
	n.must("DEBUG RELOAD")
	if got := n.backupState(); got != "failed" {
		t.Errorf("after DEBUG RELOAD it is %s", got)
	}
	n.must("SET k w")
	poll(t, "nothing is left of it", func() bool { names, _ := disk.ReadDir("backupdir"); return len(names) == 0 })
	n.must("BACKUP START")
	poll(t, "the next base is whole", func() bool { return n.backupState() == "incrementing" })
	n.stop()
	if names, _ := disk.ReadDir("backupdir"); len(names) != 0 {
		t.Errorf("%v is left of what the server's end has ended", names)
	}
}
