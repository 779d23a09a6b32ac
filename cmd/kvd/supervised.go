package main

import (
	"net"
	"os"
	"strings"

	"kvd/command"
	"kvd/config"
	"kvd/logf"
)

// supervisor tells the service manager that started the server how it is
// (directive supervised). Source of the protocol of systemd: sd_notify(3).
type supervisor struct {
	cfg  *config.Config
	log  *logf.Logger
	mode string // systemd, upstart or no
}

func newSupervisor(cfg *config.Config, log *logf.Logger) *supervisor {
	s := &supervisor{cfg, log, command.Supervisor(cfg)}
	switch {
	case s.mode == "systemd" && os.Getenv("NOTIFY_SOCKET") == "":
		log.Warningf("systemd supervision requested or auto-detected, but NOTIFY_SOCKET not found")
		s.mode = "no"
	case s.mode == "upstart" && os.Getenv("UPSTART_JOB") == "":
		log.Warningf("Upstart supervision requested, but UPSTART_JOB not found")
		s.mode = "no"
	case s.mode != "no":
		log.Noticef("Supervised by %s, will signal readiness", s.mode)
	}
	return s
}

// ready says that clients are served.
func (s *supervisor) ready() {
	switch s.mode {
	case "systemd":
		status := "STATUS=Ready to accept connections\n"
		if s.cfg.ReplicaOf.Load().Host != "" {
			status = "STATUS=Ready to accept connections in read-only mode. Waiting for MASTER <-> REPLICA sync\n"
		}
		s.notify(status + "READY=1\n")
	case "upstart":
		os.Unsetenv("UPSTART_JOB")
		stopSelf()
	}
}

// stopping says that the server is about to end.
func (s *supervisor) stopping() {
	if s.mode == "systemd" {
		s.notify("STOPPING=1\n")
	}
}

// notify sends a datagram to systemd. A failure is logged only.
func (s *supervisor) notify(text string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if strings.HasPrefix(path, "@") {
		path = "\x00" + path[1:] // an abstract name
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		_, err = c.Write([]byte(text))
		c.Close()
	}
	if err != nil {
		s.log.Warningf("Telling systemd %q: %v", strings.TrimSpace(text), err)
	}
}
