package wire

import "strconv"

// These encode what is sent to another server or written to a log: commands, as
// arrays of bulk strings.

// The frames of a transaction, ready to be appended.
const (
	Multi = "*1\r\n$5\r\nMULTI\r\n"
	Exec  = "*1\r\n$4\r\nEXEC\r\n"
)

// smallHeaders are the decimal digits and CR LF of 0 to 255, behind one byte
// for the type; a table because header lengths are nearly always small.
var smallHeaders = func() (t [256][6]byte) {
	for i := range t {
		copy(t[i][:], "?"+strconv.Itoa(i)+"\r\n")
	}
	return
}()

// AppendHeader appends a type byte, a number and CR LF.
func AppendHeader(dst []byte, kind byte, n int64) []byte {
	if uint64(n) < 10 {
		return append(dst, kind, '0'+byte(n), '\r', '\n')
	}
	if uint64(n) < uint64(len(smallHeaders)) {
		l := 5
		if n >= 100 {
			l = 6
		}
		at := len(dst)
		dst = append(dst, smallHeaders[n][:l]...)
		dst[at] = kind
		return dst
	}
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// AppendCommand appends a command.
func AppendCommand[T []byte | string](dst []byte, args ...T) []byte {
	dst = AppendHeader(dst, '*', int64(len(args)))
	for _, a := range args {
		dst = AppendHeader(dst, '$', int64(len(a)))
		dst = append(dst, a...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// AppendSelect appends the command that selects a database.
func AppendSelect(dst []byte, db int) []byte {
	var room [20]byte
	n := strconv.AppendInt(room[:0], int64(db), 10)
	dst = append(dst, "*2\r\n$6\r\nSELECT\r\n"...)
	dst = AppendHeader(dst, '$', int64(len(n)))
	return append(append(dst, n...), '\r', '\n')
}
