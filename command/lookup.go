package command

import (
	"kvd/keyspace"
)

// Look-ups that count as hits and misses of INFO.

// Lookup is Tx.Find for what the command was asked about: it counts as a hit or a
// miss of INFO, where the row says so, and tells of a key that is missing.
func (c *Ctx) Lookup(k *keyspace.Key) (e keyspace.Entry) {
	c.LookupInto(k, &e)
	return e
}

// LookupInto is Lookup that writes the entry where it will be used.
func (c *Ctx) LookupInto(k *keyspace.Key, e *keyspace.Entry) {
	c.FindInto(k, e)
	c.countLookup(k, e)
}

// LookupNoTouch is Lookup that does not count as an access: it is Tx.Peek, counted.
func (c *Ctx) LookupNoTouch(k *keyspace.Key) keyspace.Entry {
	e := c.Peek(k)
	c.countLookup(k, &e)
	return e
}

func (c *Ctx) countLookup(k *keyspace.Key, e *keyspace.Entry) {
	if c.Row.reads {
		c.CountRead(k, e)
	}
}

// CountRead counts a look-up whatever the command is.
func (c *Ctx) CountRead(k *keyspace.Key, e *keyspace.Entry) {
	if c.Count(e); !e.Exists() {
		c.missed(k)
	}
}

// Count is CountRead but for the event of a key that was not found.
func (c *Ctx) Count(e *keyspace.Entry) {
	if e.Exists() {
		c.hits++
	} else {
		c.misses++
	}
}
