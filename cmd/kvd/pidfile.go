package main

import (
	"fmt"
	"os"
	"path/filepath"

	"kvd/config"
	"kvd/logf"
)

// daemonPidFile is the file of a server in the background that is told no other.
const daemonPidFile = "/var/run/kvd.pid"

// writePidFile writes the process id into the file that the configuration
// names and returns a function that removes it. A failure is logged only, as
// Redis does: the server works without the file.
func writePidFile(cfg *config.Config, log *logf.Logger) (remove func()) {
	path := cfg.PidFile.Load()
	if path == "" && cfg.Daemonize.Load() && cfg.Supervised.Load() == "no" {
		path = daemonPidFile // nobody knows the number otherwise
	}
	if path == "" {
		return func() {}
	}
	// CONFIG SET dir moves the working directory; remove what was written here.
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
		log.Warningf("Failed to write PID file: %v", err)
		return func() {}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			log.Warningf("Failed to remove PID file: %v", err)
		}
	}
}
