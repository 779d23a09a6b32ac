package rdb

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"
)

// Strings that compress well and not at all, short and long.
func BenchmarkCompress(b *testing.B) {
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for name, text := range map[string][]byte{"run": bytes.Repeat([]byte("x"), 4096), "noise": noise} {
		for _, n := range []int{64, 4096} {
			b.Run(name+strconv.Itoa(n), func(b *testing.B) {
				var table lzfTable
				var out []byte
				b.SetBytes(int64(n))
				for b.Loop() {
					out, _ = table.compress(out[:0], text[:n])
				}
			})
		}
	}
}
