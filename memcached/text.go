package memcached

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"time"

	mc "kvd/command/memcached"
)

// The scanner of the text protocol, classic and meta. Words of a line stay where they are;
// nothing is allocated.

const (
	// lineMax is the longest line of a request that names one key, in bytes: what is longer
	// is none, and the connection is closed, as memcached does.
	lineMax = 2 << 10
	// keysLineMax is the longest line of get, gets, gat and gats.
	keysLineMax = 1 << 20
	// authMax is the longest value before a client has authenticated.
	authMax = 2 << 10
	// valueMax is the longest value that a request may announce: more is no length.
	valueMax = 1<<31 - 3
	// metaMax is how many words a meta request has at most.
	metaMax = 19
)

// The replies that need no command.
const (
	textError       = "ERROR\r\n"
	textFormat      = "CLIENT_ERROR bad command line format\r\n"
	textExptime     = "CLIENT_ERROR invalid exptime argument\r\n"
	textDelta       = "CLIENT_ERROR invalid numeric delta argument\r\n"
	textDelete      = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
	textChunk       = "CLIENT_ERROR bad data chunk\r\n"
	textTooLarge    = "SERVER_ERROR object too large for cache\r\n"
	textUnknown     = "CLIENT_ERROR unauthenticated\r\n"
	textTermination = "CLIENT_ERROR bad command line termination\r\n"
	textToken       = "CLIENT_ERROR bad authentication token format\r\n"
	textOpaque      = "CLIENT_ERROR opaque token too long\r\n"
	textLong        = "CLIENT_ERROR options flags are too long\r\n"
	textOK          = "OK\r\n"
)

// scanText scans the request at the start of buf, appends its arguments to args and returns
// how long it is; 0: it is not complete.
func (s *session) scanText(buf []byte, args [][]byte, r *request) ([][]byte, int) {
	end := bytes.IndexByte(buf[min(s.seen, len(buf)):], '\n')
	if end < 0 {
		s.seen = len(buf)
		if len(buf) <= lineMax || namesKeys(buf) && len(buf) <= keysLineMax {
			return args, 0
		}
		r.after = actAbort
		return args, len(buf)
	}
	end += s.seen
	line := buf[:end]
	if len(line) > 1 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	if s.p.cmd.Unknown(s.st.Client) {
		return s.scanAuth(line, buf, end+1, args, r)
	}
	for len(line) > 0 && line[0] == ' ' {
		line = line[1:]
	}
	if at := len(args); len(line) > 4 && line[0] == 'g' {
		if args, ok := s.scanGet(line, args, r); ok {
			return args, end + 1
		}
		args = args[:at]
	}
	n := s.split(line)
	used := end + 1
	s.text(r, textError)
	if n == 0 || len(s.tok[0]) < 2 {
		return args, used
	}
	return s.scanWords(n, line, buf, used, args, r)
}

// namesKeys tells whether a line that is not complete may be a long one.
func namesKeys(buf []byte) bool {
	for i := 0; i < 100 && len(buf) > 0 && buf[0] == ' '; i++ { // more blanks are none of a client's
		buf = buf[1:]
	}
	return bytes.HasPrefix(buf, []byte("get ")) || bytes.HasPrefix(buf, []byte("gets ")) || bytes.HasPrefix(buf, []byte("gat ")) || bytes.HasPrefix(buf, []byte("gats "))
}

func (s *session) text(r *request, text string) { r.row, r.text = nil, text }

// split puts the words of a line into tok and returns how many there are. The last one
// that fits is the rest of the line.
func (s *session) split(line []byte) int {
	n, at := 0, 0
	for at < len(line) {
		if line[at] == ' ' {
			at++
			continue
		}
		to := at + 1
		for to < len(line) && line[to] != ' ' {
			to++
		}
		if n == len(s.tok)-1 {
			s.tok[n] = line[at:]
			return n + 1
		}
		s.tok[n] = line[at:to]
		n++
		at = to + 1
	}
	return n
}

var (
	nameGet  = []byte("mc.get")
	nameGets = []byte("mc.gets")
	nameGat  = []byte("mc.gat")
	nameGats = []byte("mc.gats")
	nameIncr = []byte("mc.incr")
	nameDecr = []byte("mc.decr")
	nameMG   = []byte("mc.mg")
	nameMGT  = []byte("mc.mgt")
	nameMS   = []byte("mc.ms")
	nameMD   = []byte("mc.md")
	nameMA   = []byte("mc.ma")
	nameME   = []byte("mc.me")

	nameTouch    = []byte("mc.touch")
	nameFlush    = []byte("mc.flush_all")
	nameStats    = []byte("mc.stats")
	nameWatch    = []byte("mc.watch")
	nameConfig   = []byte("mc.config")
	nameMetadump = []byte("mc.metadump")
	nameMGDump   = []byte("mc.mgdump")
)

// scanGet scans get, gets, gat and gats, which name any number of keys; false: the line is
// none of them.
func (s *session) scanGet(line []byte, args [][]byte, r *request) ([][]byte, bool) {
	word, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return args, false
	}
	touches := false
	switch string(word) {
	case "get":
		r.row, args = s.p.rows.get, append(args, nameGet)
	case "gets":
		r.row, args = s.p.rows.gets, append(args, nameGets)
	case "gat":
		r.row, args, touches = s.p.rows.gat, append(args, nameGat), true
	case "gats":
		r.row, args, touches = s.p.rows.gats, append(args, nameGats), true
	default:
		return args, false
	}
	first := len(args)
	for at := 0; at < len(rest); {
		if rest[at] == ' ' {
			at++
			continue
		}
		to := bytes.IndexByte(rest[at:], ' ')
		if to < 0 {
			to = len(rest)
		} else {
			to += at
		}
		if to-at > mc.KeyMax {
			s.text(r, textFormat)
			return args[:r.from], true
		}
		args = append(args, rest[at:to])
		at = to + 1
	}
	if len(args) == first {
		s.text(r, textError)
		return args[:r.from], true
	}
	if touches {
		exptime := args[first]
		if _, ok := mc.ParseInt(exptime); !ok {
			s.text(r, textExptime)
			return args[:r.from], true
		}
		if len(args) == first+1 {
			s.text(r, "END\r\n")
			return args[:r.from], true
		}
		copy(args[first:], args[first+1:])
		args[len(args)-1] = exptime
	}
	return args, true
}

// scanWords scans the other requests. The reply is ERROR unless it is set.
func (s *session) scanWords(n int, line, buf []byte, used int, args [][]byte, r *request) ([][]byte, int) {
	tok := s.tok[:n]
	switch word := tok[0]; string(word) {
	case "set", "add", "replace", "append", "prepend", "cas":
		return s.scanStore(tok, buf, used, args, r)
	case "mg", "ms", "md", "ma", "me":
		return s.scanMeta(tok, buf, used, args, r)
	case "mn":
		s.text(r, "MN\r\n")
	case "incr", "decr":
		if n != 3 && n != 4 {
			break
		}
		r.quiet = string(tok[n-1]) == "noreply"
		if len(tok[1]) > mc.KeyMax {
			s.text(r, textFormat)
		} else if _, ok := mc.ParseUint(tok[2], 64); !ok {
			s.text(r, textDelta)
		} else if word[0] == 'i' {
			r.row, args = s.p.rows.incr, append(args, nameIncr, tok[1], tok[2])
		} else {
			r.row, args = s.p.rows.decr, append(args, nameDecr, tok[1], tok[2])
		}
	case "delete":
		if n < 2 || n > 4 {
			break
		}
		if n > 2 {
			zero := string(tok[2]) == "0"
			r.quiet = string(tok[n-1]) == "noreply"
			if !(n == 3 && (zero || r.quiet) || n == 4 && zero && r.quiet) {
				s.text(r, textDelete)
				break
			}
		}
		if len(tok[1]) > mc.KeyMax {
			s.text(r, textFormat)
			break
		}
		r.row, args = s.p.rows.delete, append(args, nameDelete, tok[1])
	case "touch":
		if n != 3 && n != 4 {
			break
		}
		r.quiet = string(tok[n-1]) == "noreply"
		if len(tok[1]) > mc.KeyMax {
			s.text(r, textFormat)
		} else if _, ok := mc.ParseInt(tok[2]); !ok {
			s.text(r, textExptime)
		} else {
			r.row, args = s.p.rows.touch, append(args, nameTouch, tok[1], tok[2])
		}
	case "bget": // get's old name
		for _, key := range tok[1:] {
			if len(key) > mc.KeyMax || bytes.IndexByte(key, ' ') >= 0 {
				s.text(r, textFormat)
				return args, used
			}
		}
		if n > 1 {
			r.row, args = s.p.rows.get, append(append(args, nameGet), tok[1:]...)
		}
	case "version":
		s.text(r, "VERSION "+mc.Version+"\r\n")
	case "quit":
		s.text(r, "")
		r.after = actClose
	default:
		return s.scanAdmin(tok, used, args, r), used
	}
	return args, used
}

// scanAdmin scans what operators and tools ask for.
func (s *session) scanAdmin(tok [][]byte, used int, args [][]byte, r *request) [][]byte {
	n := len(tok)
	last := string(tok[n-1]) == "noreply"
	switch string(tok[0]) {
	case "flush_all":
		if n > 3 {
			break
		}
		r.quiet = last
		return s.flush(tok, args, r)
	case "verbosity":
		if n != 2 && n != 3 {
			break
		}
		r.quiet = last
		level, ok := mc.ParseUint(tok[1], 32)
		if !ok {
			s.text(r, textFormat)
			break
		}
		levels := [...]string{"notice", "verbose", "debug"}
		r.row = s.p.rows.config
		return append(args, nameConfig, []byte("loglevel"), []byte(levels[min(level, 2)]))
	case "cache_memlimit":
		if n != 2 && n != 3 {
			break
		}
		r.quiet = last
		mb, ok := mc.ParseUint(tok[1], 32)
		switch {
		case !ok:
		case mb < 8:
			s.text(r, "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n")
		case mb > 1000000000:
			s.text(r, "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n")
		default:
			r.row = s.p.rows.config
			args = append(args, nameConfig, []byte("maxmemory"), append(bytes.Clone(tok[1]), "mb"...))
			if r.quiet { // the reply may come later
				args = append(args, []byte("noreply"))
			}
			return args
		}
	case "shutdown":
		switch {
		case !s.p.cmd.Config.MemcachedShutdown.Load():
			s.text(r, "ERROR: shutdown not enabled\r\n")
		case n == 1 || n == 2 && string(tok[1]) == "graceful":
			s.text(r, "")
			r.after = actEnd
		default:
			s.text(r, "CLIENT_ERROR invalid shutdown mode\r\n")
		}
	case "stats":
		r.row = s.p.rows.stats
		return append(append(args, nameStats, nil), tok[1:]...)
	case "lru_crawler":
		return s.crawler(tok, args, r)
	case "watch":
		if !s.p.cmd.Config.MemcachedWatch.Load() {
			s.text(r, "CLIENT_ERROR watch commands not allowed\r\n")
			break
		}
		r.row = s.p.rows.watch
		return append(append(args, nameWatch), tok[1:]...)
	case "slabs":
		s.text(r, slabs(tok))
	default:
		if bytes.HasPrefix(tok[n-1], []byte("HTTP/")) {
			r.after = actAbort
		}
	}
	return args
}

// slabs is the answer to slabs, as a memcached gives it that moves no memory between
// classes: kvd has one.
func slabs(tok [][]byte) string {
	const disabled = "CLIENT_ERROR slab reassignment disabled\r\n"
	switch n := len(tok); {
	case n == 4 && string(tok[1]) == "reassign":
		return disabled
	case n < 3 || string(tok[1]) != "automove":
		return textError
	case string(tok[2]) == "ratio":
		if n < 4 {
			return textError
		}
		if _, err := strconv.ParseFloat(string(tok[3]), 64); err != nil {
			return textError
		}
		return disabled
	}
	level, ok := mc.ParseUint(tok[2], 32)
	switch {
	case !ok:
		return textFormat
	case level == 0:
		return textOK
	case level <= 2:
		return disabled
	}
	return textError
}

// flush scans flush_all [delay] [noreply].
func (s *session) flush(tok [][]byte, args [][]byte, r *request) [][]byte {
	if !s.p.flushes.Load() {
		s.text(r, "CLIENT_ERROR flush_all not allowed\r\n")
		return args
	}
	delay := int64(0)
	words := len(tok)
	if r.quiet {
		words--
	}
	if words != 1 {
		var ok bool
		if delay, ok = mc.ParseInt(tok[1]); !ok {
			s.text(r, textExptime)
			return args
		}
	}
	return s.flushIn(delay, args, r)
}

// flushIn is a flush of now, or after a delay that is an exptime.
func (s *session) flushIn(delay int64, args [][]byte, r *request) [][]byte {
	if delay > thirtyDays {
		delay -= time.Now().Unix()
	}
	r.after = actFlush
	if delay <= 0 {
		r.row = s.p.rows.flush
		return append(args, nameFlush)
	}
	s.text(r, textOK)
	r.n = delay
	return args
}

const thirtyDays = 60 * 60 * 24 * 30

// crawler scans lru_crawler: kvd has none, but what tools ask of it can be answered.
func (s *session) crawler(tok [][]byte, args [][]byte, r *request) [][]byte {
	if len(tok) < 2 {
		return args
	}
	arg := []byte(nil)
	if len(tok) == 3 {
		arg = tok[2]
	}
	switch string(tok[1]) {
	case "metadump", "mgdump":
		if arg == nil {
			break
		}
		if !s.p.dumps.Load() {
			s.text(r, "ERROR metadump not allowed\r\n")
			break
		}
		if string(tok[1]) == "mgdump" {
			r.row = s.p.rows.mgdump
			return append(args, nameMGDump, arg)
		}
		r.row = s.p.rows.metadump
		return append(args, nameMetadump, arg)
	case "enable", "disable":
		if arg == nil {
			s.text(r, textOK)
		}
	case "crawl":
		if arg != nil {
			s.text(r, textOK) // what has expired goes by itself
		}
	case "tocrawl", "sleep":
		if arg == nil {
			break
		}
		if v, ok := mc.ParseUint(arg, 32); !ok {
			s.text(r, textFormat)
		} else if v > 1000000 && tok[1][0] == 's' {
			s.text(r, "CLIENT_ERROR sleep must be one second or less\r\n")
		} else {
			s.text(r, textOK)
		}
	}
	return args
}

// value finds the value of n bytes that follows a line, and CR LF behind it. It returns
// where the request ends; 0: it is not complete.
func (s *session) value(buf []byte, line, n int) (value []byte, end int, ok bool) {
	end = line + n + 2
	if len(buf) < end {
		s.need = end - len(buf)
		s.seen = line - 1
		return nil, 0, false
	}
	return buf[line : line+n], end, buf[end-2] == '\r' && buf[end-1] == '\n'
}

// scanStore scans set, add, replace, append, prepend and cas.
func (s *session) scanStore(tok [][]byte, buf []byte, used int, args [][]byte, r *request) ([][]byte, int) {
	n, numbers := len(tok), 5
	cas := tok[0][0] == 'c'
	if cas {
		numbers++
	}
	if n != numbers && n != numbers+1 {
		return args, used
	}
	r.quiet = string(tok[n-1]) == "noreply"
	flags, okFlags := mc.ParseUint(tok[2], 32)
	_, okTime := mc.ParseInt(tok[3])
	length, okLen := mc.ParseInt(tok[4])
	okUnique := true
	if cas {
		_, okUnique = mc.ParseUint(tok[5], 64)
	}
	if len(tok[1]) > mc.KeyMax || !okFlags || !okTime || !okLen || !okUnique || length < 0 || length > valueMax {
		s.text(r, textFormat)
		return args, used
	}
	if mc.TooLarge(len(tok[1]), int(length), uint32(flags), s.p.itemMax.Load()) {
		s.text(r, textTooLarge)
		r.after, r.n = actDrop, length+2
		if string(tok[0]) == "set" {
			r.key = tok[1]
		}
		return args, used
	}
	value, end, ok := s.value(buf, used, int(length))
	if end == 0 {
		return args, 0
	}
	if !ok {
		s.text(r, textChunk)
		return args, end
	}
	which := storeOf(tok[0])
	r.row = s.p.rows.store[which]
	args = append(args, stores[which], tok[1], tok[2], tok[3], value)
	if cas {
		args = append(args, tok[5])
	}
	return args, end
}

// stores are the commands that store a value, in the order of storeOf.
var stores = [...][]byte{[]byte("mc.set"), []byte("mc.add"), []byte("mc.replace"), []byte("mc.append"), []byte("mc.prepend"), []byte("mc.cas")}

func storeOf(word []byte) int {
	switch string(word) {
	case "add":
		return 1
	case "replace":
		return 2
	case "append":
		return 3
	case "prepend":
		return 4
	case "cas":
		return 5
	}
	return 0
}

// scanMeta scans mg, ms, md, ma and me.
func (s *session) scanMeta(tok [][]byte, buf []byte, used int, args [][]byte, r *request) ([][]byte, int) {
	n := len(tok)
	letter := tok[0][1]
	if n < 2 {
		if letter == 'e' {
			s.text(r, textFormat)
		}
		return args, used
	}
	key := tok[1]
	if len(key) > mc.KeyMax || letter == 's' && n == 2 {
		s.text(r, textFormat)
		return args, used
	}
	if letter == 'e' {
		if n > 2 && string(tok[2]) == "b" {
			if key, ok := decodeKey(key); ok {
				r.row, args = s.p.rows.me, append(args, nameME, key, tok[2])
				return args, used
			}
			s.text(r, textFormat)
			return args, used
		}
		r.row, args = s.p.rows.me, append(args, nameME, key)
		return args, used
	}
	if n >= metaMax+1 {
		s.text(r, textLong)
		return args, used
	}
	flags := tok[2:]
	length := int64(0)
	if letter == 's' {
		var ok bool
		length, ok = mc.ParseInt(tok[2])
		if !ok || length < 0 || length > valueMax {
			s.text(r, textFormat)
			return args, used
		}
		flags = tok[3:]
	}
	var f mc.MetaFlags
	text := f.Parse(flags)
	if text != "" && (letter == 'd' || letter == 'a') {
		text = "CLIENT_ERROR invalid or duplicate flag"
	}
	for _, t := range flags {
		if text == "" && t[0] == 'O' && len(t) > mc.OpaqueMax {
			text = textOpaque[:len(textOpaque)-2]
		}
	}
	if text == "" && f.Binary {
		var ok bool
		if key, ok = decodeKey(key); !ok {
			text = "CLIENT_ERROR error decoding key"
		}
	}
	switch letter {
	case 's':
		if _, ok := f.SetMode(); text == "" && !ok {
			text = "CLIENT_ERROR invalid mode for ms M token"
		}
	case 'a':
		if _, ok := f.CountsUp(); text == "" && !ok {
			text = "CLIENT_ERROR invalid mode for ma M token"
		}
	}
	if letter == 's' {
		return s.scanMetaSet(text, key, int(length), flags, &f, buf, used, args, r)
	}
	if text != "" {
		s.line(r, text)
		return args, used
	}
	switch letter {
	case 'g':
		r.row, args = s.p.rows.mg, append(args, nameMG, key)
		if f.Changes {
			r.row, args[len(args)-2] = s.p.rows.mgt, nameMGT
		}
	case 'd':
		r.row, args = s.p.rows.md, append(args, nameMD, key)
	case 'a':
		r.row, args = s.p.rows.ma, append(args, nameMA, key)
	}
	return append(args, flags...), used
}

// line is text for a reply that is one of few, without its end.
func (s *session) line(r *request, text string) { s.text(r, text+"\r\n") }

// scanMetaSet ends scanMeta for ms. A value that is not stored is swallowed.
func (s *session) scanMetaSet(text string, key []byte, n int, flags [][]byte, f *mc.MetaFlags, buf []byte, used int, args [][]byte, r *request) ([][]byte, int) {
	if text == "" && mc.TooLarge(len(key), n, f.ClientFlags(), s.p.itemMax.Load()) {
		text = textTooLarge[:len(textTooLarge)-2]
		r.key = key
	}
	if text != "" {
		s.line(r, text)
		r.after, r.n = actDrop, int64(n)+2
		if r.key == nil {
			r.after = actSwallow
		}
		return args, used
	}
	value, end, ok := s.value(buf, used, n)
	if end == 0 {
		return args, 0
	}
	if !ok {
		s.text(r, textChunk)
		return args, end
	}
	r.row = s.p.rows.ms
	return append(append(args, nameMS, key, value), flags...), end
}

// decodeKey is the key that base64 stands for.
func decodeKey(b []byte) ([]byte, bool) {
	key := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Decode(key, b)
	return key[:n], err == nil && n > 0
}

// scanAuth scans what a client may send that has to authenticate first: a set whose value
// is a user and a password.
func (s *session) scanAuth(line, buf []byte, used int, args [][]byte, r *request) ([][]byte, int) {
	n := s.split(line)
	r.after = actLast
	if n < 5 || string(s.tok[0]) != "set" {
		s.text(r, textUnknown)
		if n == 1 && string(s.tok[0]) == "quit" {
			s.text(r, "")
			r.after = actClose
		}
		return args, used
	}
	length, ok := mc.ParseUint(s.tok[4], 32)
	if !ok {
		s.text(r, textUnknown)
		return args, used
	}
	if length > authMax {
		s.text(r, "CLIENT_ERROR auth token too long\r\n")
		r.after, r.n = actSwallow, int64(length)+2
		return args, used
	}
	value, end, ok := s.value(buf, used, int(length))
	switch {
	case end == 0:
		return args, 0
	case !ok:
		s.text(r, textTermination)
		return args, end
	}
	user, password, ok := bytes.Cut(bytes.TrimLeft(value, " "), []byte(" "))
	if !ok || len(bytes.TrimSpace(password)) == 0 {
		s.text(r, textToken)
		return args, end
	}
	s.text(r, "")
	r.after = actAuth
	return append(args, wordAuth, user, password), end
}
