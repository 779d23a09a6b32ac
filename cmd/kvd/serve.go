package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"kvd/command"
	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
	"kvd/resp"
)

// serve runs the server until SHUTDOWN, SIGINT or SIGTERM.
func serve(cfg *config.Config, log *logf.Logger) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(stop)
	tuneCollector()

	log.Noticef("kvd is starting, version %s", Version)
	log.Noticef("Running mode=standalone, port=%d, PID: %d", cfg.Port.Load(), os.Getpid())

	ks := keyspace.New(keyspace.Options{Databases: int(cfg.Databases.Load())})
	srv := command.NewServer(cfg, ks, log, Version)
	done := make(chan struct{})
	var once sync.Once
	srv.Shutdown = func() { once.Do(func() { close(done) }) }

	front := resp.New(srv)
	if err := front.Listen(); err != nil {
		log.Warningf("%v", err)
		return errLogged
	}
	defer writePidFile(cfg, log)()
	log.Noticef("Server initialized")
	log.Warningf("Nothing is saved yet: this version keeps its data in memory only, and a restart begins empty.")
	if err := front.Start(); err != nil {
		log.Warningf("%v", err)
		return errLogged
	}
	log.Noticef("Ready to accept connections")
	select {
	case <-done:
		log.Warningf("User requested shutdown...")
	case sig := <-stop:
		name := "SIGTERM"
		if sig == syscall.SIGINT {
			name = "SIGINT"
		}
		log.Warningf("Received %s scheduling shutdown...", name)
		log.Warningf("User requested shutdown...")
	}
	front.Close()
	ks.Close()
	log.Warningf("kvd is now ready to exit, bye bye...")
	return nil
}
