package tyrant

import (
	"kvd/command"
	tt "kvd/command/tyrant"
	"kvd/transport"
)

// Protocol is Tokyo Tyrant's protocols as a server's clients speak them.
type Protocol struct {
	cmd  *command.Server
	text func(st *transport.State) transport.Session // opens a session of memcached's text protocol
	ops  [256]op                                     // of the binary protocol, by their numbers
	misc map[string]function                         // of its misc, by their names
	tree map[*command.Row]treeRow                    // what they are in a tree, see tyrant-database
	rows rows
}

// rows are commands that not only the binary protocol's operations become.
type rows struct{ put, putKeep, putCat, out, get, vsiz, stat, iterAt *command.Row }

// treeRow is the command that stands for another one where the records are the fields of a
// hash: the key of the hash comes before the others' arguments.
type treeRow struct {
	row *command.Row
	arg []byte
}

// New makes the protocol of a server; text opens a session of memcached's text protocol.
func New(cmd *command.Server, text func(st *transport.State) transport.Session) *Protocol {
	p := &Protocol{cmd: cmd, text: text, ops: ops, misc: make(map[string]function, len(functions))}
	row := func(name string) *command.Row { return cmd.Table.Hidden("tt." + name) }
	for i := range p.ops {
		if o := &p.ops[i]; o.name != "" {
			o.row, o.arg = row(o.name), []byte("tt."+o.name)
		}
	}
	for name, f := range functions {
		if f.name != "" {
			f.row, f.arg = row(f.name), []byte("tt."+f.name)
		}
		p.misc[name] = f
	}
	p.tree = map[*command.Row]treeRow{}
	for _, name := range tt.InTree {
		p.tree[row(name)] = treeRow{cmd.Table.Hidden("tb." + name), []byte("tb." + name)}
	}
	p.rows = rows{put: row("put"), putKeep: row("putkeep"), putCat: row("putcat"), out: row("out"), get: row("get"), vsiz: row("vsiz"), stat: row("stat"), iterAt: row("iterat")}
	return p
}

// Open begins a session; see [transport.Protocol]. The protocol has no passwords: where the
// default user has one its clients are not served, unless tyrant-no-auth says so.
func (p *Protocol) Open(st *transport.State) transport.Session {
	c, cfg := st.Client, p.cmd.Config
	c.SetFront("tyrant", int(cfg.TyrantDB.Load()))
	s := &session{p: p, st: st}
	c.FrontState = &s.state
	if name := cfg.TyrantDatabase.Load(); name != "*" {
		s.tree = []byte(name)
	}
	if cfg.TyrantNoAuth.Load() {
		p.cmd.LoginAs(c, "default") // unless he is off
	}
	return s
}

// Refusal is nothing: the protocol has no words for it.
func (p *Protocol) Refusal(string) []byte { return nil }
