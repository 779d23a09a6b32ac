package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"kvd"
	"kvd/persist"
	"kvd/resp/wire"
)

// CompareOptions say what Compare does.
type CompareOptions struct {
	// A and B are servers' addresses, or files and directories as a server loads them.
	A, B           string
	ALogin, BLogin string // as in ImportOptions
	// Rounds is how often what differs is looked at again, a second later, before it is
	// told: servers that are in use are never equal at one moment.
	Rounds   int
	Stop     <-chan struct{}
	Progress func(Progress)
	// Differs gets every difference, in no order.
	Differs func(Difference)
}

// Difference is a key that is not the same on both sides.
type Difference struct {
	DB   int
	Key  []byte
	Type string // of the side that has it
	What string
}

// CompareReport says how the two sides stand.
type CompareReport struct {
	Keys    int64            // that one of them has
	Differ  int64            // of those
	ByType  map[string]int64 // the latter, by type
	Differs bool             // the libraries of functions do
}

// side is one of the two.
type side struct {
	keys    *keyReader
	address *Address
	served  *kvd.Server // that of a file; nil: it is a server's address
	dir     string      // of served
}

// openSide connects to a server, or has a kvd in memory load a file.
func openSide(name, login string) (s *side, err error) {
	s = &side{}
	if IsAddress(name) {
		if s.address, err = ParseAddress(name, login); err == nil {
			s.keys, err = newKeyReader(s.address)
		}
		return s, err
	}
	if s.dir, err = os.MkdirTemp("", "kvd-compare-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	// A server writes into its directory, so it gets a copy.
	data := filepath.Join(s.dir, "data")
	r, err := persist.Restore(persist.OSDisk, name, data, time.Time{})
	if err != nil {
		return nil, err
	}
	directives := []string{"dir " + strconv.Quote(data), "databases 10000", "proto-max-bulk-len 1gb"}
	if r.AppendDirname != "" {
		directives = append(directives, "appendonly yes", "auto-aof-rewrite-percentage 0", "appenddirname "+strconv.Quote(r.AppendDirname), "appendfilename "+strconv.Quote(r.AppendFilename))
	}
	if s.served, err = kvd.Open(kvd.Options{Directives: directives}); err != nil {
		return nil, err
	}
	nc, err := s.served.Dial()
	if err != nil {
		return nil, err
	}
	s.keys = &keyReader{conn: newConn(nc), millis: true}
	return s, nil
}

func (s *side) close() {
	if s.keys != nil {
		s.keys.Close()
	}
	if s.served != nil {
		s.served.End()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// comparer is one Compare.
type comparer struct {
	CompareOptions
	a, b   *side
	judge  *judge
	report CompareReport
	shown  time.Time
}

// suspect is a key that was not the same when it was looked at.
type suspect struct {
	db  int
	key []byte
	what,
	typ string
}

// Compare compares what two sides hold: keys, values, deadlines and libraries of functions.
// How a value is kept does not count.
func Compare(o CompareOptions) (_ *CompareReport, err error) {
	c := &comparer{CompareOptions: o, report: CompareReport{ByType: map[string]int64{}}}
	if c.a, err = openSide(o.A, o.ALogin); err != nil {
		return nil, err
	}
	defer c.a.close()
	if c.b, err = openSide(o.B, o.BLogin); err != nil {
		return nil, err
	}
	defer c.b.close()
	if c.judge, err = newJudge(); err != nil {
		return nil, err
	}
	defer c.judge.close()
	var dbs []int
	for _, s := range []*side{c.a, c.b} {
		have, err := databases(s.keys.conn)
		if err != nil {
			return nil, err
		}
		dbs = append(dbs, have...)
	}
	slices.Sort(dbs)
	var suspects []suspect
	for _, db := range slices.Compact(dbs) {
		found, err := c.database(db)
		if err != nil {
			return nil, err
		}
		suspects = append(suspects, found...)
	}
	for range o.Rounds {
		if len(suspects) == 0 || c.a.served != nil && c.b.served != nil {
			break
		}
		if err := c.sleep(); err != nil {
			return nil, err
		}
		if suspects, err = c.again(suspects); err != nil {
			return nil, err
		}
	}
	for _, s := range suspects {
		c.report.Differ++
		c.report.ByType[s.typ]++
		if o.Differs != nil {
			o.Differs(Difference{DB: s.db, Key: s.key, Type: s.typ, What: s.what})
		}
	}
	return &c.report, c.functions()
}

func (c *comparer) sleep() error {
	select {
	case <-c.Stop:
		return errEnded
	case <-time.After(time.Second):
		return nil
	}
}

// errEnded: Stop was closed.
var errEnded = fmt.Errorf("interrupted")

// database compares a database, first the keys of a with those of b, then those that b alone has.
func (c *comparer) database(db int) (suspects []suspect, err error) {
	for i, from := range []*side{c.a, c.b} {
		for cursor := "0"; ; {
			keys, next, err := from.keys.page(db, cursor)
			if err != nil {
				return nil, err
			}
			if i == 1 {
				if keys, err = c.unknown(db, keys); err != nil {
					return nil, err
				}
			}
			found, err := c.keys(db, keys)
			if err != nil {
				return nil, err
			}
			suspects = append(suspects, found...)
			c.report.Keys += int64(len(keys))
			if now := time.Now(); c.Progress != nil && now.Sub(c.shown) >= showEvery {
				c.shown = now
				c.Progress(Progress{Stage: "database " + strconv.Itoa(db), Keys: c.report.Keys})
			}
			if cursor = next; cursor == "0" {
				break
			}
			select {
			case <-c.Stop:
				return nil, errEnded
			default:
			}
		}
	}
	return suspects, nil
}

// unknown are those of the keys that a does not have.
func (c *comparer) unknown(db int, keys [][]byte) (out [][]byte, err error) {
	a := c.a.keys
	if err := a.use(db); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, nil
	}
	// Mostly it has all.
	ask := append([][]byte{[]byte("EXISTS")}, keys...)
	if _, err := a.bw.Write(wire.AppendCommand(nil, ask...)); err != nil {
		return nil, err
	}
	if err := a.flush(); err != nil {
		return nil, err
	}
	r, err := a.receive()
	if err == nil {
		err = r.err()
	}
	var refused replyError // as by a part of a cluster: the keys are of several slots
	if err != nil && !errors.As(err, &refused) || err == nil && r.n == int64(len(keys)) {
		return nil, err
	}
	for _, k := range keys {
		if err := a.send("EXISTS", string(k)); err != nil {
			return nil, err
		}
	}
	if err := a.flush(); err != nil {
		return nil, err
	}
	for _, k := range keys {
		r, err := a.receive()
		if err == nil {
			err = r.err()
		}
		if err != nil {
			return nil, err
		}
		if r.n == 0 {
			out = append(out, k)
		}
	}
	return out, nil
}

// again looks at keys once more.
func (c *comparer) again(suspects []suspect) (left []suspect, err error) {
	for from := 0; from < len(suspects); {
		db := suspects[from].db
		var keys [][]byte
		for from < len(suspects) && suspects[from].db == db && len(keys) < scanCount {
			keys = append(keys, suspects[from].key)
			from++
		}
		found, err := c.keys(db, keys)
		if err != nil {
			return nil, err
		}
		left = append(left, found...)
	}
	return left, nil
}

// slack is how far deadlines may be apart where a server tells only what is left.
const slack = 2000

// keys compares keys of a database.
func (c *comparer) keys(db int, keys [][]byte) (suspects []suspect, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var b []value
	ask := make(chan error, 1)
	go func() { // both sides at a time
		var err error
		b, err = c.b.keys.values(db, keys)
		ask <- err
	}()
	a, err := c.a.keys.values(db, keys)
	berr := <-ask
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.A, err)
	}
	if berr != nil {
		return nil, fmt.Errorf("%s: %w", c.B, berr)
	}
	allowed := int64(0)
	if !c.a.keys.millis || !c.b.keys.millis {
		allowed = slack
	}
	for i, key := range keys {
		what := ""
		va, vb := a[i], b[i]
		if allowed > 0 && max(va.deadline, vb.deadline)-min(va.deadline, vb.deadline) <= allowed && va.deadline != 0 && vb.deadline != 0 {
			va.deadline = vb.deadline
		}
		switch {
		case va.payload == nil && vb.payload == nil:
		case vb.payload == nil:
			what = "only the first has it"
		case va.payload == nil:
			what = "only the second has it"
		default:
			if what, err = c.judge.differ(va.payload, vb.payload); err != nil {
				return nil, fmt.Errorf("database %d, key %.80q: %w", db, key, err)
			}
			if what == "" && va.deadline != vb.deadline {
				what = "deadlines: " + deadlineText(va.deadline) + " and " + deadlineText(vb.deadline)
			}
		}
		if what != "" {
			payload := va.payload
			if payload == nil {
				payload = vb.payload
			}
			typ, err := c.judge.typeOf(payload)
			if err != nil {
				return nil, fmt.Errorf("database %d, key %.80q: %w", db, key, err)
			}
			suspects = append(suspects, suspect{db: db, key: key, what: what, typ: typ})
		}
	}
	return suspects, nil
}

func deadlineText(ms int64) string {
	if ms == 0 {
		return "none"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// functions compares the libraries of functions.
func (c *comparer) functions() error {
	var lists [2][]string
	for i, s := range []*side{c.a, c.b} {
		r, err := s.keys.do("FUNCTION", "LIST", "WITHCODE")
		if err != nil {
			if fatal(err) {
				return err
			}
			continue // a server from before there were functions
		}
		for _, lib := range r.elems {
			if n := len(lib.elems); n > 0 { // the code comes last
				lists[i] = append(lists[i], string(lib.elems[n-1].str))
			}
		}
		slices.Sort(lists[i])
	}
	c.report.Differs = !slices.Equal(lists[0], lists[1])
	return nil
}

// judge tells whether two payloads of DUMP are the same value: a kvd in memory takes both.
type judge struct {
	*conn
	served *kvd.Server
}

func newJudge() (*judge, error) {
	s, err := kvd.Open(kvd.Options{Directives: []string{"databases 1", "enable-debug-command yes", "proto-max-bulk-len 1gb"}})
	if err != nil {
		return nil, err
	}
	nc, err := s.Dial()
	if err != nil {
		s.End()
		return nil, err
	}
	return &judge{conn: newConn(nc), served: s}, nil
}

func (j *judge) close() {
	j.Close()
	j.served.End()
}

// take restores a payload.
func (j *judge) take(key string, payload []byte) error {
	if _, err := j.do("RESTORE", key, "0", string(payload), "REPLACE"); err != nil {
		return fmt.Errorf("the value cannot be compared: %w", err)
	}
	return nil
}

// differ tells how two values differ; "": they do not.
func (j *judge) differ(a, b []byte) (what string, err error) {
	if persist.SamePayload(a, b) {
		return "", nil
	}
	if err := j.take("a", a); err != nil {
		return "", err
	}
	if err := j.take("b", b); err != nil {
		return "", err
	}
	ta, err := j.do("TYPE", "a")
	if err != nil {
		return "", err
	}
	tb, err := j.do("TYPE", "b")
	if err != nil {
		return "", err
	}
	if !bytes.Equal(ta.str, tb.str) {
		return fmt.Sprintf("types: %s and %s", ta.str, tb.str), nil
	}
	digests, err := j.do("DEBUG", "DIGEST-VALUE", "a", "b")
	if err != nil {
		return "", err
	}
	if len(digests.elems) != 2 {
		return "", errReply
	}
	if !bytes.Equal(digests.elems[0].str, digests.elems[1].str) {
		return "values", nil
	}
	if string(ta.str) == "stream" { // the digest knows entries alone
		full := [2][]byte{}
		for i, key := range []string{"a", "b"} {
			r, err := j.do("XINFO", "STREAM", key, "FULL", "COUNT", "0")
			if err != nil {
				return "", err
			}
			full[i] = flatten(nil, &r, streamForm)
		}
		if !bytes.Equal(full[0], full[1]) {
			return "groups, or the last id", nil
		}
	}
	return "", nil
}

// streamForm are fields of XINFO STREAM that say how a stream is kept, and not what it holds,
// and when consumers came last, of which logs and followers know only in part.
var streamForm = map[string]bool{"radix-tree-keys": true, "radix-tree-nodes": true, "seen-time": true, "active-time": true}

// flatten appends a reply, without the fields that are left out and what follows them.
func flatten(dst []byte, r *reply, without map[string]bool) []byte {
	dst = fmt.Appendf(dst, "%c%d:%d:%s", r.kind, r.n, len(r.elems), r.str)
	for i := 0; i < len(r.elems); i++ {
		if without[string(r.elems[i].str)] {
			i++
			continue
		}
		dst = flatten(dst, &r.elems[i], without)
	}
	return dst
}

// typeOf is the type of a value, in TYPE's words.
func (j *judge) typeOf(payload []byte) (string, error) {
	if err := j.take("a", payload); err != nil {
		return "", err
	}
	r, err := j.do("TYPE", "a")
	return string(r.str), err
}
