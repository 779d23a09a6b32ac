package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"kvd/config"
	"kvd/logf"
	"kvd/persist/rdb"
	"kvd/types"
)

// SnapshotKey is a key of a snapshot, with its value as the file has it. Name and body
// are valid until the function that got it returns.
type SnapshotKey struct {
	DB       int
	Name     []byte
	Deadline int64 // Unix milliseconds; 0: none
	Idle     int64 // seconds since it was used; -1: the file does not say
	Freq     int   // how often it is used, as Redis's LFU counts; -1: the file does not say

	typ  byte
	body []byte
	read *rdb.Reader // for the body
}

// PlainString is the value of a string as it is, valid as long as Name; false for any other
// type, and for one that cannot be read, of which AppendPayload makes what a server judges.
func (k *SnapshotKey) PlainString() ([]byte, bool) {
	if k.typ != rdb.TypeString {
		return nil, false
	}
	k.read.Reset(k.body)
	value := k.read.String()
	return value, k.read.Err() == nil
}

// AppendPayload appends the value as RESTORE takes it. The error says that it cannot be
// made of what the file holds.
func (k *SnapshotKey) AppendPayload(dst []byte) ([]byte, error) {
	if k.typ != rdb.TypeValkeyHash {
		return rdb.AppendRawDump(dst, k.typ, k.body), nil
	}
	// The byte of this form means another type to a Redis.
	v, err := rdb.DecodeValue(rdb.NewBytes(k.body), k.typ, plainLimits)
	if err != nil {
		return dst, fmt.Errorf("the value of the key %.80q: %w", k.Name, err)
	}
	return rdb.AppendDump(dst, true, v.Type, v.Enc, v.Packed, v.Obj), nil
}

// payloadEnd is how long the version and the checksum at the end of a payload are.
const payloadEnd = 2 + 8

// SamePayload tells whether two payloads of DUMP are the same value at first sight: the same bytes,
// but for the version of the format, or the same string in another coding. Others may
// still be.
func SamePayload(a, b []byte) bool {
	if len(a) < payloadEnd || len(b) < payloadEnd {
		return bytes.Equal(a, b)
	}
	a, b = a[:len(a)-payloadEnd], b[:len(b)-payloadEnd]
	if bytes.Equal(a, b) {
		return true
	}
	if len(a) == 0 || len(b) == 0 || a[0] != rdb.TypeString || b[0] != rdb.TypeString {
		return false
	}
	ra, rb := rdb.NewBytes(a[1:]), rdb.NewBytes(b[1:])
	same := bytes.Equal(ra.String(), rb.String())
	return same && ra.Err() == nil && rb.Err() == nil
}

// plainLimits are those of values that no server is going to keep: Redis's defaults.
var plainLimits = &rdb.Limits{List: types.ListLimits{MaxSize: -2}, Set: types.SetLimits{MaxIntset: 512, MaxListpackEntries: 128, MaxListpackValue: 64},
	Hash: types.HashLimits{MaxListpackEntries: 128, MaxListpackValue: 64}, ZSet: types.ZSetLimits{MaxListpackEntries: 128, MaxListpackValue: 64}}

// SnapshotFacts is what a snapshot holds besides keys.
type SnapshotFacts struct {
	Facts     map[string]string // what the file says of itself, such as redis-ver and ctime
	Libraries []string          // the code of libraries of functions
	Scripts   []string          // the code of scripts that SCRIPT LOAD has brought
	Bytes     int64             // its length
	Keys      int64
}

// keyMax is the longest key with its value that ReadSnapshot hands over, in bytes: what
// the argument of a command holds.
const keyMax = 512 << 20

// ReadSnapshot reads the snapshot that r yields, and hands over every key in the order
// of the file. Only lengths are looked at, and the checksum at the end; what is behind
// the snapshot is possibly taken from r, too. An error of each ends it and is returned
// as it is; others are *LoadError, with name as the file.
func ReadSnapshot(r io.Reader, name string, each func(*SnapshotKey) error) (*SnapshotFacts, error) {
	l := checkLoader(rdb.NewReader(r, true), name)
	l.each = each
	at, err := l.read()
	facts := &SnapshotFacts{Facts: l.facts, Libraries: l.libraries, Scripts: l.scripts, Bytes: at, Keys: l.keys}
	var own *eachError
	switch {
	case errors.As(err, &own):
		return facts, own.error
	case err != nil:
		return facts, &LoadError{File: name, Offset: at, Err: err}
	}
	return facts, nil
}

// checkLoader makes a loader that enters nothing.
func checkLoader(r *rdb.Reader, name string) *loader {
	s := &Saver{Options: Options{Config: config.New(), Log: logf.NewWriter(io.Discard, logf.Nothing)}}
	now := time.Now()
	l := &loader{s: s, name: name, r: r, now: now, told: now, begun: now, facts: map[string]string{}, limits: plainLimits, check: true}
	l.batch = new(batch)
	l.own = l.newWorker()
	l.next()
	return l
}

// eachError is an error of the function that gets the keys.
type eachError struct{ error }

// give hands the next key over.
func (l *loader) give(typ byte) error {
	r := l.r
	r.Mark(keyMax)
	begin := r.Offset()
	rdb.SkipString(r)
	name := r.Offset() - begin
	rdb.Skip(r, typ)
	raw := r.Marked()
	if raw == nil {
		err := r.Err()
		if rdb.IsLong(err) {
			err = fmt.Errorf("a key with a value of more than %d bytes, which no command can carry", keyMax)
		}
		return err
	}
	l.given = SnapshotKey{DB: l.db, Deadline: l.deadline, Idle: l.idle, Freq: l.freq, typ: typ, body: raw[name:], read: &l.values}
	l.names.Reset(raw[:name])
	l.given.Name = l.names.String()
	if err := l.names.Err(); err != nil {
		return err
	}
	if err := l.each(&l.given); err != nil {
		return &eachError{err}
	}
	return nil
}
