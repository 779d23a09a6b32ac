package command

import (
	"bytes"
	"strconv"

	"kvd/keyspace"
	"kvd/types"
)

// The flags that clients of memcached keep with a value (keyspace.Marks), in the log and in
// the stream. No command of Redis sets them, and servers of Redis are to load the log and
// to follow: so they travel as the argument of a PING behind the command that sets the
// value, in the same unit: "kvd:mc FLAGS KEY". Redis, Valkey and older kvds answer it and
// change nothing.

const carrier = "kvd:mc "

var wordPing = []byte("PING")

func flagsRows() []*Row {
	return []*Row{{Name: "mc.flags", Fn: cmdFlags, Arity: 3, Flags: Write, First: 1, Last: 1, Step: 1, KeyFlags: "RW update", Front: "log", Since: "7.0.0", Group: "string",
		Summary: "Gives the value at a key flags; stands in logs and streams as a PING.", Complexity: "O(1)", Syntax: "key flags"}}
}

// FlagsEffect says behind the effect that set the value at k that it has flags.
func (c *Ctx) FlagsEffect(k *keyspace.Key, flags uint32) {
	if flags != 0 && c.Journaling() {
		c.Effect(wordPing, AppendFlags(nil, k.B, flags))
	}
}

// AppendFlags appends the argument of the PING that carries a key's flags.
func AppendFlags(dst, key []byte, flags uint32) []byte {
	dst = append(strconv.AppendUint(append(dst, carrier...), uint64(flags), 10), ' ')
	return append(dst, key...)
}

// carriesFlags tells whether an effect is such a PING.
func carriesFlags(args [][]byte) bool {
	return len(args) == 2 && len(args[1]) > len(carrier) && string(args[1][:len(carrier)]) == carrier && EqualFold(args[0], "ping")
}

// flags is the row and the arguments that the argument of such a PING stands for; nil
// where it has another form, which is passed over as any PING.
func (a *Applier) flags(arg []byte) (*Row, [][]byte) {
	flags, key, ok := bytes.Cut(arg[len(carrier):], []byte(" "))
	if _, err := strconv.ParseUint(string(flags), 10, 32); err != nil || !ok {
		return nil, [][]byte{wordPing}
	}
	return a.s.Table.Hidden("mc.flags"), [][]byte{[]byte("mc.flags"), key, flags}
}

func cmdFlags(c *Ctx) {
	flags, err := strconv.ParseUint(string(c.Args[2]), 10, 32)
	if err != nil {
		c.Err(ErrNotInt)
		return
	}
	k := &c.Keys[0]
	c.NoEffect()
	if e := c.Peek(k); e.Type() != types.TString {
		return // it was not there any more
	}
	c.SetFlags(k, uint32(flags))
	c.Dirty++
	c.FlagsEffect(k, uint32(flags))
}
