package resp

import (
	"sync/atomic"

	"kvd/command"
	"kvd/resp/wire"
	"kvd/transport"
)

// Protocol is RESP, versions 2 and 3, as a server's clients speak it.
type Protocol struct {
	cmd     *command.Server
	maxBulk atomic.Int64 // a copy of proto-max-bulk-len, which is read for every batch of commands
}

// New makes the protocol of a server.
func New(cmd *command.Server) *Protocol {
	p := &Protocol{cmd: cmd}
	limit := cmd.Config.ProtoMaxBulkLen
	p.maxBulk.Store(int64(limit.Load()))
	cmd.Config.OnChange("proto-max-bulk-len", func() error {
		p.maxBulk.Store(int64(limit.Load()))
		return nil
	})
	return p
}

// Open begins a session; see [transport.Protocol].
func (p *Protocol) Open(st *transport.State) transport.Session {
	return &session{p: p, st: st, scan: wire.Scanner{Keep: true}}
}

// Refusal is an error reply; see [transport.Protocol].
func (p *Protocol) Refusal(text string) []byte { return []byte("-" + text + "\r\n") }
