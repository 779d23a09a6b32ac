package geo

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"kvd/command"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/geo"
)

// GEOADD, GEODIST, GEOHASH, GEOPOS. What searches is in geo_search.go. Positions
// are scores of a sorted set; see package geo.

func geoRows() []*command.Row {
	const uppercase = "Units may be written in upper case."
	return []*command.Row{
		{Name: "geoadd", Fn: cmdGeoAdd, Arity: -5, Flags: command.Write | command.DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "RW update", MemberAt: 4,
			Since: "3.2.0", Group: "geo", Summary: "Adds members to a sorted set whose scores are positions, or moves them.", Complexity: "O(log(N)) for each member, N being the number of members",
			Syntax:  "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
			History: []string{"6.2.0", "NX, XX and CH came."}},
		{Name: "geodist", Fn: cmdGeoDist, Arity: -4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "3.2.0", Group: "geo", Summary: "Returns the distance between two members.", Complexity: "O(1)", Syntax: "key member1 member2 [M | KM | FT | MI]",
			History: []string{"7.0.0", uppercase}},
		{Name: "geohash", Fn: cmdGeoHash, Arity: -2, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "3.2.0", Group: "geo", Summary: "Returns the positions of members as geohashes.", Complexity: "O(1) for each member", Syntax: "key [member [member ...]]"},
		{Name: "geopos", Fn: cmdGeoPos, Arity: -2, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "3.2.0", Group: "geo", Summary: "Returns the positions of members as longitude and latitude.", Complexity: "O(1) for each member", Syntax: "key [member [member ...]]"},
	}
}

func cmdGeoAdd(c *command.Ctx) {
	var o command.ZAddOptions
	i := 2
words:
	for ; i < len(c.Args); i++ {
		switch {
		case c.Word(i, "nx"):
			o.NX = true
		case c.Word(i, "xx"):
			o.XX = true
		case c.Word(i, "ch"):
			o.CH = true
		default:
			break words
		}
	}
	args := c.Args[i:]
	if len(args) == 0 || len(args)%3 != 0 || o.NX && o.XX {
		c.Err(command.ErrSyntax)
		return
	}
	scores := c.Values().ZSet.Scores[:0]
	for j := 0; j < len(args); j += 3 {
		p, ok := geoPoint(c, i+j)
		if !ok {
			return
		}
		scores = append(scores, geo.Score(p))
	}
	if cap(scores) <= command.ZScoresMax {
		c.Values().ZSet.Scores = scores
	}
	command.ZAddScores(c, &o, scores, args, 3)
}

// geoPoint reads arguments i and i+1 as a position; false: it is none, and that
// is replied.
func geoPoint(c *command.Ctx, i int) (p geo.Point, ok bool) {
	if p.Lon, ok = c.Float(i); !ok {
		return p, false
	}
	if p.Lat, ok = c.Float(i + 1); !ok {
		return p, false
	}
	if !p.Valid() {
		c.Err("ERR invalid longitude,latitude pair " + geoNumber(p.Lon) + "," + geoNumber(p.Lat))
		return p, false
	}
	return p, true
}

// geoNumber is a number as C's %f prints it.
func geoNumber(f float64) string {
	if math.IsInf(f, 0) {
		return strings.ToLower(strings.TrimPrefix(fmt.Sprint(f), "+"))
	}
	return fmt.Sprintf("%f", f)
}

// geoUnit reads argument i as a unit, in meters; 0: it is none, and that is
// replied.
func geoUnit(c *command.Ctx, i int) float64 {
	switch {
	case c.Word(i, "m"):
		return 1
	case c.Word(i, "km"):
		return 1000
	case c.Word(i, "ft"):
		return 0.3048
	case c.Word(i, "mi"):
		return 1609.34
	}
	c.Err("ERR unsupported unit provided. please use M, KM, FT, MI")
	return 0
}

// geoMember is the position of a member.
func geoMember(z *types.SortedSet, member []byte) (p geo.Point, ok bool) {
	if z == nil {
		return p, false
	}
	score, ok := z.Score(member)
	if !ok {
		return p, false
	}
	return geo.FromScore(score), true
}

// replyGeoDistance replies with a distance, with four decimals whatever the
// unit.
func replyGeoDistance(w *wire.Writer, d float64) {
	var room [32]byte
	w.Bulk(strconv.AppendFloat(room[:0], d, 'f', 4, 64))
}

func replyGeoPoint(w *wire.Writer, p geo.Point) {
	w.Array(2)
	w.HumanDouble(wire.LongDoubleFromFloat64(p.Lon))
	w.HumanDouble(wire.LongDoubleFromFloat64(p.Lat))
}

func cmdGeoDist(c *command.Ctx) {
	unit := 1.0
	if len(c.Args) == 5 {
		if unit = geoUnit(c, 4); unit == 0 {
			return
		}
	} else if len(c.Args) > 5 {
		c.Err(command.ErrSyntax)
		return
	}
	z, ok := c.ReadZSet(&c.Keys[0])
	if !ok {
		return
	}
	a, okA := geoMember(z, c.Args[2])
	b, okB := geoMember(z, c.Args[3])
	if !okA || !okB {
		c.W.Null()
		return
	}
	replyGeoDistance(c.W, geo.Distance(a, b)/unit)
}

func cmdGeoHash(c *command.Ctx) {
	z, ok := c.ReadZSet(&c.Keys[0])
	if !ok {
		return
	}
	c.W.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		p, ok := geoMember(z, member)
		if !ok {
			c.W.Null()
			continue
		}
		h := geo.Hash(p)
		c.W.Bulk(h[:])
	}
}

func cmdGeoPos(c *command.Ctx) {
	z, ok := c.ReadZSet(&c.Keys[0])
	if !ok {
		return
	}
	c.W.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		if p, ok := geoMember(z, member); ok {
			replyGeoPoint(c.W, p)
		} else {
			c.W.NullArray()
		}
	}
}
