package differ

import (
	_ "embed"
	"strings"
)

//go:embed landed.txt
var landedText string

// Landed are the families that landed.txt lists, and the commands that it leaves out (! in front).
func Landed() (names, skip []string) {
	for line := range strings.Lines(landedText) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '!':
			skip = append(skip, strings.TrimSpace(line[1:]))
		default:
			names = append(names, line)
		}
	}
	return names, skip
}
