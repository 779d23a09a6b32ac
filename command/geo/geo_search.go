package geo

import (
	"cmp"
	"slices"
	"sync"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/geo"
)

// GEORADIUS, GEORADIUSBYMEMBER, GEORADIUSBYMEMBER_RO, GEORADIUS_RO, GEOSEARCH,
// GEOSEARCHSTORE.
//
// Where a shape has many members to look at, a reply is made in the background.
// What stores is atomic: it holds its locks for as long as it takes.

func geoSearchRows() []*command.Row {
	const (
		units  = "<M | KM | FT | MI>"
		with   = " [WITHCOORD] [WITHDIST] [WITHHASH]"
		few    = " [COUNT count [ANY]]"
		order  = " [ASC | DESC]"
		from   = " <FROMMEMBER member | FROMLONLAT longitude latitude>"
		by     = " <BYRADIUS radius " + units + " | BYBOX width height " + units + " | BYPOLYGON num-vertices longitude latitude [longitude latitude ...]>"
		cost   = "O(N+log(M)) in the numbers of members in the cells around the shape and of members in it"
		upper  = "Units may be written in upper case."
		anyNew = "COUNT can have ANY."
	)
	inPlace := [2]string{"6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"}
	inPlaceMember := [2]string{"6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments"}
	readOnly := [2]string{"6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"}
	readOnlyMember := [2]string{"6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"}
	return []*command.Row{
		{Name: "georadius", Fn: func(c *command.Ctx) { geoSearch(c, geoAround) }, Arity: -6, Flags: command.Write | command.DenyOOM | command.MovableKeys | command.CountsReads, First: 1, Last: 1, Step: 1, KeysFn: geoRadiusKeys(6), KeyFlags: "RO access; OW update",
			Since: "3.2.0", Group: "geo", Summary: "Returns the members within a distance of a position, or stores them.", Complexity: cost,
			Syntax:  "key longitude latitude radius " + units + with + few + order + " [STORE key | STOREDIST key]",
			History: []string{"6.2.0", anyNew, "7.0.0", upper}, Deprecated: inPlace},
		{Name: "georadius_ro", Fn: func(c *command.Ctx) { geoSearch(c, geoAround|geoNoStore) }, Arity: -6, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "3.2.10", Group: "geo", Summary: "Returns the members within a distance of a position.", Complexity: cost,
			Syntax:  "key longitude latitude radius " + units + with + few + order,
			History: []string{"6.2.0", anyNew, "7.0.0", upper}, Deprecated: readOnly},
		{Name: "georadiusbymember", Fn: func(c *command.Ctx) { geoSearch(c, geoAroundMember) }, Arity: -5, Flags: command.Write | command.DenyOOM | command.MovableKeys | command.CountsReads, First: 1, Last: 1, Step: 1, KeysFn: geoRadiusKeys(5), KeyFlags: "RO access; OW update",
			Since: "3.2.0", Group: "geo", Summary: "Returns the members within a distance of a member, or stores them.", Complexity: cost,
			Syntax:  "key member radius " + units + with + few + order + " [STORE key | STOREDIST key]",
			History: []string{"6.2.0", anyNew, "7.0.0", upper}, Deprecated: inPlaceMember},
		{Name: "georadiusbymember_ro", Fn: func(c *command.Ctx) { geoSearch(c, geoAroundMember|geoNoStore) }, Arity: -5, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "3.2.10", Group: "geo", Summary: "Returns the members within a distance of a member.", Complexity: cost,
			Syntax:  "key member radius " + units + with + few + order,
			History: []string{"6.2.0", anyNew, "7.0.0", upper}, Deprecated: readOnlyMember},
		{Name: "geosearch", Fn: func(c *command.Ctx) { geoSearch(c, geoOptions|geoNoStore) }, Arity: -7, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "6.2.0", Group: "geo", Summary: "Returns the members in a circle, a box or a polygon.", Complexity: cost,
			Syntax:  "key [FROMMEMBER member | FROMLONLAT longitude latitude]" + by + order + few + with,
			History: []string{"7.0.0", upper}},
		{Name: "geosearchstore", Fn: func(c *command.Ctx) { geoSearch(c, geoOptions|geoToFirst) }, Arity: -8, Flags: command.Write | command.DenyOOM | command.CountsReads, First: 1, Last: 2, Step: 1, KeyFlags: "OW update; RO access",
			Since: "6.2.0", Group: "geo", Summary: "Stores the members in a circle, a box or a polygon.", Complexity: cost,
			Syntax:  "destination source [FROMMEMBER member | FROMLONLAT longitude latitude]" + by + order + few + " [STOREDIST]",
			History: []string{"7.0.0", upper}},
	}
}

// geoRadiusKeys is the KeysFn of GEORADIUS and GEORADIUSBYMEMBER: the key that is
// searched and the one that is written, which is the last STORE's. Options begin
// at argument first.
func geoRadiusKeys(first int) func(args [][]byte, dst []int) ([]int, bool) {
	return func(args [][]byte, dst []int) ([]int, bool) {
		dst = append(dst, 1)
		store := 0
		for i := first; i+1 < len(args); i++ {
			if command.EqualFold(args[i], "store") || command.EqualFold(args[i], "storedist") {
				i++
				store = i
			}
		}
		if store > 0 {
			dst = append(dst, store)
		}
		return dst, true
	}
}

// geoForm says how a command is written.
type geoForm uint8

const (
	geoAround       geoForm = 1 << iota // center and radius stand in front
	geoAroundMember                     // member and radius do
	geoOptions                          // center and shape are options
	geoNoStore                          // nothing is stored
	geoToFirst                          // the first key is written, the second is searched
)

// geoQuery is a search.
type geoQuery struct {
	event string // the keyspace event of what is stored
	shape geo.Shape
	unit  float64 // meters

	withDist, withHash, withCoord bool
	ascending, descending         bool
	any                           bool  // any members will do, not only the nearest
	count                         int64 // 0: all

	store, storeDist bool

	fromMember, fromPoint, byRadius, byBox, byPolygon bool
}

// geoMemory is memory that searches use again and again, of *geoValues.
var geoMemory = sync.Pool{New: func() any { return new(geoValues) }}

// geoValues is what one search works with.
type geoValues struct {
	hits   geoHits
	ranges []geo.Range
}

// geoHits is what was found. The members lie in one buffer.
type geoHits struct {
	list    []geoHit
	members []byte
}

type geoHit struct {
	geo.Point
	dist, score float64
	from, to    int // of members
}

func (h *geoHits) member(i int) []byte { return h.members[h.list[i].from:h.list[i].to] }

// geoHitsMax is how many hits, and bytes of their members, memory is kept for.
const (
	geoHitsMax  = 4096
	geoBytesMax = 64 << 10
)

// geoLong is how many members are looked at on the event loop at most; it
// takes a millisecond at worst.
const geoLong = 2000

func geoSearch(c *command.Ctx, form geoForm) {
	src := &c.Keys[0]
	if form&geoToFirst != 0 {
		src = &c.Keys[1]
	}
	z, ok := c.ReadZSet(src)
	if !ok {
		return
	}
	q := geoQuery{event: "georadiusstore"}
	if form&geoToFirst != 0 {
		q.event = "geosearchstore"
	}
	if !q.parse(c, form, z) {
		return
	}
	var dst *keyspace.Key
	if q.store {
		dst = &c.Keys[0]
		if form&geoToFirst == 0 {
			dst = &c.Keys[1]
		}
	}
	if z == nil {
		if q.store {
			storeGeo(c, dst, &geoHits{}, &q)
		} else {
			c.W.Array(0)
		}
		return
	}
	if q.count != 0 && !q.ascending && !q.descending && !q.any {
		q.ascending = true
	}
	q.shape.Within = !q.withDist && !q.storeDist && !q.ascending && !q.descending
	q.shape.Prepare()
	v := geoMemory.Get().(*geoValues)
	defer geoMemory.Put(v)
	v.ranges = q.shape.Ranges(v.ranges[:0])
	long := q.long(z, v.ranges)
	switch {
	case q.store && !long:
		q.search(z, v.ranges, &v.hits)
		storeGeo(c, dst, &v.hits, &q)
	case q.store:
		storeGeoBuilt(c, src, dst, z, &q, slices.Clone(v.ranges))
		return
	case long:
		geoLater(c, command.ViewOf(z), q, slices.Clone(v.ranges))
		return
	default:
		q.search(z, v.ranges, &v.hits)
		q.reply(c.W, &v.hits)
	}
	if cap(v.hits.list) > geoHitsMax || cap(v.hits.members) > geoBytesMax {
		v.hits = geoHits{}
	}
}

// storeGeoBuilt stores what takes long to be found: it is found aside.
func storeGeoBuilt(c *command.Ctx, src, dst *keyspace.Key, z *types.SortedSet, q *geoQuery, ranges []geo.Range) {
	finish := c.ZSetFinisher()
	made, ok := c.Build(true, []keyspace.Key{*src}, func() (free func()) {
		view, set := command.ViewOf(z), new(types.SortedSet)
		view.Load(set)
		z = set
		return view.Free
	}, func() command.BuiltValue {
		var hits geoHits
		q.search(z, ranges, &hits)
		return command.Built{Collection: finish(q.build(&hits))}
	})
	if !ok {
		return // it is made aside, and the command comes again
	}
	set := made.(command.Built).Collection.(*types.SortedSet)
	if set.Len() == 0 {
		storeGeo(c, dst, &geoHits{}, q)
		return
	}
	putGeo(c, dst, set, q)
}

// build is a sorted set of what was found.
func (q *geoQuery) build(h *geoHits) *types.ZSetBuilder {
	var b types.ZSetBuilder
	for i := range h.list {
		score := h.list[i].score
		if q.storeDist {
			score = h.list[i].dist / q.unit
		}
		b.Add(h.member(i), score)
	}
	return &b
}

// putGeo stores a sorted set that is not empty.
func putGeo(c *command.Ctx, k *keyspace.Key, set *types.SortedSet, q *geoQuery) {
	n := set.Len()
	c.Replace(k, set, types.TZSet)
	c.Dirty += n
	c.Notify('z', q.event, k)
	c.Ready(k)
	c.W.Int(int64(n))
}

func geoLater(c *command.Ctx, v command.View, q geoQuery, ranges []geo.Range) {
	c.Aside(func(w *wire.Writer) {
		defer v.Free()
		var z types.SortedSet
		var hits geoHits
		v.Load(&z)
		q.search(&z, ranges, &hits)
		q.reply(w, &hits)
	})
}

// parse reads the arguments; z is nil where there is no key.
func (q *geoQuery) parse(c *command.Ctx, form geoForm, z *types.SortedSet) bool {
	i := 2
	switch {
	case form&geoAround != 0:
		i = 6
		var ok bool
		if q.shape.Center, ok = geoPoint(c, 2); !ok || !q.radius(c, 4) {
			return false
		}
	case form&geoAroundMember != 0:
		// Without a key only the options are looked at: whether they store.
		i = 5
		if z != nil && (!q.center(c, z, 2) || !q.radius(c, 3)) {
			return false
		}
	case form&geoToFirst != 0:
		i = 3
		q.store = true
	}
	q.unitIfNone()
	for ; i < len(c.Args); i++ {
		more := len(c.Args) - i - 1
		options := form&geoOptions != 0
		switch {
		case c.Word(i, "withdist"):
			q.withDist = true
		case c.Word(i, "withhash"):
			q.withHash = true
		case c.Word(i, "withcoord"):
			q.withCoord = true
		case c.Word(i, "any"):
			q.any = true
		case c.Word(i, "asc"):
			q.ascending, q.descending = true, false
		case c.Word(i, "desc"):
			q.ascending, q.descending = false, true
		case c.Word(i, "count") && more >= 1:
			var ok bool
			i++
			if q.count, ok = c.IntMin(i, 1, "ERR COUNT must be > 0"); !ok {
				return false
			}
		case (c.Word(i, "store") || c.Word(i, "storedist")) && more >= 1 && form&geoNoStore == 0 && !options:
			q.store, q.storeDist = true, c.Word(i, "storedist")
			i++
		case c.Word(i, "storedist") && form&geoToFirst != 0:
			q.storeDist = true
		case c.Word(i, "frommember") && more >= 1 && options && !q.fromPoint && !q.byPolygon:
			i++
			if z != nil && !q.center(c, z, i) {
				return false
			}
			q.fromMember = true
		case c.Word(i, "fromlonlat") && more >= 2 && options && !q.fromMember && !q.byPolygon:
			var ok bool
			if q.shape.Center, ok = geoPoint(c, i+1); !ok {
				return false
			}
			q.fromPoint = true
			i += 2
		case c.Word(i, "byradius") && more >= 2 && options && !q.byBox && !q.byPolygon:
			if !q.radius(c, i+1) {
				return false
			}
			q.byRadius = true
			i += 2
		case c.Word(i, "bybox") && more >= 3 && options && !q.byRadius && !q.byPolygon:
			if !q.box(c, i+1) {
				return false
			}
			q.byBox = true
			i += 3
		case c.Word(i, "bypolygon") && more >= 1 && options && !q.byRadius && !q.byBox && !q.byPolygon && !q.fromMember && !q.fromPoint:
			n, ok := q.polygon(c, i+1)
			if !ok {
				return false
			}
			q.byPolygon = true
			i += 1 + 2*n
		default:
			c.Err(command.ErrSyntax)
			return false
		}
	}
	switch options := form&geoOptions != 0; {
	case q.store && (q.withDist || q.withHash || q.withCoord):
		name := "STORE option in GEORADIUS"
		if form&geoToFirst != 0 {
			name = "GEOSEARCHSTORE"
		}
		c.Err("ERR " + name + " is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
	case options && !q.fromMember && !q.fromPoint && !q.byPolygon:
		c.Err("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for " + command.Quote(c.Args[0]))
	case options && !q.byRadius && !q.byBox && !q.byPolygon:
		c.Err("ERR exactly one of BYRADIUS and BYBOX can be specified for " + command.Quote(c.Args[0]))
	case q.any && q.count == 0:
		c.Err("ERR the ANY argument requires COUNT argument")
	default:
		return true
	}
	return false
}

// unitIfNone makes meters the unit of what has no other: polygons.
func (q *geoQuery) unitIfNone() {
	if q.unit == 0 {
		q.unit = 1
	}
}

// center puts the center where a member is.
func (q *geoQuery) center(c *command.Ctx, z *types.SortedSet, i int) (ok bool) {
	if q.shape.Center, ok = geoMember(z, c.Args[i]); !ok {
		c.Err("ERR could not decode requested zset member")
	}
	return ok
}

// geoLength reads a length; text is the error where it is no number.
func geoLength(c *command.Ctx, i int, text string) (f float64, ok bool) {
	if f, ok = wire.ParseDouble(c.Args[i]); !ok {
		c.Err(text)
	}
	return f, ok
}

// radius reads a radius and its unit at argument i.
func (q *geoQuery) radius(c *command.Ctx, i int) bool {
	r, ok := geoLength(c, i, "ERR need numeric radius")
	if !ok {
		return false
	}
	if r < 0 {
		c.Err("ERR radius cannot be negative")
		return false
	}
	unit := geoUnit(c, i+1)
	if unit == 0 {
		return false
	}
	q.shape.Kind, q.shape.Radius, q.unit = geo.Circle, r*unit, unit
	return true
}

// box reads width, height and unit at argument i.
func (q *geoQuery) box(c *command.Ctx, i int) bool {
	width, ok := geoLength(c, i, "ERR need numeric width")
	if !ok {
		return false
	}
	height, ok := geoLength(c, i+1, "ERR need numeric height")
	if !ok {
		return false
	}
	if width < 0 || height < 0 {
		c.Err("ERR height or width cannot be negative")
		return false
	}
	unit := geoUnit(c, i+2)
	if unit == 0 {
		return false
	}
	q.shape.Kind, q.shape.Width, q.shape.Height, q.unit = geo.Box, width*unit, height*unit, unit
	return true
}

// polygon reads the number of vertices at argument i, and the vertices.
func (q *geoQuery) polygon(c *command.Ctx, i int) (n int, ok bool) {
	count, ok := c.Int(i)
	if !ok {
		return 0, false
	}
	if count < 3 {
		c.Err("ERR a polygon must have at least 3 vertices")
		return 0, false
	}
	if count > int64(len(c.Args)-i-1)/2 {
		c.Err(command.ErrSyntax)
		return 0, false
	}
	n = int(count)
	q.shape.Kind, q.shape.Vertices = geo.Polygon, make([]geo.Point, n)
	for j := range n {
		if q.shape.Vertices[j], ok = geoPoint(c, i+1+2*j); !ok {
			return 0, false
		}
	}
	return n, true
}

// long tells whether so many members are to be looked at that it takes long.
func (q *geoQuery) long(z *types.SortedSet, ranges []geo.Range) bool {
	_, _, obj := z.Stored()
	limit := geoLong
	if q.shape.Kind == geo.Polygon { // each costs a step for every vertex
		limit = max(1, geoLong*16/(16+len(q.shape.Vertices)))
	}
	if obj == nil || z.Len() <= limit {
		return false
	}
	n := 0
	for _, r := range ranges {
		if n += z.CountByScore(geoScores(r)); n > limit {
			return true
		}
	}
	return false
}

func geoScores(r geo.Range) types.ScoreRange {
	return types.ScoreRange{Min: float64(r.Min), Max: float64(r.Max), MaxEx: true}
}

// search finds the members in the shape, in the order that is asked for.
func (q *geoQuery) search(z *types.SortedSet, ranges []geo.Range, h *geoHits) {
	h.list, h.members = h.list[:0], h.members[:0]
	enough := false
	for _, r := range ranges {
		z.RangeByScore(geoScores(r), false, 0, -1, func(member []byte, score float64) bool {
			p := geo.FromScore(score)
			d, in := q.shape.Distance(p)
			if !in {
				return true
			}
			from := len(h.members)
			h.members = append(h.members, member...)
			h.list = append(h.list, geoHit{p, d, score, from, len(h.members)})
			enough = q.any && int64(len(h.list)) >= q.count
			return !enough
		})
		if enough {
			break
		}
	}
	// Members at the same distance stay in the order in which they were found.
	switch {
	case q.ascending:
		slices.SortFunc(h.list, func(a, b geoHit) int {
			return nearer(a.dist, b.dist, &a, &b)
		})
	case q.descending:
		slices.SortFunc(h.list, func(a, b geoHit) int {
			return nearer(b.dist, a.dist, &a, &b)
		})
	}
	if q.count > 0 && int64(len(h.list)) > q.count {
		h.list = h.list[:q.count]
	}
}

// nearer orders by two distances, which are numbers, and then by the order in
// which the hits were found.
func nearer(x, y float64, a, b *geoHit) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
}

func (q *geoQuery) reply(w *wire.Writer, h *geoHits) {
	w.Array(len(h.list))
	parts := 1
	for _, with := range [...]bool{q.withDist, q.withHash, q.withCoord} {
		if with {
			parts++
		}
	}
	for i := range h.list {
		hit := &h.list[i]
		if parts > 1 {
			w.Array(parts)
		}
		w.Bulk(h.member(i))
		if q.withDist {
			replyGeoDistance(w, hit.dist/q.unit)
		}
		if q.withHash {
			w.Int(int64(hit.score))
		}
		if q.withCoord {
			replyGeoPoint(w, hit.Point)
		}
	}
}

// storeGeo sets a key to what was found, or deletes it if that is nothing, and
// replies with the number of members.
func storeGeo(c *command.Ctx, k *keyspace.Key, h *geoHits, q *geoQuery) {
	if len(h.list) > 0 {
		putGeo(c, k, c.BuiltZSet(q.build(h)), q)
		return
	}
	if c.Delete(k) {
		c.Dirty++
		c.Notify('g', "del", k)
	}
	c.W.Int(0)
}
