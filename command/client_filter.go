package command

import (
	"strings"
	"time"
)

// The filters of CLIENT LIST and CLIENT KILL.

const clientFilters = "[ID client-id [client-id ...]] [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME yes/no] [MAXAGE maxage] " +
	"[NAME name] [IDLE idle] [FLAGS flags] [LIB-NAME lib-name] [LIB-VER lib-ver] [DB db] [CAPA capa] [IP ip] " +
	"[NOT-ID client-id [client-id ...]] [NOT-TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] [NOT-USER username] [NOT-ADDR ip:port] [NOT-LADDR ip:port] " +
	"[NOT-NAME name] [NOT-FLAGS flags] [NOT-LIB-NAME lib-name] [NOT-LIB-VER lib-ver] [NOT-DB db] [NOT-CAPA capa] [NOT-IP ip]"

// clientFilter chooses connections: those that meet all conditions.
type clientFilter struct {
	badID   string // what is said of an ID that is none
	kill    bool   // it is for CLIENT KILL
	conds   []clientCond
	spareMe bool
}

// clientCond is one condition, or its opposite.
type clientCond struct {
	not   bool
	holds func(cl *Client) bool
}

// list are the connections that the filter chooses, by ID.
func (f *clientFilter) list(c *Ctx) []*Client {
	var chosen []*Client
next:
	for _, cl := range c.S.clients.sorted() {
		if f.spareMe && cl == c.C {
			continue
		}
		for _, cond := range f.conds {
			if cond.holds(cl) == cond.not {
				continue next
			}
		}
		chosen = append(chosen, cl)
	}
	return chosen
}

// parse reads the filters from the third argument on. It returns false after replying with an error.
func (f *clientFilter) parse(c *Ctx) bool {
	for i := 2; i < len(c.Args); {
		if i+1 >= len(c.Args) {
			c.Err(ErrSyntax)
			return false
		}
		if c.Word(i, "skipme") {
			if f.spareMe = c.Word(i+1, "yes"); !f.spareMe && !c.Word(i+1, "no") {
				c.Err(ErrSyntax)
				return false
			}
			i += 2
			continue
		}
		word, not := strings.CutPrefix(strings.ToLower(string(c.Args[i])), "not-")
		holds, n := f.cond(c, word, i+1)
		if n == 0 {
			return false
		}
		f.conds = append(f.conds, clientCond{not, holds})
		i += 1 + n
		if not && (word == "maxage" || word == "idle") {
			c.Err(ErrSyntax)
			return false
		}
	}
	return true
}

// cond is the condition that a word makes with the arguments from i on, of which it
// takes n. It returns 0 after replying with an error.
func (f *clientFilter) cond(c *Ctx, word string, i int) (holds func(cl *Client) bool, n int) {
	v := string(c.Args[i])
	switch word {
	case "id":
		return f.ids(c, i)
	case "type":
		t, ok := c.clientType(i)
		if !ok {
			return nil, 0
		}
		return func(cl *Client) bool { return cl.kind() == t }, 1
	case "user":
		u := c.S.user(v)
		if u == nil {
			c.Err("ERR No such user '" + Quote(c.Args[i]) + "'")
			return nil, 0
		}
		return func(cl *Client) bool { return cl.UserName() == u.Name }, 1
	case "addr":
		return func(cl *Client) bool { return cl.Addr == v }, 1
	case "laddr":
		return func(cl *Client) bool { return cl.LAddr == v }, 1
	case "ip":
		return func(cl *Client) bool {
			at := strings.LastIndexByte(cl.Addr, ':')
			return at >= 0 && strings.Trim(cl.Addr[:at], "[]") == strings.Trim(v, "[]")
		}, 1
	case "name":
		return func(cl *Client) bool { return cl.Name() == v }, 1
	case "lib-name":
		return func(cl *Client) bool { return loadString(&cl.libName) == v }, 1
	case "lib-ver":
		return func(cl *Client) bool { return loadString(&cl.libVer) == v }, 1
	case "flags":
		if strings.Trim(v, allFlags) != "" || v == "" {
			c.Err("ERR Unknown flags found in the provided filter: " + Quote(c.Args[i]))
			return nil, 0
		}
		return func(cl *Client) bool { return hasLetters(string(cl.flags()), v) }, 1
	case "capa":
		if strings.Trim(v, "r") != "" || v == "" {
			c.Err("ERR Unknown capa found in the provided filter: " + Quote(c.Args[i]))
			return nil, 0
		}
		return func(cl *Client) bool { return hasLetters(cl.capa(), v) }, 1
	case "db":
		db, ok := ParseInt(c.Args[i])
		if !ok {
			c.Err("ERR DB is not an integer or out of range")
			return nil, 0
		}
		if db < 0 || db >= int64(c.S.Keyspace.Databases()) {
			c.Err("ERR " + strings.TrimPrefix(ErrDBIndex, "ERR "))
			return nil, 0
		}
		return func(cl *Client) bool { return int64(cl.DB()) == db }, 1
	case "maxage", "idle":
		least, ok := ParseInt(c.Args[i])
		if !ok {
			c.Err("ERR " + word + " is not an integer or out of range")
			return nil, 0
		}
		if least <= 0 {
			c.Err("ERR " + word + " should be greater than 0")
			return nil, 0
		}
		now := c.x.now
		if word == "maxage" {
			return func(cl *Client) bool { return int64(now.Sub(cl.Created)/time.Second) >= least }, 1
		}
		return func(cl *Client) bool { return (now.UnixMilli()-cl.active.Load())/1000 >= least }, 1
	}
	c.Err(ErrSyntax)
	return nil, 0
}

// ids is the condition of ID, which takes as many numbers as there are. What follows them
// must be a filter.
func (f *clientFilter) ids(c *Ctx, i int) (holds func(cl *Client) bool, n int) {
	wanted := map[int64]bool{}
	for ; i+n < len(c.Args); n++ {
		id, ok := ParseInt(c.Args[i+n])
		if !ok && n > 0 && (f.kill || i+n+1 < len(c.Args)) { // the next filter; LIST calls a single word a wrong ID
			break
		}
		if !ok || id < 1 && f.kill {
			c.Err(f.badID)
			return nil, 0
		}
		wanted[id] = true
	}
	return func(cl *Client) bool { return wanted[cl.ID] }, n
}

// hasLetters tells whether all of some letters are in s.
func hasLetters(s, letters string) bool {
	for _, l := range letters {
		if !strings.ContainsRune(s, l) {
			return false
		}
	}
	return true
}
