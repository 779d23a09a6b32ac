package config

import (
	"errors"
	"fmt"
	"strings"
)

var errUnbalanced = errors.New("Unbalanced quotes in configuration line")

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// SplitArgs splits a line into arguments by the rules of redis.conf and of
// inline commands: space separates; "..." knows \n \r \t \b \a, \xHH and
// takes any other escaped character as it is; '...' knows only \'. A closing
// quote must end its argument.
func SplitArgs(line string) ([]string, error) {
	var args []string
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i >= len(line) {
			return args, nil
		}
		var arg []byte
		var quote byte
	argument:
		for ; ; i++ {
			if i >= len(line) {
				if quote != 0 {
					return nil, errUnbalanced
				}
				break
			}
			c := line[i]
			switch {
			case quote == 0 && isSpace(c):
				break argument
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote == 0:
				arg = append(arg, c)
			case c == quote:
				if i+1 < len(line) && !isSpace(line[i+1]) {
					return nil, errUnbalanced
				}
				i++
				break argument
			case c == '\\' && quote == '"' && i+3 < len(line) && line[i+1] == 'x' && unhex(line[i+2]) >= 0 && unhex(line[i+3]) >= 0:
				arg = append(arg, byte(unhex(line[i+2])<<4|unhex(line[i+3])))
				i += 3
			case c == '\\' && quote == '"' && i+1 < len(line):
				i++
				arg = append(arg, unescape(line[i]))
			case c == '\\' && quote == '\'' && i+1 < len(line) && line[i+1] == '\'':
				i++
				arg = append(arg, '\'')
			default:
				arg = append(arg, c)
			}
		}
		args = append(args, string(arg))
	}
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// Quote is the inverse of SplitArgs for one argument; it always adds quotes.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch c {
		case '\\', '"':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\a':
			b.WriteString(`\a`)
		case '\b':
			b.WriteString(`\b`)
		default:
			if c < ' ' || c > '~' {
				fmt.Fprintf(&b, `\x%02x`, c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}
