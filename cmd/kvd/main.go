// Command kvd is the server: it takes flags and redis.conf files as
// redis-server does and serves the Redis protocol.
//
//	kvd [redis.conf] [-] [--directive value ...]
//	kvd check [--fix] FILE-or-DIR ...
//	kvd memcached, backup, restore, import, compare, top ...
//
// This package reads the configuration (package config), opens the log (package
// logf), and starts the server of package kvd, with what concerns the process as a
// whole: signals, supervision, the garbage collector. It holds no behaviour that a
// client could see.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"kvd"
	"kvd/config"
	"kvd/logf"
	"kvd/persist"
)

// Version is the release, set by the linker: -ldflags "-X main.Version=1.2.3".
var Version = "0.1.0-dev"

func main() {
	keepArgs() // before anybody has a part of one: the title is written over them
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var read bytes.Buffer // of stdin; a process in the background needs it again
	err := newApp(io.TeeReader(stdin, &read), stdout, stderr, func(cfg *config.Config) error {
		if parent, err := daemonize(cfg, read.Bytes()); parent || err != nil {
			return err
		}
		return start(cfg)
	}).Run(args)
	var bad *config.FileError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &bad):
		fmt.Fprintf(stderr, "\n%s\n", bad)
	case errors.Is(err, kvd.ErrLogged), errors.Is(err, errDamaged), errors.Is(err, errDiffer), errors.Is(err, errRefused):
	default:
		logf.NewWriter(stdout, logf.Notice).Warningf("%s", err)
	}
	return 1
}

// start runs the server with a complete configuration until it is told to stop.
func start(cfg *config.Config) error {
	level, _ := logf.ParseLevel(cfg.LogLevel.Load())
	log, err := logf.New(cfg.LogFile.Load(), level)
	if err != nil {
		return err
	}
	if cfg.Ephemeral.Load() && log.Path() == "" {
		log = logf.NewWriter(os.Stderr, level) // standard output is for the port
	}
	defer log.Close()
	log.SetTimestamps(cfg.LogTimestamps.Load())
	log.SetFormat(cfg.LogFormat.Load()) // of what is said before kvd.Start, which follows the directive
	cfg.OnChange("loglevel", func() error {
		level, _ := logf.ParseLevel(cfg.LogLevel.Load())
		log.SetLevel(level)
		return nil
	})
	if cfg.SyslogEnabled.Load() {
		if err := log.Syslog(cfg.SyslogIdent.Load(), cfg.SyslogFacility.Load()); err != nil {
			log.Warningf("syslog-enabled: %v", err)
		}
	}
	cfg.OnInert(func(name string) {
		log.Warningf("CONFIG SET: the value of %s is kept, but has no effect in kvd: %s", name, cfg.Why(name))
	})
	log.Noticef("kvd is starting: version=%s, redis-compatibility=%s, bits=64, pid=%d", Version, config.RedisVersion, os.Getpid())
	if file := cfg.ConfigFile(); file != "" {
		log.Noticef("Configuration loaded from %s", file)
	} else {
		log.Noticef("Configuration loaded, without a file. To use one: kvd /path/to/redis.conf")
	}
	for _, warning := range inertWarnings(cfg) {
		log.Warningf("%s", warning)
	}
	log.SetRole(logf.RoleMaster)
	err = serve(cfg, log)
	if err != nil && !errors.Is(err, kvd.ErrLogged) {
		if unread := (*persist.LoadError)(nil); errors.As(err, &unread) {
			log.Warningf("%s.", err)
			log.Warningf("Terminating server after rdb file reading failure.")
		} else {
			log.Warningf("%s, exiting", err)
		}
		return kvd.ErrLogged
	}
	return err
}
