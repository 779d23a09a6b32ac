package stream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/stream"
)

// XADD, XCFGSET, XDEL, XDELEX, XIDMPRECORD, XLEN, XRANGE, XREVRANGE, XSETID,
// XTRIM. XREAD and XREADGROUP are in stream_read.go, what groups have besides in
// stream_group.go, XINFO in stream_info.go.

func streamRows() []*command.Row {
	return []*command.Row{
		{Name: "xadd", Fn: cmdXAdd, Arity: -5, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
			Since: "5.0.0", Group: "stream", Summary: "Adds an entry to the end of a stream, creating it where there is none, and returns its ID.",
			Complexity: "O(1), and O(N) in the number of entries trimmed", Tips: "nondeterministic_output",
			Syntax: "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO pid | IDMP pid iid] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]"},
		{Name: "xcfgset", Fn: cmdXCfgSet, Arity: -2, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
			Since: "8.6.0", Group: "stream", Summary: "Sets how long, and how many, IDs of idempotent producers a stream remembers, and forgets those that it does.", Complexity: "O(1)",
			Syntax: "key [IDMP-DURATION idmp-duration] [IDMP-MAXSIZE idmp-maxsize]"},
		{Name: "xdel", Fn: cmdXDel, Arity: -3, Flags: command.Write | command.Fast | command.InPortions, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete",
			Since: "5.0.0", Group: "stream", Summary: "Removes entries from a stream and counts them.", Complexity: "O(1) for each entry", Syntax: "key id [id ...]"},
		{Name: "xdelex", Fn: cmdXDelEx, Arity: -5, Flags: command.Write | command.Fast | command.InPortions, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete",
			Since: "8.2.0", Group: "stream", Summary: "Removes entries from a stream, with an eye on the groups in which they are pending.", Complexity: "O(1) for each entry and group",
			Syntax: "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]"},
		{Name: "xidmprecord", Fn: cmdXIdmpRecord, Arity: 5, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
			Since: "8.6.2", Group: "stream", Summary: "Has a stream remember a producer's ID of an entry. It is for logs.", Complexity: "O(1)", Syntax: "key pid iid stream-id"},
		{Name: "xlen", Fn: cmdXLen, Arity: 2, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO",
			Since: "5.0.0", Group: "stream", Summary: "Returns the number of entries of a stream.", Complexity: "O(1)", Syntax: "key"},
		{Name: "xrange", Fn: func(c *command.Ctx) { xrange(c, false) }, Arity: -4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "5.0.0", Group: "stream", Summary: "Returns the entries of a stream within a range of IDs.", Complexity: "O(log(N)+M) in the number of nodes and of entries returned",
			Syntax: "key start end [COUNT count]"},
		{Name: "xrevrange", Fn: func(c *command.Ctx) { xrange(c, true) }, Arity: -4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "5.0.0", Group: "stream", Summary: "Returns the entries of a stream within a range of IDs, the last one first.", Complexity: "O(log(N)+M) in the number of nodes and of entries returned",
			Syntax: "key end start [COUNT count]"},
		{Name: "xsetid", Fn: cmdXSetID, Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
			Since: "5.0.0", Group: "stream", Summary: "Sets the last ID of a stream, and its counters. It is for logs.", Complexity: "O(1)",
			Syntax: "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]"},
		{Name: "xtrim", Fn: cmdXTrim, Arity: -4, Flags: command.Write, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete",
			Since: "5.0.0", Group: "stream", Summary: "Removes entries from the front of a stream.", Complexity: "O(N) in the number of nodes removed; of entries, with DELREF and ACKED", Tips: "nondeterministic_output",
			Syntax: "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]"},
	}
}

const errStreamID = "ERR Invalid stream ID specified as stream command argument"

// readStream is the stream at a key for reading, nil where there is none; ok is
// false where something else is there, and that is replied.
func readStream(c *command.Ctx, k *keyspace.Key) (s *stream.Stream, ok bool) {
	var e keyspace.Entry
	if ok = c.LookupType(k, types.TStream, &e); !ok || !e.Exists() {
		return nil, ok
	}
	return e.Object().(*stream.Stream), true
}

// streamEdit is a stream that is being changed.
type streamEdit struct {
	*stream.Stream
	k     *keyspace.Key
	bytes int64 // as the keyspace has noted them
}

// editStream is readStream for changes, which closeStream ends.
func editStream(c *command.Ctx, k *keyspace.Key) (s streamEdit, ok bool) {
	var e keyspace.Entry
	if ok = c.LookupType(k, types.TStream, &e); !ok || !e.Exists() {
		return s, ok
	}
	return openStream(c, k, &e), true
}

// needStream is editStream for commands to which a missing stream is an error, which is
// replied: ok is false then.
func needStream(c *command.Ctx) (s streamEdit, ok bool) {
	if s, ok = editStream(c, &c.Keys[0]); ok && s.Stream == nil {
		c.Err(command.ErrNoKey)
		return s, false
	}
	return s, ok
}

// editOrZero is editStream for commands that count, and say 0 where there is no stream: ok
// is false then.
func editOrZero(c *command.Ctx) (s streamEdit, ok bool) {
	if s, ok = editStream(c, &c.Keys[0]); ok && s.Stream == nil {
		c.W.Int(0)
		return s, false
	}
	return s, ok
}

func openStream(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry) streamEdit {
	s := c.WritableObject(k, e).(*stream.Stream)
	return streamEdit{s, k, s.Bytes()}
}

// closeStream ends what editStream began. Entries, not groups, are what watchers
// and caches are told of, as in Redis.
func closeStream(c *command.Ctx, s *streamEdit, entries bool) {
	c.Grew(s.k, s.Bytes()-s.bytes)
	s.bytes = s.Bytes()
	if entries {
		c.Changed(s.k)
	}
}

// parseStreamID reads an ID as Redis does: ms-seq, or ms alone, which means seq;
// numbers as C's strtoull reads them.
func parseStreamID(b []byte, seq uint64) (id stream.ID, ok bool) {
	if len(b) > 127 {
		return id, false
	}
	b, _, _ = bytes.Cut(b, []byte{0})
	ms, rest, whole := bytes.Cut(b, []byte{'-'})
	if id.Ms, ok = parseUnsigned(ms); !ok || !whole {
		id.Seq = seq
		return id, ok
	}
	id.Seq, ok = parseUnsigned(rest)
	return id, ok
}

func parseUnsigned(b []byte) (n uint64, ok bool) {
	for len(b) > 0 && (b[0] == ' ' || b[0]-'\t' < 5) {
		b = b[1:]
	}
	if len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || n > math.MaxUint64/10 || n*10 > math.MaxUint64-d {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// streamID reads argument i as an ID; what is none is replied to.
func streamID(c *command.Ctx, i int) (stream.ID, bool) {
	id, ok := parseStreamID(c.Args[i], 0)
	if !ok {
		c.Err(errStreamID)
	}
	return id, ok
}

// streamIDs reads arguments i to, but without, end.
func streamIDs(c *command.Ctx, i, end int) ([]stream.ID, bool) {
	ids := c.Values().IDs[:0]
	for ; i < end; i++ {
		id, ok := streamID(c, i)
		if !ok {
			return nil, false
		}
		ids = append(ids, id)
	}
	c.Values().IDs = ids
	return ids, true
}

// streamBound reads argument i as an end of a range: an ID, one after "(" that is
// not meant itself, - or +. end says that it is the upper one.
func streamBound(c *command.Ctx, i int, end bool) (id stream.ID, ok bool) {
	arg := c.Args[i]
	switch {
	case len(arg) == 1 && arg[0] == '-':
		return stream.ID{}, true
	case len(arg) == 1 && arg[0] == '+':
		return stream.MaxID, true
	}
	open := len(arg) > 1 && arg[0] == '('
	if open {
		arg = arg[1:]
	}
	seq := uint64(0)
	if end {
		seq = math.MaxUint64
	}
	if id, ok = parseStreamID(arg, seq); !ok {
		c.Err(errStreamID)
		return id, false
	}
	switch {
	case open && end:
		if id, ok = id.Prev(); !ok {
			c.Err("ERR invalid end ID for the interval")
		}
	case open:
		if id, ok = id.Next(); !ok {
			c.Err("ERR invalid start ID for the interval")
		}
	}
	return id, ok
}

func writeStreamID(w *wire.Writer, id stream.ID) {
	var buf [48]byte
	w.Bulk(id.Append(buf[:0]))
}

// writeEntry replies with the fields and values of the current entry.
func writeFields(w *wire.Writer, it *stream.Iter) {
	w.Array(2 * it.Fields)
	for range it.Fields {
		f, v := it.Pair()
		command.WriteElem(w, f)
		command.WriteElem(w, v)
	}
}

func writeEntry(w *wire.Writer, it *stream.Iter) {
	w.Array(2)
	writeStreamID(w, it.ID)
	writeFields(w, it)
}

// adding are the options of XADD and XTRIM.
type adding struct {
	id            stream.ID
	auto, autoSeq bool // the ID, or its number, is to be made
	at            int  // position of the ID
	noMake        bool
	refs          stream.Refs
	refsGiven     bool
	pid, iid      []byte // IDMP; iid is nil with IDMPAUTO
	trim          stream.Trim
	trims         bool
	trimAt        int // position of the threshold
	limit         bool
}

func (o *adding) parse(c *command.Ctx, xadd bool) bool {
	i := 2
loop:
	for ; i < len(c.Args); i++ {
		more := len(c.Args) - 1 - i
		arg := c.Args[i]
		switch {
		case xadd && len(arg) == 1 && arg[0] == '*':
			o.auto = true
			break loop
		case more > 0 && c.Word(i, "maxlen"), more > 0 && c.Word(i, "minid"):
			if o.trims {
				c.Err("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
				return false
			}
			o.trims, o.trim.ByID = true, c.Word(i, "minid")
			if next := c.Args[i+1]; more >= 2 && len(next) == 1 && (next[0] == '~' || next[0] == '=') {
				o.trim.Approx = next[0] == '~'
				i++
			}
			i++
			o.trimAt = i
			if o.trim.ByID {
				var ok bool
				if o.trim.MinID, ok = streamID(c, i); !ok {
					return false
				}
				continue
			}
			n, ok := c.IntMin(i, 0, "ERR The MAXLEN argument must be >= 0.")
			if !ok {
				return false
			}
			o.trim.MaxLen = uint64(n)
		case more > 0 && c.Word(i, "limit"):
			i++
			var ok bool
			if o.trim.Limit, ok = c.IntMin(i, 0, "ERR The LIMIT argument must be >= 0."); !ok {
				return false
			}
			o.limit = true
		case xadd && c.Word(i, "nomkstream"):
			o.noMake = true
		case refsWord(c, i, &o.refs, &o.refsGiven):
			if !o.refsGiven {
				return false
			}
		case xadd && more > 0 && c.Word(i, "idmpauto"), xadd && more > 1 && c.Word(i, "idmp"):
			if o.pid != nil {
				c.Err("ERR syntax error, IDMP and IDMPAUTO options at the same time are not compatible")
				return false
			}
			auto := c.Word(i, "idmpauto")
			i++
			o.pid = c.Args[i]
			if !auto {
				i++
				o.iid = c.Args[i]
			}
			if len(o.pid) == 0 || !auto && len(o.iid) == 0 {
				c.Err("ERR IDMP and IDMPAUTO need a producer ID and an idempotent ID that are not empty")
				return false
			}
		case xadd:
			var ok bool
			if n := len(arg); n > 2 && n < 128 && string(arg[n-2:]) == "-*" {
				o.id.Ms, ok = parseUnsigned(arg[:n-2])
				o.autoSeq = true
			} else {
				o.id, ok = parseStreamID(arg, 0)
			}
			if !ok {
				c.Err(errStreamID)
				return false
			}
			break loop
		default:
			c.Err(command.ErrSyntax)
			return false
		}
	}
	o.at = i
	return o.check(c, xadd)
}

// refsWord reads argument i as KEEPREF, DELREF or ACKED, if it is one of them. A
// second one is an error, which given being false says.
func refsWord(c *command.Ctx, i int, refs *stream.Refs, given *bool) bool {
	switch {
	case c.Word(i, "keepref"), c.Word(i, "delref"), c.Word(i, "acked"):
	default:
		return false
	}
	if *given {
		c.Err(command.ErrSyntax)
		*given = false
		return true
	}
	*given = true
	switch c.Args[i][0] | 0x20 {
	case 'd':
		*refs = stream.DelRefs
	case 'a':
		*refs = stream.Acked
	}
	return true
}

func (o *adding) check(c *command.Ctx, xadd bool) bool {
	o.trim.Refs = o.refs
	switch {
	case o.trim.Limit > 0 && !o.trims:
		c.Err("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
		return false
	case !xadd && !o.trims:
		c.Err("ERR syntax error, XTRIM must be called with a trimming strategy")
		return false
	case o.pid != nil && !o.auto:
		c.Err("ERR IDMP and IDMPAUTO can be used with the ID * only")
		return false
	}
	switch {
	case c.Applies():
		o.trim.Limit = 0 // how much was trimmed is what the arguments say
	case o.limit && !o.trim.Approx:
		c.Err("ERR syntax error, LIMIT cannot be used without the special ~ option")
		return false
	case !o.limit && o.trim.Approx:
		if o.trim.Limit = 100 * c.S.Config.StreamNodeMaxEntries.Load(); o.trim.Limit <= 0 {
			o.trim.Limit = 10_000
		}
		o.trim.Limit = min(o.trim.Limit, 1_000_000)
	}
	return true
}

func streamLimits(c *command.Ctx) stream.Limits {
	return stream.Limits{MaxBytes: c.S.Config.StreamNodeMaxBytes.Load(), MaxEntries: c.S.Config.StreamNodeMaxEntries.Load()}
}

func cmdXAdd(c *command.Ctx) {
	var o adding
	if !o.parse(c, true) {
		return
	}
	if o.at+1 >= len(c.Args) || (len(c.Args)-o.at)&1 == 0 {
		c.WrongArity()
		return
	}
	fields := c.Args[o.at+1:]
	if !o.auto && !o.autoSeq && o.id.IsZero() {
		c.Err("ERR The ID specified in XADD must be greater than 0-0")
		return
	}
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TStream, &e) {
		return
	}
	var s streamEdit
	var last stream.ID
	if e.Exists() {
		last = e.Object().(*stream.Stream).LastID()
	} else if o.noMake {
		c.W.Null()
		return
	}
	if last == stream.MaxID {
		c.Err("ERR The stream has exhausted the last possible ID, unable to add more items")
		return
	}
	if e.Exists() {
		s = openStream(c, k, &e)
	}
	if o.pid != nil && s.Stream != nil && knownMessage(c, &o, &s, fields) {
		return
	}
	id, ok := o.newID(last, c.Now)
	if !ok || !last.Less(id) {
		c.Err("ERR The ID specified in XADD is equal or smaller than the target stream top item")
		return
	}
	size := 0
	for _, f := range fields {
		size += len(f)
	}
	if size > stream.MaxSize {
		c.Err("ERR Elements are too large to be stored")
		return
	}
	fresh := s.Stream == nil
	if fresh {
		s = streamEdit{Stream: stream.New(), k: k}
	}
	s.Append(id, fields, streamLimits(c))
	if o.pid != nil {
		remember(c, &s, o.pid, o.iidOf(fields), id, true)
	}
	if fresh { // before its events: that the key is new is the first
		c.PutObject(k, types.TStream, types.EncObject, s.Stream, 0)
		s.bytes = s.Bytes()
	}
	c.Notify('t', "xadd", k)
	c.Dirty++
	trimmed := 0
	if o.trims {
		o.bound(c, &s)
		if trimmed = s.Trim(&o.trim); trimmed > 0 {
			c.Notify('t', "xtrim", k)
		}
	}
	closeStream(c, &s, !fresh)
	if c.Journaling() {
		o.journal(c, &s, id, trimmed)
	}
	c.Ready(k)
	if o.trim.More {
		trimOn(c, k, &o.trim, func(w *wire.Writer, _ int) { writeStreamID(w, id) })
		return
	}
	writeStreamID(c.W, id)
}

// newID is the ID of a new entry; false: there is no further one in the
// millisecond that was asked for.
func (o *adding) newID(last stream.ID, now int64) (stream.ID, bool) {
	switch {
	case o.auto:
		if ms := uint64(now); ms > last.Ms {
			return stream.ID{Ms: ms}, true
		}
		return last.Next()
	case o.autoSeq:
		if o.id.Ms == last.Ms {
			return stream.ID{Ms: last.Ms, Seq: last.Seq + 1}, last.Seq < math.MaxUint64
		}
		return stream.ID{Ms: o.id.Ms}, true
	}
	return o.id, true
}

// journal says what XADD did where the command as it came would do something
// else: the ID is that which was made, and what was trimmed is told exactly.
func (o *adding) journal(c *command.Ctx, s *streamEdit, id stream.ID, trimmed int) {
	if !o.auto && !o.autoSeq && !(o.trims && (o.trim.Approx || o.refs != stream.KeepRefs)) {
		return
	}
	args := make([][]byte, 0, len(c.Args))
	args = append(args, []byte("XADD"), c.Args[1])
	if o.noMake {
		args = append(args, []byte("NOMKSTREAM"))
	}
	// What groups allow is trimmed by an effect of its own.
	apart := o.refs != stream.KeepRefs
	if o.trims && !apart {
		args = o.appendTrim(args, s, c.Args)
	}
	args = append(append(args, id.Append(nil)), c.Args[o.at+1:]...)
	c.Effect(args...)
	if apart && trimmed > 0 {
		trimEffect(c, s, &o.trim)
	}
	if o.pid != nil {
		c.Effect([]byte("XIDMPRECORD"), c.Args[1], o.pid, o.iidOf(c.Args[o.at+1:]), id.Append(nil))
	}
}

// appendTrim adds the options of trimming that leads to what it has led to.
func (o *adding) appendTrim(args [][]byte, s *streamEdit, given [][]byte) [][]byte {
	word, threshold := []byte("MAXLEN"), given[o.trimAt]
	if o.trim.ByID {
		word = []byte("MINID")
	}
	if o.trim.Approx {
		switch {
		case !o.trim.ByID:
			threshold = command.IntArg(int64(s.Len()))
		case s.Len() == 0:
			threshold = stream.MaxID.Append(nil)
		default:
			threshold = s.FirstID().Append(nil)
		}
	}
	return append(args, word, []byte("="), threshold)
}

// trimEffect journals a trim that has looked at the groups: all that they allow
// up to an ID is gone.
func trimEffect(c *command.Ctx, s *streamEdit, t *stream.Trim) {
	if !c.Journaling() {
		c.NoEffect()
		return
	}
	end, ok := t.After.Next()
	if !ok {
		end = stream.MaxID
	}
	word := []byte("DELREF")
	if t.Refs == stream.Acked {
		word = []byte("ACKED")
	}
	c.Effect([]byte("XTRIM"), s.k.B, []byte("MINID"), []byte("="), end.Append(nil), word)
}

// iidOf is the ID of a message: the producer's own, or a sum of the fields.
func (o *adding) iidOf(fields [][]byte) []byte {
	if o.iid != nil {
		return o.iid
	}
	h := sha256.New()
	var n [8]byte
	for _, f := range fields {
		binary.LittleEndian.PutUint64(n[:], uint64(len(f)))
		h.Write(n[:])
		h.Write(f)
	}
	return h.Sum(nil)[:16]
}

// idmpSince is the moment before which messages are forgotten, and the number of
// them for each producer.
func idmpLimits(c *command.Ctx, s *stream.Stream) (since, most int64) {
	duration, most := s.IdmpConfig()
	if duration == 0 {
		duration = c.S.Config.StreamIdmpDuration.Load()
	}
	if most == 0 {
		most = c.S.Config.StreamIdmpMaxsize.Load()
	}
	return c.Now - duration*1000, most
}

// knownMessage replies with what a message has become that was sent before.
func knownMessage(c *command.Ctx, o *adding, s *streamEdit, fields [][]byte) bool {
	since, _ := idmpLimits(c, s.Stream)
	id, ok := s.IdmpFind(o.pid, o.iidOf(fields), since)
	if ok {
		s.IdmpDuplicate()
		closeStream(c, s, false)
		writeStreamID(c.W, id)
		c.Dirty++ // it is counted
		if c.Journaling() {
			c.Effect([]byte("XIDMPRECORD"), s.k.B, o.pid, o.iidOf(fields), id.Append(nil))
		} else {
			c.NoEffect()
		}
	}
	return ok
}

func remember(c *command.Ctx, s *streamEdit, pid, iid []byte, id stream.ID, counted bool) {
	since, most := idmpLimits(c, s.Stream)
	s.IdmpAdd(pid, iid, id, c.Now, since, most, counted)
}

func cmdXCfgSet(c *command.Ctx) {
	duration, most := int64(-1), int64(-1)
	for i := 2; i < len(c.Args); i += 2 {
		value, max, bad := &duration, int64(86400), "ERR invalid duration"
		switch {
		case i+1 == len(c.Args):
			c.Err(command.ErrSyntax)
			return
		case c.Word(i, "idmp-duration"):
		case c.Word(i, "idmp-maxsize"):
			value, max, bad = &most, 10_000, "ERR invalid maxsize"
		default:
			c.Err(command.ErrSyntax)
			return
		}
		n, ok := command.ParseInt(c.Args[i+1])
		if !ok || n < 1 || n > max {
			c.Err(bad)
			return
		}
		*value = n
	}
	if duration < 0 && most < 0 {
		c.Err(command.ErrSyntax)
		return
	}
	s, ok := needStream(c)
	if !ok {
		return
	}
	oldDuration, oldMost := s.IdmpConfig()
	if duration < 0 {
		duration = oldDuration
	}
	if most < 0 {
		most = oldMost
	}
	s.SetIdmpConfig(duration, most)
	closeStream(c, &s, false)
	c.Dirty++
	c.W.OK()
}

func cmdXIdmpRecord(c *command.Ctx) {
	id, ok := streamID(c, 4)
	if !ok {
		return
	}
	pid, iid := c.Args[2], c.Args[3]
	s, ok := needStream(c)
	switch {
	case !ok:
		return
	case len(pid) == 0 || len(iid) == 0:
		c.Err("ERR the producer ID and the idempotent ID must not be empty")
		return
	case !c.Applies() && !s.Has(id): // a log tells of messages that were deleted since
		c.Err("ERR no such entry")
		return
	}
	since, _ := idmpLimits(c, s.Stream)
	if known, there := s.IdmpFind(pid, iid, since); there {
		if known != id {
			c.Err("ERR the idempotent ID belongs to another entry")
			return
		}
		if c.Applies() { // so the effect of a message that was sent again counts it
			s.IdmpDuplicate()
			closeStream(c, &s, false)
			c.Dirty++
		}
		c.W.OK()
		return
	}
	remember(c, &s, pid, iid, id, true)
	closeStream(c, &s, false)
	c.Dirty++
	c.W.OK()
}

func cmdXLen(c *command.Ctx) {
	s, ok := readStream(c, &c.Keys[0])
	switch {
	case !ok:
	case s == nil:
		c.W.Int(0)
	default:
		c.W.Int(int64(s.Len()))
	}
}

func xrange(c *command.Ctx, rev bool) {
	first, last := 2, 3
	if rev {
		first, last = 3, 2
	}
	from, ok := streamBound(c, first, false)
	if !ok {
		return
	}
	to, ok := streamBound(c, last, true)
	if !ok {
		return
	}
	count := int64(-1)
	for i := 4; i < len(c.Args); i += 2 {
		if !c.Word(i, "count") || i+1 == len(c.Args) {
			c.Err(command.ErrSyntax)
			return
		}
		if count, ok = c.Int(i + 1); !ok {
			return
		}
		count = max(count, 0)
	}
	s, ok := readStream(c, &c.Keys[0])
	switch {
	case !ok:
		return
	case s == nil:
		c.W.Array(0)
		return
	case count == 0:
		c.W.NullArray()
		return
	}
	r := streamRange{from, to, count, rev}
	if n := r.most(s); command.LongToRead(s, n, s.Len()) {
		view := s.Copy()
		c.Aside(func(w *wire.Writer) {
			defer command.FreeAll(view)
			r.write(w, view.(*stream.Stream))
		})
		return
	}
	r.write(c.W, s)
}

// streamRange is a range of entries, at most count unless that is negative.
type streamRange struct {
	from, to stream.ID
	count    int64
	rev      bool
}

// most is at least the number of entries, quickly where it is small.
func (r *streamRange) most(s *stream.Stream) int {
	n := s.Len()
	if r.count >= 0 && r.count < int64(n) {
		n = int(r.count)
	}
	if n > 100 && n > command.LongRead/100 {
		in := s.Count(r.from) - s.Count(r.to) + 1
		n = min(n, max(in, 0))
	}
	return n
}

func (r *streamRange) write(w *wire.Writer, s *stream.Stream) {
	at, n := w.DeferArray(), 0
	if r.rev {
		it := s.SeekBack(r.to)
		for int64(n) != r.count && it.Prev() && !it.ID.Less(r.from) {
			writeEntry(w, &it)
			n++
		}
	} else {
		it := s.Seek(r.from)
		for int64(n) != r.count && it.Next() && !r.to.Less(it.ID) {
			writeEntry(w, &it)
			n++
		}
	}
	w.SetArray(at, n)
}

func cmdXDel(c *command.Ctx) {
	a := idsAtATime{first: 2, open: editOrZero, read: func(c *command.Ctx) ([]stream.ID, bool) { return streamIDs(c, 2, len(c.Args)) }}
	a.step = func(c *command.Ctx, s *streamEdit, p *idsPart) bool {
		for _, id := range p.ids {
			if s.Delete(id) {
				p.n++
			}
		}
		a.close(c, s, p.n > 0)
		return true
	}
	a.run(c)
}

// idsAtOnce is how many entries a command changes that are named one by one without letting
// go of the stripe: a millisecond where nodes are full of deleted ones, else some 0.3.
const idsAtOnce = 128

// idsAtATime is XDEL, XACK and the like: what is done to some of the entries that are named.
// Where they are many it is done bit by bit on a worker, which reads the arguments, too, and
// it ends early where the stream is gone. The reply is the sum of what was changed, or an array.
type idsAtATime struct {
	first   int  // the argument that is the first ID
	counted bool // the argument before that is the number of IDs
	array   bool
	// own: step journals what it does. Else the command is journaled with the IDs of the
	// part, if that has changed something.
	own bool
	// read reads the arguments, open finds the stream. Each replies where it is false, and
	// nothing is left to do. early: what is wrong with the arguments is told first.
	read  func(c *command.Ctx) ([]stream.ID, bool)
	open  func(c *command.Ctx) (streamEdit, bool)
	early bool
	// step does it; false: there is nothing left to do it to.
	step func(c *command.Ctx, s *streamEdit, p *idsPart) bool
	// rest replies to IDs that nothing is done to any more; nil: with nothing.
	rest func(w *wire.Writer, n int)
	told bool // that entries were deleted: once, whatever the parts
}

// close closes the stream after a part, which has deleted entries or has not.
func (a *idsAtATime) close(c *command.Ctx, s *streamEdit, deleted bool) {
	closeStream(c, s, deleted)
	if deleted && !a.told {
		a.told = true
		c.Notify('t', "xdel", s.k)
	}
}

// idsPart is a part of an idsAtATime.
type idsPart struct {
	args [][]byte // of the command
	ids  []stream.ID
	w    *wire.Writer // of an array: what is written to it
	// What was changed, what of that is told as changes, and what elements were written.
	n, dirty, answers int
	begins            bool // it is the first part
	// later: it is no part of the command itself. It must make no key ready.
	later bool
}

func (a *idsAtATime) run(c *command.Ctx) {
	if len(c.Args) > idsAtOnce && c.CanBlock() && !c.Applies() {
		a.runLong(c)
		return
	}
	var ids []stream.ID
	var s streamEdit
	ok := true
	if a.early {
		ids, ok = a.read(c)
	}
	if ok {
		s, ok = a.open(c)
	}
	if ok && !a.early {
		ids, ok = a.read(c)
	}
	if !ok {
		return
	}
	if a.own {
		c.NoEffect()
	}
	p := idsPart{args: c.Args, ids: ids, w: c.W, begins: true}
	if !a.array {
		a.step(c, &s, &p)
		c.Dirty += p.n + p.dirty
		c.W.Int(int64(p.n))
		return
	}
	at := c.W.DeferArray()
	a.step(c, &s, &p)
	c.W.SetArray(at, p.answers)
	c.Dirty += p.n + p.dirty
}

// runLong is run on a worker, for a part at a time.
func (a *idsAtATime) runLong(c *command.Ctx) {
	if !a.early {
		if _, ok := a.open(c); !ok {
			return
		}
	}
	c.NoEffect()
	all, db := c.Apart(), c.DB()
	c.Background(func(w *wire.Writer) {
		all.W = w
		ids, ok := a.read(all)
		if !ok {
			return
		}
		var array wire.Mark
		if a.array {
			array = w.DeferArray()
		}
		refused := wire.Writer{Proto: w.Proto}
		n, answers, at := 0, 0, 0
		for there := true; at < len(ids) && there && (at == 0 || all.S.TakesWrites()); {
			there = false
			p := idsPart{args: all.Args, ids: ids[at:min(at+idsAtOnce, len(ids))], w: w, begins: at == 0, later: true}
			all.S.ChangeLater(all.C, db, all.Keys, func(c *command.Ctx) {
				var s streamEdit
				if c.Args, c.W = all.Args, &refused; at == 0 && a.early {
					if s, ok = a.open(c); !ok {
						return
					}
				} else if e := c.Peek(&all.Keys[0]); e.Type() == types.TStream {
					s = openStream(c, &all.Keys[0], &e)
				} else {
					return
				}
				there = a.step(c, &s, &p)
				a.effect(c, &p, at, len(ids))
			})
			if there {
				at += len(p.ids)
			}
			n += p.n
			answers += p.answers
		}
		switch {
		case len(refused.Buf) > 0:
			w.Buf = append(w.Buf[:0], refused.Buf...)
			return
		case !a.array:
			w.Int(int64(n))
			return
		}
		if a.rest != nil && at < len(ids) {
			a.rest(w, len(ids)-at)
			answers += len(ids) - at
		}
		w.SetArray(array, answers)
	})
}

// effect journals a part, whose IDs begin at number at of all.
func (a *idsAtATime) effect(c *command.Ctx, p *idsPart, at, all int) {
	c.Dirty += p.n + p.dirty
	switch {
	case a.own:
		return
	case p.n+p.dirty == 0:
		c.NoEffect()
		return
	}
	from := a.first + at
	head, part, tail := p.args[:a.first], p.args[from:from+len(p.ids)], p.args[a.first+all:]
	if a.counted {
		head = slices.Concat(head[:a.first-1], [][]byte{command.IntArg(int64(len(p.ids)))})
	}
	c.Effect(slices.Concat(head, part, tail)...)
}

// idBlock are the options of XDELEX, XACKDEL and XNACK: IDS numids id [id ...].
type idBlock struct {
	refs stream.Refs
	at   int // the argument that is the first of them
	ids  []stream.ID
}

// parse reads the arguments from i on; option reads what is no such option, and
// returns how many arguments it was, 0 for none (an error is replied).
func (b *idBlock) parse(c *command.Ctx, i int, option func(i int) int) bool {
	given, seen := false, false
	for i < len(c.Args) {
		switch {
		case c.Word(i, "ids") && i+1 < len(c.Args) && !seen:
			n, ok := command.ParseInt(c.Args[i+1])
			if !ok || n < 1 {
				c.Err("ERR Number of IDs must be a positive integer")
				return false
			}
			if n > int64(len(c.Args)-i-2) {
				c.Err("ERR The `numids` parameter must match the number of arguments")
				return false
			}
			if b.ids, ok = streamIDs(c, i+2, i+2+int(n)); !ok {
				return false
			}
			seen = true
			b.at = i + 2
			i += 2 + int(n)
		case option == nil && refsWord(c, i, &b.refs, &given):
			if !given {
				return false
			}
			i++
		default:
			n := 0
			if option != nil {
				if n = option(i); n < 0 {
					return false
				}
			}
			if n == 0 {
				c.Err(command.ErrSyntax)
				return false
			}
			i += n
		}
	}
	if !seen {
		c.Err(command.ErrSyntax)
	}
	return seen
}

// The answers of XDELEX and XACKDEL.
const (
	idMissing = -1
	idDeleted = 1
	idKept    = 2
)

func cmdXDelEx(c *command.Ctx) {
	var b idBlock
	a := idsAtATime{counted: true, array: true, early: true, rest: allMissing}
	a.read = func(c *command.Ctx) ([]stream.ID, bool) {
		ok := b.parse(c, 2, nil)
		a.first = b.at
		return b.ids, ok
	}
	a.open = func(c *command.Ctx) (streamEdit, bool) {
		s, ok := editStream(c, &c.Keys[0])
		if ok && s.Stream == nil {
			c.W.Array(len(b.ids))
			allMissing(c.W, len(b.ids))
			return s, false
		}
		return s, ok
	}
	a.step = func(c *command.Ctx, s *streamEdit, p *idsPart) bool {
		for _, id := range p.ids {
			answer := int64(idMissing)
			if b.refs == stream.Acked && s.Has(id) && !s.Acked(id) {
				answer = idKept
			} else if s.Delete(id) {
				answer = idDeleted
				p.n++
			}
			if b.refs == stream.DelRefs && s.DropRefs(id) {
				p.dirty++
			}
			p.w.Int(answer)
		}
		p.answers = len(p.ids)
		a.close(c, s, p.n > 0)
		return true
	}
	a.run(c)
}

// allMissing answers for n IDs that there is no such entry.
func allMissing(w *wire.Writer, n int) {
	for range n {
		w.Int(idMissing)
	}
}

// trimAtOnce is how many entries XTRIM looks at without letting go of the stripe,
// where it has to look at each: less than half a millisecond.
const trimAtOnce = 100

func cmdXTrim(c *command.Ctx) {
	var o adding
	if !o.parse(c, false) {
		return
	}
	k := &c.Keys[0]
	s, ok := editOrZero(c)
	if !ok {
		return
	}
	o.bound(c, &s)
	n := s.Trim(&o.trim)
	closeStream(c, &s, n > 0)
	if n > 0 {
		c.Notify('t', "xtrim", k)
		c.Dirty += n
		if o.refs != stream.KeepRefs {
			trimEffect(c, &s, &o.trim)
		} else if o.trim.Approx && c.Journaling() {
			c.Effect(o.appendTrim([][]byte{[]byte("XTRIM"), k.B}, &s, c.Args)...)
		}
	}
	if o.trim.More {
		trimOn(c, k, &o.trim, func(w *wire.Writer, more int) { w.Int(int64(n + more)) })
		return
	}
	c.W.Int(int64(n))
}

// bound makes a trim that has to look at each entry stop after some of them, where the rest
// can follow; see trimOn.
func (o *adding) bound(c *command.Ctx, s *streamEdit) {
	if o.refs != stream.KeepRefs && len(s.Groups()) > 0 && c.CanBlock() && !c.Applies() {
		o.trim.Budget = trimAtOnce
	}
}

// trimOn goes on with a trim bit by bit, letting go of the stripe in between. It
// ends early where the stream is another one, or gone. reply is told how many more
// entries went.
func trimOn(c *command.Ctx, k *keyspace.Key, t *stream.Trim, reply func(w *wire.Writer, n int)) {
	trim, n := *t, 0
	c.ChangeOn(k, nil, func(c *command.Ctx, _ *wire.Writer) (more bool) {
		e := c.Peek(&c.Keys[0])
		if e.Type() != types.TStream {
			return false
		}
		s := openStream(c, &c.Keys[0], &e)
		step := s.Trim(&trim)
		closeStream(c, &s, step > 0)
		if step > 0 {
			trimEffect(c, &s, &trim)
			c.Dirty += step
			n += step
		}
		return trim.More
	}, func(w *wire.Writer) { reply(w, n) })
}

func cmdXSetID(c *command.Ctx) {
	id, ok := streamID(c, 2)
	if !ok {
		return
	}
	added := int64(-1)
	var deleted stream.ID
	for i := 3; i < len(c.Args); i += 2 {
		switch {
		case c.Word(i, "entriesadded") && i+1 < len(c.Args):
			if added, ok = c.IntMin(i+1, 0, "ERR entries_added must be positive"); !ok {
				return
			}
		case c.Word(i, "maxdeletedid") && i+1 < len(c.Args):
			if deleted, ok = streamID(c, i+1); !ok {
				return
			}
			if id.Less(deleted) {
				c.Err("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
				return
			}
		default:
			c.Err(command.ErrSyntax)
			return
		}
	}
	k := &c.Keys[0]
	s, ok := needStream(c)
	switch {
	case !ok:
		return
	case id.Less(s.MaxDeletedID()):
		c.Err("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
		return
	}
	if last, there := s.Last(); there && id.Less(last) {
		c.Err("ERR The ID specified in XSETID is smaller than the target stream top item")
		return
	}
	if id.Less(s.LastAny()) { // which has been deleted: MAXDELETEDID said otherwise
		c.Err("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
		return
	}
	if added >= 0 && int64(s.Len()) > added {
		c.Err("ERR The entries_added specified in XSETID is smaller than the target stream length")
		return
	}
	s.SetLast(id)
	if added >= 0 {
		s.SetAdded(uint64(added))
		for _, g := range s.Groups() {
			if g.Read > added {
				s.EditGroup([]byte(g.Name)).Read = added
			}
		}
	}
	if !deleted.IsZero() {
		s.SetMaxDeleted(deleted)
	}
	closeStream(c, &s, false)
	c.Notify('t', "xsetid", k)
	c.Dirty++
	c.W.OK()
}
