package main

import (
	"os"
	"slices"
	"syscall"

	"kvd/config"
)

// shutdownOn says how a signal ends the server, as the arguments of SHUTDOWN would:
// shutdown-on-sigint and shutdown-on-sigterm.
func shutdownOn(cfg *config.Config, sig os.Signal) (save, nosave, now, force bool) {
	words := cfg.ShutdownOnSigterm.Load()
	if sig == syscall.SIGINT {
		words = cfg.ShutdownOnSigint.Load()
	}
	has := func(w string) bool { return slices.Contains(words, w) }
	return has("save"), has("nosave"), has("now"), has("force")
}
