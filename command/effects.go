package command

import "strconv"

// Words of effects.

var (
	wordSet       = []byte("SET")
	wordDel       = []byte("DEL")
	wordPXAT      = []byte("PXAT")
	wordKeepTTL   = []byte("KEEPTTL")
	wordPExpireAt = []byte("PEXPIREAT")
	wordPersist   = []byte("PERSIST")
)

// intArg is n as the argument of an effect.
func intArg(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
