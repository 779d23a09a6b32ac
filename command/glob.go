package command

import "kvd/glob"

// globMatch matches s with a pattern as KEYS has it; see package glob.
func globMatch(pattern, s []byte) bool { return glob.Match(pattern, s) }
