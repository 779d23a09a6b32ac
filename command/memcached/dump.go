package memcached

import (
	"encoding/base64"
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// lru_crawler metadump and mgdump: all keys, on a worker, stripe by stripe as KEYS.

// classes tells whether the argument names the class that everything is in.
func classes(b []byte) bool {
	switch string(b) {
	case "all", "hash", "1":
		return true
	}
	return false
}

func dump(c *command.Ctx, line func(b []byte, e *keyspace.Entry) []byte, end string) {
	if !classes(c.Args[1]) {
		c.W.Buf = append(c.W.Buf, "BADCLASS invalid class id\r\n"...)
		return
	}
	s, db, now, locked := c.S, c.DB(), c.Now, c.HoldsAll()
	c.Background(func(w *wire.Writer) {
		s.Keyspace.EachThen(db, now, locked, func(e *keyspace.Entry) {
			if e.Type() == types.TString {
				w.Buf = line(w.Buf, e)
			}
		}, w.Part)
		w.Buf = append(w.Buf, end...)
	})
}

func metadump(c *command.Ctx) {
	now, lfu := c.Now/1000, c.LFU != nil
	dump(c, func(b []byte, e *keyspace.Entry) []byte {
		b = appendEscaped(append(b, "key="...), e.Key())
		exp := int64(-1)
		if d := e.Deadline(); d != 0 {
			exp = d / 1000
		}
		b = strconv.AppendInt(append(b, " exp="...), exp, 10)
		last := now
		if !lfu {
			last = now - (now-int64(e.Clock()))&command.ClockMask
		}
		b = strconv.AppendInt(append(b, " la="...), last, 10)
		m := e.Marks()
		b = strconv.AppendUint(append(b, " cas="...), m.Unique, 10)
		if m.Fetched {
			b = append(b, " fetch=yes"...)
		} else {
			b = append(b, " fetch=no"...)
		}
		b = strconv.AppendInt(append(b, " cls=1 size="...), e.Memory(), 10)
		b = strconv.AppendUint(append(b, " flags="...), uint64(m.Flags), 10)
		return append(b, '\n')
	}, "END\r\n")
}

func mgdump(c *command.Ctx) {
	dump(c, func(b []byte, e *keyspace.Entry) []byte {
		key := e.Key()
		if plainKey(key) {
			return append(append(append(b, "mg "...), key...), "\r\n"...)
		}
		return append(base64.StdEncoding.AppendEncode(append(b, "mg "...), key), " b\r\n"...)
	}, "EN\r\n")
}

// plainKey tells whether the text protocol can name the key.
func plainKey(key []byte) bool {
	for _, ch := range key {
		if ch <= ' ' || ch == 0x7f {
			return false
		}
	}
	return len(key) > 0 && len(key) <= KeyMax
}

// appendEscaped appends a key with all but letters, digits and -._~ as in a URL.
func appendEscaped(b, key []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, ch := range key {
		if ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '0' && ch <= '9' || ch == '-' || ch == '.' || ch == '_' || ch == '~' {
			b = append(b, ch)
			continue
		}
		b = append(b, '%', hex[ch>>4], hex[ch&15])
	}
	return b
}
