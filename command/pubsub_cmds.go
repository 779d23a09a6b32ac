package command

import (
	"bytes"
	"slices"

	"kvd/glob"
	"kvd/pubsub"
	"kvd/resp/wire"
)

// PSUBSCRIBE, PUBLISH, PUBSUB, PUNSUBSCRIBE, SPUBLISH, SSUBSCRIBE, SUBSCRIBE,
// SUNSUBSCRIBE, UNSUBSCRIBE.

func pubsubRows() []*Row {
	const sub = PubSub | NoScript | Loading | Stale | InSubscribed
	const publish = PubSub | Loading | Stale | Fast | MayReplicate | Volatile
	const show = PubSub | Loading | Stale
	const someChannels, someShard = "[channel [channel ...]]", "[shardchannel [shardchannel ...]]"
	help := HelpRow("6.2.0",
		"CHANNELS [<pattern>]",
		"    List the channels that have subscribers, or those that match <pattern>.",
		"NUMPAT",
		"    Return the number of different patterns that are subscribed to.",
		"NUMSUB [<channel> ...]",
		"    Return the number of each channel's subscribers, without patterns.",
		"SHARDCHANNELS [<pattern>]",
		"    List the shard channels that have subscribers, or those that match <pattern>.",
		"SHARDNUMSUB [<shardchannel> ...]",
		"    Return the number of each shard channel's subscribers.",
	)
	help.Categories = "-pubsub" // as Redis has it
	return []*Row{
		{Name: "subscribe", Fn: cmdSubscribe, Arity: -2, Flags: sub, Channels: "subscribe", Since: "2.0.0", Group: "pubsub", Summary: "Subscribes to channels.",
			Complexity: "O(N) in the number of channels", Syntax: "channel [channel ...]"},
		{Name: "unsubscribe", Fn: cmdUnsubscribe, Arity: -1, Flags: sub, Since: "2.0.0", Group: "pubsub", Summary: "Ends subscriptions to channels.",
			Complexity: "O(N) in the number of a channel's subscribers", Syntax: someChannels},
		{Name: "psubscribe", Fn: cmdPSubscribe, Arity: -2, Flags: sub, Channels: "psubscribe", Since: "2.0.0", Group: "pubsub", Summary: "Subscribes to all channels that match patterns.",
			Complexity: "O(N) in the number of patterns", Syntax: "pattern [pattern ...]"},
		{Name: "punsubscribe", Fn: cmdPUnsubscribe, Arity: -1, Flags: sub, Since: "2.0.0", Group: "pubsub", Summary: "Ends subscriptions to patterns.",
			Complexity: "O(N) in the number of a pattern's subscribers", Syntax: "[pattern [pattern ...]]"},
		{Name: "ssubscribe", Fn: cmdSSubscribe, Arity: -2, Flags: sub, Channels: "subscribe", First: 1, Last: -1, Step: 1, KeyFlags: "not_key", Since: "7.0.0", Group: "pubsub",
			Summary: "Subscribes to shard channels.", Complexity: "O(N) in the number of channels", Syntax: "shardchannel [shardchannel ...]"},
		{Name: "sunsubscribe", Fn: cmdSUnsubscribe, Arity: -1, Flags: sub, First: 1, Last: -1, Step: 1, KeyFlags: "not_key", Since: "7.0.0", Group: "pubsub",
			Summary: "Ends subscriptions to shard channels.", Complexity: "O(N) in the number of a channel's subscribers", Syntax: someShard},
		{Name: "publish", Fn: cmdPublish, Arity: 3, Flags: publish, Channels: "publish", Since: "2.0.0", Group: "pubsub", Summary: "Sends a message to a channel's subscribers.",
			Complexity: "O(N+M) in the number of subscribers and of all patterns", Syntax: "channel message"},
		{Name: "spublish", Fn: cmdSPublish, Arity: 3, Flags: publish, Channels: "publish", First: 1, Last: 1, Step: 1, KeyFlags: "not_key", Since: "7.0.0", Group: "pubsub",
			Summary: "Sends a message to a shard channel's subscribers.", Complexity: "O(N) in the number of subscribers", Syntax: "shardchannel message"},
		{Name: "pubsub", Arity: -2, Since: "2.8.0", Group: "pubsub", Summary: "Commands about channels and subscriptions.", Complexity: "Depends on the subcommand.",
			Sub: []*Row{
				{Name: "channels", Fn: cmdPubSubChannels, Arity: -2, Flags: show, Since: "2.8.0", Summary: "Lists the channels that have subscribers.",
					Complexity: "O(N) in the number of channels", Syntax: "[pattern]"},
				help,
				{Name: "numpat", Fn: cmdPubSubNumPat, Arity: 2, Flags: show, Since: "2.8.0", Summary: "Returns the number of patterns that are subscribed to.", Complexity: "O(1)"},
				{Name: "numsub", Fn: cmdPubSubNumSub, Arity: -2, Flags: show, Since: "2.8.0", Summary: "Returns the number of channels' subscribers.",
					Complexity: "O(N) in the number of channels asked for", Syntax: someChannels},
				{Name: "shardchannels", Fn: cmdPubSubShardChannels, Arity: -2, Flags: show, Since: "7.0.0", Summary: "Lists the shard channels that have subscribers.",
					Complexity: "O(N) in the number of channels", Syntax: "[pattern]"},
				{Name: "shardnumsub", Fn: cmdPubSubShardNumSub, Arity: -2, Flags: show, Since: "7.0.0", Summary: "Returns the number of shard channels' subscribers.",
					Complexity: "O(N) in the number of channels asked for", Syntax: someShard},
			}},
	}
}

// subKind is one of the three kinds of subscriptions.
type subKind struct {
	on, off string // what the confirmations are called
	names   func(*pubsub.Subscriptions) *map[string]struct{}
	add     func(p *pubsub.Hub, name []byte, conn pubsub.Conn) string
	remove  func(p *pubsub.Hub, name string, conn pubsub.Conn)
	// count is the number that confirmations tell.
	count func(*pubsub.Subscriptions) int
}

// both is what the confirmations of channels and patterns count.
func both(s *pubsub.Subscriptions) int { return len(s.Channels) + len(s.Patterns) }

var (
	channelSubs = subKind{"subscribe", "unsubscribe",
		func(s *pubsub.Subscriptions) *map[string]struct{} { return &s.Channels },
		func(p *pubsub.Hub, name []byte, conn pubsub.Conn) string { return p.Subscribe(&p.Channels, name, conn) },
		func(p *pubsub.Hub, name string, conn pubsub.Conn) { p.Unsubscribe(&p.Channels, name, conn) }, both}
	patternSubs = subKind{"psubscribe", "punsubscribe",
		func(s *pubsub.Subscriptions) *map[string]struct{} { return &s.Patterns },
		func(p *pubsub.Hub, name []byte, conn pubsub.Conn) string { return p.Patterns.Subscribe(name, conn) },
		func(p *pubsub.Hub, name string, conn pubsub.Conn) { p.Patterns.Unsubscribe(name, conn) }, both}
	shardSubs = subKind{"ssubscribe", "sunsubscribe",
		func(s *pubsub.Subscriptions) *map[string]struct{} { return &s.Shard },
		func(p *pubsub.Hub, name []byte, conn pubsub.Conn) string { return p.Subscribe(&p.Shard, name, conn) },
		func(p *pubsub.Hub, name string, conn pubsub.Conn) { p.Unsubscribe(&p.Shard, name, conn) },
		func(s *pubsub.Subscriptions) int { return len(s.Shard) }}
)

func cmdSubscribe(c *Ctx)    { c.subscribe(&channelSubs) }
func cmdPSubscribe(c *Ctx)   { c.subscribe(&patternSubs) }
func cmdSSubscribe(c *Ctx)   { c.subscribe(&shardSubs) }
func cmdUnsubscribe(c *Ctx)  { c.unsubscribe(&channelSubs) }
func cmdPUnsubscribe(c *Ctx) { c.unsubscribe(&patternSubs) }
func cmdSUnsubscribe(c *Ctx) { c.unsubscribe(&shardSubs) }

// confirm appends one confirmation; name nil: there was nothing to be ended.
func (c *Ctx) confirm(what string, name []byte, n int) {
	c.W.Push(3)
	c.W.BulkString(what)
	if name == nil {
		c.W.Null()
	} else {
		c.W.Bulk(name)
	}
	c.W.Int(int64(n))
}

func (c *Ctx) subscribe(k *subKind) {
	c.unmuted = true
	cl := c.C
	if cl.subs == nil {
		cl.subs = new(pubsub.Subscriptions)
	}
	names := k.names(cl.subs)
	for _, name := range c.Args[1:] {
		if _, known := (*names)[string(name)]; !known {
			if *names == nil {
				*names = make(map[string]struct{})
			}
			(*names)[k.add(&c.S.pubsub, name, cl.Conn)] = struct{}{}
			cl.countSubs(pubsub.Bytes + len(name))
		}
		c.confirm(k.on, name, k.count(cl.subs))
	}
	// Rights may have been taken away since the command was admitted, before the client
	// stood where that could be seen.
	if u := cl.limits.Load(); u != nil && slices.ContainsFunc(c.Args[1:], func(name []byte) bool { return !u.MaySubscribe(name, k == &patternSubs) }) {
		c.Close()
	}
}

func (c *Ctx) unsubscribe(k *subKind) {
	c.unmuted = true
	cl := c.C
	which := c.Args[1:]
	if len(which) == 0 && cl.subs != nil {
		for name := range *k.names(cl.subs) {
			which = append(which, []byte(name))
		}
		slices.SortFunc(which, slices.Compare)
	}
	if cl.subs.Total() == 0 {
		cl.subs = new(pubsub.Subscriptions)
	}
	names := *k.names(cl.subs)
	for _, name := range which {
		if _, known := names[string(name)]; known {
			k.remove(&c.S.pubsub, string(name), cl.Conn)
		}
	}
	c.settle()
	for _, name := range which {
		if _, known := names[string(name)]; known {
			delete(names, string(name))
			cl.countSubs(-pubsub.Bytes - len(name))
		}
		c.confirm(k.off, name, k.count(cl.subs))
	}
	if len(which) == 0 {
		c.confirm(k.off, nil, k.count(cl.subs))
	}
	if cl.subs.Total() == 0 {
		cl.subs = nil
	}
}

// subModeOK rejects what a subscribed client of RESP2 may not call: whatever else
// it gets it would take for messages.
func (x *Exec) subModeOK(ctx *Ctx) bool {
	if ctx.C.Proto() != 2 || ctx.C.subs.Total() == 0 || ctx.Row.Flags&InSubscribed != 0 {
		return true
	}
	x.stats[ctx.Row.num].Rejected.Add(1)
	x.reject(ctx, "ERR Can't execute '"+ctx.Row.full+"': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
	return false
}

func cmdPublish(c *Ctx)  { c.publish(&c.S.pubsub.Channels) }
func cmdSPublish(c *Ctx) { c.publish(&c.S.pubsub.Shard) }

func (c *Ctx) publish(t *pubsub.Names) {
	var n int
	if c.script != nil && c.script.undo != nil {
		n = c.S.pubsub.Receivers(t, c.Args[1])
		channel, message := bytes.Clone(c.Args[1]), bytes.Clone(c.Args[2])
		c.script.undo.later = append(c.script.undo.later, func(c *Ctx) { c.send(t, channel, message) })
	} else {
		n = c.send(t, c.Args[1], c.Args[2])
	}
	c.Effect(c.Args...) // followers have subscribers of their own
	c.W.Int(int64(n))
}

// send sends a message to who is subscribed; it returns how many were.
func (c *Ctx) send(t *pubsub.Names, channel, message []byte) int {
	if x := c.x; c.Journaling() && !x.publishes {
		x.publishes = true // until the effect is journaled, for EXEC with all of its own
		c.S.pubsub.Order.Lock()
	}
	return c.S.pubsub.Publish(t, channel, message)
}

// endPublish ends what send began.
func (x *Exec) endPublish() {
	if x.publishes {
		x.publishes = false
		x.s.pubsub.Order.Unlock()
	}
}

// manyChannels is how many are listed on the loop; more go to a worker.
const manyChannels = 1000

func cmdPubSubChannels(c *Ctx)      { c.listChannels(&c.S.pubsub.Channels) }
func cmdPubSubShardChannels(c *Ctx) { c.listChannels(&c.S.pubsub.Shard) }

func (c *Ctx) listChannels(t *pubsub.Names) {
	if len(c.Args) > 3 {
		c.UnknownForm()
		return
	}
	pattern := glob.Compile([]byte("*"))
	if len(c.Args) == 3 {
		pattern = glob.Compile(c.Args[2])
	}
	list := func(w *wire.Writer) {
		n, at := 0, w.DeferArray()
		t.Each(func(name string) {
			if pattern.Match([]byte(name)) {
				w.BulkString(name)
				n++
			}
		})
		w.SetArray(at, n)
	}
	if t.Len() > manyChannels || pattern.Hard() {
		c.Background(list)
	} else {
		list(c.W)
	}
}

func cmdPubSubNumSub(c *Ctx)      { c.numSub(&c.S.pubsub.Channels) }
func cmdPubSubShardNumSub(c *Ctx) { c.numSub(&c.S.pubsub.Shard) }

func (c *Ctx) numSub(t *pubsub.Names) {
	c.W.Array(2 * len(c.Args[2:]))
	for _, name := range c.Args[2:] {
		c.W.Bulk(name)
		c.W.Int(int64(c.S.pubsub.Count(t, name)))
	}
}

func cmdPubSubNumPat(c *Ctx) { c.W.Int(c.S.pubsub.Patterns.Len()) }
