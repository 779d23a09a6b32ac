package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"kvd/resp/wire"
)

// place is how far a sequence of commands has been applied.
type place struct {
	file   int   // of the files that follow each other
	offset int64 // in it, in bytes
	db     int   // that is selected there
}

func (p place) String() string { return fmt.Sprintf("%d %d %d", p.file, p.offset, p.db) }

func parsePlace(text string) (p place, err error) {
	if n, err := fmt.Sscanf(text, "%d %d %d", &p.file, &p.offset, &p.db); n != 3 || err != nil {
		return place{}, fmt.Errorf("%.80q is no place that an import has come to", text)
	}
	return p, nil
}

// unitCommands is how many commands are applied as one transaction at most.
const unitCommands = 1000

// commandWriter applies commands to a server in their order. Each run of them is one
// transaction with a note of how far it goes (the key mark, in database 0), so whoever
// goes on after a failure applies none twice and leaves none out.
type commandWriter struct {
	*conn
	mark   string
	failed *failures
	at     place // behind what is in the run
	first  int   // the database that the run begins in

	buf   []byte // the run
	ends  []int  // of its commands
	multi bool   // the source is in the middle of a transaction

	applied int64
	used    time.Time // when the last command was sent
}

// newCommandWriter makes one that goes on from where the mark is.
func newCommandWriter(a *Address, mark string, failed *failures) (*commandWriter, error) {
	c, err := a.dial()
	if err != nil {
		return nil, err
	}
	w := &commandWriter{conn: c, mark: mark, failed: failed, used: time.Now()}
	r, err := c.do("GET", mark)
	if err == nil && !r.null {
		w.at, err = parsePlace(string(r.str))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	w.first = w.at.db
	return w, nil
}

// forget removes the mark.
func (w *commandWriter) forget() error {
	if err := w.use(0); err != nil {
		return err
	}
	_, err := w.do("DEL", w.mark)
	return err
}

// alive has the connection not look idle to the target, which may end those that do.
func (w *commandWriter) alive() error {
	if time.Since(w.used) < laneIdle {
		return nil
	}
	w.used = time.Now()
	_, err := w.do("PING")
	return err
}

// add takes a command; at is the offset behind it.
func (w *commandWriter) add(args [][]byte, at int64) error {
	w.at.offset = at
	switch name := strings.ToUpper(string(args[0])); name {
	case "PING", "REPLCONF":
	case "MULTI":
		w.multi = true
	case "EXEC":
		w.multi = false
	case "SELECT":
		db, err := strconv.Atoi(string(bytes.Join(args[1:], nil)))
		if err != nil {
			return fmt.Errorf("SELECT of %.40q", args[1:])
		}
		// One that the target does not have would fail in the middle of a run, and what
		// follows go elsewhere. Nothing is under way, so it can be asked.
		if err := w.use(db); err != nil {
			return fmt.Errorf("database %d: %w", db, err)
		}
		w.at.db = db
		w.put(args)
	case "SWAPDB": // else it would take the mark along
		w.own("SELECT", "0")
		w.own("DEL", w.mark)
		w.own("SELECT", strconv.Itoa(w.at.db))
		w.put(args)
	case "XADD", "XTRIM":
		w.put(withoutLimit(args))
	default:
		w.put(args)
	}
	if !w.multi && (len(w.ends) >= unitCommands || len(w.buf) >= batchBytes) {
		return w.commit()
	}
	return nil
}

// withoutLimit is XADD or XTRIM without the LIMIT of an exact trimming. Leaders send what
// was trimmed by ~ with = and the length that came of it, and leave LIMIT, which followers
// pass over and clients may not say.
func withoutLimit(args [][]byte) [][]byte {
	word := func(i int, words ...string) bool {
		for _, w := range words {
			if i < len(args) && strings.EqualFold(string(args[i]), w) {
				return true
			}
		}
		return false
	}
	i := 2
	for word(i, "NOMKSTREAM", "KEEPREF", "DELREF", "ACKED") {
		i++
	}
	if !word(i, "MAXLEN", "MINID") || !word(i+1, "=") || !word(i+3, "LIMIT") || i+5 > len(args) {
		return args
	}
	return append(slices.Clone(args[:i+3]), args[i+5:]...)
}

// own puts a command of this client's into the run.
func (w *commandWriter) own(args ...string) {
	w.buf = wire.AppendCommand(w.buf, args...)
	w.ends = append(w.ends, len(w.buf))
}

// drop forgets the run.
func (w *commandWriter) drop() {
	w.buf, w.ends, w.multi, w.at.db = w.buf[:0], w.ends[:0], false, w.first
}

func (w *commandWriter) put(args [][]byte) {
	w.buf = wire.AppendCommand(w.buf, args...)
	w.ends = append(w.ends, len(w.buf))
}

// named is how a command is told of: with its first argument.
func named(command []byte) string {
	var scan wire.Scanner
	lim := wire.Limits{MaxBulk: 1 << 40, Authenticated: true}
	if _, status, _ := scan.Scan(command, &lim); status != wire.Complete || len(scan.Args) == 0 {
		return fmt.Sprintf("%.80q", command)
	}
	if len(scan.Args) == 1 {
		return string(scan.Args[0])
	}
	return fmt.Sprintf("%s %.80q", scan.Args[0], scan.Args[1])
}

// commandOf is one of the commands of a run, which end where ends says.
func commandOf(run []byte, ends []int, i int) []byte {
	if i == 0 {
		return run[:ends[0]]
	}
	return run[ends[i-1]:ends[i]]
}

// commit applies the run.
func (w *commandWriter) commit() error {
	if len(w.ends) == 0 {
		return nil
	}
	w.used = time.Now()
	refused, err := w.run(w.buf, w.ends)
	if err == nil && len(refused) > 0 {
		err = w.without(refused)
	}
	if err != nil {
		return err
	}
	w.applied += int64(len(w.ends))
	w.first, w.buf, w.ends, w.db = w.at.db, w.buf[:0], w.ends[:0], 0
	if cap(w.buf) > 4*batchBytes {
		w.buf = nil
	}
	return w.failed.fatal()
}

// run sends commands, which end where ends says, as one transaction, and counts those that
// fail in it. refused are those that the server does not even take, by their number; nothing of the
// transaction has happened then.
func (w *commandWriter) run(commands []byte, ends []int) (refused map[int]error, err error) {
	head := append([]byte(wire.Multi), wire.AppendSelect(nil, w.first)...)
	tail := wire.AppendSelect(nil, 0)
	tail = wire.AppendCommand(tail, "SET", w.mark, w.at.String())
	tail = append(tail, wire.Exec...)
	for _, b := range [][]byte{head, commands, tail} {
		if _, err := w.bw.Write(b); err != nil {
			return nil, err
		}
	}
	if err := w.flush(); err != nil {
		return nil, err
	}
	refused = map[int]error{}
	for i := range len(ends) + 4 {
		r, err := w.receive()
		if err != nil {
			return nil, err
		}
		if err := r.err(); err != nil {
			if fatal(err) {
				return nil, err
			}
			refused[i-2] = err
		}
	}
	r, err := w.receive()
	if err != nil {
		return nil, err
	}
	if err := r.err(); err != nil && (fatal(err) || len(refused) == 0) {
		return nil, fmt.Errorf("the target refuses a run of commands: %w", err)
	}
	for i := range r.elems {
		if err := r.elems[i].err(); err != nil && i > 0 && i <= len(ends) {
			w.failed.note(named(commandOf(commands, ends, i-1)), err)
		}
	}
	return refused, nil
}

// without applies the run without those commands that the server refuses to take into a
// transaction: it refuses all of it because of one.
func (w *commandWriter) without(refused map[int]error) error {
	var commands []byte
	var ends []int
	for i := range w.ends {
		c := commandOf(w.buf, w.ends, i)
		if err := refused[i]; err != nil {
			w.failed.note(named(c), err)
			continue
		}
		commands = append(commands, c...)
		ends = append(ends, len(commands))
	}
	again, err := w.run(commands, ends)
	for _, err := range again {
		return fmt.Errorf("the target refuses a run of commands: %w", err)
	}
	return err
}

// commandReader finds the commands of a file that may still be growing.
type commandReader struct {
	r      io.ReaderAt
	offset int64 // behind the last command
	buf    []byte
	pos    int
	scan   wire.Scanner
	whole  bool // it does not grow, so a line may end with it
}

// errTorn: a file ends in the middle of a command.
var errTorn = errors.New("it ends in the middle of a command")

// next is the next command; nil where there is none yet, and io.EOF, or errTorn, tells the
// end of what is there now.
func (c *commandReader) next() ([][]byte, error) {
	lim := wire.Limits{MaxBulk: 1 << 40, MaxInline: 1 << 20, Authenticated: true}
	for {
		for c.pos < len(c.buf) {
			if c.buf[c.pos] == '#' { // a time stamp
				n := bytes.IndexByte(c.buf[c.pos:], '\n')
				if n < 0 {
					break
				}
				c.pos, c.offset = c.pos+n+1, c.offset+int64(n)+1
				continue
			}
			n, status, err := c.scan.Scan(c.buf[c.pos:], &lim)
			if status == wire.Error {
				return nil, fmt.Errorf("at offset %d: %w", c.offset, err)
			}
			if status == wire.More {
				break
			}
			c.pos, c.offset = c.pos+n, c.offset+int64(n)
			if len(c.scan.Args) > 0 {
				return c.scan.Args, nil
			}
		}
		rest := copy(c.buf, c.buf[c.pos:])
		c.buf, c.pos = c.buf[:rest], 0
		if want := max(rest+connBuffer, c.scan.Need()+rest); want > cap(c.buf) {
			bigger := make([]byte, rest, min(want, 2*rest+connBuffer))
			copy(bigger, c.buf)
			c.buf = bigger
		}
		n, err := c.r.ReadAt(c.buf[rest:cap(c.buf)], c.offset+int64(rest))
		c.buf = c.buf[:rest+n]
		if n == 0 && c.whole && rest > 0 && c.buf[0] != '*' && c.buf[rest-1] != '\n' {
			c.buf = append(c.buf, '\n')
			continue
		}
		if n == 0 {
			c.scan = wire.Scanner{} // it looks at the rest again
			if err == nil || errors.Is(err, io.EOF) && rest > 0 {
				err = errTorn
			}
			return nil, err
		}
	}
}
