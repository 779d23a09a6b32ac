package command

import (
	"os"

	"kvd/config"
)

// Supervisor is the service manager that the server reports to, by its
// configuration and, where that says "auto", its environment: "systemd",
// "upstart" or "no".
func Supervisor(cfg *config.Config) string {
	mode := cfg.Supervised.Load()
	if mode != "auto" {
		return mode
	}
	switch {
	case os.Getenv("UPSTART_JOB") != "":
		return "upstart"
	case os.Getenv("NOTIFY_SOCKET") != "":
		return "systemd"
	}
	return "no"
}
