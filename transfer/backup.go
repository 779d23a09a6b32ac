package transfer

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"kvd/persist"
)

// BackupOptions say what Backup does.
type BackupOptions struct {
	Source, SourceLogin string // as in ImportOptions
	// Dir is a new directory, or an empty one.
	Dir      string
	Progress func(Progress)
}

// Backup writes what a server holds at one moment, while it serves, into a directory, as
// the snapshot dump.rdb. It returns the file when that has been synced and verified.
func Backup(o BackupOptions) (*persist.FileReport, error) {
	source, err := ParseAddress(o.Source, o.SourceLogin)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.Open(o.Dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if names, err := dir.Readdirnames(1); len(names) > 0 || err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s is not empty: name a new directory", o.Dir)
	}
	link, err := follow(source, "?", -1)
	if err != nil {
		return nil, err
	}
	defer link.Close()
	if link.history == "" {
		return nil, errReply
	}
	path := filepath.Join(o.Dir, "dump.rdb")
	temp := path + ".part"
	body, total, err := link.snapshotBody()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	err = receiveSnapshot(body, &spool{File: f}, func(done int64) {
		if o.Progress != nil {
			o.Progress(Progress{Stage: "snapshot", Done: done, Total: total})
		}
	})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	// What is not whole does not get the name.
	report, err := (&persist.Checker{}).Check(temp)
	if err == nil && report[0].Err != nil {
		err = report[0].Err
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = dir.Sync()
	}
	if err != nil {
		return nil, err
	}
	report[0].Name = path
	return report[0], nil
}
