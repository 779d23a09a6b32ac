package acl

import (
	"bytes"
	"encoding/binary"
	"strings"

	"kvd/glob"
)

// pattern is a pattern of keys. Users have many, and mostly all but one do not match;
// so the first eight bytes, as far as they must be certain ones, are compared as
// one word before anything else, and what is text and a star is compared as text.
type pattern struct {
	access Access
	kind   patternKind
	head   string // the certain bytes at the begin
	text   string
	glob   *glob.Pattern
}

// front is what a key's firstWord must have, where mask has ones, for a pattern to match.
// Those of a user stand side by side, apart from the rest: ten are in three cache lines.
type front struct{ word, mask uint64 }

type patternKind uint8

const (
	isGlob   patternKind = iota
	isText               // head alone
	isPrefix             // head and a star
)

func newPattern(text string, a Access) pattern {
	p := pattern{access: a, text: text, glob: glob.Compile([]byte(text)), head: text}
	if at := strings.IndexAny(text, `*?[\`); at >= 0 {
		p.head = text[:at]
		if at > 0 && text[at:] == "*" {
			p.kind = isPrefix
		}
	} else {
		p.kind = isText
	}
	return p
}

func (p *pattern) front() front {
	return front{firstWord([]byte(p.head)), firstWord(bytes.Repeat([]byte{0xff}, min(len(p.head), 8)))}
}

// firstWord is a key's first eight bytes, or all it has and zeros.
func firstWord(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.LittleEndian.Uint64(key)
	}
	var w uint64
	for i, c := range key {
		w |= uint64(c) << (8 * i)
	}
	return w
}

// match tells whether the pattern matches a key that has its front.
func (p *pattern) match(key []byte) bool {
	switch p.kind {
	case isText:
		return string(key) == p.head
	case isPrefix:
		return len(key) >= len(p.head) && string(key[:len(p.head)]) == p.head
	}
	return p.glob.Match(key)
}
