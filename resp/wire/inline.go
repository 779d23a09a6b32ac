package wire

import "bytes"

// SplitLine splits a line as an inline command is split; false where quotes do not match.
func SplitLine(line []byte) (args [][]byte, ok bool) {
	args, _, ok = splitArgs(nil, make([]byte, 0, len(line)), line)
	return args, ok
}

// splitArgs splits an inline line as Redis's sdssplitargs does:
//
//   - arguments stand between blanks; quotes may open anywhere in one
//     (a"b" is ab), but must be followed by a blank or the end of the line
//   - in double quotes \n \r \t \b \a and \xHH are decoded, and a backslash
//     before anything else means that byte itself
//   - in single quotes only \' is decoded
//
// Arguments without quotes alias line, the others alias scratch. The last
// result is false where the quotes do not match. line holds no NUL and no LF.
func splitArgs(args [][]byte, scratch, line []byte) ([][]byte, []byte, bool) {
	i := 0
	for {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return args, scratch, true
		}
		start := i
		for i < len(line) && !endsPlain(line[i]) {
			i++
		}
		if i == len(line) || isSpace(line[i]) {
			args = append(args, line[start:i:i])
			continue
		}
		from := len(scratch)
		scratch = append(scratch, line[start:i]...)
		var ok bool
		for i < len(line) && !isBlank(line[i]) {
			switch line[i] {
			case '"':
				scratch, i, ok = unquoteDouble(scratch, line, i+1)
			case '\'':
				scratch, i, ok = unquoteSingle(scratch, line, i+1)
			default:
				scratch = append(scratch, line[i])
				i++
				continue
			}
			if !ok || i < len(line) && !isSpace(line[i]) {
				return args, scratch, false
			}
			break // a closing quote ends the argument, even before \v or \f
		}
		args = append(args, scratch[from:len(scratch):len(scratch)])
	}
}

// unquoteDouble decodes from behind an opening double quote to behind the
// closing one.
func unquoteDouble(dst, line []byte, i int) ([]byte, int, bool) {
	for i < len(line) {
		c := line[i]
		switch {
		case c == '"':
			return dst, i + 1, true
		case c == '\\' && i+3 < len(line) && line[i+1] == 'x' && hexDigit(line[i+2]) < 16 && hexDigit(line[i+3]) < 16:
			dst = append(dst, hexDigit(line[i+2])<<4|hexDigit(line[i+3]))
			i += 4
		case c == '\\' && i+1 < len(line):
			c = line[i+1]
			if k := bytes.IndexByte([]byte("nrtba"), c); k >= 0 {
				c = "\n\r\t\b\a"[k]
			}
			dst = append(dst, c)
			i += 2
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst, i, false
}

// unquoteSingle is unquoteDouble for single quotes.
func unquoteSingle(dst, line []byte, i int) ([]byte, int, bool) {
	for i < len(line) {
		c := line[i]
		if c == '\'' {
			return dst, i + 1, true
		}
		if c == '\\' && i+1 < len(line) && line[i+1] == '\'' {
			c = '\''
			i++
		}
		dst = append(dst, c)
		i++
	}
	return dst, i, false
}

// isSpace is C's isspace: what separates arguments and may follow a quote.
func isSpace(c byte) bool { return c == ' ' || c-'\t' < 5 }

// isBlank is what ends an argument: \v and \f do not.
func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// endsPlain says that c cannot stand in an argument that needs no decoding.
func endsPlain(c byte) bool { return isBlank(c) || c == '"' || c == '\'' }

// hexDigit is the value of a hexadecimal digit, 16 for another byte.
func hexDigit(c byte) byte {
	if c-'0' < 10 {
		return c - '0'
	}
	if c |= 0x20; c-'a' < 6 {
		return c - 'a' + 10
	}
	return 16
}
