package command

import (
	"slices"
	"strconv"
	"strings"

	"kvd/config"
	"kvd/keyspace"
)

// Keyspace events: messages about what happens to keys, for those who
// subscribe to the channels of a key or of an event. They are published where
// they happen, with the key's stripe locked, so a key's events come in the
// order of its changes, and whoever reads the key upon one waits for the
// command that caused it.

// Bits of notify-keyspace-events; see config.EventLetters.
var (
	eventKeyspace = eventBit('K')
	eventKeyevent = eventBit('E')
	eventMiss     = eventBit('m')
	eventNew      = eventBit('n')
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
		if c.x != nil && c.x.trying != nil {
			// The reply to the client that is being served comes first.
			c.x.events = append(c.x.events, event{on, name, db, slices.Clone(k.B)})
			return
		}
		c.S.publishEvent(on, name, db, k.B)
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
func (s *Server) fieldsExpired(db int, key []byte, gone bool) {
	s.notify('h', "hexpired", db, key)
	if gone {
		s.notify('g', "del", db, key)
	}
}

// missed is called when a command finds nothing at a key that it reads.
func (c *Ctx) missed(k *keyspace.Key) {
	if on := c.S.Config.NotifyKeyspaceEvents.Load(); on&eventMiss != 0 {
		c.S.publishEvent(on, "keymiss", c.DB(), k.B)
	}
}
