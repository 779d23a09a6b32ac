package lua

import (
	"slices"
	"strings"
)

// token is a lexical element. Single characters are their own byte; what comes
// after firstReserved has a spelling in tokenNames.
type token int

const (
	firstReserved token = 257 + iota
	tkBreak
	tkDo
	tkElse
	tkElseif
	tkEnd
	tkFalse
	tkFor
	tkFunction
	tkIf
	tkIn
	tkLocal
	tkNil
	tkNot
	tkOr
	tkRepeat
	tkReturn
	tkThen
	tkTrue
	tkUntil
	tkWhile
	tkConcat
	tkDots
	tkEq
	tkGe
	tkLe
	tkNe
	tkNumber
	tkName
	tkString
	tkEOS

	tkAnd = firstReserved
)

var tokenNames = [...]string{
	"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil", "not",
	"or", "repeat", "return", "then", "true", "until", "while", "..", "...", "==", ">=", "<=", "~=",
	"<number>", "<name>", "<string>", "<eof>",
}

var reserved = func() map[string]token {
	m := map[string]token{}
	for i, name := range tokenNames[:tkConcat-firstReserved] {
		m[name] = firstReserved + token(i)
	}
	return m
}()

// maxReserved is the length of the longest reserved word.
const maxReserved = len("function")

// eoz is the character after the source's last one.
const eoz = -1

// syntaxError carries a message from the depths of the compiler to Compile,
// which is the only one to recover it.
type syntaxError struct{ msg string }

// lexer cuts a source into tokens.
type lexer struct {
	src  string
	at   int // the next character's place; cur is the one before
	cur  int
	line int // of cur
	last int // line of the token before the current one

	tok   token
	num   float64
	str   string
	ahead token // the token after the current one, tkNone where it was not read
	aNum  float64
	aStr  string

	// buf is the text of the name, number or string that was read last, as
	// messages quote it.
	buf   []byte
	chunk string // as the compiler's messages name it

	// more, where it is not nil, gives the source's pieces, and "" at its end. text
	// collects them.
	more func() (string, error)
	text []byte

	// s, where it is not nil, is the State whose run compiles: it counts the work, and may end it.
	s       *State
	counted int // the place up to which work was counted
}

// stopped carries an error of s or more to compile.
type stopped struct{ err error }

const tkNone token = 0

func (l *lexer) advance() {
	if l.at < len(l.src) || l.more != nil && l.refill() {
		l.cur = int(l.src[l.at])
		if l.at++; l.at&(1<<14-1) == 0 {
			l.count() // a token may be long
		}
	} else {
		l.cur = eoz
	}
}

// refill asks for the source's next piece. It is false at the end.
func (l *lexer) refill() bool {
	piece, err := l.more()
	if err != nil {
		panic(stopped{err})
	}
	if piece == "" {
		l.more = nil
		return false
	}
	// What src has of the old bytes stays: they are never written to again.
	l.room(&l.text, len(piece))
	at := len(l.text)
	l.text = l.text[:at+len(piece)]
	if err := copyAll(l.s, l.text[at:], stringValue(piece).bytes(), bytesPerStep); err != nil {
		panic(stopped{err})
	}
	l.src = bytesValue(l.text).str()
	return true
}

// room makes place for n bytes more. What is long grows aside.
func (l *lexer) room(b *[]byte, n int) {
	if cap(*b)-len(*b) >= n {
		return
	}
	if old := *b; len(old)+n < longText {
		*b = slices.Grow(old, n)
	} else {
		*b = beside(l, func() []byte { return slices.Grow(old, max(n, len(old))) })
	}
}

// beside is aside; an interrupt ends the compilation.
func beside[T any](l *lexer, work func() T) T {
	v, err := aside(l.s, work)
	if err != nil {
		panic(stopped{err})
	}
	return v
}

// copied is b as a string of its own.
func (l *lexer) copied(b []byte) string {
	if len(b) < longText {
		return string(b)
	}
	return beside(l, func() string { return string(b) })
}

func (l *lexer) save() {
	l.room(&l.buf, 1)
	l.buf = append(l.buf, byte(l.cur))
	l.advance()
}

// next reads the next token into l.tok.
func (l *lexer) next() {
	l.last = l.line
	l.count()
	if l.ahead != tkNone {
		l.tok, l.num, l.str = l.ahead, l.aNum, l.aStr
		l.ahead = tkNone
		return
	}
	l.tok = l.lex(&l.num, &l.str)
}

func (l *lexer) peek() token {
	l.ahead = l.lex(&l.aNum, &l.aStr)
	return l.ahead
}

func tokenText(t token) string {
	if t < firstReserved {
		if t < 32 || t == 127 {
			return "char(" + itoa(int(t)) + ")"
		}
		return string([]byte{byte(t)})
	}
	return tokenNames[t-firstReserved]
}

func itoa(n int) string {
	if n < 0 {
		return "-" + itoa(-n)
	}
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}

// fail ends the compilation with a message; t, unless tkNone, is what it is
// near to.
func (l *lexer) fail(msg string, t token) {
	msg = l.chunk + ":" + itoa(l.line) + ": " + msg
	if t != tkNone {
		text := tokenText(t)
		if t == tkName || t == tkString || t == tkNumber {
			text = l.copied(l.buf)
			if i := strings.IndexByte(text, 0); i >= 0 {
				text = text[:i]
			}
		}
		msg = beside(l, func() string { return msg + " near '" + text + "'" })
	}
	panic(syntaxError{msg})
}

func (l *lexer) syntaxError(msg string) { l.fail(msg, l.tok) }

func digit(c int) bool  { return c >= '0' && c <= '9' }
func letter(c int) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' && c < 128 && c >= 0 }
func isNewline(c int) bool {
	return c == '\n' || c == '\r'
}

// count counts what was read since the last time.
func (l *lexer) count() {
	if n := l.at - l.counted; n > 1000 && l.s != nil {
		l.counted = l.at
		if err := l.s.Step(n * 4); err != nil {
			panic(stopped{err})
		}
	}
}

// newline skips \n, \r, \r\n or \n\r.
func (l *lexer) newline() {
	l.count()
	old := l.cur
	l.advance()
	if isNewline(l.cur) && l.cur != old {
		l.advance()
	}
	l.line++
}

func (l *lexer) lex(num *float64, str *string) token {
	l.buf = l.buf[:0]
	for {
		switch c := l.cur; c {
		case eoz:
			return tkEOS
		case '\n', '\r':
			l.newline()
		case ' ', '\t', '\v', '\f':
			l.advance()
		case '-':
			l.advance()
			if l.cur != '-' {
				return '-'
			}
			l.comment()
		case '[':
			level := l.separator()
			if level >= 0 {
				*str = l.long(level, "string")
				return tkString
			}
			if level == -1 {
				return '['
			}
			l.fail("invalid long string delimiter", tkString)
		case '=':
			return l.pair('=', '=', tkEq)
		case '<':
			return l.pair('<', '=', tkLe)
		case '>':
			return l.pair('>', '=', tkGe)
		case '~':
			return l.pair('~', '=', tkNe)
		case '"', '\'':
			*str = l.quoted()
			return tkString
		case '.':
			l.save()
			if l.cur == '.' {
				l.save()
				if l.cur == '.' {
					l.save()
					return tkDots
				}
				return tkConcat
			}
			if !digit(l.cur) {
				return '.'
			}
			*num = l.numeral()
			return tkNumber
		default:
			if digit(c) {
				*num = l.numeral()
				return tkNumber
			}
			if letter(c) || c == '_' {
				start := l.at - 1
				for letter(l.cur) || l.cur == '_' || digit(l.cur) {
					l.advance()
				}
				end := l.at - 1
				if l.cur == eoz {
					end = l.at
				}
				word := l.src[start:end]
				l.room(&l.buf, len(word))
				l.buf = append(l.buf, word...)
				if len(word) <= maxReserved {
					if t, ok := reserved[word]; ok {
						return t
					}
				}
				*str = word
				return tkName
			}
			l.advance()
			return token(c)
		}
	}
}

func (l *lexer) pair(first token, second int, both token) token {
	l.advance()
	if l.cur != second {
		return first
	}
	l.advance()
	return both
}

func (l *lexer) comment() {
	l.advance()
	if l.cur == '[' {
		level := l.separator()
		l.buf = l.buf[:0]
		if level >= 0 {
			l.long(level, "comment")
			l.buf = l.buf[:0]
			return
		}
	}
	for !isNewline(l.cur) && l.cur != eoz {
		l.advance()
	}
}

// separator reads a bracket and the signs of equality after it, and gives
// their number, or -1 minus it where no second bracket follows.
func (l *lexer) separator() int {
	bracket, n := l.cur, 0
	l.save()
	for l.cur == '=' {
		l.save()
		n++
	}
	if l.cur == bracket {
		return n
	}
	return -n - 1
}

// long reads a long string or comment from its second bracket on.
func (l *lexer) long(level int, what string) string {
	l.save()
	if isNewline(l.cur) {
		l.newline()
	}
	for {
		switch l.cur {
		case eoz:
			l.fail("unfinished long "+what, tkEOS)
		case '[':
			if l.separator() == level {
				l.save()
				if level == 0 {
					l.fail("nesting of [[...]] is deprecated", '[')
				}
			}
		case ']':
			if l.separator() == level {
				l.save()
				if what == "comment" {
					return "" // whose bytes were not kept
				}
				return l.copied(l.buf[level+2 : len(l.buf)-level-2])
			}
		case '\n', '\r':
			l.buf = append(l.buf, '\n')
			l.newline()
			if what == "comment" {
				l.buf = l.buf[:0]
			}
		default:
			if what == "comment" {
				l.advance()
			} else {
				l.save()
			}
		}
	}
}

func (l *lexer) quoted() string {
	quote := l.cur
	l.save()
	for l.cur != quote {
		switch l.cur {
		case eoz:
			l.fail("unfinished string", tkEOS)
		case '\n', '\r':
			l.fail("unfinished string", tkString)
		case '\\':
			l.advance()
			l.escape()
		default:
			l.save()
		}
	}
	l.save()
	return l.copied(l.buf[1 : len(l.buf)-1])
}

func (l *lexer) escape() {
	c := l.cur
	switch c {
	case 'a':
		c = '\a'
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'v':
		c = '\v'
	case '\n', '\r':
		l.buf = append(l.buf, '\n')
		l.newline()
		return
	case eoz:
		return // the caller sees it
	default:
		if !digit(c) {
			l.save()
			return
		}
		n := 0
		for i := 0; i < 3 && digit(l.cur); i++ {
			n = 10*n + l.cur - '0'
			l.advance()
		}
		if n > 255 {
			l.fail("escape sequence too large", tkString)
		}
		l.buf = append(l.buf, byte(n))
		return
	}
	l.buf = append(l.buf, byte(c))
	l.advance()
}

func (l *lexer) numeral() float64 {
	for digit(l.cur) || l.cur == '.' {
		l.save()
	}
	if l.cur == 'e' || l.cur == 'E' {
		l.save()
		if l.cur == '+' || l.cur == '-' {
			l.save()
		}
	}
	for letter(l.cur) || digit(l.cur) || l.cur == '_' {
		l.save()
	}
	f, ok, err := l.s.number(bytesValue(l.buf))
	if err != nil {
		panic(stopped{err})
	}
	if !ok {
		l.fail("malformed number", tkNumber)
	}
	return f
}

// ChunkID is how messages name a chunk: "=name" and "@name" as name, cut to
// 59 and 52 bytes, any other as [string "its first line"].
func ChunkID(name string) string { return chunkIDIn(name, 60) }

// compilerRoom is the room for names in the compiler's own messages: 20 bytes more, as in the
// reference implementation.
const compilerRoom = 80

// shownName is what a Proto keeps of a chunk's name, which may be megabytes of source: as much as
// ChunkID looks at, and more than anybody reads.
func shownName(name string) string {
	const most = 4 << 10
	if len(name) <= most {
		return name
	}
	if i := strings.IndexByte(name, 0); i >= 0 && i <= most {
		return name[:i]
	} else if i > 0 {
		name = name[:i]
	}
	if name[0] == '@' {
		return "@" + name[len(name)-most:]
	}
	return name[:most]
}

// chunkIDIn is ChunkID in room bytes, with the zero byte that C has at the end.
func chunkIDIn(name string, room int) string {
	if i := strings.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	switch {
	case strings.HasPrefix(name, "="):
		name = name[1:]
		return name[:min(len(name), room-1)]
	case strings.HasPrefix(name, "@"):
		name = name[1:]
		most := room - len(" '...' ") - 1
		if len(name) > most {
			name = "..." + name[len(name)-most:]
		}
		return name
	}
	line := name
	if i := strings.IndexAny(line, "\r\n"); i >= 0 {
		line = line[:i]
	}
	line = line[:min(len(line), room-len(` [string "..."] `)-1)]
	if len(line) < len(name) {
		line += "..."
	}
	return `[string "` + line + `"]`
}
