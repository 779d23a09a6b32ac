package server

import "kvd/command"

// ASKING, CLUSTER, READONLY, READWRITE, as a server answers that is no part of a
// cluster: all of them with the same error, by which clients tell that it is
// none.

func clusterOffRows() []*command.Row {
	const (
		group  = "cluster"
		change = command.Admin | command.Stale | command.NoAsyncLoading
		random = "nondeterministic_output"
		each   = "O(N) in the number of slots"
		nodes  = "O(N) in the number of nodes"
	)
	return []*command.Row{
		{Name: "asking", Fn: clusterOff, Arity: 1, Flags: command.Fast, Since: "3.0.0", Group: group, Categories: "connection", Summary: "Says that the next command follows an ASK redirection.", Complexity: "O(1)"},
		{Name: "readonly", Fn: func(c *command.Ctx) { readsReplica(c, true) }, Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Since: "3.0.0", Group: group, Categories: "connection", Summary: "Lets the connection read from a replica of the cluster.", Complexity: "O(1)"},
		{Name: "readwrite", Fn: func(c *command.Ctx) { readsReplica(c, false) }, Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Since: "3.0.0", Group: group, Categories: "connection", Summary: "Ends what READONLY began.", Complexity: "O(1)"},
		{Name: "cluster", Arity: -2, Since: "3.0.0", Group: group, Summary: "Commands about the cluster.", Complexity: "Depends on subcommand", Sub: []*command.Row{
			{Name: "addslots", Fn: clusterOff, Arity: -3, Flags: change, Since: "3.0.0", Summary: "Gives slots to this node.", Complexity: each, Syntax: "slot [slot ...]"},
			{Name: "addslotsrange", Fn: clusterOff, Arity: -4, Flags: change, Since: "7.0.0", Summary: "Gives ranges of slots to this node.", Complexity: each, Syntax: "start-slot end-slot [start-slot end-slot ...]"},
			{Name: "bumpepoch", Fn: clusterOff, Arity: 2, Flags: change, Since: "3.0.0", Summary: "Raises the epoch of the cluster's configuration.", Complexity: "O(1)", Tips: random},
			{Name: "count-failure-reports", Fn: clusterOff, Arity: 3, Flags: command.Admin | command.Stale, Since: "3.0.0", Summary: "Counts the nodes that say of a node that it has failed.", Complexity: "O(N) in the number of reports", Syntax: "node-id", Tips: random},
			{Name: "countkeysinslot", Fn: clusterOff, Arity: 3, Flags: command.Stale, Since: "3.0.0", Summary: "Counts the keys in a slot.", Complexity: "O(1)", Syntax: "slot"},
			{Name: "delslots", Fn: clusterOff, Arity: -3, Flags: change, Since: "3.0.0", Summary: "Takes slots from this node.", Complexity: each, Syntax: "slot [slot ...]"},
			{Name: "delslotsrange", Fn: clusterOff, Arity: -4, Flags: change, Since: "7.0.0", Summary: "Takes ranges of slots from this node.", Complexity: each, Syntax: "start-slot end-slot [start-slot end-slot ...]"},
			{Name: "failover", Fn: clusterOff, Arity: -2, Flags: change, Since: "3.0.0", Summary: "Has this replica take its master's place.", Complexity: "O(1)", Syntax: "[FORCE | TAKEOVER]"},
			{Name: "flushslots", Fn: clusterOff, Arity: 2, Flags: change, Since: "3.0.0", Summary: "Takes all slots from this node.", Complexity: "O(1)"},
			{Name: "forget", Fn: clusterOff, Arity: 3, Flags: change, Since: "3.0.0", Summary: "Removes a node from the list of nodes.", Complexity: "O(1)", Syntax: "node-id"},
			{Name: "getkeysinslot", Fn: clusterOff, Arity: 4, Flags: command.Stale, Since: "3.0.0", Summary: "Returns keys of a slot.", Complexity: "O(N) in the number of keys asked for", Syntax: "slot count", Tips: random},
			{Name: "help", Fn: clusterOff, Arity: 2, Flags: command.Loading | command.Stale, Since: "5.0.0", Summary: "Lists the subcommands.", Complexity: "O(1)"},
			{Name: "info", Fn: clusterOff, Arity: 2, Flags: command.Stale, Since: "3.0.0", Summary: "Returns the state of the cluster.", Complexity: "O(1)", Tips: random},
			{Name: "keyslot", Fn: clusterOff, Arity: 3, Flags: command.Stale, Since: "3.0.0", Summary: "Returns the slot of a key.", Complexity: "O(N) in the length of the key", Syntax: "key"},
			{Name: "links", Fn: clusterOff, Arity: 2, Flags: command.Stale, Since: "7.0.0", Summary: "Lists the connections to other nodes.", Complexity: nodes, Tips: random},
			{Name: "meet", Fn: clusterOff, Arity: -4, Flags: change, Since: "3.0.0", Summary: "Makes another node known to this one.", Complexity: "O(1)", Syntax: "ip port [cluster-bus-port]", History: []string{"4.0.0", "The port of the bus can be given."}},
			{Name: "myid", Fn: clusterOff, Arity: 2, Flags: command.Stale, Since: "3.0.0", Summary: "Returns the name of this node.", Complexity: "O(1)"},
			{Name: "myshardid", Fn: clusterOff, Arity: 2, Flags: command.Stale, Since: "7.2.0", Summary: "Returns the name of this node's shard.", Complexity: "O(1)", Tips: random},
			{Name: "nodes", Fn: clusterOff, Arity: 2, Flags: command.Stale, Since: "3.0.0", Summary: "Lists the nodes with their slots, in a text.", Complexity: nodes, Tips: random},
			{Name: "replicas", Fn: clusterOff, Arity: 3, Flags: command.Admin | command.Stale, Since: "5.0.0", Summary: "Lists the replicas of a master.", Complexity: "O(N) in the number of replicas", Syntax: "node-id", Tips: random},
			{Name: "replicate", Fn: clusterOff, Arity: 3, Flags: change, Since: "3.0.0", Summary: "Makes this node a replica of a master.", Complexity: "O(1)", Syntax: "node-id"},
			{Name: "reset", Fn: clusterOff, Arity: -2, Flags: command.Admin | command.NoScript | command.Stale, Since: "3.0.0", Summary: "Makes this node forget the cluster.", Complexity: nodes, Syntax: "[HARD | SOFT]"},
			{Name: "saveconfig", Fn: clusterOff, Arity: 2, Flags: change, Since: "3.0.0", Summary: "Writes the configuration of the cluster to disk.", Complexity: "O(1)"},
			{Name: "set-config-epoch", Fn: clusterOff, Arity: 3, Flags: change, Since: "3.0.0", Summary: "Sets the epoch of a new node's configuration.", Complexity: "O(1)", Syntax: "config-epoch"},
			{Name: "setslot", Fn: clusterOff, Arity: -4, Flags: change, Since: "3.0.0", Summary: "Says where a slot is or moves to.", Complexity: "O(1)", Syntax: "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>"},
			{Name: "shards", Fn: clusterOff, Arity: 2, Flags: command.Stale, Since: "7.0.0", Summary: "Lists the shards with their slots and nodes.", Complexity: nodes, Tips: random},
			{Name: "slaves", Fn: clusterOff, Arity: 3, Flags: command.Admin | command.Stale, Since: "3.0.0", Summary: "Lists the replicas of a master.", Complexity: "O(N) in the number of replicas", Syntax: "node-id", Tips: random,
				Deprecated: [2]string{"5.0.0", "`CLUSTER REPLICAS`"}},
			{Name: "slots", Fn: clusterOff, Arity: 2, Flags: command.Stale, Since: "3.0.0", Summary: "Lists the slots with their nodes.", Complexity: nodes, Tips: random,
				History: []string{"4.0.0", "The names of the nodes came.", "7.0.0", "Further names of the nodes came."}, Deprecated: [2]string{"7.0.0", "`CLUSTER SHARDS`"}},
		}},
	}
}

// readsReplica is READONLY and READWRITE. Without a cluster they mean something only to
// clients that want to be redirected, as with Valkey.
func readsReplica(c *command.Ctx, on bool) {
	if !c.ReadReplica(on) {
		clusterOff(c)
		return
	}
	c.W.OK()
}

func clusterOff(c *command.Ctx) { c.Err("ERR This instance has cluster support disabled") }
