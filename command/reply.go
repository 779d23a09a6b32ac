package command

import (
	"bytes"

	"kvd/resp/wire"
)

// Error texts that many commands share. They are Redis's, byte for byte.
const (
	ErrWrongType   = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrSyntax      = "ERR syntax error"
	ErrNotInt      = "ERR value is not an integer or out of range"
	ErrNotFloat    = "ERR value is not a valid float"
	ErrNoKey       = "ERR no such key"
	ErrOutOfRange  = "ERR index out of range"
	ErrNotPositive = "ERR value is out of range, must be positive"
	ErrDBIndex     = "ERR DB index is out of range"
	errBadDB       = "ERR invalid DB index"
	ErrOverflow    = "ERR increment or decrement would overflow"
	ErrTooLong     = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	errNoAuth      = "NOAUTH Authentication required."
	ErrSameObject  = "ERR source and destination objects are the same"
)

// ParseInt reads a whole argument as a 64-bit integer, as strictly as Redis.
func ParseInt(b []byte) (int64, bool) { return wire.ParseInt(b) }

// quoted is an argument as error texts repeat it: Redis prints it as a string
// of C, which ends at the first NUL, and at most limit bytes of it.
func quoted(arg []byte, limit int) []byte {
	arg, _, _ = bytes.Cut(arg, []byte{0})
	return arg[:min(len(arg), limit)]
}

// Quote is quoted without a limit.
func Quote(arg []byte) string { return string(quoted(arg, len(arg))) }

// Err replies with an error; the text begins with its code.
func (c *Ctx) Err(text string) { c.W.Error(text) }

// WrongArity replies that the number of arguments does not fit.
func (c *Ctx) WrongArity() {
	c.W.Error("ERR wrong number of arguments for '" + c.Row.full + "' command")
}

// NullArray is the reply of the blocking commands when their time is over.
func NullArray(w *wire.Writer) { w.NullArray() }
