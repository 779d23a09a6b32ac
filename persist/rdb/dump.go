package rdb

import (
	"encoding/binary"
	"errors"

	"kvd/types"
)

// dumpFooter is the size of version and checksum.
const dumpFooter = 10

// ErrFooter: a payload's version is too new, or its checksum is wrong.
var ErrFooter = errors.New("rdb: version or checksum of a payload are wrong")

// AppendDump appends a value as a DUMP payload.
func AppendDump(dst []byte, compress bool, typ types.Type, enc types.Encoding, packed []byte, obj types.Object) []byte {
	e := encoders.Get().(*Encoder)
	e.Compress = compress
	at := len(dst)
	t := e.ValueType(typ, enc, packed, obj)
	dst = e.EncodeValue(append(dst, t), typ, enc, packed, obj)
	e.Compress = true
	e.release()
	return seal(dst, at, max(versionOf(t), Version))
}

// AppendRawDump appends a value of the type byte t, whose body stands in a file, as a
// DUMP payload.
func AppendRawDump(dst []byte, t byte, body []byte) []byte {
	at := len(dst)
	dst = append(append(dst, t), body...)
	return seal(dst, at, versionOf(t))
}

// versionOf is the first version of RDB that has the type byte t, so that a server as old
// as that takes the payload; nothing older than 9 is asked for, that of Redis 5.
func versionOf(t byte) uint16 {
	switch t {
	case TypeHashTTL, TypeListpackTTL, TypeHashTTLPre, TypeListpackTTLPre, TypeStreamKvd, TypeArrayKvd:
		return VersionTTL
	case TypeStream3, TypeSetListpack:
		return VersionStream3
	case TypeHashListpack, TypeZSetListpack, TypeQuicklist2, TypeStream2:
		return Version
	}
	return 9
}

// seal appends version and checksum to the payload that begins at dst[at].
func seal(dst []byte, at int, version uint16) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, version)
	return binary.LittleEndian.AppendUint64(dst, Checksum(0, dst[at:]))
}

// SealLen is what Seal appends, in bytes.
const SealLen = dumpFooter

// Seal appends version and checksum to a payload that holds no value, such as
// that of FUNCTION DUMP.
func Seal(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, Version)
	return binary.LittleEndian.AppendUint64(b, Checksum(0, b))
}

// CheckDump verifies the footer of a DUMP payload, the checksum only if sum,
// and returns its version; the error is ErrFooter.
func CheckDump(b []byte, sum bool) (version int, err error) {
	if len(b) < dumpFooter {
		return 0, ErrFooter
	}
	foot := b[len(b)-dumpFooter:]
	version = int(binary.LittleEndian.Uint16(foot))
	if version > MaxVersion && !ofValkey(version) || sum && Checksum(0, b[:len(b)-8]) != binary.LittleEndian.Uint64(foot[2:]) {
		return 0, ErrFooter
	}
	return version, nil
}

// Valkey's own versions of RDB that are read: those of Valkey 9.0 and 9.2.
const (
	ValkeyFirst = 80
	ValkeyLast  = 81
)

func ofValkey(version int) bool { return version >= ValkeyFirst && version <= ValkeyLast }

// DecodeDump reads a DUMP payload whose footer CheckDump has verified.
func DecodeDump(b []byte, limits *Limits) (Value, error) {
	if len(b) <= dumpFooter {
		return Value{}, ErrShort
	}
	t := b[0]
	if ofValkey(int(binary.LittleEndian.Uint16(b[len(b)-dumpFooter:]))) {
		t = ValkeyType(t)
	}
	r := NewBytes(b[1 : len(b)-dumpFooter])
	v, err := DecodeValue(r, t, limits)
	if err == nil && r.Left() > 0 {
		return Value{}, ErrDamaged
	}
	return v, err
}
