package stream

import (
	"bytes"
	"math"
	"slices"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/stream"
)

// XREAD and XREADGROUP: they answer at once where they can, else wait. What is
// journaled of XREADGROUP is what has become pending (XCLAIM), been read without
// that (XGROUP SETID), and who is new (XGROUP CREATECONSUMER). A consumer that reads
// what is pending of it changes times and counts of deliveries only: that is a read,
// which followers and the log do not hear of, as in Redis.

func streamReadRows() []*command.Row {
	return []*command.Row{
		{Name: "xread", Fn: cmdXRead, Arity: -4, Flags: command.ReadOnly | command.Blocking | command.MovableKeys, KeysFn: streamKeys, KeyFlags: "RO access",
			Since: "5.0.0", Group: "stream", Summary: "Returns the entries of streams after an ID; waits for some if need be.", Complexity: "O(log(N)+M) for each stream, in the number of nodes and of entries returned",
			Syntax: "[COUNT count] [MAXCOUNT maxcount] [MAXSIZE maxsize] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]"},
		{Name: "xreadgroup", Fn: cmdXReadGroup, Arity: -7, Flags: command.Write | command.CountsReads | command.Blocking | command.MovableKeys, KeysFn: streamKeys, KeyFlags: "RO access",
			Since: "5.0.0", Group: "stream", Summary: "Returns entries of streams that a group has not been given yet, or those that are pending of a consumer; waits for some if need be.",
			Complexity: "O(log(N)+M) for each stream, in the number of nodes and of entries returned",
			Syntax:     "GROUP group consumer [COUNT count] [MAXCOUNT maxcount] [MAXSIZE maxsize] [BLOCK milliseconds] [CLAIM min-idle-time] [NOACK] STREAMS key [key ...] id [id ...]"},
	}
}

// streamKeys is a KeysFn: the first half of what follows STREAMS.
func streamKeys(args [][]byte, dst []int) ([]int, bool) {
	for i := 1; i < len(args); i++ {
		switch a := args[i]; {
		case command.EqualFold(a, "streams"):
			n := len(args) - i - 1
			if n == 0 || n%2 != 0 {
				return dst, false
			}
			for k := range n / 2 {
				dst = append(dst, i+1+k)
			}
			return dst, true
		case command.EqualFold(a, "block"), command.EqualFold(a, "count"), command.EqualFold(a, "maxcount"), command.EqualFold(a, "maxsize"), command.EqualFold(a, "claim"):
			i++
		case command.EqualFold(a, "group"):
			i += 2
		case command.EqualFold(a, "noack"):
		default:
			return dst, false
		}
	}
	return dst, false
}

// What is wanted of a stream.
const (
	wantAfter   = iota // what comes after an ID
	wantLast           // the last entry
	wantNew            // what the group has not been given
	wantHistory        // the consumer's own after an ID
)

// reading are the options of XREAD and XREADGROUP.
type reading struct {
	groups          bool
	group, consumer []byte
	count           int64 // of each stream; 0: any
	block           int64 // milliseconds; -1: do not wait
	claim           int64 // milliseconds; -1: nothing is claimed
	maxCount        int64 // of all streams; 0: any
	maxSize         int64 // bytes, likewise
	noAck           bool
	ids             []command.ReadFrom
	// most is how many entries a consumer gets without letting go of the stripes; 0: any.
	most int64

	key int // position of the first key
}

func (r *reading) parse(c *command.Ctx) bool {
	r.block, r.claim = -1, -1
	counted := false
	i := 1
	for ; i < len(c.Args); i++ {
		more := len(c.Args) - i - 1
		var ok bool
		switch {
		case c.Word(i, "block") && more > 0:
			i++
			if r.block, ok = command.ParseInt(c.Args[i]); !ok {
				c.Err("ERR timeout is not an integer or out of range")
				return false
			}
			switch {
			case r.block < 0:
				c.Err("ERR timeout is negative")
				return false
			case r.block > math.MaxInt64-c.Now:
				c.Err("ERR timeout is out of range")
				return false
			}
		case c.Word(i, "count") && more > 0:
			i++
			if r.count, ok = c.Int(i); !ok {
				return false
			}
			r.count = max(r.count, 0)
			counted = r.count > 0
		case c.Word(i, "maxcount") && more > 0:
			i++
			if r.maxCount, ok = c.IntMin(i, 1, "ERR MAXCOUNT must be > 0"); !ok {
				return false
			}
		case c.Word(i, "maxsize") && more > 0:
			i++
			if r.maxSize, ok = c.IntMin(i, 1, "ERR MAXSIZE must be > 0"); !ok {
				return false
			}
		case c.Word(i, "streams") && more > 0:
			i++
			if more%2 != 0 {
				last := "$"
				if r.groups {
					last = ">"
				}
				c.Err("ERR Unbalanced '" + c.Row.Name + "' list of streams: for each stream key an ID or '" + last + "' must be specified.")
				return false
			}
			r.key = i
			i = len(c.Args)
		case c.Word(i, "group") && more >= 2:
			if !r.groups {
				c.Err("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
				return false
			}
			r.group, r.consumer = c.Args[i+1], c.Args[i+2]
			i += 2
		case c.Word(i, "noack"):
			if !r.groups {
				c.Err("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
				return false
			}
			r.noAck = true
		case c.Word(i, "claim") && more > 0:
			if !r.groups {
				c.Err("ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.")
				return false
			}
			i++
			if r.claim, ok = command.ParseInt(c.Args[i]); !ok {
				c.Err("ERR min-idle-time is not an integer or out of range")
				return false
			}
			if r.claim < 0 {
				c.Err("ERR min-idle-time must be a positive integer")
				return false
			}
		default:
			c.Err(command.ErrSyntax)
			return false
		}
	}
	switch {
	case r.key == 0:
		c.Err(command.ErrSyntax)
		return false
	case r.groups && r.group == nil:
		c.Err("ERR Missing GROUP option for XREADGROUP")
		return false
	case r.maxCount > 0 && counted && r.maxCount < r.count:
		c.Err("ERR MAXCOUNT must be greater than or equal to COUNT")
		return false
	}
	return true
}

func noGroupToRead(k *keyspace.Key, group []byte) string {
	return "NOGROUP No such key '" + command.Quote(k.B) + "' or consumer group '" + command.Quote(group) + "' in XREADGROUP with GROUP option"
}

// resolve reads the IDs, and verifies that keys and groups are there.
func (r *reading) resolve(c *command.Ctx) bool {
	if cap(c.Values().From) < len(c.Keys) {
		c.Values().From = make([]command.ReadFrom, len(c.Keys))
	}
	r.ids = c.Values().From[:len(c.Keys)]
	clear(r.ids)
	for n := range c.Keys {
		k, arg := &c.Keys[n], c.Args[r.key+len(c.Keys)+n]
		s, ok := readStream(c, k)
		if !ok {
			return false
		}
		if r.groups && (s == nil || s.Group(r.group) == nil) {
			c.Err(noGroupToRead(k, r.group))
			return false
		}
		w := &r.ids[n]
		switch arg, _, _ = bytes.Cut(arg, []byte{0}); {
		case string(arg) == "$":
			if r.groups {
				c.Err("ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.")
				return false
			}
			if s != nil {
				w.ID = s.LastID()
			}
		case string(arg) == "+":
			if r.groups {
				c.Err("ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.")
				return false
			}
			w.Kind = wantLast
		case string(arg) == ">":
			if !r.groups {
				c.Err("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
				return false
			}
			w.Kind = wantNew
		default:
			if w.ID, ok = streamID(c, r.key+len(c.Keys)+n); !ok {
				return false
			}
			if r.groups {
				w.Kind = wantHistory
			}
			if r.groups && w.ID == stream.MaxID {
				*w = command.ReadFrom{Kind: wantNew} // in Redis > stands for that ID
			}
		}
	}
	return true
}

func cmdXRead(c *command.Ctx)      { readStreams(c, reading{}) }
func cmdXReadGroup(c *command.Ctx) { readStreams(c, reading{groups: true}) }

func readStreams(c *command.Ctx, r reading) {
	c.NoEffect()
	if !r.parse(c) || !r.resolve(c) || r.aside(c) {
		return
	}
	if r.groups && (r.count == 0 || r.count > readAtOnce/int64(len(r.ids))) && c.CanBlock() && !c.Applies() {
		if r.inPortions(c) {
			return
		}
	} else if a := (readAnswer{w: c.W}); r.serveAll(c, &a) {
		return
	}
	if r.block < 0 || !c.CanBlock() {
		c.W.NullArray()
		return
	}
	r.wait(c)
}

// serveAll replies with what is wanted of each stream; false: there is nothing.
func (r *reading) serveAll(c *command.Ctx, a *readAnswer) bool {
	for i := range c.Keys {
		if e := c.Peek(&c.Keys[i]); e.Exists() {
			r.serve(c, a, &c.Keys[i], &e, r.ids[i])
		}
	}
	return a.end()
}

// readAtOnce is how many entries a consumer is given without letting go of the stripe: half a
// millisecond.
const readAtOnce = 256

// inPortions is serveAll of XREADGROUP: after some entries the rest follows bit by bit. That
// ends with what the streams have at the beginning, and where a stream or group is gone.
func (r *reading) inPortions(c *command.Ctx) bool {
	first := wire.Writer{Proto: c.W.Proto}
	a := readAnswer{w: &first}
	i, n, at := 0, int64(0), portion{}
	for ; i < len(c.Keys) && n < readAtOnce; i++ {
		at = portion{id: r.ids[i].ID}
		if e := c.Peek(&c.Keys[i]); e.Exists() {
			r.most = readAtOnce - n
			r.serveSome(c, &a, &c.Keys[i], &e, r.ids[i], &at)
		}
		if n += at.n; at.more {
			break
		}
	}
	if i == len(c.Keys) {
		there := a.end()
		c.W.Raw(first.Buf)
		return there
	}
	if !at.more {
		at = portion{id: r.ids[i].ID}
	}
	r.most = readAtOnce
	all, db, o := c.Apart(), c.DB(), *r
	o.group, o.consumer, o.ids = slices.Clone(r.group), slices.Clone(r.consumer), slices.Clone(r.ids)
	c.Background(func(w *wire.Writer) {
		w.Raw(first.Buf) // where it was, so that the headers are found
		a.w = w
		for i < len(all.Keys) && all.S.TakesWrites() {
			at.more, at.later = false, true
			all.S.ChangeLater(all.C, db, all.Keys[i:i+1], func(c *command.Ctx) {
				e := c.Peek(&c.Keys[0])
				if e.Type() == types.TStream && e.Object().(*stream.Stream).Group(o.group) != nil {
					o.serveSome(c, &a, &c.Keys[0], &e, o.ids[i], &at)
				}
			})
			if at.more {
				continue
			}
			if at.open {
				w.SetArray(at.mark, int(at.n))
				at.open = false
			}
			if i++; i < len(all.Keys) {
				at = portion{id: o.ids[i].ID}
			}
		}
		if at.open { // writes are refused now
			w.SetArray(at.mark, int(at.n))
		}
		a.end()
	})
	return true
}

// portion is how far a stream has been read for a consumer.
type portion struct {
	more  bool // there is more
	later bool // it is no part of the command itself. It must make no key ready.
	begun bool
	id    stream.ID // of its own, the last that it was given
	last  stream.ID // of the stream, when it began
	n     int64     // entries replied
	open  bool      // mark is the head of the entries' array
	mark  wire.Mark
}

// readAnswer is the reply of XREAD while it is made.
type readAnswer struct {
	w       *wire.Writer
	at      wire.Mark
	streams int
	entries int64
	size    int64
}

// begin begins what is replied of a stream.
func (a *readAnswer) begin(k *keyspace.Key) {
	if a.streams == 0 {
		a.at = a.w.DeferArray()
	}
	a.streams++
	if a.w.Proto < 3 {
		a.w.Array(2)
	}
	a.w.Bulk(k.B)
}

// end ends the reply; false: there is nothing.
func (a *readAnswer) end() bool {
	if a.streams > 0 {
		if a.w.Proto < 3 {
			a.w.SetArray(a.at, a.streams)
		} else {
			a.w.SetMap(a.at, a.streams)
		}
	}
	return a.streams > 0
}

// full tells whether no further entry may be replied, n being of this stream.
func (r *reading) full(a *readAnswer, n int64) bool {
	return r.count > 0 && n >= r.count || r.spent(a)
}

// spent is full of all streams together.
func (r *reading) spent(a *readAnswer) bool {
	return r.maxCount > 0 && a.entries >= r.maxCount || r.maxSize > 0 && a.size >= r.maxSize
}

// entry replies with an entry.
func (a *readAnswer) entry(it *stream.Iter) {
	a.entries++
	a.size += int64(it.Size())
	writeEntry(a.w, it)
}

// serve replies with what is wanted of a stream, if there is anything.
func (r *reading) serve(c *command.Ctx, a *readAnswer, k *keyspace.Key, e *keyspace.Entry, w command.ReadFrom) {
	if r.groups {
		r.serveSome(c, a, k, e, w, &portion{id: w.ID})
		return
	}
	r.serveStream(a, k, e.Object().(*stream.Stream), w)
}

// serveSome is serve for a consumer, and goes on where at is.
func (r *reading) serveSome(c *command.Ctx, a *readAnswer, k *keyspace.Key, e *keyspace.Entry, w command.ReadFrom, at *portion) {
	s := openStream(c, k, e)
	r.serveGroup(c, a, &s, w, at)
	closeStream(c, &s, false)
	if at.open && !at.more {
		a.w.SetArray(at.mark, int(at.n))
		at.open = false
	}
}

func (r *reading) serveStream(a *readAnswer, k *keyspace.Key, s *stream.Stream, w command.ReadFrom) {
	if s.Len() == 0 || r.spent(a) {
		return
	}
	if w.Kind == wantLast {
		it := s.SeekBack(stream.MaxID)
		if it.Prev() {
			a.begin(k)
			a.w.Array(1)
			a.entry(&it)
		}
		return
	}
	from, ok := w.ID.Next()
	if !ok {
		return
	}
	it := s.Seek(from)
	if !it.Next() {
		return
	}
	a.begin(k)
	at, n := a.w.DeferArray(), int64(0)
	for more := true; more; more = !r.full(a, n) && it.Next() {
		a.entry(&it)
		n++
	}
	a.w.SetArray(at, int(n))
}

// aside has a long reply of XREAD made from copies.
func (r *reading) aside(c *command.Ctx) bool {
	if r.groups || r.count > 0 && r.count <= command.LongRead/10/int64(len(r.ids)) {
		return false
	}
	type view struct {
		key keyspace.Key
		s   *stream.Stream
		w   command.ReadFrom
	}
	long := false
	var views []view
	for i := range c.Keys {
		e := c.Peek(&c.Keys[i])
		if !e.Exists() {
			continue
		}
		s := e.Object().(*stream.Stream)
		n := s.Len()
		if n > 0 && r.ids[i].Kind == wantAfter {
			n = s.Count(r.ids[i].ID)
			if r.count > 0 {
				n = min(n, int(r.count))
			}
			long = long || command.LongToRead(s, n, s.Len())
		}
		views = append(views, view{c.Keys[i], s, r.ids[i]})
	}
	if !long {
		return false
	}
	for i := range views {
		v := &views[i]
		v.key.B = slices.Clone(v.key.B)
		v.s = v.s.Copy().(*stream.Stream)
	}
	o := *r // its IDs are in views
	c.Aside(func(w *wire.Writer) {
		a := readAnswer{w: w}
		for i := range views {
			o.serveStream(&a, &views[i].key, views[i].s, views[i].w)
			command.FreeAll(views[i].s)
		}
		a.end()
	})
	return true
}

// serveGroup is serve for XREADGROUP. The consumer is made if there is none.
func (r *reading) serveGroup(c *command.Ctx, a *readAnswer, s *streamEdit, w command.ReadFrom, at *portion) {
	d := streamDelivery{r: r, c: c, s: s, g: s.EditGroup(r.group), portion: at}
	had, begins := at.n, !at.begun
	if begins {
		at.begun, at.last = true, s.LastID()
	}
	d.consumer = s.EditConsumer(d.g, r.consumer)
	made := d.consumer == nil
	if made && !begins {
		return // it was deleted meanwhile, or the group is another one
	}
	if made {
		d.consumer = s.AddConsumer(d.g, r.consumer, c.Now)
		c.Notify('t', "xgroup-createconsumer", s.k)
		c.Dirty++
		if r.noAck && r.claim < 0 {
			consumerEffect(c, s.k, r.group, r.consumer)
			made = false
		}
	}
	d.consumer.Seen = c.Now
	switch {
	case w.Kind == wantHistory:
		d.history(a)
	case !r.spent(a):
		if r.claim >= 0 && begins {
			d.claim(a)
		}
		d.fresh(a, had)
	}
	if made && d.claims == 0 { // what was claimed has made the consumer, too
		consumerEffect(c, s.k, r.group, r.consumer)
	}
	if d.n > had && w.Kind != wantHistory {
		c.Dirty++
		d.consumer.Active = c.Now
	}
	if d.n > had {
		wakeClaims(c, s.k, at.later)
	}
}

// streamDelivery is a stream being read for a consumer.
type streamDelivery struct {
	r        *reading
	c        *command.Ctx
	s        *streamEdit
	g        *stream.Group
	consumer *stream.Consumer
	claims   int // XCLAIMs journaled
	*portion
}

func (d *streamDelivery) begin(a *readAnswer) {
	if !d.open {
		a.begin(d.s.k)
		d.mark, d.open = a.w.DeferArray(), true
	}
}

// assign makes e pending of the consumer, and journals that.
func (d *streamDelivery) assign(e stream.Pending) {
	e.Consumer = d.consumer.Number()
	d.s.Assign(d.g, e)
	d.claims++
	claimEffect(d.c, d.s.k, d.g, d.r.group, d.r.consumer, &e)
}

// history replies with what is pending of the consumer after an ID.
func (d *streamDelivery) history(a *readAnswer) {
	d.begin(a)
	from, ok := d.id.Next()
	if !ok {
		return
	}
	var own []stream.Pending
	d.g.EachPending(from, d.consumer, func(e *stream.Pending) bool {
		if d.more = d.r.most > 0 && int64(len(own)) == d.r.most; d.more {
			return false
		}
		own = append(own, *e)
		return d.r.count == 0 || d.n+int64(len(own)) < d.r.count
	})
	if d.more {
		d.id = own[len(own)-1].ID
	}
	var it stream.Iter
	for _, e := range own {
		if d.r.spent(a) {
			d.more = false
			break
		}
		d.n++
		it.SeekIn(d.s.Stream, e.ID)
		if !it.Next() || it.ID != e.ID {
			a.w.Array(2)
			writeStreamID(a.w, e.ID)
			a.w.NullArray()
			continue
		}
		a.entry(&it)
		e.Time = d.c.Now
		e.Count = nextCount(e.Count)
		d.s.Assign(d.g, e)
	}
}

// nextCount is a count of deliveries and one more, as far as replies can say it.
func nextCount(n uint64) uint64 { return min(n+1, math.MaxInt64) }

// claimAtOnce is how many entries CLAIM takes over at most, whatever COUNT says: it is to be
// called again anyway.
const claimAtOnce = 400

// claim takes over what is pending and was not touched for long enough, or is
// nobody's.
func (d *streamDelivery) claim(a *readAnswer) {
	most := claimAtOnce
	if d.r.count > 0 {
		most = int(min(d.r.count, claimAtOnce))
	}
	var it stream.Iter
	for _, e := range d.g.Due(d.c.Now-d.r.claim, most, nil) {
		if d.r.full(a, d.n) {
			return
		}
		it.SeekIn(d.s.Stream, e.ID)
		if !it.Next() || it.ID != e.ID {
			d.s.Ack(d.g, e.ID)
			ackEffect(d.c, d.s.k, d.r.group, e.ID)
			d.c.Dirty++
			continue
		}
		d.begin(a)
		idle := int64(0)
		if e.Consumer != 0 {
			idle = max(d.c.Now-e.Time, 0)
		}
		d.four(a, &it, idle, e.Count)
		e.Time, e.Count = d.c.Now, nextCount(e.Count)
		d.assign(e)
	}
}

// four replies with an entry as CLAIM does.
func (d *streamDelivery) four(a *readAnswer, it *stream.Iter, idle int64, count uint64) {
	d.n++
	a.entries++
	a.size += int64(it.Size())
	a.w.Array(4)
	writeStreamID(a.w, it.ID)
	writeFields(a.w, it)
	a.w.Int(idle)
	a.w.Int(int64(count))
}

// fresh replies with what the group has not been given. had is how many entries were replied
// before this portion.
func (d *streamDelivery) fresh(a *readAnswer, had int64) {
	from, ok := d.g.Last.Next()
	if !ok || d.s.Len() == 0 {
		return
	}
	moved, until := false, int64(math.MaxInt64)
	if d.r.most > 0 {
		until = had + d.r.most
	}
	it := d.s.Seek(from)
	for !d.r.full(a, d.n) && it.Next() {
		if d.r.most > 0 && d.last.Less(it.ID) {
			break
		}
		if d.more = d.n >= until; d.more {
			break
		}
		d.begin(a)
		if d.r.claim >= 0 {
			d.four(a, &it, 0, 0)
		} else {
			d.n++
			a.entry(&it)
		}
		d.s.Delivered(d.g, it.ID)
		if d.r.noAck {
			moved = true
			continue
		}
		d.assign(stream.Pending{ID: it.ID, Time: d.c.Now, Count: 1})
	}
	if moved {
		groupEffect(d.c, d.s.k, d.g, d.r.group)
	}
}

// ready tells whether a consumer that waits would get anything of a stream.
func (r *reading) ready(c *command.Ctx, s *streamEdit, g *stream.Group) bool {
	if g.Last.Less(s.LastID()) {
		if last, ok := s.Last(); ok && g.Last.Less(last) {
			return true
		}
	}
	if r.claim < 0 {
		return false
	}
	at, ok := s.Earliest(g)
	return ok && at <= c.Now-r.claim
}

// wait blocks the client until there is something for it. Where entries may be
// claimed, the moment at which the first one can be is waited for, too.
func (r *reading) wait(c *command.Ctx) {
	o := *r
	o.most = 0 // what one transaction adds comes in one reply
	o.group, o.consumer = slices.Clone(r.group), slices.Clone(r.consumer)
	o.ids = slices.Clone(r.ids)
	c.Block(c.Keys, command.Wait{Timeout: r.block, TimedOut: command.NullArray, Gone: r.groups, Claims: r.claim >= 0,
		Serve: func(c *command.Ctx, k *keyspace.Key) bool { return o.serveWaiting(c, k) }})
	if r.claim >= 0 {
		for i := range c.Keys {
			o.wakeForClaim(c, &c.Keys[i])
		}
	}
}

// serveWaiting is Wait.Serve. It looks at every stream whose stripe is locked, so
// that one transaction's entries come in one reply.
func (r *reading) serveWaiting(c *command.Ctx, k *keyspace.Key) bool {
	if r.groups && r.refuse(c) {
		return true
	}
	a := readAnswer{w: c.W}
	for i := range r.ids {
		key := &c.Keys[i]
		if !c.LockedKey(key) {
			continue
		}
		e := c.Peek(key)
		if e.Type() != types.TStream {
			continue
		}
		if r.groups {
			s := openStream(c, key, &e)
			ready := r.ready(c, &s, s.Group(r.group))
			closeStream(c, &s, false)
			if !ready {
				continue
			}
			e = c.Peek(key)
		}
		r.serve(c, &a, key, &e, r.ids[i])
	}
	if a.end() {
		return true
	}
	if r.claim >= 0 {
		r.wakeForClaim(c, k)
	}
	return false
}

// refuse replies to a consumer whose stream or group is no longer there.
func (r *reading) refuse(c *command.Ctx) bool {
	for i := range r.ids {
		k := &c.Keys[i]
		if !c.LockedKey(k) {
			continue
		}
		e := c.Peek(k)
		switch {
		case e.Exists() && e.Type() != types.TStream:
			c.Err(command.ErrWrongType)
			return true
		case !e.Exists() || e.Object().(*stream.Stream).Group(r.group) == nil:
			c.Err(noGroupToRead(k, r.group))
			return true
		}
	}
	return false
}

// wakeForClaim has those who wait for a key served when the next pending entry
// can be claimed.
func (r *reading) wakeForClaim(c *command.Ctx, k *keyspace.Key) {
	e := c.Peek(k)
	if e.Type() != types.TStream {
		return
	}
	s := openStream(c, k, &e)
	if g := s.Group(r.group); g != nil {
		if at, ok := s.Earliest(g); ok && at < math.MaxInt64-r.claim {
			c.WakeAt(k, max(at, 0)+r.claim)
		}
	}
	closeStream(c, &s, false)
}

// wakeClaims is Ready for those who wait for pending entries to become idle: the
// first one may do so earlier than they know. later: it is no part of the command itself.
func wakeClaims(c *command.Ctx, k *keyspace.Key, later bool) {
	switch {
	case !c.WaitedForClaims(k):
	case later:
		c.WakeAt(k, c.Now)
	default:
		c.Ready(k)
	}
}

// claimEffect journals that an entry is pending of a consumer, as Redis does.
func claimEffect(c *command.Ctx, k *keyspace.Key, g *stream.Group, group, consumer []byte, e *stream.Pending) {
	if c.Journaling() {
		c.Effect([]byte("XCLAIM"), k.B, group, consumer, []byte("0"), e.ID.Append(nil), []byte("TIME"), command.IntArg(e.Time),
			[]byte("RETRYCOUNT"), command.IntArg(int64(e.Count)), []byte("FORCE"), []byte("JUSTID"), []byte("LASTID"), g.Last.Append(nil))
	} else {
		c.NoEffect()
	}
}

func ackEffect(c *command.Ctx, k *keyspace.Key, group []byte, id stream.ID) {
	if c.Journaling() {
		c.Effect([]byte("XACK"), k.B, group, id.Append(nil))
	} else {
		c.NoEffect()
	}
}

func consumerEffect(c *command.Ctx, k *keyspace.Key, group, consumer []byte) {
	if c.Journaling() {
		c.Effect([]byte("XGROUP"), []byte("CREATECONSUMER"), k.B, group, consumer)
	} else {
		c.NoEffect()
	}
}

func groupEffect(c *command.Ctx, k *keyspace.Key, g *stream.Group, group []byte) {
	if c.Journaling() {
		c.Effect([]byte("XGROUP"), []byte("SETID"), k.B, group, g.Last.Append(nil), []byte("ENTRIESREAD"), command.IntArg(g.Read))
	} else {
		c.NoEffect()
	}
}
