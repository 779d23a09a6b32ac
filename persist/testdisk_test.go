package persist

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// TestDisk is a Disk in memory whose power can be cut. What was written is
// there for everybody at once, as on a real one, but lasts only once its file
// is synced; and a name that was made, taken away or renamed lasts only once
// its directory is. What has not been synced when the power is cut may be there
// afterwards in part; see AfterCut.
type TestDisk struct {
	mu    sync.Mutex
	names map[string]*inode // absolute paths; a nil inode is a directory
	// changes to names that need not last yet.
	changes []nameChange
	before  map[string]*inode // names without these changes
	steps   int               // operations that change something, so far
	cutAt   int               // at which of them the power goes; 0 never
	off     bool
	// what happened, for messages
	trace []string
	// onRemove is called before a file is removed.
	onRemove func(name string)
}

type inode struct {
	data   []byte
	lasts  []byte  // what a sync has made last
	writes []write // since then
}

// write is data at an offset; truncate is one without data.
type write struct {
	off      int64
	data     []byte
	truncate bool
}

// nameChange gives path an inode, or takes it away, and takes away from.
type nameChange struct {
	path, from string
	node       *inode
	dir        bool
	remove     bool
	lasts      bool
}

var errPower = errors.New("the power is off")

func NewTestDisk() *TestDisk {
	return &TestDisk{names: map[string]*inode{}, before: map[string]*inode{}}
}

// CutIn has the power go at the nth step from now.
func (d *TestDisk) CutIn(n int) {
	d.mu.Lock()
	d.cutAt = d.steps + n
	d.mu.Unlock()
}

// HoldRemovals has removals wait until release is called.
func (d *TestDisk) HoldRemovals() (waiting <-chan string, release func()) {
	names, over := make(chan string, 100), make(chan struct{})
	d.mu.Lock()
	d.onRemove = func(name string) {
		names <- name
		<-over
	}
	d.mu.Unlock()
	return names, func() {
		d.mu.Lock()
		d.onRemove = nil
		d.mu.Unlock()
		close(over)
	}
}

// Off tells whether the power is off.
func (d *TestDisk) Off() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

func abs(name string) string {
	p, err := filepath.Abs(name)
	if err != nil {
		panic(err)
	}
	return p
}

// step is called before anything changes; false: the power is off.
func (d *TestDisk) step(what string, args ...any) bool {
	if d.off {
		return false
	}
	d.steps++
	if len(d.trace) > 40 {
		d.trace = d.trace[1:]
	}
	d.trace = append(d.trace, fmt.Sprintf(what, args...))
	if d.steps == d.cutAt {
		d.off = true
		return false
	}
	return true
}

func (c *nameChange) apply(names map[string]*inode) {
	if c.remove {
		delete(names, c.path)
		return
	}
	names[c.path] = c.node
	if c.from != "" {
		delete(names, c.from)
	}
}

func (d *TestDisk) change(c nameChange) {
	c.apply(d.names)
	d.changes = append(d.changes, c)
}

// AfterCut is the disk as it may be found when the power is back. survive is
// what of the things that need not last is there: 0 nothing, 1 everything, 2
// the first changes to names, 3 any of them, and with 2 and 3 the first writes
// to each file.
func (d *TestDisk) AfterCut(survive int, rng *rand.Rand) *TestDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := NewTestDisk()
	names := map[string]*inode{}
	for p, node := range d.before {
		names[p] = node
	}
	some := len(d.changes)
	switch survive {
	case 0:
		some = 0
	case 2:
		some = rng.IntN(some + 1)
	}
	for i, c := range d.changes {
		if c.lasts || i < some && (survive != 3 || rng.IntN(2) == 0) {
			c.apply(names)
		}
	}
	copies := map[*inode]*inode{}
	for p, node := range names {
		if node == nil {
			n.names[p] = nil
			continue
		}
		if copies[node] == nil {
			data := slices.Clone(node.lasts)
			k := len(node.writes)
			switch survive {
			case 0:
				k = 0
			case 1:
			default:
				k = rng.IntN(k + 1)
			}
			for i, w := range node.writes[:k] {
				if survive > 1 && i == k-1 && !w.truncate {
					w.data = w.data[:rng.IntN(len(w.data)+1)]
				}
				data = w.apply(data)
			}
			copies[node] = &inode{data: data, lasts: slices.Clone(data)}
		}
		n.names[p] = copies[node]
	}
	for p, node := range n.names {
		n.before[p] = node
	}
	return n
}

func (w *write) apply(data []byte) []byte {
	if w.truncate {
		if int64(len(data)) > w.off {
			return data[:w.off]
		}
		return append(data, make([]byte, w.off-int64(len(data)))...)
	}
	if end := w.off + int64(len(w.data)); int64(len(data)) < end {
		data = append(data, make([]byte, end-int64(len(data)))...)
	}
	copy(data[w.off:], w.data)
	return data
}

func (d *TestDisk) OpenFile(name string, flag int, _ os.FileMode) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, errPower
	}
	p := abs(name)
	node, ok := d.names[p]
	switch {
	case ok && node == nil:
		return nil, &os.PathError{Op: "open", Path: p, Err: errors.New("is a directory")}
	case !ok && flag&os.O_CREATE == 0:
		return nil, &os.PathError{Op: "open", Path: p, Err: os.ErrNotExist}
	case !ok:
		if !d.step("create %s", filepath.Base(p)) {
			return nil, errPower
		}
		node = &inode{}
		d.change(nameChange{path: p, node: node})
	case flag&os.O_TRUNC != 0:
		if !d.step("empty %s", filepath.Base(p)) {
			return nil, errPower
		}
		node.do(write{truncate: true})
	}
	return &testFile{d: d, node: node, name: filepath.Base(p), appends: flag&os.O_APPEND != 0}, nil
}

func (n *inode) do(w write) {
	n.data = w.apply(n.data)
	n.writes = append(n.writes, w)
}

func (d *TestDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	node, ok := d.names[abs(from)]
	if !ok {
		return &os.PathError{Op: "rename", Path: from, Err: os.ErrNotExist}
	}
	if !d.step("rename %s to %s", filepath.Base(from), filepath.Base(to)) {
		return errPower
	}
	d.change(nameChange{path: abs(to), from: abs(from), node: node})
	return nil
}

func (d *TestDisk) Remove(name string) error {
	d.mu.Lock()
	on := d.onRemove
	d.mu.Unlock()
	if on != nil {
		on(name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.names[abs(name)]; !ok {
		return &os.PathError{Op: "remove", Path: name, Err: os.ErrNotExist}
	}
	if !d.step("remove %s", filepath.Base(name)) {
		return errPower
	}
	d.change(nameChange{path: abs(name), remove: true})
	return nil
}

func (d *TestDisk) Mkdir(name string, _ os.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.names[abs(name)]; ok {
		return &os.PathError{Op: "mkdir", Path: name, Err: os.ErrExist}
	}
	if !d.step("mkdir %s", filepath.Base(name)) {
		return errPower
	}
	d.change(nameChange{path: abs(name), dir: true})
	return nil
}

func (d *TestDisk) ReadDir(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, errPower
	}
	var out []string
	for p := range d.names {
		if filepath.Dir(p) == abs(name) {
			out = append(out, filepath.Base(p))
		}
	}
	slices.Sort(out)
	return out, nil
}

func (d *TestDisk) Stat(name string) (size int64, dir bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return 0, false, errPower
	}
	node, ok := d.names[abs(name)]
	switch {
	case !ok:
		return 0, false, &os.PathError{Op: "stat", Path: name, Err: os.ErrNotExist}
	case node == nil:
		return 0, true, nil
	}
	return int64(len(node.data)), false, nil
}

func (d *TestDisk) SyncDir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.step("sync the directory %s", filepath.Base(name)) {
		return errPower
	}
	for i := range d.changes {
		c := &d.changes[i]
		if filepath.Dir(c.path) == abs(name) || c.from != "" && filepath.Dir(c.from) == abs(name) {
			c.lasts = true
		}
	}
	for len(d.changes) > 0 && d.changes[0].lasts {
		d.changes[0].apply(d.before)
		d.changes = d.changes[1:]
	}
	return nil
}

type nothing struct{}

func (nothing) Close() error { return nil }

func (d *TestDisk) Lock(string) (io.Closer, error) { return nothing{}, nil }

// History is what happened last.
func (d *TestDisk) History() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.trace, "\n")
}

// testFile is an open file of a TestDisk.
type testFile struct {
	d       *TestDisk
	node    *inode
	name    string
	pos     int64
	appends bool
}

func (f *testFile) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.pos)
	f.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *testFile) ReadAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.off {
		return 0, errPower
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *testFile) Write(b []byte) (int, error) {
	f.d.mu.Lock()
	if f.appends {
		f.pos = int64(len(f.node.data))
	}
	pos := f.pos
	f.d.mu.Unlock()
	n, err := f.WriteAt(b, pos)
	f.pos += int64(n)
	return n, err
}

func (f *testFile) WriteAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.off {
		return 0, errPower
	}
	// A write that the power interrupts may have come through in part.
	f.node.do(write{off: off, data: slices.Clone(b)})
	if !f.d.step("write %d bytes to %s", len(b), f.name) {
		return 0, errPower
	}
	return len(b), nil
}

func (f *testFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if !f.d.step("sync %s", f.name) {
		return errPower
	}
	f.node.lasts, f.node.writes = slices.Clone(f.node.data), nil
	return nil
}

func (f *testFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if !f.d.step("cut %s to %d bytes", f.name, size) {
		return errPower
	}
	f.node.do(write{off: size, truncate: true})
	return nil
}

func (f *testFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.off {
		return 0, errPower
	}
	return int64(len(f.node.data)), nil
}

func (f *testFile) Close() error { return nil }
