package command

import (
	"strconv"
)

// Words of effects.

var (
	WordSet       = []byte("SET")
	WordDel       = []byte("DEL")
	WordPXAT      = []byte("PXAT")
	WordKeepTTL   = []byte("KEEPTTL")
	WordPExpireAt = []byte("PEXPIREAT")
	WordPersist   = []byte("PERSIST")
)

// IntArg is n as the argument of an effect.
func IntArg(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
