//go:build !linux

package main

import (
	"kvd/config"
	"kvd/logf"
)

// chooseProcessors only says that the system cannot do it.
func chooseProcessors(cfg *config.Config, log *logf.Logger) {
	for _, l := range []*config.String{cfg.ServerCPUList, cfg.BioCPUList, cfg.BgsaveCPUList, cfg.AOFRewriteCPUList} {
		if l.Load() != "" {
			log.Warningf("Lists of processors (..._cpulist) are obeyed on Linux only")
			return
		}
	}
}
