package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"kvd"
	"kvd/config"
	"kvd/logf"
	"kvd/process"
)

// serve runs the server until SHUTDOWN, SIGINT or SIGTERM.
func serve(cfg *config.Config, log *logf.Logger) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(stop)
	// A terminal that is closed ends nothing, nor does a log whose reader has gone.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	collector, stopCollector := tuneCollector()
	defer stopCollector()
	boss := newSupervisor(cfg, log)
	chooseProcessors(cfg, log)
	score := newOOMScore(cfg, log)
	_ = score.set() // it has been logged
	showTitle(cfg, log, os.Args[0])
	defer reportCrash(cfg, log)()

	removePid := func() {}
	defer func() { removePid() }()
	s, err := kvd.Start(kvd.Host{
		Config: cfg, Log: log, Version: Version, Around: collector,
		RoleChanged: func() { _ = score.set() },
		Listening: func() {
			removePid = writePidFile(cfg, log)
			// Tools take this line for the sign that they may connect.
			log.Noticef("Running mode=standalone, port=%d, PID: %d", cfg.Port.Load(), os.Getpid())
			log.Noticef("Server initialized")
		},
	})
	if err != nil {
		return err
	}
	srv := s.Engine()
	holding := make(chan struct{})
	defer close(holding)
	go holdHeap(cfg, srv.Keyspace, process.ResidentMemory, holding)
	if cfg.Ephemeral.Load() {
		fmt.Println(cfg.Port.Load())
	}
	for running := true; running; {
		select {
		case err := <-s.Loaded():
			switch {
			case srv.Ending(): // what was loaded is not needed any more
				continue
			case err != nil:
				s.End()
				return err
			}
			boss.ready()
		case err := <-s.Aborted():
			return fmt.Errorf("the leader's stream cannot be applied, and propagation-error-behavior is %s: %w", cfg.PropagationError.Load(), err)
		case <-s.Done():
			running = false
		case sig := <-stop:
			name := map[os.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM"}[sig]
			if srv.Ending() && sig == syscall.SIGINT {
				s.GiveUp() // half of the final snapshot is of no use to anybody
				return errors.New("You insist... exiting now")
			}
			log.Warningf("Received %s scheduling shutdown...", name)
			go func() {
				save, nosave, now, force := shutdownOn(cfg, sig)
				if err := srv.PrepareShutdown(save, nosave, now, force); err != nil {
					log.Warningf("%s received but errors trying to shut down the server, check the logs for more information", name)
					return
				}
				srv.Shutdown()
			}()
		}
	}
	boss.stopping()
	s.End()
	log.Warningf("kvd is now ready to exit, bye bye...")
	return nil
}
