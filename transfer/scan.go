package transfer

import (
	"fmt"
	"strconv"
	"time"

	"kvd/persist"
	"kvd/resp/wire"
)

// scanCount is how many keys are asked for at once.
const scanCount = 500

// keyReader reads the keys of a server database by database with SCAN and DUMP.
type keyReader struct {
	*conn
	millis bool // it knows PEXPIRETIME
	buf    []byte
}

func newKeyReader(a *Address) (*keyReader, error) {
	c, err := a.dial()
	if err != nil {
		return nil, err
	}
	r := &keyReader{conn: c}
	_, err = c.do("PEXPIRETIME", "x")
	if r.millis = err == nil; !r.millis && fatal(err) {
		c.Close()
		return nil, err
	}
	return r, nil
}

// page is the next keys of a database, and the cursor behind them ("0": that was all).
func (k *keyReader) page(db int, cursor string) (keys [][]byte, next string, err error) {
	if err := k.use(db); err != nil {
		return nil, "", err
	}
	r, err := k.do("SCAN", cursor, "COUNT", strconv.Itoa(scanCount))
	if err != nil {
		return nil, "", err
	}
	if len(r.elems) != 2 {
		return nil, "", errReply
	}
	for _, e := range r.elems[1].elems {
		keys = append(keys, e.str)
	}
	return keys, string(r.elems[0].str), nil
}

// value is a key's value and deadline.
type value struct {
	payload  []byte // as of DUMP; nil: there is no such key
	deadline int64  // Unix milliseconds; 0: none
}

// values are the values of keys of a database.
func (k *keyReader) values(db int, keys [][]byte) ([]value, error) {
	if err := k.use(db); err != nil {
		return nil, err
	}
	when := "PEXPIRETIME"
	if !k.millis {
		when = "PTTL"
	}
	dump, ask := []byte("DUMP"), []byte(when)
	buf := k.buf[:0]
	for _, key := range keys {
		buf = wire.AppendCommand(buf, dump, key)
		buf = wire.AppendCommand(buf, ask, key)
	}
	k.buf = buf
	if _, err := k.bw.Write(buf); err != nil {
		return nil, err
	}
	// The replies may be more than sockets hold, but the server takes all commands first.
	if err := k.flush(); err != nil {
		return nil, err
	}
	out := make([]value, len(keys))
	for i := range keys {
		r, err := k.receive()
		if err == nil {
			err = r.err()
		}
		if err != nil {
			return nil, fmt.Errorf("DUMP %.80q: %w", keys[i], err)
		}
		out[i].payload = r.str
		if r, err = k.receive(); err != nil {
			return nil, err
		}
		if err := r.err(); err != nil {
			return nil, fmt.Errorf("%s %.80q: %w", when, keys[i], err)
		}
		if r.n >= 0 {
			if out[i].deadline = r.n; !k.millis {
				out[i].deadline += time.Now().UnixMilli()
			}
		}
	}
	return out, nil
}

// scan imports what a server holds, key by key.
func (m *importer) scan() error {
	source, err := ParseAddress(m.ImportOptions.Source, m.SourceLogin)
	if err != nil {
		return err
	}
	r, err := newKeyReader(source)
	if err != nil {
		return err
	}
	defer r.Close()
	dbs, err := databases(r.conn)
	if err != nil {
		return err
	}
	w, err := newKeyWriter(m.target, m.Lanes, &m.failed)
	if err != nil {
		return err
	}
	defer w.close()
	for _, db := range dbs {
		if db < m.DB {
			continue
		}
		if db > m.DB {
			m.DB, m.Cursor = db, "0"
		}
		for {
			keys, next, err := r.page(db, m.Cursor)
			if err != nil {
				return err
			}
			values, err := r.values(db, keys)
			if err != nil {
				return err
			}
			for i, v := range values {
				if v.payload == nil { // it has gone meanwhile
					continue
				}
				m.report.Keys++
				if err := w.put(&persist.SnapshotKey{DB: db, Name: keys[i], Deadline: v.deadline, Idle: -1, Freq: -1}, v.payload); err != nil {
					return err
				}
			}
			if err := w.alive(); err != nil {
				return err
			}
			m.show(Progress{Stage: "keys"})
			if next == "0" {
				break
			}
			if time.Since(m.saved) >= saveEvery || m.stopped() {
				if err := w.drain(); err != nil {
					return err
				}
				m.Cursor = next
				if err := m.save(); err != nil {
					return err
				}
				if m.stopped() {
					return errStopped
				}
			}
			m.Cursor = next
		}
		if err := w.drain(); err != nil {
			return err
		}
		m.DB, m.Cursor = db+1, "0"
		if err := m.save(); err != nil {
			return err
		}
	}
	libraries, err := r.do("FUNCTION", "DUMP")
	if err != nil {
		return nil // a server without functions, or one that shows none
	}
	if _, err := w.lanes[0].do("FUNCTION", "RESTORE", string(libraries.str), "REPLACE"); err != nil {
		m.failed.note("the libraries of functions", err)
	}
	return m.failed.fatal()
}
