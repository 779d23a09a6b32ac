package main

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"kvd/command"
	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
	"kvd/persist"
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

	saver := persist.New(persist.Options{
		Keyspace: ks, Config: cfg, Log: log, Dirty: &srv.Stats.DirtySinceSave, Version: Version, RedisVersion: command.RedisVersion,
		UsedMemory: srv.UsedMemory, Limits: srv.RDBLimits, Freq: srv.Freq, FreqClock: srv.FreqClock, Changed: srv.PersistenceChanged,
	})
	aof := persist.NewLog(saver, func() persist.Applier { return srv.NewApplier() })
	srv.SetPersistence(aof)

	front := resp.New(srv)
	aof.SetWaiters(front)
	if err := front.Listen(); err != nil {
		log.Warningf("%v", err)
		return errLogged
	}
	defer writePidFile(cfg, log)()
	log.Noticef("Server initialized")
	if err := saver.LockDir(); err != nil {
		return err
	}
	if aof.HasFile() {
		saver.SetLoading() // before the first client comes
	}
	if err := front.Start(); err != nil {
		log.Warningf("%v", err)
		return errLogged
	}
	loaded := make(chan error, 1)
	go func() { loaded <- aof.Load() }()
	for running := true; running; {
		select {
		case err := <-loaded:
			switch {
			case srv.Ending(): // what was loaded is not needed any more
				continue
			case err != nil:
				front.Close()
				return err
			}
			aof.Start()
			log.Noticef("Ready to accept connections")
		case <-done:
			running = false
		case sig := <-stop:
			name := map[os.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM"}[sig]
			if srv.Ending() && sig == syscall.SIGINT {
				return errors.New("You insist... exiting now")
			}
			log.Warningf("Received %s scheduling shutdown...", name)
			go func() {
				if err := srv.PrepareShutdown(false, false, false); err != nil {
					log.Warningf("%s received but errors trying to shut down the server, check the logs for more information", name)
					return
				}
				srv.Shutdown()
			}()
		}
	}
	front.Close()
	aof.Close()
	ks.Close()
	log.Warningf("kvd is now ready to exit, bye bye...")
	return nil
}
