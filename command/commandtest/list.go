package commandtest

import (
	"fmt"
	"strings"

	"kvd/command"
	"kvd/keyspace"
	"kvd/types"
)

func Bulks(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// WantList compares a whole list.
func (s *Server) WantList(key string, want ...string) {
	s.T.Helper()
	if got := s.Do("LRANGE", key, "0", "-1"); got != Bulks(want...) {
		s.T.Errorf("%s is %q, want %q", key, got, want)
	}
}

// PutHash sets a key to a hash of fields and values.
func (s *Server) PutHash(key string, pairs ...string) {
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	v := types.Hash{Limits: types.DefaultHashLimits}
	for i := 0; i < len(pairs); i += 2 {
		v.Set([]byte(pairs[i]), []byte(pairs[i+1]), 0)
	}
	k := keyspace.MakeKey([]byte(key))
	(&command.Ctx{Tx: *s.Keyspace.TxOn(0), S: s.Server}).Replace(&k, &v, types.THash)
}
