// Package geo is the geometry of the GEO commands as pure functions: positions
// as the 52-bit numbers that are the scores of a sorted set, distances on a
// sphere, and the ranges of scores in which a shape has to be looked for.
//
// A score interleaves 26 bits of the longitude, as a part of -180 to 180, with
// 26 bits of the latitude, as a part of -85.05112878 to 85.05112878 (the limits
// of the web's Mercator maps); the highest bit is the longitude's. A sorted set
// of scores is thereby sorted by cells of a quadtree. Numbers are equal to
// Redis's to the bit: the format and the formulas are documented with GEOADD,
// GEODIST and GEOHASH.
//
// float64(x*y) stands where Go might round a product and a sum at once, which
// C does not.
package geo

import "math"

// The limits of positions, in degrees.
const (
	MaxLon = 180
	MaxLat = 85.05112878
)

// bitsEach is how many bits of a score are the longitude's.
const bitsEach = 26

// radius of the earth in meters, and the factor from degrees to radians.
const (
	radius  = 6372797.560856
	radians = math.Pi / 180
)

// A Point is a position in degrees.
type Point struct{ Lon, Lat float64 }

// Valid tells whether a position can be a score.
func (p Point) Valid() bool {
	return p.Lon >= -MaxLon && p.Lon <= MaxLon && p.Lat >= -MaxLat && p.Lat <= MaxLat
}

// Score is the score of a valid position. The upper limits themselves lie one
// beyond the last cell, so their scores have more than 52 bits; some are
// rounded then.
func Score(p Point) float64 { return float64(cell(p, bitsEach, MaxLat).bits()) }

// A cellAt is a cell of the grid of 2^step columns and rows.
type cellAt struct {
	x, y uint64
	step int
}

// cell is the cell of a position. Those at the upper limits get the number of
// columns (rows), one more than the last one has.
func cell(p Point, step int, maxLat float64) cellAt {
	lat := (p.Lat + maxLat) / (maxLat + maxLat)
	lon := (p.Lon + MaxLon) / (MaxLon + MaxLon)
	n := float64(uint64(1) << step)
	return cellAt{uint64(lon * n), uint64(lat * n), step}
}

// bits is the interleaved number of a cell.
func (c cellAt) bits() uint64 { return spread(c.y) | spread(c.x)<<1 }

// moved is the cell some columns and rows away; the grid wraps around.
// Where nothing is moved, a number beyond the last stays so.
func (c cellAt) moved(dx, dy int) cellAt {
	mask := uint64(1)<<c.step - 1
	if dx != 0 {
		c.x = (c.x + uint64(dx)) & mask
	}
	if dy != 0 {
		c.y = (c.y + uint64(dy)) & mask
	}
	return c
}

// area is where a cell lies.
func (c cellAt) area() (min, max Point) {
	n := float64(uint64(1) << c.step)
	at := func(i uint64, limit float64) float64 {
		return -limit + float64((float64(i)/n)*(2*limit))
	}
	return Point{at(c.x, MaxLon), at(c.y, MaxLat)}, Point{at(c.x+1, MaxLon), at(c.y+1, MaxLat)}
}

// scores is the range of scores that a cell has.
func (c cellAt) scores() Range {
	b := c.bits()
	shift := 2 * (bitsEach - c.step)
	return Range{b << shift, (b + 1) << shift}
}

// spread moves the 32 lower bits of v apart, to the even places.
func spread(v uint64) uint64 {
	v &= 1<<32 - 1
	v = (v | v<<16) & 0x0000FFFF0000FFFF
	v = (v | v<<8) & 0x00FF00FF00FF00FF
	v = (v | v<<4) & 0x0F0F0F0F0F0F0F0F
	v = (v | v<<2) & 0x3333333333333333
	return (v | v<<1) & 0x5555555555555555
}

// gather is the reverse of spread.
func gather(v uint64) uint64 {
	v &= 0x5555555555555555
	v = (v | v>>1) & 0x3333333333333333
	v = (v | v>>2) & 0x0F0F0F0F0F0F0F0F
	v = (v | v>>4) & 0x00FF00FF00FF00FF
	v = (v | v>>8) & 0x0000FFFF0000FFFF
	return (v | v>>16) & 0x00000000FFFFFFFF
}

// FromScore is the position of a score: the middle of its cell, within the
// limits. A score that is none of a position, as any sorted set may have, gives
// what Redis makes of it.
func FromScore(score float64) Point {
	b := whole(score)
	y, x := uint32(gather(b)), uint32(gather(b>>1))
	return Point{middle(x, MaxLon), middle(y, MaxLat)}
}

// middle is the middle of column or row i.
func middle(i uint32, limit float64) float64 {
	const n = 1 << bitsEach
	low := -limit + float64((float64(i)/n)*(2*limit))
	high := -limit + float64((float64(i+1)/n)*(2*limit)) // i+1 may wrap
	return max(-limit, min(limit, (low+high)/2))
}

// whole is a double as an unsigned integer, for all doubles as on x86: what is
// negative wraps around, what is too large is 0.
func whole(f float64) uint64 {
	const top = 1 << 63
	switch {
	case f >= -top && f < top:
		return uint64(int64(f))
	case f >= 2*top:
		return 0
	case f >= top:
		return uint64(int64(f-top)) ^ top
	}
	return top
}

// letters are those of a geohash.
const letters = "0123456789bcdefghjkmnpqrstuvwxyz"

// Hash is the standard geohash of a position in 11 letters. There are bits for
// ten and a half, so the last one is always 0.
func Hash(p Point) (h [11]byte) {
	b := cell(p, bitsEach, 90).bits()
	for i := range 10 {
		h[i] = letters[b>>(47-5*i)&31]
	}
	h[10] = letters[0]
	return h
}

// Distance is the length in meters of the shortest way from a to b on the
// surface of a sphere (haversine formula).
func Distance(a, b Point) float64 { return distance(a, b, cos(a.Lat*radians)) }

// distance is Distance with the cosine of a's latitude given.
func distance(a, b Point, cosA float64) float64 {
	h, straight := haversine(a, b, cosA)
	if straight {
		return latDistance(a.Lat, b.Lat)
	}
	return 2 * radius * asin(math.Sqrt(h))
}

// haversine is the square of the sine of half the angle between a and b.
// straight says that they have the same longitude.
func haversine(a, b Point, cosA float64) (h float64, straight bool) {
	v := sin((float64(b.Lon*radians) - float64(a.Lon*radians)) / 2)
	lat1, lat2 := float64(a.Lat*radians), float64(b.Lat*radians)
	u := sin((lat2 - lat1) / 2)
	// Rounding may bring opposite points above 1.
	return min(1, float64(u*u)+float64(cosA*cos(lat2)*v*v)), v == 0
}

// latDistance is the distance in meters along a meridian.
func latDistance(a, b float64) float64 {
	return radius * math.Abs(float64(b*radians)-float64(a*radians))
}
