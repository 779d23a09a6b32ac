package transport

import (
	"kvd/command"
	"kvd/config"
)

// What tests of a whole front end, protocol included, need to know of it.
const (
	FlushAt     = flushAt
	KeepBuffer  = keepBuffer
	SmallOut    = smallOut
	ParkedInput = parkedInput
)

// UseGoroutines has a server serve with a goroutine for each connection.
func UseGoroutines(s *Server) { s.transport = newGoroutines(s) }

// ListenAt has a server listen at an address, too.
func ListenAt(s *Server, addr string, ep Endpoint) error {
	l, err := s.transport.listenTCP(addr, 128)
	if err == nil {
		s.listeners = append(s.listeners, bound{l, &endpoint{Endpoint: ep}})
	}
	return err
}

// Command is the server's commands, and Config their configuration.
func (s *Server) Command() *command.Server { return s.cmd }
func (s *Server) Config() *config.Config   { return s.cfg }

// Late adds an endpoint to a server that accepts already.
func (s *Server) Late(e Endpoint) {
	s.Add(e)
	if err := s.rebind("no such port", s.endpoints[len(s.endpoints)-1]); err != nil {
		panic(err)
	}
}
