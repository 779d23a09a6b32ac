// Package rdb is the coding of values in RDB files and DUMP payloads. It turns
// a value as the keyspace keeps it (type, encoding, packed bytes or Object)
// into bytes and back. It knows no key, file, client or clock, and stands on
// packages types and types/stream alone; the frame of a file (opcodes, keys, databases) is drawn
// by those who write and load files, with the Reader and the Append functions
// from here.
//
// Bytes that are read may be hostile: a bad value is an error, never a panic,
// and what is allocated is bounded by what has in fact been read, whatever
// lengths it claims (compressed strings by what LZF can expand to, 89 times).
//
// # The format
//
// Known from Redis's src/rdb.h, rdb.c, ziplist.c, zipmap.c, intset.c, listpack.c
// and quicklist.c, and verified against DUMP and RESTORE of redis-server.
//
// A length begins with a byte whose top bits say what follows:
//
//	00xxxxxx                   6 bits
//	01xxxxxx xxxxxxxx          14 bits, high bits first
//	10000000 4 bytes           32 bits, big endian
//	10000001 8 bytes           64 bits, big endian
//	11cccccc                   no length but a string coded otherwise, c says how
//
// A string is a length and so many bytes, or one of
//
//	C0 1 byte                  an integer, 8 bits
//	C1 2 bytes                 16 bits, little endian
//	C2 4 bytes                 32 bits, little endian
//	C3 length length bytes     LZF: compressed and real length; see lzf.go
//
// A value is a type byte (in a file the key stands between) and a body:
//
//	 0 string                  string
//	 1 list                    length, strings
//	 2 set                     length, strings
//	 3 sorted set              length, pairs of string and score: a length byte and
//	                           decimal text, or 253 NaN, 254 inf, 255 -inf
//	 4 hash                    length, pairs of strings
//	 5 sorted set              length, pairs of string and double, little endian
//	 9 hash                    string: zipmap
//	10 list, 12 sorted set, 13 hash     string: ziplist
//	11 set                     string: intset
//	14 list                    length, strings: ziplists
//	16 hash, 17 sorted set, 20 set      string: listpack
//	18 list                    length, pairs of length (1 one element, 2 listpack)
//	                           and string
//	24 hash with deadlines     8 bytes, little endian: earliest deadline, Unix ms;
//	                           length; triples of length (0 or deadline minus
//	                           earliest plus 1), field and value
//	25 hash with deadlines     8 bytes: earliest deadline; string: listpack of
//	                           field, value, deadline (0 none), by deadline, none last
//	22, 23                     24 and 25 of 7.4's candidates, without the first 8
//	                           bytes; 22 has deadlines themselves
//
// Streams are 15, 19 and 21, and 191, which is kvd's own. IDs are two lengths,
// raw IDs 16 bytes, big endian. A body is
//
//	length, pairs of strings: raw ID and listpack of each node (types/stream)
//	length: entries; ID: last; from 19 on IDs: first, highest deleted; length: ever added
//	length, groups: string; ID: last delivered; from 19 on length: entries read (-1 unknown);
//	        length, pending: raw ID, 8 bytes time of delivery, length: deliveries;
//	        length, consumers: string; 8 bytes last seen; from 21 on 8 bytes last active (-1 never);
//	                length, raw IDs: its pending entries
//	191: for each group length, raw IDs: the pending entries that are nobody's, in their order;
//	     byte 0, or 1 and what is remembered of producers: 4 lengths: seconds, IDs at most (0: as
//	     configured), added, duplicates; length, producers: string; length, messages: string,
//	     ID, 8 bytes time
//
// Times are Unix milliseconds, little endian.
//
// Types 6 and 7 (modules), and other ones above 25 are not read.
//
// A listpack is 4 bytes of size and 2 of count (65535: unknown), little endian,
// the elements (see types.Packed) and FF; ziplist and zipmap are drawn in
// legacy.go, the intset in types.Intset.
//
// A DUMP payload is type byte, body, 2 bytes of RDB version, little endian, and 8
// bytes of checksum, little endian, over all before: CRC-64 with the polynomial
// of Jones (ad93d23594c935a9), bits reflected, begun with 0, not inverted.
//
// # What is written
//
// The forms of RDB version 10, which Redis 7.0 and all later ones load: lists as
// 18, sets as 2 or 11, small sorted sets and hashes as 17 and 16, others as 5 and 4.
// Only hashes with deadlines are 24 or 25, which is version 12. Streams are 19; 21
// (version 11, in payloads only) where a consumer was seen at another time than it was
// active, which 19 cannot tell apart, and 191 where pending entries are nobody's or
// messages of idempotent producers are remembered.
package rdb
