package rdb

import "hash/crc64"

// jones is the table of Jones's polynomial, ad93d23594c935a9, which hash/crc64
// wants with its bits reversed.
var jones = crc64.MakeTable(0x95AC9329AC4BC9B5)

// Checksum continues the checksum of RDB files and DUMP payloads, which starts
// with 0, over b.
func Checksum(crc uint64, b []byte) uint64 {
	// hash/crc64 inverts on the way in and out; Redis does neither.
	return ^crc64.Update(^crc, jones, b)
}
