package persist

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Disk is the file system as this package uses it, so that tests can put one in
// its place that loses what was not synced. Names are paths as the system has
// them. Errors are those of package os: errors.Is(err, os.ErrNotExist) tells
// that there is no such file.
//
// What lasts: the contents of a file once Sync has returned, and names (made,
// renamed or removed) once SyncDir of their directory has.
type Disk interface {
	// OpenFile is os.OpenFile; flag is made of its O_ constants.
	OpenFile(name string, flag int, perm os.FileMode) (File, error)
	// Rename puts a file in the place of another one, if there is one.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(name string) error
	// Mkdir makes a directory; os.ErrExist where the name is taken.
	Mkdir(name string, perm os.FileMode) error
	// ReadDir lists the names in a directory, sorted.
	ReadDir(name string) ([]string, error)
	// Stat tells how long a file is, and whether it is a directory.
	Stat(name string) (size int64, dir bool, err error)
	// SyncDir makes what happened to the names in a directory last.
	SyncDir(name string) error
	// Lock makes a file and locks it against other processes until the Closer
	// is closed, or returns errLocked at once.
	Lock(name string) (io.Closer, error)
}

// File is one open file of a Disk.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer // at the end, where it was opened with O_APPEND
	io.WriterAt
	io.Closer
	// Sync makes what was written last.
	Sync() error
	// Truncate changes the length.
	Truncate(size int64) error
	// Size is the length.
	Size() (int64, error)
}

// errLocked: another process has locked the file.
var errLocked = errors.New("the file is locked by another process")

// OSDisk is the file system of the system.
var OSDisk Disk = osDisk{}

type osDisk struct{}

func (osDisk) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not a File that holds a nil
	}
	return osFile{f}, nil
}

func (osDisk) Rename(from, to string) error              { return os.Rename(from, to) }
func (osDisk) Remove(name string) error                  { return os.Remove(name) }
func (osDisk) Mkdir(name string, perm os.FileMode) error { return os.Mkdir(name, perm) }
func (osDisk) SyncDir(name string) error                 { return syncDir(name) }

func (osDisk) ReadDir(name string) ([]string, error) {
	list, err := os.ReadDir(name)
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return names, err
}

func (osDisk) Stat(name string) (size int64, dir bool, err error) {
	st, err := os.Stat(name)
	if err != nil {
		return 0, false, err
	}
	return st.Size(), st.IsDir(), nil
}

func (osDisk) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	held, err := lockFile(f)
	if err == nil && !held {
		err = errLocked
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	return f, nil
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
