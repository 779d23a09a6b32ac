package main

import (
	"os"
	"strconv"

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
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			log.Warningf("server_cpulist: %v", err)
			continue
		}
		for _, t := range threads {
			id, _ := strconv.Atoi(t.Name())
			if err := keyspace.SetAffinity(id, mask); err != nil {
				log.Warningf("server_cpulist %s: %v", list, err)
				break
			}
		}
	}
}
