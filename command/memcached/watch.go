package memcached

import (
	"strconv"
	"strings"
	"time"

	"kvd/command"
	"kvd/keyspace"
)

// watch: lines about what happens to items, in the form of memcached's logger.

// topics are the words of watch. memcached has others, for what kvd does not have.
var topics = map[string]command.Topic{"fetchers": command.WatchFetches, "mutations": command.WatchMutations, "evictions": command.WatchEvictions}

func watch(c *command.Ctx) {
	on := command.Topic(0)
	for _, word := range c.Args[1:] {
		t, ok := topics[string(word)]
		if !ok {
			c.W.Buf = append(c.W.Buf, "ERROR\r\n"...)
			return
		}
		on |= t
	}
	if on == 0 {
		on = command.WatchFetches
	}
	s := c.S
	if !c.Watch(on, func(db int, id uint64, key []byte, e *keyspace.Entry) []byte { return evictionLine(s, id, key, e) }) {
		c.W.Buf = append(c.W.Buf, "WATCHER_TOO_MANY log watcher limit reached\r\n"...)
		return
	}
	c.W.Buf = append(c.W.Buf, "OK\r\n"...)
}

// line begins a line about a key.
func line(id uint64, kind string, key []byte) []byte {
	now := time.Now()
	b := strconv.AppendInt([]byte("ts="), now.Unix(), 10)
	b = strconv.AppendInt(append(b, '.'), int64(now.Nanosecond()/1000), 10)
	b = strconv.AppendUint(append(b, " gid="...), id, 10)
	b = append(append(append(b, " type="...), kind...), " key="...)
	return appendURI(b, key)
}

// appendURI appends a key, with all that URIs do not leave as it is escaped.
func appendURI(b, key []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, ch := range key {
		switch {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9', ch == '-', ch == '.', ch == '_', ch == '~':
			b = append(b, ch)
		default:
			b = append(b, '%', hex[ch>>4], hex[ch&15])
		}
	}
	return b
}

// end appends what a line about an item ends with.
func end(b []byte, client, size int) []byte {
	b = strconv.AppendInt(append(b, " clsid=1 cfd="...), int64(client), 10)
	return append(strconv.AppendInt(append(b, " size="...), int64(size), 10), '\n')
}

// tellFetch tells who watches that a key was read. e is its entry.
func tellFetch(c *command.Ctx, key []byte, hit bool, e *keyspace.Entry) {
	status, size := "not_found", 0
	if hit {
		status, size = "found", c.StringOf(e).Len()
	}
	c.S.TellWatchers(command.WatchFetches, c.DB(), key, func(id uint64) []byte {
		return end(append(append(line(id, "item_get", key), " status="...), status...), c.C.FD, size)
	})
}

// tell tells who watches how a change went.
func (ch *change) tell(c *command.Ctx, key []byte, res result) {
	words := [...]string{modeSet: "set", modeAdd: "add", modeReplace: "replace", modeAppend: "append", modePrepend: "prepend", modeCas: "cas"}
	states := [...]string{stored: "stored", notStored: "not_stored", exists: "exists", notFound: "not_found"}
	ttl := int64(0)
	if ch.deadline > 0 {
		ttl = left(c, ch.deadline)
	}
	c.S.TellWatchers(command.WatchMutations, c.DB(), key, func(id uint64) []byte {
		b := append(append(line(id, "item_store", key), " status="...), states[res]...)
		b = append(append(b, " cmd="...), words[ch.mode]...)
		return end(strconv.AppendInt(append(b, " ttl="...), ttl, 10), c.C.FD, len(ch.value))
	})
}

// evictionLine is the line about a key that is about to go because memory is short.
func evictionLine(s *command.Server, id uint64, key []byte, e *keyspace.Entry) []byte {
	fetched := "no"
	if e.Marks().Fetched {
		fetched = "yes"
	}
	ttl := int64(-1)
	if d := e.Deadline(); d != 0 {
		ttl = max(0, (d-time.Now().UnixMilli()+999)/1000)
	}
	b := append(append(line(id, "eviction", key), " fetch="...), fetched...)
	b = strconv.AppendInt(append(b, " ttl="...), ttl, 10)
	b = strconv.AppendUint(append(b, " la="...), idleAt(time.Now(), strings.Contains(s.Config.MaxMemoryPolicy.Load(), "lfu"), e), 10)
	b = strconv.AppendInt(append(b, " clsid=1 size="...), e.Memory(), 10)
	return append(b, '\n')
}
