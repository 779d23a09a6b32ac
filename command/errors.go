package command

import (
	"fmt"
	"strings"

	"kvd/lockrank"
)

// Errors of the dispatcher, and the counting of all by their codes.

func unknownCommand(args [][]byte) string {
	var b strings.Builder
	for _, a := range args[1:] {
		if b.Len() >= 128 {
			break
		}
		fmt.Fprintf(&b, "'%s' ", quoted(a, 128-b.Len()))
	}
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", quoted(args[0], 128), b.String())
}

func unknownSub(row *Row, name []byte) string {
	return fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", quoted(name, 128), strings.ToUpper(row.Name))
}

// errorStats counts error replies by their code.
type errorStats struct {
	mu  lockrank.Mutex[lockrank.Errors] // protects n and all
	n   map[string]int64
	all int64
}

// errorStatsMax bounds the codes that are told apart; an error's code comes
// from a reply, which a script can choose.
const errorStatsMax = 128

// CountError counts a reply that is an error, for INFO.
func (s *Server) CountError(text string) {
	code, _, _ := strings.Cut(text, " ")
	s.errors.mu.Lock()
	defer s.errors.mu.Unlock()
	s.errors.all++
	if s.errors.n == nil {
		s.errors.n = make(map[string]int64)
	}
	if _, known := s.errors.n[code]; known || len(s.errors.n) < errorStatsMax {
		s.errors.n[code]++
	}
}
