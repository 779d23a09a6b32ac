package command

import (
	"strings"
)

// CLIENT CACHING, GETREDIR, TRACKING, TRACKINGINFO; what they mean is in
// tracking.go.

func trackingRows() []*Row {
	return []*Row{
		{Name: "caching", Fn: cmdClientCaching, Arity: 3, Flags: NoScript | Loading | Stale, Since: "6.0.0",
			Summary: "Says whether the next command's keys are tracked.", Complexity: "O(1)", Syntax: "<YES | NO>"},
		{Name: "getredir", Fn: cmdClientGetRedir, Arity: 2, Flags: NoScript | Loading | Stale, Since: "6.0.0",
			Summary: "Returns the connection that this one's invalidation messages go to.", Complexity: "O(1)"},
		{Name: "tracking", Fn: cmdClientTracking, Arity: -3, Flags: NoScript | Loading | Stale, Since: "6.0.0",
			Summary: "Chooses whether this connection is told when keys change that it has read.", Complexity: "O(1), and O(N) in the number of prefixes",
			Syntax: "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]"},
		{Name: "trackinginfo", Fn: cmdClientTrackingInfo, Arity: 2, Flags: NoScript | Loading | Stale, Since: "6.2.0",
			Summary: "Describes this connection's client-side caching.", Complexity: "O(1)"},
	}

}

// redir is what CLIENT GETREDIR and LIST show.
func (c *Client) redir() int64 {
	if c.has(stateTracking) {
		return c.redirect.Load()
	}
	return -1
}

func cmdClientGetRedir(c *Ctx) { c.W.Int(c.C.redir()) }

func cmdClientTrackingInfo(c *Ctx) {
	cl := c.C
	flags := []string{"off"}
	if cl.has(stateTracking) {
		flags[0] = "on"
	}
	for _, f := range []struct {
		set  bool
		name string
	}{
		{cl.has(stateBroadcast), "bcast"},
		{cl.track.optIn, "optin"}, {cl.track.optIn && cl.track.caching, "caching-yes"},
		{cl.track.optOut, "optout"}, {cl.track.optOut && cl.track.caching, "caching-no"},
		{cl.has(stateNoLoop), "noloop"}, {cl.has(stateBrokenRedirect), "broken_redirect"},
	} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	c.W.Map(3)
	c.W.BulkString("flags")
	c.W.Set(len(flags))
	for _, f := range flags {
		c.W.BulkString(f)
	}
	c.W.BulkString("redirect")
	c.W.Int(cl.redir())
	c.W.BulkString("prefixes")
	prefixes := c.S.tracking.prefixesOf(cl)
	c.W.Array(len(prefixes))
	for _, p := range prefixes {
		c.W.BulkString(p)
	}
}

func cmdClientCaching(c *Ctx) {
	tr := &c.C.track
	switch {
	case !c.C.has(stateTracking):
		c.Err("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	case c.Word(2, "yes") && !tr.optIn:
		c.Err("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
	case c.Word(2, "no") && !tr.optOut:
		c.Err("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
	case c.Word(2, "yes"), c.Word(2, "no"):
		tr.caching = true
		c.W.OK()
	default:
		c.Err(ErrSyntax)
	}
}

func cmdClientTracking(c *Ctx) {
	cl, t := c.C, &c.S.tracking
	var (
		redirect      int64
		bits          uint32
		optIn, optOut bool
		prefixes      []string
	)
	for i := 3; i < len(c.Args); i++ {
		more := i+1 < len(c.Args)
		switch {
		case c.Word(i, "redirect") && more:
			i++
			if redirect != 0 {
				c.Err("ERR A client can only redirect to a single other client")
				return
			}
			id, ok := c.Int(i)
			if !ok {
				return
			}
			if c.S.clients.get(id) == nil {
				c.Err("ERR The client ID you want redirect to does not exist")
				return
			}
			redirect = id
		case c.Word(i, "bcast"):
			bits |= stateBroadcast
		case c.Word(i, "optin"):
			optIn = true
		case c.Word(i, "optout"):
			optOut = true
		case c.Word(i, "noloop"):
			bits |= stateNoLoop
		case c.Word(i, "prefix") && more:
			i++
			prefixes = append(prefixes, string(c.Args[i]))
		default:
			c.Err(ErrSyntax)
			return
		}
	}
	if c.Word(2, "off") {
		t.untrack(cl)
		c.settle()
		c.W.OK()
		return
	}
	bcast := bits&stateBroadcast != 0
	switch {
	case !c.Word(2, "on"):
		c.Err(ErrSyntax)
	case !bcast && prefixes != nil:
		c.Err("ERR PREFIX option requires BCAST mode to be enabled")
	case cl.has(stateTracking) && cl.has(stateBroadcast) != bcast:
		c.Err("ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.")
	case bcast && (optIn || optOut):
		c.Err("ERR OPTIN and OPTOUT are not compatible with BCAST")
	case optIn && optOut:
		c.Err("ERR You can't specify both OPTIN mode and OPTOUT mode")
	case optIn && cl.track.optOut, optOut && cl.track.optIn:
		c.Err("ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.")
	case bcast && !c.prefixesFit(prefixes):
	default:
		if bcast && prefixes == nil {
			prefixes = []string{""}
		}
		t.track(cl, redirect, bits, optIn, optOut, prefixes)
		c.W.OK()
	}
}

// prefixesFit replies with an error where one of the prefixes overlaps with
// another one, or with one that the client has.
func (c *Ctx) prefixesFit(prefixes []string) bool {
	has := c.S.tracking.prefixesOf(c.C)
	for i, p := range prefixes {
		overlaps := func(kind string, others []string) bool {
			for _, o := range others {
				if strings.HasPrefix(o, p) || strings.HasPrefix(p, o) {
					c.Err("ERR Prefix '" + Quote([]byte(p)) + "' overlaps with " + kind + " prefix '" + Quote([]byte(o)) + "'. Prefixes for a single client must not overlap.")
					return true
				}
			}
			return false
		}
		if overlaps("an existing", has) || overlaps("another provided", prefixes[i+1:]) {
			return false
		}
	}
	return true
}
