package tyrant

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
)

// The scanner of HTTP/1.0 and 1.1: a record is what its key, as the path of the address,
// stands for. Bodies have a Content-Length.

const (
	// headMax is the longest head of a request, all its lines, in bytes.
	headMax = 16 << 10
	// formMax is how many arguments a function of misc takes.
	formMax = 1000
)

// head is what is known of a request before its body.
type head struct {
	method, path []byte
	length       int // of the body
	keep         bool
	chunked      bool
	mode         int    // X-TT-PDMODE
	ext, misc    []byte // X-TT-XNAME, X-TT-MNAME
	bad          bool
	expect       bool // 100-continue
}

// scanHTTP scans the request at the start of buf, appends the arguments of its command to
// args and returns how long it is; 0: it is not complete.
func (s *session) scanHTTP(buf []byte, args [][]byte, r *request) ([][]byte, int) {
	end := s.seen
	for {
		n := bytes.IndexByte(buf[end:], '\n')
		if n < 0 {
			if s.seen = end; len(buf) > headMax {
				return malformed(buf, args, r)
			}
			return args, 0
		}
		line := buf[end : end+n]
		if end += n + 1; end > headMax {
			return malformed(buf, args, r)
		}
		if len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			break
		}
	}
	s.seen = 0
	h := parseHead(buf[:end])
	switch {
	case h.bad:
		return malformed(buf, args, r)
	case h.chunked:
		r.fixed, r.close = page(nil, "501 Not Implemented", false), true
		return args, len(buf)
	case h.length > argMax:
		r.fixed, r.close = page(nil, "413 Content Too Large", false), true
		return args, len(buf)
	}
	if len(buf) < end+h.length {
		s.expected = h.expect
		s.wants(end+h.length-len(buf), len(buf))
		return args, 0
	}
	r.close = !h.keep
	return s.serve(&h, buf[end:end+h.length], args, r), end + h.length
}

// parseHead reads the lines of a head.
func parseHead(b []byte) (h head) {
	line, b, _ := bytes.Cut(b, []byte("\n"))
	words := bytes.Fields(line)
	if len(words) != 3 || !bytes.HasPrefix(words[2], []byte("HTTP/1.")) {
		h.bad = true
		return h
	}
	h.method, h.path, h.keep = words[0], words[1], !bytes.HasSuffix(words[2], []byte(".0"))
	lengths := 0
	for len(b) > 0 {
		line, b, _ = bytes.Cut(b, []byte("\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		value = bytes.TrimSpace(value)
		switch string(bytes.ToLower(name)) {
		case "connection":
			switch string(bytes.ToLower(value)) {
			case "close":
				h.keep = false
			case "keep-alive":
				h.keep = true
			}
		case "content-length":
			n, err := strconv.ParseUint(string(value), 10, 31)
			lengths++
			h.bad = h.bad || err != nil || lengths > 1 // two lengths: somebody before us may have taken the other one
			h.length = int(n)
		case "expect":
			h.expect = strings.EqualFold(string(value), "100-continue")
		case "transfer-encoding":
			h.chunked = true
		case "x-tt-pdmode":
			h.mode, _ = strconv.Atoi(string(value))
		case "x-tt-xname":
			h.ext = value
		case "x-tt-mname":
			h.misc = value
		}
	}
	return h
}

// key is what the path stands for.
func key(path []byte) []byte {
	if at := bytes.Index(path, []byte("://")); at > 0 && at < 8 { // a proxy's form
		path = path[at+3:]
		if slash := bytes.IndexByte(path, '/'); slash >= 0 {
			path = path[slash:]
		} else {
			path = nil
		}
	}
	return unescape(bytes.TrimPrefix(path, []byte("/")))
}

// unescape decodes what a URL, or a form, writes for other bytes.
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '+':
			out = append(out, ' ')
		case c == '%' && i+2 < len(b) && digit(b[i+1]) >= 0 && digit(b[i+2]) >= 0:
			out = append(out, byte(digit(b[i+1])<<4|digit(b[i+2])))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}

func digit(c byte) int {
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

// appendEscaped encodes all but letters, digits and -._~ .
func appendEscaped(dst, b []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range b {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', hex[c>>4], hex[c&15])
	}
	return dst
}

// serve chooses the command of a request.
func (s *session) serve(h *head, body []byte, args [][]byte, r *request) [][]byte {
	rows := &s.p.rows
	switch string(h.method) {
	case "GET":
		r.row, r.wrap = rows.get, asPage("200 OK", "404 Not Found")
		return append(args, argGet, key(h.path))
	case "HEAD":
		r.row, r.wrap = rows.vsiz, asHead
		return append(args, argVsiz, key(h.path))
	case "DELETE":
		r.row, r.wrap = rows.out, asPage("200 OK", "404 Not Found")
		return append(args, argOut, key(h.path))
	case "OPTIONS":
		r.row, r.wrap = rows.stat, asOptions
		return append(args, argStat)
	case "PUT":
		r.row, r.wrap = rows.put, asPage("201 Created", "500 Internal Server Error")
		switch h.mode {
		case 1:
			r.row, r.wrap = rows.putKeep, asPage("201 Created", "409 Conflict")
		case 2:
			r.row = rows.putCat
		}
		return append(args, []byte(r.row.Name), key(h.path), body)
	case "POST":
		return s.post(h, body, args, r)
	}
	r.fixed, r.close = page(nil, "501 Not Implemented", false), true
	return args
}

var (
	argVsiz = []byte("tt.vsiz")
	argStat = []byte("tt.stat")
)

// post calls a function of an extension, or of misc.
func (s *session) post(h *head, body []byte, args [][]byte, r *request) [][]byte {
	bad := len(h.ext) > nameMax || len(h.misc) > nameMax
	switch {
	case !bad && len(h.ext) > 0:
		args = s.ext(h.ext, key(h.path), body, args, r)
		if inner := r.wrap; inner != nil {
			r.wrap = func(dst, reply []byte) []byte { return asExt(dst, inner(nil, reply)) }
		} else {
			r.wrap = asExt
		}
		return args
	case !bad && len(h.misc) > 0:
		n := 0
		for len(body) > 0 && n <= formMax {
			var field []byte
			field, body, _ = bytes.Cut(body, []byte("&"))
			if _, value, ok := bytes.Cut(field, []byte("=")); ok {
				args = append(args, unescape(value))
				n++
			}
		}
		if n <= formMax {
			args = s.call(h.misc, args, r)
			if r.wrap == nil {
				r.wrap = asForm
			} else {
				r.wrap = func(dst, reply []byte) []byte { return asForm(dst, asList(nil, reply)) }
			}
			return args
		}
	}
	r.fixed = page(nil, "400 Bad Request", false)
	return args[:r.from]
}

// top appends the lines of a reply up to the end of its head.
func top(dst []byte, status, kind string, length int) []byte {
	dst = append(append(append(dst, "HTTP/1.1 "...), status...), "\r\nContent-Type: "...)
	dst = append(append(dst, kind...), "\r\nContent-Length: "...)
	return append(strconv.AppendInt(dst, int64(length), 10), "\r\n\r\n"...)
}

const (
	kindBytes = "application/octet-stream"
	kindPlain = "text/plain"
	kindForm  = "application/x-www-form-urlencoded"
)

// page is a reply that says its status once more; bare: not even that.
func page(dst []byte, status string, bare bool) []byte {
	text := status[4:] + "\n"
	dst = top(dst, status, kindPlain, len(text))
	if bare {
		return dst
	}
	return append(dst, text...)
}

// asPage makes a page of a code, or of a code and a value.
func asPage(good, bad string) wrapper {
	return func(dst, reply []byte) []byte {
		switch {
		case failed(reply):
			return page(dst, bad, false)
		case len(reply) == 1:
			return page(dst, good, false)
		}
		return append(top(dst, good, kindBytes, len(reply)-5), reply[5:]...)
	}
}

// asExt makes a page of the result of a function.
func asExt(dst, reply []byte) []byte {
	return asPage("200 OK", "500 Internal Server Error")(dst, reply)
}

// asHead makes the head of a page of a length.
func asHead(dst, reply []byte) []byte {
	if failed(reply) {
		return page(dst, "404 Not Found", true)
	}
	return top(dst, "200 OK", kindBytes, int(binary.BigEndian.Uint32(reply[1:])))
}

// asForm makes a form of a list: res1=...&res2=...
func asForm(dst, reply []byte) []byte {
	if failed(reply) {
		return page(dst, "500 Internal Server Error", false)
	}
	var form []byte
	rest := reply[5:]
	for i := 1; len(rest) >= 4; i++ {
		n := int(binary.BigEndian.Uint32(rest))
		if i > 1 {
			form = append(form, '&')
		}
		form = append(strconv.AppendInt(append(form, "res"...), int64(i), 10), '=')
		form = appendEscaped(form, rest[4:4+n])
		rest = rest[4+n:]
	}
	return append(top(dst, "200 OK", kindForm, len(form)), form...)
}

// asOptions makes lines of what stat tells.
func asOptions(dst, reply []byte) []byte {
	if failed(reply) {
		return page(dst, "500 Internal Server Error", false)
	}
	dst = append(dst, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAllow: OPTIONS, GET, HEAD, PUT, POST, DELETE\r\n"...)
	for line := range bytes.Lines(reply[5:]) {
		name, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte("\t"))
		dst = append(append(append(append(dst, "X-TT-"...), bytes.ToUpper(name)...), ": "...), value...)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}
