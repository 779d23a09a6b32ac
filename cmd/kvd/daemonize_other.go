//go:build !unix

package main

import "kvd/config"

// daemonize is not to be had here; warnDaemonize says so.
func daemonize(*config.Config, []byte) (parent bool, err error) { return false, nil }
