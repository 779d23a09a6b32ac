package main

import (
	gotls "crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"kvd/command"
	"kvd/command/families"
	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
	"kvd/persist"
	"kvd/replica"
	"kvd/resp"
	"kvd/secure"
	"kvd/transport"
)

// serve runs the server until SHUTDOWN, SIGINT or SIGTERM.
func serve(cfg *config.Config, log *logf.Logger) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(stop)
	// A terminal that is closed ends nothing, nor does a log whose reader has gone.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	collector := tuneCollector()
	boss := newSupervisor(cfg, log)
	chooseProcessors(cfg, log)
	score := newOOMScore(cfg, log)
	_ = score.set() // it has been logged
	showTitle(cfg, log, os.Args[0])
	defer reportCrash(cfg, log)()

	table := families.Table()
	for _, r := range cfg.Renames() {
		if err := table.Rename(r.Name, r.Value); err != nil {
			return fmt.Errorf("rename-command %s: %w", r.Name, err)
		}
	}
	ks := keyspace.New(keyspace.Options{Databases: int(cfg.Databases.Load())})
	srv := command.NewServer(table, cfg, ks, log, Version)
	if err := srv.LoadUsers(); err != nil {
		return err
	}
	done := make(chan struct{})
	var once sync.Once
	srv.Shutdown = func() { once.Do(func() { close(done) }) }
	aborted := make(chan error, 1)
	srv.Abort = func(why error) {
		select {
		case aborted <- why:
		default:
		}
	}

	stream := replica.NewStream(ks, cfg, log)
	saver := persist.New(persist.Options{
		Keyspace: ks, Config: cfg, Log: log, Dirty: &srv.Stats.DirtySinceSave, Version: Version, RedisVersion: config.RedisVersion,
		UsedMemory: srv.UsedMemory, Limits: srv.RDBLimits, Freq: srv.Freq, FreqClock: srv.FreqClock, Changed: srv.PersistenceChanged,
		Hold: func() func() { stream.Instant.Lock(); return stream.Instant.Unlock }, Facts: stream.Aux, LeftOut: stream.LeftOut, Around: collector,
		Functions: srv.Functions, LoadFunctions: srv.LoadFunctions, Replaced: srv.ContentsReplaced,
	})
	aof := persist.NewLog(saver, func() persist.Applier { return srv.NewApplier() })
	srv.SetPersistence(aof)
	tls := secure.New(cfg, log)
	if tls.Wanted() && tls.Load() != nil {
		log.Warningf("Failed to configure TLS. Check logs for more info.")
		return errLogged
	}
	srv.DialTLS, srv.TLSExpiries = tls.Client, func() (out []command.Expiry) {
		for _, e := range tls.Expiries() {
			out = append(out, command.Expiry(e))
		}
		return out
	}
	leader := newLeader(srv, saver, stream)
	follower := newFollower(func() { _ = score.set() }, srv, tls, aof, stream, leader)

	redis := resp.New(srv)
	front := transport.New(srv, redis)
	front.Add(transport.Endpoint{Protocol: redis, Directive: "port", Port: func() int { return int(cfg.Port.Load()) }, Kind: "TCP"})
	front.Add(transport.Endpoint{Protocol: redis, Directive: "tls-port", Port: func() int { return int(cfg.TLSPort.Load()) }, Kind: "TLS", TLS: tls.Server, Certified: func(c *command.Client, st gotls.ConnectionState) {
		if name := tls.User(st); name != "" {
			srv.Certified(c, name)
		}
	}})
	aof.SetWaiters(front)
	if err := front.Listen(); err != nil {
		log.Warningf("%v", err)
		return errLogged
	}
	defer writePidFile(cfg, log)()
	// Tools take this line for the sign that they may connect.
	log.Noticef("Running mode=standalone, port=%d, PID: %d", cfg.Port.Load(), os.Getpid())
	log.Noticef("Server initialized")
	if err := saver.LockDir(); err != nil {
		return err
	}
	tending := make(chan struct{})
	defer close(tending)
	go srv.TendMemory(tending)
	go srv.TendLimit(tending)
	go holdHeap(cfg, ks, command.Resident, tending)
	if err := front.Start(); err != nil {
		log.Warningf("%v", err)
		return errLogged
	}
	// What was loaded is served last of all: a write that is acknowledged, or a key
	// that expires, before the history, the log and the role stand would be missing
	// in the log or at the followers.
	ready := func() {
		restore(srv, saver, stream, follower)
		aof.Start()
		leader.Start()
		if of := cfg.ReplicaOf.Load(); of.Host != "" {
			follower.Follow(of.Host, of.Port)
		}
		saver.Serve()
		log.Noticef("Ready to accept connections")
	}
	loaded := make(chan error, 1)
	loading := aof.HasFile()
	if loading {
		saver.SetLoading() // before the first client comes
	} else { // nobody is told to wait for nothing
		if err := aof.Load(); err != nil {
			return err
		}
		ready()
	}
	if err := front.Accept(); err != nil {
		log.Warningf("%v", err)
		return errLogged
	}
	if loading {
		go func() { loaded <- aof.Load() }()
	} else {
		boss.ready()
	}
	for running := true; running; {
		select {
		case err := <-loaded:
			loading = false
			switch {
			case srv.Ending(): // what was loaded is not needed any more
				continue
			case err != nil:
				front.Close()
				return err
			}
			ready()
			boss.ready()
		case err := <-aborted:
			return fmt.Errorf("the leader's stream cannot be applied, and propagation-error-behavior is %s: %w", cfg.PropagationError.Load(), err)
		case <-done:
			running = false
		case sig := <-stop:
			name := map[os.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM"}[sig]
			if srv.Ending() && sig == syscall.SIGINT {
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
	front.Close()
	if loading { // the memory that it fills is about to be given up
		<-loaded
	}
	follower.Close()
	leader.Close()
	aof.Close()
	ks.Close()
	log.Warningf("kvd is now ready to exit, bye bye...")
	return nil
}
