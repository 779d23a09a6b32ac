package main

import (
	"strconv"
	"strings"

	"kvd/config"
	"kvd/logf"
)

// titleOf is the process's title by proc-title-template.
func titleOf(cfg *config.Config, program string) string {
	host, port := "*", cfg.Port.Load()
	if l := cfg.Bind.Load(); len(l) > 0 {
		host = l[0]
	}
	address := cfg.UnixSocket.Load()
	if port != 0 {
		address = host + ":" + strconv.FormatInt(port, 10)
	}
	title := strings.NewReplacer("{title}", program, "{listen-addr}", address, "{server-mode}", "", "{port}", strconv.FormatInt(port, 10),
		"{tls-port}", cfg.Get("tls-port")[0].Value, "{unixsocket}", cfg.UnixSocket.Load(), "{config-file}", cfg.ConfigFile()).Replace(cfg.ProcTitleTemplate.Load())
	return strings.TrimSpace(title)
}

// showTitle sets the process's title, and follows the directives that it is made of.
func showTitle(cfg *config.Config, log *logf.Logger, program string) {
	if !cfg.SetProcTitle.Load() {
		return
	}
	set := func() error { return writeTitle(titleOf(cfg, program)) }
	if err := set(); err != nil {
		log.Verbosef("The process's title cannot be set: %v", err)
		return
	}
	for _, name := range []string{"proc-title-template", "port", "bind", "tls-port"} {
		cfg.OnChange(name, set)
	}
}
