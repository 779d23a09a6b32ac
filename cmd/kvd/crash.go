package main

import (
	"os"
	"runtime/debug"

	"kvd/config"
	"kvd/logf"
)

// reportCrash has what the Go runtime says when it ends the process (a stack for each
// goroutine, without the arguments of commands) go to the log's file, too, while
// crash-log-enabled says so; over ends that. Without a log file it stands on
// standard error in any case.
func reportCrash(cfg *config.Config, log *logf.Logger) (over func()) {
	set := func() error {
		path := log.Path()
		if path == "" || !cfg.CrashLogEnabled.Load() {
			return debug.SetCrashOutput(nil, debug.CrashOptions{})
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer f.Close() // the runtime has a copy
		return debug.SetCrashOutput(f, debug.CrashOptions{})
	}
	if err := set(); err != nil {
		log.Warningf("crash-log-enabled: %v", err)
	}
	cfg.OnChange("crash-log-enabled", set)
	return func() { _ = debug.SetCrashOutput(nil, debug.CrashOptions{}) }
}
