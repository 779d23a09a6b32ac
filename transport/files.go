package transport

import (
	"fmt"
	"strconv"
)

// reservedFiles are descriptors that are kept for other things than clients:
// Redis's number, unless event loops (each has two) and addresses leave fewer than
// ownFiles of them.
const (
	reservedFiles = 32
	ownFiles      = 22
)

// reserved is how many descriptors are kept for other things than clients.
func (s *Server) reserved() uint64 {
	return uint64(max(reservedFiles, ownFiles+2*s.Loops()+len(s.cfg.Bind.Load())))
}

// fitClients raises the process's limit of open files to what maxclients
// needs. Where the system does not allow that, it returns the most clients for
// which the limit is enough, and why; else the present maxclients.
func (s *Server) fitClients() (clients int64, err error) {
	clients = s.cfg.MaxClients.Load()
	reserved := s.reserved()
	want := uint64(clients) + reserved
	old, limit, err := raiseFileLimit(want)
	switch {
	case limit >= want:
		if old < want {
			s.cmd.Log.Noticef("Increased maximum number of open files to %d (it was originally set to %d).", want, old)
		}
		return clients, nil
	case limit <= reserved:
		return 0, fmt.Errorf("Your current 'ulimit -n' of %d is not enough for the server to start. Please increase your open file limit to at least %d. Exiting.", old, want)
	}
	fits := int64(limit - reserved)
	s.cmd.Log.Warningf("You requested maxclients of %d requiring at least %d max file descriptors.", clients, want)
	s.cmd.Log.Warningf("Server can't set maximum open files to %d because of OS error: %v.", want, err)
	return fits, err
}

// startClients is fitClients at the start: maxclients is lowered to what fits.
func (s *Server) startClients() error {
	was := s.cfg.MaxClients.Load()
	fits, err := s.fitClients()
	if fits == 0 {
		return err
	}
	if fits == was {
		return nil
	}
	s.cmd.Log.Warningf("Current maximum open files is %d. maxclients has been reduced to %d to compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'.", fits+int64(s.reserved()), fits)
	return s.cfg.SetInitial("maxclients", []string{strconv.FormatInt(fits, 10)})
}

// setClients is fitClients at CONFIG SET maxclients, which fails if that many do not fit.
func (s *Server) setClients() error {
	fits, _ := s.fitClients()
	if fits == s.cfg.MaxClients.Load() {
		return nil
	}
	return fmt.Errorf("The operating system is not able to handle the specified number of clients, try with %d", fits)
}
