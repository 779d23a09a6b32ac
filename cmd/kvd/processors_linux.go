package main

import (
	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
)

// chooseProcessors obeys server_cpulist: all threads that are there, and so all that
// they start, run on these processors. The lists of the other kinds of threads are
// checked here, too, and obeyed where those threads begin.
func chooseProcessors(cfg *config.Config, log *logf.Logger) {
	for _, l := range []*config.String{cfg.ServerCPUList, cfg.BioCPUList, cfg.BgsaveCPUList, cfg.AOFRewriteCPUList} {
		list := l.Load()
		if list == "" {
			continue
		}
		mask, err := keyspace.ParseProcessors(list)
		if err != nil {
			log.Warningf("%v: it is not obeyed", err)
			continue
		}
		if l != cfg.ServerCPUList {
			continue
		}
		if err := keyspace.SetAffinityOfAll(mask); err != nil {
			log.Warningf("server_cpulist %s: %v", list, err)
		}
	}
}
