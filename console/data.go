package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"kvd/acl"
	"kvd/command"
	"kvd/resp/wire"
)

const (
	pageKeys     = 100     // keys of a page
	pageElements = 50      // elements of a value's page, fewer where they are big
	pageBytes    = 8 << 10 // of a string's page
	wantedBytes  = 4 << 20 // how much a page's elements take about, in the server
	shownBytes   = 4 << 10 // of an element, and of a key; the rest is cut off
	maxName      = 64 << 10
	maxClients   = 100 // shown
	slowEntries  = 50  // of the slow log; one has 32 arguments of some 128 bytes at most,
	slowElements = 40  // and its other parts
	slowBytes    = 16 << 10
	// searchTime is how long one request looks for keys: the page asks again.
	searchTime = 20 * time.Millisecond
	scanCount  = "500"
)

// text is a string as the page gets it: bytes, of which too many are cut off.
type text struct {
	Bytes []byte `json:"b"`           // base64
	Len   int    `json:"n,omitempty"` // how many there are, where some are cut off
}

func textOf(b []byte) text {
	if len(b) > shownBytes {
		return text{slices.Clone(b[:shownBytes]), len(b)}
	}
	return text{slices.Clone(b), 0}
}

// page is what a request is for.
type page struct {
	Act    string
	MS     int64 // to live
	DB     int
	Key    []byte
	Match  string
	Type   string
	Cursor string
	Line   string
}

func (k *call) page() (p page, err error) {
	if err := json.Unmarshal(k.body, &p); err != nil {
		return p, &refused{http.StatusBadRequest, "the page asks for something that is nothing"}
	}
	if p.Cursor == "" {
		p.Cursor = "0"
	}
	return p, nil
}

// open is page, and chooses the database that it is of.
func (c *Console) open(k *call) (page, error) {
	p, err := k.page()
	if err == nil {
		err = c.in(k, p.DB)
	}
	return p, err
}

// nameOf is what the page shows of a key's name, and whether it can ask for the key by it.
func nameOf(name []byte) (shown text, open bool) {
	if len(name) <= maxName {
		return text{Bytes: name}, true
	}
	return textOf(name), false
}

// elements are the parts of an array that is read before the next command.
func elements(r wire.Reply) (out [][]byte, err error) {
	var bad error
	err = r.Each(func(_ int, e wire.Reply) bool {
		b, err := e.Bytes()
		if err != nil && err != wire.ErrNil {
			bad = err
			return false
		}
		out = append(out, b)
		return true
	})
	if err == nil {
		err = bad
	}
	return out, err
}

// scanned is what SCAN and its kin reply: copies.
func scanned(r wire.Reply) (cursor string, out [][]byte, err error) {
	var bad error
	err = r.Each(func(i int, e wire.Reply) bool {
		if i == 0 {
			cursor, bad = e.Text()
			return bad == nil
		}
		var views [][]byte
		views, bad = elements(e)
		for _, v := range views {
			out = append(out, slices.Clone(v))
		}
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	return cursor, out, err
}

// errForeign is the reply about a key that a command may not be used for. Names of most
// of those are known before (MaySee); some of a user's rights may be for other commands.
var errForeign error = wire.ReplyError("NOPERM " + acl.Key.Text("", ""))

// keyShown is a key in the list.
type keyShown struct {
	Key  text   `json:"key"`
	Open bool   `json:"open"` // false: the name is too long to be asked for
	Type string `json:"type"`
	TTL  int64  `json:"ttl"` // milliseconds, -1: none
}

// keys is a page of the database's keys.
func (c *Console) keys(k *call) (any, error) {
	p, err := c.open(k)
	if err != nil {
		return nil, err
	}
	var out struct {
		Cursor string     `json:"cursor"`
		Total  int64      `json:"total"`
		Keys   []keyShown `json:"keys"`
	}
	out.Keys = []keyShown{}
	out.Cursor = p.Cursor
	if out.Total, err = c.do(k, "DBSIZE").Int(); err != nil {
		return nil, err
	}
	for began := time.Now(); ; {
		args := []string{"SCAN", out.Cursor, "COUNT", strconv.Itoa(pageKeys)}
		if p.Match != "" {
			args = append(args, "MATCH", p.Match)
		}
		if p.Type != "" {
			args = append(args, "TYPE", p.Type)
		}
		var names [][]byte
		if out.Cursor, names, err = scanned(c.do(k, args...)); err != nil {
			return nil, err
		}
		for _, name := range names {
			if !k.l.Client.MaySee(name) {
				continue
			}
			shown := keyShown{Type: p.Type}
			shown.Key, shown.Open = nameOf(name)
			if p.Type == "" {
				shown.Type, err = c.do(k, "TYPE", string(name)).Text()
			}
			if err == nil {
				shown.TTL, err = c.do(k, "PTTL", string(name)).Int()
			}
			if err == errForeign {
				continue
			}
			if err != nil {
				return nil, err
			}
			if shown.Type != "none" && shown.TTL != -2 { // else it has just gone
				out.Keys = append(out.Keys, shown)
			}
		}
		if out.Cursor == "0" || len(out.Keys) >= pageKeys || time.Since(began) > searchTime {
			return out, nil
		}
	}
}

// valueShown is a page of a value.
type valueShown struct {
	Type     string   `json:"type"`
	TTL      int64    `json:"ttl"`
	Encoding string   `json:"encoding"`
	Memory   int64    `json:"memory"`
	Len      int64    `json:"len"`     // bytes of a string, else elements
	Columns  []string `json:"columns"` // what a row has
	Rows     [][]text `json:"rows"`
	Next     string   `json:"next"` // the cursor of the next page, "": there is none
}

// value is a page of a key's value.
func (c *Console) value(k *call) (any, error) {
	p, err := c.open(k)
	if err != nil {
		return nil, err
	}
	key := string(p.Key)
	v := &valueShown{Rows: [][]text{}}
	if v.Type, err = c.do(k, "TYPE", key).Text(); err != nil {
		return nil, err
	}
	read, known := readers[v.Type]
	if !known {
		return nil, errKey
	}
	if v.TTL, err = c.do(k, "PTTL", key).Int(); err != nil {
		return nil, err
	}
	if v.Len, err = c.do(k, read.length, key).Int(); err != nil {
		return nil, err
	}
	// Who may read the key, and not these, sees it all the same.
	v.Encoding, _ = c.do(k, "OBJECT", "ENCODING", key).Text()
	v.Memory, _ = c.do(k, "MEMORY", "USAGE", key).Int()
	v.Columns = read.columns
	count := int64(pageElements)
	if v.Len > 0 && v.Type != "string" {
		count = min(max(wantedBytes/max(v.Memory/v.Len, 1), 1), pageElements)
	}
	return v, read.page(c, k, key, p.Cursor, count, v)
}

// reader reads pages of a type's values.
type reader struct {
	length  string // the command that tells how long a value is
	columns []string
	page    func(c *Console, k *call, key, cursor string, count int64, v *valueShown) error
}

var readers = map[string]reader{
	"string": {"STRLEN", nil, func(c *Console, k *call, key, cursor string, _ int64, v *valueShown) error {
		from, _ := strconv.ParseInt(cursor, 10, 64)
		b, err := c.do(k, "GETRANGE", key, cursor, strconv.FormatInt(from+pageBytes-1, 10)).Bytes()
		if err != nil {
			return err
		}
		v.Rows = append(v.Rows, []text{{Bytes: b}}) // sent before the next command
		v.nextAt(from + int64(len(b)))
		return nil
	}},
	"list": {"LLEN", []string{"index", "element"}, func(c *Console, k *call, key, cursor string, count int64, v *valueShown) error {
		from, _ := strconv.ParseInt(cursor, 10, 64)
		all, err := elements(c.do(k, "LRANGE", key, cursor, strconv.FormatInt(from+count-1, 10)))
		for i, b := range all {
			v.Rows = append(v.Rows, []text{textOf(strconv.AppendInt(nil, from+int64(i), 10)), textOf(b)})
		}
		v.nextAt(from + int64(len(all)))
		return err
	}},
	"set": {"SCARD", []string{"member"}, func(c *Console, k *call, key, cursor string, count int64, v *valueShown) error {
		next, all, err := scanned(c.do(k, "SSCAN", key, cursor, "COUNT", strconv.FormatInt(count, 10)))
		v.rows(all, 1)
		v.nextCursor(next)
		return err
	}},
	"hash": {"HLEN", []string{"field", "value", "TTL"}, func(c *Console, k *call, key, cursor string, count int64, v *valueShown) error {
		next, all, err := scanned(c.do(k, "HSCAN", key, cursor, "COUNT", strconv.FormatInt(count, 10)))
		if err != nil {
			return err
		}
		v.rows(all, 2)
		v.nextCursor(next)
		if len(all) == 0 {
			return nil
		}
		args := []string{"HPTTL", key, "FIELDS", strconv.Itoa(len(all) / 2)}
		for i := 0; i < len(all); i += 2 {
			args = append(args, string(all[i]))
		}
		left, _ := elements(c.do(k, args...)) // without the right to ask there are none
		for i, b := range left {
			if n, _ := wire.ParseInt(b); n >= 0 {
				v.Rows[i] = append(v.Rows[i], textOf(b))
			}
		}
		return nil
	}},
	"zset": {"ZCARD", []string{"member", "score"}, func(c *Console, k *call, key, cursor string, count int64, v *valueShown) error {
		from, _ := strconv.ParseInt(cursor, 10, 64)
		all, err := elements(c.do(k, "ZRANGE", key, cursor, strconv.FormatInt(from+count-1, 10), "WITHSCORES"))
		v.rows(all, 2)
		v.nextAt(from + int64(len(all)/2))
		return err
	}},
	"stream": {"XLEN", []string{"ID", "field", "value"}, func(c *Console, k *call, key, cursor string, count int64, v *valueShown) error {
		from := "-"
		if cursor != "0" {
			from = "(" + cursor
		}
		last, n := "", int64(0)
		err := c.do(k, "XRANGE", key, from, "+", "COUNT", strconv.FormatInt(count+1, 10)).Each(func(_ int, entry wire.Reply) bool {
			if n++; n > count { // there is another page
				v.Next = last
				return false
			}
			return entry.Each(func(i int, part wire.Reply) bool {
				if i == 0 {
					last, _ = part.Text()
					return true
				}
				all, err := elements(part)
				for j := 0; j+1 < len(all); j += 2 {
					row := []text{textOf([]byte(last)), textOf(all[j]), textOf(all[j+1])}
					if j > 0 {
						row[0] = text{}
					}
					v.Rows = append(v.Rows, row)
				}
				return err == nil
			}) == nil
		})
		return err
	}},
	"array": {"ARLEN", []string{"index", "element"}, func(c *Console, k *call, key, cursor string, count int64, v *valueShown) error {
		var bad error
		err := c.do(k, "ARSCAN", key, cursor, strconv.FormatUint(uint64(max(v.Len, 1))-1, 10), "LIMIT", strconv.FormatInt(count+1, 10)).Each(func(i int, pair wire.Reply) bool {
			var all [][]byte
			if all, bad = elements(pair); bad != nil || len(all) != 2 {
				return false
			}
			if int64(i) == count { // there is another page
				v.Next = string(all[0])
				return false
			}
			v.rows(all, 2)
			return true
		})
		if err == nil {
			err = bad
		}
		return err
	}},
}

// rows are elements, so many in each.
func (v *valueShown) rows(all [][]byte, each int) {
	for i := 0; i+each <= len(all); i += each {
		row := make([]text, 0, each+1)
		for _, b := range all[i : i+each] {
			row = append(row, textOf(b))
		}
		v.Rows = append(v.Rows, row)
	}
}

func (v *valueShown) nextAt(n int64) {
	if n < v.Len && len(v.Rows) > 0 {
		v.Next = strconv.FormatInt(n, 10)
	}
}

func (v *valueShown) nextCursor(cursor string) {
	if cursor != "0" {
		v.Next = cursor
	}
}

// weighed is a key that takes much memory.
type weighed struct {
	Key   text   `json:"key"`
	Open  bool   `json:"open"`
	Type  string `json:"type"`
	Bytes int64  `json:"bytes"`
}

const weighedKept = 20

// weigh adds up what some of the database's keys take, by type, and names the biggest
// ones. Keys come in the order of their hashes, so the first ones stand for all.
func (c *Console) weigh(k *call) (any, error) {
	p, err := c.open(k)
	if err != nil {
		return nil, err
	}
	var out struct {
		Cursor string              `json:"cursor"`
		Keys   int                 `json:"keys"`
		Types  map[string][2]int64 `json:"types"` // keys, bytes
		Big    []weighed           `json:"big"`
	}
	out.Cursor, out.Types = p.Cursor, map[string][2]int64{}
	for began := time.Now(); ; {
		var names [][]byte
		if out.Cursor, names, err = scanned(c.do(k, "SCAN", out.Cursor, "COUNT", scanCount)); err != nil {
			return nil, err
		}
		for _, name := range names {
			if !k.l.Client.MaySee(name) {
				continue
			}
			kind, err := c.do(k, "TYPE", string(name)).Text()
			n := int64(0)
			if err == nil {
				n, err = c.do(k, "MEMORY", "USAGE", string(name)).Int()
			}
			if err == wire.ErrNil || err == errForeign {
				continue
			}
			if err != nil {
				return nil, err
			}
			t := out.Types[kind]
			out.Types[kind] = [2]int64{t[0] + 1, t[1] + n}
			out.Keys++
			big := weighed{Type: kind, Bytes: n}
			big.Key, big.Open = nameOf(name)
			at, _ := slices.BinarySearchFunc(out.Big, n, func(w weighed, n int64) int { return int(min(max(n-w.Bytes, -1), 1)) })
			if at < weighedKept {
				out.Big = slices.Insert(out.Big, at, big)
				out.Big = out.Big[:min(len(out.Big), weighedKept)]
			}
		}
		if out.Cursor == "0" || time.Since(began) > searchTime {
			return out, nil
		}
	}
}

// clients are those that take most memory.
func (c *Console) clients(k *call) (any, error) {
	list, err := c.do(k, "CLIENT", "LIST").Text()
	if err != nil {
		return nil, err
	}
	type client struct {
		line string
		mem  int64
	}
	type fields struct {
		Fields map[string]string `json:"fields"`
	}
	var all []client
	for line := range strings.Lines(list) {
		_, text, _ := strings.Cut(line, " tot-mem=") // no value has a space
		text, _, _ = strings.Cut(text, " ")
		n, _ := strconv.ParseInt(text, 10, 64)
		all = append(all, client{line, n})
	}
	slices.SortStableFunc(all, func(a, b client) int { return cmp.Compare(b.mem, a.mem) })
	shown := make([]fields, min(len(all), maxClients))
	for i := range shown {
		shown[i].Fields = map[string]string{}
		for field := range strings.FieldsSeq(all[i].line) {
			name, value, _ := strings.Cut(field, "=")
			shown[i].Fields[name] = value
		}
	}
	return map[string]any{"total": len(all), "clients": shown}, nil
}

// slowlog are the last entries of the slow log.
func (c *Console) slowlog(k *call) (any, error) {
	return c.replyIn(&room{slowEntries * slowElements, slowEntries * slowBytes}, c.do(k, "SLOWLOG", "GET", strconv.Itoa(slowEntries)))
}

// hotkeys is what HOTKEYS has noted.
func (c *Console) hotkeys(k *call) (any, error) { return c.reply(c.do(k, "HOTKEYS", "GET")) }

// getCommands is the table of commands, for hints.
func (c *Console) getCommands(w http.ResponseWriter, _ *http.Request) {
	type hint struct {
		Name    string `json:"name"`
		Syntax  string `json:"syntax,omitempty"`
		Summary string `json:"summary"`
		Reads   bool   `json:"reads,omitempty"`
	}
	hints := []hint{}
	for _, r := range c.srv.Table.Rows() {
		words := bytes.Split([]byte(r.FullName()), []byte("|"))
		if len(r.Sub) == 0 && r.Front == "" && c.srv.Table.Find(words) == r { // else clients cannot call it by that name
			hints = append(hints, hint{strings.ReplaceAll(r.FullName(), "|", " "), r.Syntax, r.Summary, reads(r)})
		}
	}
	send(w, hints)
}

// reads tells whether who has not signed in may call a command at the prompt.
func reads(r *command.Row) bool {
	if r.Flags&(command.Write|command.Blocking|command.PubSub|command.Protected|command.LockAll) != 0 || r.Group == "scripting" {
		return false
	}
	return r.Flags&command.ReadOnly != 0 || harmless[r.FullName()]
}

// harmless are commands that are not marked as reading keys, and only tell something.
var harmless = map[string]bool{
	"ping": true, "echo": true, "time": true, "info": true, "role": true, "lastsave": true, "select": true,
	"command|count": true, "command|docs": true, "command|info": true, "command|list": true, "command": true, "client|id": true, "client|info": true, "client|list": true,
	"slowlog|get": true, "slowlog|len": true, "hotkeys|get": true, "latency|doctor": true, "latency|histogram": true, "latency|history": true, "latency|latest": true,
	"memory|doctor": true, "memory|stats": true, "acl|whoami": true,
}

// run runs a line of the prompt.
func (c *Console) run(k *call) (any, error) {
	p, err := k.page()
	if err != nil {
		return nil, err
	}
	args, ok := wire.SplitLine([]byte(p.Line))
	if !ok {
		return nil, &refused{http.StatusBadRequest, "a quote is not closed"}
	}
	if len(args) == 0 {
		return nil, &refused{http.StatusBadRequest, "a command has at least a name"}
	}
	row := c.srv.Table.Find(args)
	switch {
	case row == nil:
	case k.s.user == "" && !reads(row):
		return nil, errReads
	case changesUser(row, args):
		return nil, &refused{http.StatusForbidden, "the prompt is of who has signed in: sign in as somebody else"}
	}
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	if k.s.ended || !c.holds(k.s) { // while another command was waited for
		return nil, errOver
	}
	if k.s.prompt != nil && k.s.prompt.Dead() {
		k.s.prompt.Close()
		k.s.prompt = nil
	}
	if k.s.prompt == nil {
		if err := c.newPrompt(k, p.DB); err != nil {
			return nil, err
		}
	}
	l := k.s.prompt
	k.w.Buf, k.w.Proto = k.w.Buf[:0], l.Client.Proto()
	ctx, cancel := contextFor(k)
	defer cancel()
	if err := l.Call(ctx, args, &k.w, nil); err != nil {
		return nil, err
	}
	if l.Pushed() {
		l.Close()
		k.s.prompt = nil
		return nil, &refused{http.StatusConflict, "what is pushed needs a connection of its own: redis-cli can show it"}
	}
	out, err := c.reply(wire.ReplyIn(k.w.Buf))
	return map[string]any{"db": l.Client.DB(), "reply": out}, err
}

// newPrompt makes the session's prompt, which works in the database or not at all. The
// session's lock is held.
func (c *Console) newPrompt(k *call, db int) error {
	l, err := c.local(k.r, k.s)
	if err != nil {
		return err
	}
	if db != 0 {
		k.w.Buf = k.w.Buf[:0]
		err := l.Call(k.r.Context(), [][]byte{[]byte("SELECT"), strconv.AppendInt(nil, int64(db), 10)}, &k.w, nil)
		if err == nil {
			err = wire.ReplyIn(k.w.Buf).Err()
		}
		if err != nil {
			l.Close()
			return err
		}
	}
	k.s.prompt = l
	return nil
}

// changesUser tells whether a call could make the prompt another user's, of one without a
// password, say.
func changesUser(row *command.Row, args [][]byte) bool {
	switch row.FullName() {
	case "auth", "reset":
		return true
	case "hello":
		return slices.ContainsFunc(args[1:], func(a []byte) bool { return strings.EqualFold(string(a), "auth") })
	}
	return false
}

// act is what the page's buttons do. It has nothing to do with the prompt, where a
// transaction may be open, and another database chosen.
func (c *Console) act(k *call) (any, error) {
	p, err := k.page()
	if err != nil {
		return nil, err
	}
	if k.s.user == "" {
		return nil, errReads
	}
	args, known := map[string][]string{
		"delete": {"UNLINK", string(p.Key)}, "expire": {"PEXPIRE", string(p.Key), strconv.FormatInt(p.MS, 10)}, "persist": {"PERSIST", string(p.Key)},
		"hot-start": {"HOTKEYS", "START", "METRICS", "2", "CPU", "NET", "COUNT", "20", "DURATION", "60"}, "hot-stop": {"HOTKEYS", "STOP"},
	}[p.Act]
	if !known {
		return nil, &refused{http.StatusBadRequest, "the page asks for something that is nothing"}
	}
	if err := c.in(k, p.DB); err != nil {
		return nil, err
	}
	return c.reply(c.do(k, args...))
}
