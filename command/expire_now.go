package command

import (
	"kvd/keyspace"
)

// ExpireNow removes keys that were seen past their deadline, if they still are.
// A server that was told to follow meanwhile, or is paused, leaves them.
func (s *Server) ExpireNow(db int, now int64, locked bool, names [][]byte) {
	for _, name := range names {
		k := [1]keyspace.Key{keyspace.MakeKey(name)}
		var held keyspace.Held
		if !locked {
			held = s.Keyspace.LockKeys(k[:])
		}
		t := s.Keyspace.NewTx()
		t.Now = now
		t.HideExpired = s.following.Load() || s.Config.ImportMode.Load() || s.pause.mode.Load() != pauseOff
		t.Use(db)
		t.Peek(&k[0])
		s.Keyspace.Unlock(&held) // of nothing, if locked
	}
}
