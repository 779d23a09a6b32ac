package command

import (
	"errors"

	"kvd/config"
)

// CONFIG GET, HELP, RESETSTAT, REWRITE, SET. What they mean is in package config.

func configRows() []*Row {
	const flags = Admin | NoScript | Loading | Stale
	return []*Row{{Name: "config", Arity: -2, Since: "2.0.0", Group: "server",
		Summary: "Commands about the configuration.", Complexity: "Depends on the subcommand.",
		Sub: []*Row{
			{Name: "get", Fn: cmdConfigGet, Arity: -3, Flags: flags, Since: "2.0.0", Summary: "Returns the values of directives.",
				Complexity: "O(N) in the number of directives", Syntax: "parameter [parameter ...]"},
			HelpRow("5.0.0",
				"GET <pattern>",
				"    Return the directives that match the glob-like <pattern>, with their values.",
				"SET <directive> <value>",
				"    Change a <directive>.",
				"RESETSTAT",
				"    Count anew what INFO counts.",
				"REWRITE",
				"    Write the present values into the configuration file.",
			),
			{Name: "resetstat", Fn: cmdConfigResetStat, Arity: 2, Flags: flags, Since: "2.0.0", Summary: "Counts anew what INFO counts.", Complexity: "O(1)"},
			{Name: "rewrite", Fn: cmdConfigRewrite, Arity: 2, Flags: flags, Since: "2.8.0", Summary: "Writes the present values into the configuration file.", Complexity: "O(1)"},
			{Name: "set", Fn: cmdConfigSet, Arity: -4, Flags: flags, Secret: configSecrets, Since: "2.0.0", Summary: "Changes directives, all or none.",
				Complexity: "O(N) in the number of directives", Syntax: "parameter value [parameter value ...]", Tips: "request_policy:all_nodes response_policy:all_succeeded"},
		}}}
}

// configHooks makes the limits of clients' memory act.
func (s *Server) configHooks() {
	for _, name := range []string{"maxmemory", "maxmemory-clients"} {
		s.Config.OnChange(name, s.setClientsLimit)
	}
	_ = s.setClientsLimit()
	s.Config.OnChange("notify-keyspace-events", s.observeNew)
	_ = s.observeNew()
	if s.Config.OrderedKeys.Load() {
		<-s.Keyspace.SetOrdered(true) // there are no keys yet
	}
	// In a transaction the hook runs with stripes locked.
	s.Config.OnChange("ordered-keys", func() error { go s.orderKeys(); return nil })
	s.setGate(gateImporting, s.Config.ImportMode.Load())
	s.Config.OnChange("import-mode", func() error {
		s.setGate(gateImporting, s.Config.ImportMode.Load())
		s.pause.mu.Lock()
		defer s.pause.mu.Unlock()
		s.updateExpiry()
		return nil
	})
}

// orderKeys has keys kept in order as ordered-keys says.
func (s *Server) orderKeys() {
	s.ordering.Lock()
	defer s.ordering.Unlock()
	s.Keyspace.SetOrdered(s.Config.OrderedKeys.Load())
}

// observeNew makes the keyspace tell of new keys if their event is wanted.
func (s *Server) observeNew() error {
	s.Keyspace.ObserveNew(s.Config.NotifyKeyspaceEvents.Load()&eventNew != 0)
	s.Keyspace.ObserveFields(s.Config.NotifyKeyspaceEvents.Load()&eventFields != 0)
	return nil
}

func cmdConfigGet(c *Ctx) {
	patterns := make([]string, len(c.Args)-2)
	for i, a := range c.Args[2:] {
		patterns[i] = string(a)
	}
	pairs := c.S.Config.Get(patterns...)
	c.W.Map(len(pairs))
	for _, p := range pairs {
		c.W.BulkString(p.Name)
		c.W.BulkString(p.Value)
	}
}

func cmdConfigSet(c *Ctx) {
	if len(c.Args)%2 == 1 {
		c.Err(ErrSyntax)
		return
	}
	var pairs []config.Pair
	for i := 2; i < len(c.Args); i += 2 {
		pairs = append(pairs, config.Pair{Name: string(c.Args[i]), Value: string(c.Args[i+1])})
	}
	if c.SetConfig(pairs) {
		c.W.OK()
	}
}

// SetConfig is CONFIG SET. It returns false after replying with an error; else the caller
// replies, and the reply may leave a moment later.
func (c *Ctx) SetConfig(pairs []config.Pair) bool {
	switch err := c.S.Config.Set(pairs, config.Caller{Local: c.C.Local(), Loading: c.S.persist.Loading()}); {
	case err == nil:
		if shrink, limit := c.S.tracking.over(), c.S.limit.stale.Load(); shrink || limit {
			c.After(func() {
				if shrink {
					c.S.tracking.shrink() // whose messages leave before the reply
				}
				if limit {
					c.S.limit.apply(c.S)
				}
			})
		}
		return true
	case errors.Is(err, config.ErrLoading):
		c.Err(err.Error())
	default:
		c.Err("ERR " + err.Error())
	}
	return false
}

func cmdConfigRewrite(c *Ctx) {
	err := c.S.Config.Rewrite()
	switch {
	case err == nil:
		c.S.Log.Noticef("CONFIG REWRITE executed with success.")
		c.W.OK()
	case errors.Is(err, config.ErrNoConfigFile):
		c.Err("ERR " + err.Error())
	default:
		c.S.Log.Warningf("CONFIG REWRITE failed: %v", err)
		c.Err("ERR Rewriting config file: " + err.Error())
	}
}

func cmdConfigResetStat(c *Ctx) {
	c.S.resetStats()
	c.W.OK()
}

// configSecrets is Row.Secret of CONFIG SET.
func configSecrets(s *Server, args [][]byte) (pos []int) {
	for i := 2; i+1 < len(args); i += 2 {
		if s.Config.Sensitive(string(args[i])) {
			pos = append(pos, i+1)
		}
	}
	return pos
}
