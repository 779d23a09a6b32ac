package keyspace

import (
	"bytes"
	"hash/maphash"
)

// Slots is the number of hash slots, as in Redis Cluster.
const Slots = 16384

// Key is a key with what is computed from its bytes once for each command.
type Key struct {
	B    []byte
	Hash uint64 // seeded, secret; its top bits order a slot's table
	Slot uint16
}

// seed is chosen anew by each process: a client that does not know it cannot choose
// keys that collide.
var seed = maphash.MakeSeed()

// MakeKey computes a key's slot and hash. The Key aliases b.
func MakeKey(b []byte) (k Key) {
	k.Set(b)
	return k
}

// Set is MakeKey into k: no copy is made.
func (k *Key) Set(b []byte) { k.B, k.Hash, k.Slot = b, maphash.Bytes(seed, b), SlotOf(b) }

// SlotOf is the hash slot of a key: CRC16 of the key, or of the part between
// the first { and the next } where that part is not empty.
// Source: the Redis Cluster specification, "Hash tags".
func SlotOf(b []byte) uint16 {
	if i := bytes.IndexByte(b, '{'); i >= 0 {
		if n := bytes.IndexByte(b[i+1:], '}'); n > 0 {
			b = b[i+1 : i+1+n]
		}
	}
	return crc16(b) & (Slots - 1)
}

// crcTables holds CRC-16/XMODEM (polynomial 0x1021) tables for eight bytes at
// a time: crcTables[k][v] is the remainder of v followed by k zero bytes.
var crcTables = func() (t [8][256]uint16) {
	for v := range 256 {
		c := uint16(v) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
		t[0][v] = c
	}
	for k := 1; k < 8; k++ {
		for v := range 256 {
			c := t[k-1][v]
			t[k][v] = c<<8 ^ t[0][c>>8]
		}
	}
	return
}()

func crc16(b []byte) uint16 {
	var c uint16
	for len(b) >= 8 {
		c = crcTables[7][b[0]^byte(c>>8)] ^ crcTables[6][b[1]^byte(c)] ^
			crcTables[5][b[2]] ^ crcTables[4][b[3]] ^
			crcTables[3][b[4]] ^ crcTables[2][b[5]] ^
			crcTables[1][b[6]] ^ crcTables[0][b[7]]
		b = b[8:]
	}
	for _, v := range b {
		c = c<<8 ^ crcTables[0][byte(c>>8)^v]
	}
	return c
}
