package command

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"kvd/config"
	"kvd/keyspace"
	"kvd/types"
)

// Keyspace events: messages about what happens to keys, for the subscribers of the
// channels of a key or of an event. They are published where they happen, with the key's
// stripe locked. So a key's events come in the order of its changes, and a client that
// reads the key upon an event waits for the command that caused it.

// Bits of notify-keyspace-events; see config.EventLetters.
var (
	eventKeyspace = eventBit('K')
	eventKeyevent = eventBit('E')
	eventMiss     = eventBit('m')
	eventNew      = eventBit('n')

	// Keys that get another value, and of another type.
	eventReplaced = eventBit('o') | eventBit('c')

	// The channels of fields, which need neither of K and E.
	eventFieldsOfKey   = eventBit('S')
	eventFieldsOfEvent = eventBit('T')
	eventField         = eventBit('I')
	eventFieldsOfBoth  = eventBit('V')
	eventFields        = eventFieldsOfKey | eventFieldsOfEvent | eventField | eventFieldsOfBoth
)

func eventBit(class byte) uint32 { return 1 << strings.IndexByte(config.EventLetters, class) }

// eventBits are the bits by class.
var eventBits = func() (bits [128]uint32) {
	for i := range len(config.EventLetters) {
		class := config.EventLetters[i]
		bits[class] = eventBit(class)
	}
	return
}()

// Notify says that an event of a keyspace-notification class happened at a
// key. The classes are the letters of notify-keyspace-events.
func (c *Ctx) Notify(class byte, event string, k *keyspace.Key) {
	c.NotifyIn(c.DB(), class, event, k)
}

// NotifyIn is Notify for another database.
func (c *Ctx) NotifyIn(db int, class byte, name string, k *keyspace.Key) {
	if on := c.S.Config.NotifyKeyspaceEvents.Load(); on&eventBits[class] != 0 {
		if c.script != nil && c.script.undo != nil {
			c.script.undo.event(c.S, class, name, db, k.B)
			return
		}
		if c.x != nil && c.x.trying != nil {
			// The reply to the client that is being served comes first.
			c.x.events = append(c.x.events, event{on, name, db, slices.Clone(k.B)})
			return
		}
		c.S.publishEvent(on, name, db, k.B)
	}
}

// NotifyFields is Notify for what happened to fields of a hash: those at 0, step, 2*step
// and so on in the list. They are told on channels of their own, too.
func (c *Ctx) NotifyFields(class byte, event string, k *keyspace.Key, fields [][]byte, step int) {
	c.Notify(class, event, k)
	if on := c.S.Config.NotifyKeyspaceEvents.Load(); on&eventBits[class] != 0 && on&eventFields != 0 {
		c.S.publishFields(on, event, c.DB(), k.B, fields, step)
	}
}

// NoteReplaced is called before a command gives a key a whole value of type t in place
// of what it has, if it has something.
func (c *Ctx) NoteReplaced(k *keyspace.Key, t types.Type) { c.NoteReplacedIn(&c.Tx, k, t) }

// NoteReplacedIn is NoteReplaced for a key of tx's database.
func (c *Ctx) NoteReplacedIn(tx *keyspace.Tx, k *keyspace.Key, t types.Type) {
	if c.S.Config.NotifyKeyspaceEvents.Load()&eventReplaced == 0 {
		return
	}
	if e := tx.Peek(k); e.Exists() {
		c.NotifyIn(tx.DB(), 'o', "overwritten", k)
		if e.Type() != t {
			c.NotifyIn(tx.DB(), 'c', "type_changed", k)
		}
	}
}

// event is an event on its way.
type event struct {
	on   uint32
	name string
	db   int
	key  []byte
}

// publishEvents publishes the events that wait for the reply to a client that was served.
func (x *Exec) publishEvents() {
	for _, e := range x.events {
		x.s.publishEvent(e.on, e.name, e.db, e.key)
	}
	x.events = nil
}

// notify publishes an event if its class is wanted: one load where none is.
func (s *Server) notify(class byte, event string, db int, key []byte) {
	if on := s.Config.NotifyKeyspaceEvents.Load(); on&eventBits[class] != 0 {
		s.publishEvent(on, event, db, key)
	}
}

func (s *Server) publishEvent(on uint32, event string, db int, key []byte) {
	room := make([]byte, 0, 32+len(event)+2*len(key))
	if on&eventKeyspace != 0 {
		s.Publisher(append(eventChannel(room, "__keyspace@", db), key...), []byte(event))
	}
	if on&eventKeyevent != 0 {
		s.Publisher(append(eventChannel(room, "__keyevent@", db), event...), key)
	}
}

// publishFields tells of an event of fields on the channels of fields.
func (s *Server) publishFields(on uint32, event string, db int, key []byte, fields [][]byte, step int) {
	var list []byte // of all fields with their lengths
	for i := 0; i < len(fields); i += step {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(strconv.AppendInt(list, int64(len(fields[i])), 10), ':')
		list = append(list, fields[i]...)
	}
	if on&eventFieldsOfKey != 0 {
		s.Publisher(append(eventChannel(nil, "__subkeyspace@", db), key...), slices.Concat([]byte(event), []byte("|"), list))
	}
	if on&eventFieldsOfEvent != 0 {
		message := append(strconv.AppendInt(nil, int64(len(key)), 10), ':')
		s.Publisher(append(eventChannel(nil, "__subkeyevent@", db), event...), slices.Concat(message, key, []byte("|"), list))
	}
	// A line's end stands between key and field, so it cannot be told from one in the key.
	if on&eventField != 0 && bytes.IndexByte(key, '\n') < 0 {
		for i := 0; i < len(fields); i += step {
			channel := append(eventChannel(nil, "__subkeyspaceitem@", db), key...)
			s.Publisher(append(append(channel, '\n'), fields[i]...), []byte(event))
		}
	}
	if on&eventFieldsOfBoth != 0 {
		channel := append(eventChannel(nil, "__subkeyspaceevent@", db), event...)
		s.Publisher(append(append(channel, '|'), key...), list)
	}
}

func eventChannel(dst []byte, kind string, db int) []byte {
	dst = append(dst, kind...)
	dst = strconv.AppendInt(dst, int64(db), 10)
	return append(dst, "__:"...)
}

// created is called when a key comes to exist.
func (s *Server) created(db int, key []byte) { s.notify('n', "new", db, key) }

// keyExpired is called when a key was removed because its deadline passed.
func (s *Server) keyExpired(db int, key []byte) { s.notify('x', "expired", db, key) }

// keyEvicted is called when a key was removed because memory is short.
func (s *Server) keyEvicted(db int, key []byte) { s.notify('e', "evicted", db, key) }

// fieldsExpired is called when fields of a hash were, and with the last of
// them, if gone, the key.
func (s *Server) fieldsExpired(db int, key []byte, fields [][]byte, gone bool) {
	s.notify('h', "hexpired", db, key)
	if on := s.Config.NotifyKeyspaceEvents.Load(); on&eventBits['h'] != 0 && on&eventFields != 0 {
		s.publishFields(on, "hexpired", db, key, fields, 1)
	}
	if gone {
		s.notify('g', "del", db, key)
	}
}

// missed is called when a command finds nothing at a key that it reads.
func (c *Ctx) missed(k *keyspace.Key) {
	if on := c.S.Config.NotifyKeyspaceEvents.Load(); on&eventMiss != 0 {
		if c.script != nil && c.script.undo != nil {
			c.script.undo.event(c.S, 'm', "keymiss", c.DB(), k.B)
			return
		}
		c.S.publishEvent(on, "keymiss", c.DB(), k.B)
	}
}
