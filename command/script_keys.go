package command

import (
	"strings"
)

// Which keys a script may touch. One that is known to touch none but those that
// it declares runs under the locks of their stripes, so that scripts on
// different keys run on different loops. Any other runs under all locks.

// declaresItsKeys tells whether a script surely hands nothing but elements of
// KEYS to commands as keys. It looks at the words of the text alone, and says
// no where it does not see clearly:
//
//   - redis and server are used as redis.call(...), redis.pcall(...) or one of
//     the functions that call no command, and not otherwise;
//   - the first argument of a call is a string that names a command whose keys stand
//     at fixed places from the first argument on (or which has none), and as
//     many arguments are written out as there are keys;
//   - each key is KEYS[n], or a local variable that is KEYS[n] from its
//     declaration on, of which there is one;
//   - KEYS is read by index or measured (#KEYS), and never assigned to, handed
//     on or named by a local variable; what reaches globals by other ways
//     (_G, getfenv, setfenv, load, loadstring) is not there.
func declaresItsKeys(table *Table, code string) bool {
	words, ok := luaWords(code)
	if !ok {
		return false
	}
	p := keyProof{table: table, words: words}
	p.findLocals()
	for i := range words {
		if !p.fine(i) {
			return false
		}
	}
	return true
}

// keyProof looks at a script's words.
type keyProof struct {
	table *Table
	words []luaWord
	keys  map[string]bool // local variables that are KEYS[n]
}

// luaWord is a word of Lua: a name, a number, a string's contents, or a symbol.
type luaWord struct {
	text string
	kind luaWordKind
}

type luaWordKind uint8

const (
	luaSymbol luaWordKind = iota
	luaName
	luaNumber
	luaString
	luaOddString // with escapes or line ends, which are not read
)

// is tells whether the word at i is the symbol or name.
func (p *keyProof) is(i int, text string) bool {
	return i >= 0 && i < len(p.words) && p.words[i].text == text && p.words[i].kind <= luaName
}

func (p *keyProof) isKind(i int, k luaWordKind) bool {
	return i >= 0 && i < len(p.words) && p.words[i].kind == k
}

// element is the length of "KEYS [ n ]" at i, 0 if it is not there. n is a
// number or a name: whatever it is, the value is an element or nil.
func (p *keyProof) element(i int) int {
	if p.is(i, "KEYS") && p.is(i+1, "[") && (p.isKind(i+2, luaNumber) || p.isKind(i+2, luaName)) && p.is(i+3, "]") {
		return 4
	}
	return 0
}

// findLocals finds "local name = KEYS[n]" of names that are declared once and
// never assigned to.
func (p *keyProof) findLocals() {
	p.keys = map[string]bool{}
	for i := range p.words {
		if p.is(i, "local") && p.isKind(i+1, luaName) && p.is(i+2, "=") {
			if n := p.element(i + 3); n > 0 && p.endsExpression(i+3+n) && p.plainUses(p.words[i+1].text, i+1) {
				p.keys[p.words[i+1].text] = true
			}
		}
	}
}

// endsExpression tells whether what begins at i cannot belong to the expression
// before it.
func (p *keyProof) endsExpression(i int) bool {
	if i >= len(p.words) || p.is(i, ";") {
		return true
	}
	switch p.words[i].kind {
	case luaName:
		return !p.is(i, "and") && !p.is(i, "or")
	}
	return false
}

// plainUses tells whether a variable that is declared at i is only read
// elsewhere: its name stands inside the parentheses of a call, between or
// behind operators, and nowhere else.
func (p *keyProof) plainUses(name string, declared int) bool {
	for i, w := range p.words {
		if i == declared || w.kind != luaName || w.text != name {
			continue
		}
		if p.is(i-1, ".") || p.is(i-1, ":") {
			continue // a field of that name
		}
		before := p.is(i-1, "(") || p.is(i-1, ",") && p.inCall(i) || p.is(i-1, "..") || p.is(i-1, "=") || p.is(i-1, "return") || p.is(i-1, "==") || p.is(i-1, "~=")
		after := !p.is(i+1, "=") && !p.is(i+1, "[") && !p.is(i+1, ".") && !p.is(i+1, ":")
		if p.is(i-1, "(") && p.declares(i-1) {
			return false // a parameter
		}
		if !before || !after {
			return false
		}
	}
	return true
}

// declares tells whether the parenthesis at i opens the parameters of a function.
func (p *keyProof) declares(i int) bool {
	for i--; i >= 0; i-- {
		switch {
		case p.is(i, "function"):
			return true
		case p.isKind(i, luaName) && !luaKeyword[p.words[i].text], p.is(i, "."), p.is(i, ":"):
		default:
			return false
		}
	}
	return false
}

// inCall tells whether the comma before i lies directly inside the parentheses
// of a call: no list of variables, parameters or fields.
func (p *keyProof) inCall(i int) bool {
	depth := 0
	for i--; i >= 0; i-- {
		switch {
		case p.is(i, ")"), p.is(i, "]"), p.is(i, "}"):
			depth++
		case p.is(i, "("), p.is(i, "["), p.is(i, "{"):
			if depth > 0 {
				depth--
				continue
			}
			return p.is(i, "(") && !p.declares(i)
		case depth == 0 && p.isKind(i, luaName) && luaKeyword[p.words[i].text]:
			switch p.words[i].text {
			case "nil", "true", "false", "and", "or", "not":
			default:
				return false
			}
		case depth == 0 && (p.is(i, "=") || p.is(i, ";")):
			return false
		}
	}
	return false
}

var luaKeyword = map[string]bool{"and": true, "break": true, "do": true, "else": true, "elseif": true, "end": true, "false": true, "for": true,
	"function": true, "if": true, "in": true, "local": true, "nil": true, "not": true, "or": true, "repeat": true, "return": true, "then": true,
	"true": true, "until": true, "while": true}

// apiWithoutKeys are the functions of redis that call no command.
var apiWithoutKeys = map[string]bool{"error_reply": true, "status_reply": true, "sha1hex": true, "log": true, "setresp": true}

// fine tells whether the word at i hides no key.
func (p *keyProof) fine(i int) bool {
	if p.words[i].kind != luaName || p.is(i-1, ".") || p.is(i-1, ":") {
		return true
	}
	switch p.words[i].text {
	case "_G", "getfenv", "setfenv", "load", "loadstring":
		return false
	case "KEYS":
		if p.is(i-1, "#") && !p.is(i+1, "[") && !p.is(i+1, ".") {
			return true
		}
		n := p.element(i)
		// Not assigned to: "KEYS[1] =" and "KEYS[1], x =" would be. A list of
		// variables begins a statement, so nothing that reads comes before it.
		return n > 0 && !p.is(i+n, "=") && !p.is(i+n, "[") && !p.is(i+n, ".") && p.readsBefore(i)
	case "redis", "server":
		return p.is(i+1, ".") && p.callFine(i+2)
	}
	return true
}

// readsBefore tells whether what stands before i makes an expression of what
// stands at i.
func (p *keyProof) readsBefore(i int) bool {
	for _, w := range []string{"(", "=", "==", "~=", "<", ">", "<=", ">=", "..", "+", "-", "*", "/", "%", "{", "[", "return", "and", "or", "not", "if", "while", "until", "in"} {
		if p.is(i-1, w) {
			return true
		}
	}
	return p.is(i-1, ",") && p.inCall(i)
}

// callFine looks at what follows "redis.".
func (p *keyProof) callFine(i int) bool {
	if !p.isKind(i, luaName) {
		return false
	}
	name := p.words[i].text
	if name != "call" && name != "pcall" {
		return (apiWithoutKeys[name] || strings.HasPrefix(name, "LOG_")) && !p.is(i+1, "=")
	}
	if !p.is(i+1, "(") || !p.isKind(i+2, luaString) {
		return false
	}
	row := p.table.Lookup([]byte(p.words[i+2].text))
	if row == nil || row.Sub != nil || row.KeysFn != nil || row.Flags&(LockAll|MovableKeys|Walks) != 0 || row.AllKeys != nil {
		return false
	}
	if row.First == 0 || row.notKeys {
		return p.is(i+3, ",") || p.is(i+3, ")")
	}
	if row.First != 1 || row.Step != 1 || row.Last < row.First && row.Last != -1 {
		return false
	}
	at := i + 3
	for n := 0; n < row.Last || row.Last == -1 && !p.is(at, ")"); n++ {
		if !p.is(at, ",") {
			return false
		}
		at++
		switch n := p.element(at); {
		case n > 0:
			at += n
		case p.isKind(at, luaName) && p.keys[p.words[at].text]:
			at++
		default:
			return false
		}
		if !p.is(at, ",") && !p.is(at, ")") {
			return false
		}
	}
	return true
}

// luaWords splits a text into words, without comments. ok is false for what Lua
// would not take either.
func luaWords(s string) (words []luaWord, ok bool) {
	isName := func(c byte) bool { return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			i++
		case strings.HasPrefix(s[i:], "--"):
			if n := longBracket(s[i+2:]); n > 0 {
				i += 2 + n
			} else if n < 0 {
				return nil, false
			} else if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(s)
			}
		case c == '[' && longBracket(s[i:]) != 0:
			n := longBracket(s[i:])
			if n < 0 {
				return nil, false
			}
			words = append(words, luaWord{s[i : i+n], luaOddString})
			i += n
		case c == '"' || c == '\'':
			j, kind := i+1, luaString
			for ; j < len(s) && s[j] != c; j++ {
				if s[j] == '\\' {
					kind = luaOddString
					j++
				} else if s[j] == '\n' {
					return nil, false
				}
			}
			if j >= len(s) {
				return nil, false
			}
			words = append(words, luaWord{s[i+1 : j], kind})
			i = j + 1
		case c >= '0' && c <= '9' || c == '.' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
			j := i
			for j < len(s) && (isName(s[j]) || s[j] == '.' || (s[j] == '+' || s[j] == '-') && s[j-1]|0x20 == 'e') {
				j++
			}
			words = append(words, luaWord{s[i:j], luaNumber})
			i = j
		case isName(c):
			j := i
			for j < len(s) && isName(s[j]) {
				j++
			}
			words = append(words, luaWord{s[i:j], luaName})
			i = j
		default:
			n := 1
			for _, long := range []string{"...", "..", "==", "~=", "<=", ">="} {
				if strings.HasPrefix(s[i:], long) {
					n = len(long)
					break
				}
			}
			words = append(words, luaWord{s[i : i+n], luaSymbol})
			i += n
		}
	}
	return words, true
}

// longBracket is the length of a long bracket ("[==[ ... ]==]") at the begin of
// s, 0 where there is none, -1 where it has no end.
func longBracket(s string) int {
	if len(s) == 0 || s[0] != '[' {
		return 0
	}
	n := 1
	for n < len(s) && s[n] == '=' {
		n++
	}
	if n >= len(s) || s[n] != '[' {
		return 0
	}
	end := strings.Index(s[n:], "]"+s[1:n]+"]")
	if end < 0 {
		return -1
	}
	return n + end + n + 1
}
