package keys

// What the tests use of this package.

import (
	"time"

	"kvd/command"
)

const (
	MigrateTries  = migrateTries
	KeyJobsAtOnce = keyJobsAtOnce
	KeyJobsKept   = keyJobsKept
)

// StartUnlinkJob starts a job as KEYJOB START UNLINK does, also where that waits; false if
// too many run.
func StartUnlinkJob(s *command.Server, pattern string) bool {
	j := &keyJob{op: "unlink", pattern: []byte(pattern), started: time.Now()}
	if !keyJobsOf(s).add(j) {
		return false
	}
	go j.run(s)
	return true
}

var SortScore = sortScore
