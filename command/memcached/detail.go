package memcached

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"kvd/command"
	"kvd/keyspace"
	"kvd/lockrank"
)

// stats detail: requests by the prefixes of their keys, which end before the first ':'.
// Nothing is kept while it is off, as it is at the start.

// detailPrefixes is how many prefixes are told apart; more are not noted.
const detailPrefixes = 10_000

// prefixCounts are what was asked for keys of one prefix.
type prefixCounts struct{ get, hit, set, del int }

// detail is a server's.
type detail struct {
	mu  lockrank.Mutex[lockrank.MemcachedDetail] // protects all; held for a map operation, under stripe locks
	all map[string]*prefixCounts
}

func detailOf(s *command.Server) *detail {
	return command.Part(s, func(*command.Server) *detail { return &detail{all: make(map[string]*prefixCounts)} })
}

// note counts a request for a key, where it is to be counted.
func note(c *command.Ctx, key []byte, count func(*prefixCounts)) {
	if !c.S.Stats.ByPrefix.Load() {
		return
	}
	end := bytes.IndexByte(key, ':')
	if end < 0 {
		return
	}
	d := detailOf(c.S)
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.all[string(key[:end])]
	if n == nil {
		if len(d.all) >= detailPrefixes {
			return
		}
		n = new(prefixCounts)
		d.all[string(key[:end])] = n
	}
	count(n)
}

func noteGet(c *command.Ctx, key []byte, hit bool, e *keyspace.Entry) {
	if c.S.Watched(command.WatchFetches) {
		tellFetch(c, key, hit, e)
	}
	note(c, key, func(n *prefixCounts) {
		if n.get++; hit {
			n.hit++
		}
	})
}

func noteSet(c *command.Ctx, key []byte) { note(c, key, func(n *prefixCounts) { n.set++ }) }

func noteDelete(c *command.Ctx, key []byte) { note(c, key, func(n *prefixCounts) { n.del++ }) }

// reset forgets all.
func (d *detail) reset() {
	d.mu.Lock()
	clear(d.all)
	d.mu.Unlock()
}

// detail is stats detail on, off or dump. In the binary protocol the lines are one text.
func (r report) detail(words [][]byte) {
	c := r.c
	say := func(text string) {
		if len(r.head) > 0 {
			c.W.Buf = append(AppendHead(c.W.Buf, r.head, StatusOK, 0, 0, len(text), 0), text...)
			return
		}
		c.W.Buf = append(c.W.Buf, text...)
	}
	switch word := string(bytes.Join(words, []byte(" "))); word {
	case "on", "off":
		c.S.Stats.ByPrefix.Store(word == "on")
		say("OK\r\n")
	case "dump":
		d := detailOf(c.S)
		d.mu.Lock()
		all := make(map[string]prefixCounts, len(d.all))
		for prefix, n := range d.all {
			all[prefix] = *n
		}
		d.mu.Unlock()
		var lines []string
		for prefix, n := range all {
			lines = append(lines, "PREFIX "+prefix+" get "+strconv.Itoa(n.get)+" hit "+strconv.Itoa(n.hit)+" set "+strconv.Itoa(n.set)+" del "+strconv.Itoa(n.del)+"\r\n")
		}
		slices.Sort(lines)
		say(strings.Join(lines, "") + "END\r\n")
	default:
		r.refuse("CLIENT_ERROR usage: stats detail on|off|dump", StatusNotFound)
	}
}
