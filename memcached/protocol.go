package memcached

import (
	"bytes"
	"sync/atomic"
	"time"

	"kvd/command"
	mc "kvd/command/memcached"
	"kvd/lockrank"
	"kvd/transport"
)

// Protocol is memcached's protocols as a server's clients speak them.
type Protocol struct {
	cmd  *command.Server
	rows rows

	itemMax atomic.Int64 // copies of memcached-item-size-max,
	flushes atomic.Bool  // memcached-flush-all,
	dumps   atomic.Bool  // and memcached-dump, which every command may ask for

	// mu protects later and inside, and is held while a delayed flush_all runs: there is
	// one at a time.
	mu     lockrank.Mutex[lockrank.FrontFlush]
	later  map[int]*time.Timer // the flush_all that is due in a database; the last one wins
	inside *command.Inside     // runs it; nil until the first
}

// rows are the commands that requests become.
type rows struct {
	get, gets, gat, gats, incr, decr, delete, touch *command.Row
	store                                           [len(stores)]*command.Row
	mg, mgt, ms, md, ma, me                         *command.Row
	bget, btouch, bset, bincr, bdelete              *command.Row
	flush, stats, watch, config, metadump, mgdump   *command.Row
}

// New makes the protocol of a server.
func New(cmd *command.Server) *Protocol {
	p := &Protocol{cmd: cmd, later: make(map[int]*time.Timer)}
	row := func(name string) *command.Row { return cmd.Table.Hidden("mc." + name) }
	p.rows = rows{get: row("get"), gets: row("gets"), gat: row("gat"), gats: row("gats"), incr: row("incr"), decr: row("decr"), delete: row("delete"), touch: row("touch"),
		mg: row("mg"), mgt: row("mgt"), ms: row("ms"), md: row("md"), ma: row("ma"), me: row("me"),
		bget: row("bget"), btouch: row("btouch"), bset: row("bset"), bincr: row("bincr"), bdelete: row("bdelete"),
		flush: row("flush_all"), stats: row("stats"), watch: row("watch"), config: row("config"), metadump: row("metadump"), mgdump: row("mgdump")}
	for i, name := range stores {
		p.rows.store[i] = row(string(name[len("mc."):]))
	}
	cfg := cmd.Config
	follow := func() error {
		p.itemMax.Store(cfg.MemcachedItemSizeMax.Load())
		p.flushes.Store(cfg.MemcachedFlushAll.Load())
		p.dumps.Store(cfg.MemcachedDump.Load())
		return nil
	}
	for _, name := range []string{"memcached-item-size-max", "memcached-flush-all", "memcached-dump"} {
		cfg.OnChange(name, follow)
	}
	_ = follow()
	return p
}

// Open begins a session; see [transport.Protocol].
func (p *Protocol) Open(st *transport.State) transport.Session {
	db := int(p.cmd.Config.MemcachedDB.Load())
	st.Client.SetFront("memcached", db)
	return &session{p: p, st: st}
}

// Text begins a session of the text protocol for a connection that another protocol has
// opened, whose clients may speak it too. The client stays one of that protocol.
func (p *Protocol) Text(st *transport.State) transport.Session {
	return &session{p: p, st: st, kind: kindText}
}

// Refusal is an error of the text protocol: what the client speaks is not known yet.
func (p *Protocol) Refusal(text string) []byte { return refusal(nil, []byte(text)) }

// words are what the codes of Redis's errors are in the text protocol.
var words = []struct{ code, text string }{
	{"LOADING", "SERVER_ERROR loading"},
	{"READONLY", "SERVER_ERROR read only replica"},
	{"OOM", "SERVER_ERROR out of memory storing object"},
	{"WRONGTYPE", "SERVER_ERROR wrong type"},
	{"NOAUTH", "CLIENT_ERROR unauthenticated"},
}

// refusal appends an error of Redis's, whose code comes first, in the text protocol's form.
func refusal(b, text []byte) []byte {
	if string(text) == transport.TooManyClients {
		return append(b, "ERROR Too many open connections\r\n"...)
	}
	code, rest, _ := bytes.Cut(text, []byte(" "))
	for _, w := range words {
		if string(code) == w.code {
			return append(append(b, w.text...), "\r\n"...)
		}
	}
	if string(code) == "ERR" {
		text = rest
	}
	return append(append(append(b, "SERVER_ERROR "...), text...), "\r\n"...)
}

// states are what the codes are in the binary protocol.
var states = map[string]uint16{"LOADING": mc.StatusBusy, "OOM": mc.StatusNoMemory, "NOAUTH": mc.StatusAuth, "NOPERM": mc.StatusAuth, "ERR": mc.StatusInternal}

// stateOf is the state for an error of Redis's, and its text.
func stateOf(text []byte) (status uint16, why string) {
	code, _, _ := bytes.Cut(text, []byte(" "))
	status, ok := states[string(code)]
	if !ok {
		status = mc.StatusTemporary
		if string(code) == "WRONGTYPE" {
			status = mc.StatusInternal
		}
	}
	if status == mc.StatusNoMemory || status == mc.StatusAuth {
		return status, ""
	}
	line := refusal(nil, text)
	return status, string(bytes.TrimPrefix(line[:len(line)-2], []byte("SERVER_ERROR ")))
}

// flushLater has a database emptied after a while, and takes back what was ordered before;
// 0 or less does that only.
func (p *Protocol) flushLater(db int, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.later[db]; t != nil {
		t.Stop()
		delete(p.later, db)
	}
	if after <= 0 {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(after, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.later[db] != t {
			return
		}
		delete(p.later, db)
		if p.inside == nil {
			p.inside = p.cmd.NewInside()
		}
		reply := p.inside.Run(p.rows.flush, db, []byte("mc.flush_all"))
		if len(reply) > 0 && reply[0] == '-' {
			p.cmd.Log.Warningf("memcached: a delayed flush_all of database %d failed: %s", db, bytes.TrimSpace(reply[1:]))
		}
	})
	p.later[db] = t
}
