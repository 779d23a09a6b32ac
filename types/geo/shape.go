package geo

import (
	"math"
	"slices"
)

// A Range is the scores from Min on that are below Max.
type Range struct{ Min, Max uint64 }

// Kind says what a Shape is.
type Kind uint8

// The kinds of shapes.
const (
	Circle  Kind = iota
	Box          // of Width and Height around the Center
	Polygon      // of Vertices
)

// A Shape is an area to be searched. Lengths are in meters.
type Shape struct {
	Kind          Kind
	Center        Point // where distances are measured from
	Radius        float64
	Width, Height float64
	Vertices      []Point // at least three; the last one is joined to the first

	// Within says that it is of no interest how far positions are: where they are surely
	// inside, Distance is 0.
	Within bool

	cosLat float64 // of the Center

	// What no point of a circle is above, whatever the rounding: the difference
	// of latitudes in degrees, and the haversine.
	maxLat, maxHaversine float64
	// Any point of a circle whose haversine is below this is inside, whatever the rounding.
	surely float64
}

// Prepare is to be called when the fields are set; a Polygon gets its Center,
// the mean of its vertices.
func (s *Shape) Prepare() {
	if s.Kind == Polygon {
		s.Center = Point{}
		for _, v := range s.Vertices {
			s.Center.Lon += v.Lon
			s.Center.Lat += v.Lat
		}
		s.Center.Lon /= float64(len(s.Vertices))
		s.Center.Lat /= float64(len(s.Vertices))
	}
	s.cosLat = cos(s.Center.Lat * radians)
	s.maxLat, s.maxHaversine, s.surely = math.Inf(1), 1, 0
	if half := s.Radius / radius / 2; half < math.Pi/2 {
		s.maxLat = s.Radius/radius/radians*(1+1e-9) + 1e-12
		s.maxHaversine = sin(half)*sin(half)*(1+1e-9) + 1e-30
		s.surely = sin(half)*sin(half)*(1-1e-9) - 1e-30
	}
}

// Distance is the distance of p from the center if p lies in the shape.
//
// A box is what is not farther than half the height to the north and south and
// half the width to the east and west, measured at the latitude of p. A polygon
// is bounded by straight lines on a map whose coordinates are the degrees.
func (s *Shape) Distance(p Point) (meters float64, in bool) {
	switch s.Kind {
	case Box:
		if latDistance(p.Lat, s.Center.Lat) > s.Height/2 ||
			Distance(p, Point{s.Center.Lon, p.Lat}) > s.Width/2 {
			return 0, false
		}
	case Polygon:
		if !s.surrounds(p) {
			return 0, false
		}
	default:
		// Most are outside, and seen to be before the arcsine. Along the
		// meridian the way is not longer, and takes no sine.
		if math.Abs(p.Lat-s.Center.Lat) > s.maxLat {
			return 0, false
		}
		h, straight := haversine(s.Center, p, s.cosLat)
		if h > s.maxHaversine {
			return 0, false
		}
		if s.Within && h < s.surely {
			return 0, true // the arcsine is some of the cost of a hit
		}
		d := 0.0
		if straight {
			d = latDistance(p.Lat, s.Center.Lat)
		} else {
			d = 2 * radius * asin(math.Sqrt(h))
		}
		return d, !(d > s.Radius)
	}
	if s.Within {
		return 0, true
	}
	return distance(s.Center, p, s.cosLat), true
}

// surrounds tells whether the line from p to the east crosses the polygon's
// border an odd number of times. What lies on a border in the west or south is
// inside.
func (s *Shape) surrounds(p Point) (in bool) {
	a := s.Vertices[len(s.Vertices)-1]
	for _, b := range s.Vertices {
		if (a.Lat > p.Lat) != (b.Lat > p.Lat) &&
			p.Lon < a.Lon+float64((b.Lon-a.Lon)*(p.Lat-a.Lat)/(b.Lat-a.Lat)) {
			in = !in
		}
		a = b
	}
	return in
}

// Ranges appends to dst the ranges of scores that hold all positions of the
// shape, and others. They do not overlap, and come in the order in which Redis
// searches them: the cell of the center and the eight around it. Where these
// nine do not hold all of the shape (near the poles, beside longitude 180, in
// a few other cases), ranges that hold the rest follow.
func (s *Shape) Ranges(dst []Range) []Range {
	var room [9]cellAt
	cells := s.nine(room[:0])
	for _, c := range cells {
		dst = append(dst, c.scores())
	}
	return s.rest(cells, dst)
}

// nine are the cells that Redis searches, in that order.
func (s *Shape) nine(dst []cellAt) []cellAt {
	// How far the shape reaches to the north and south, and to the east and
	// west at the latitude of its northern and southern ends.
	var min, max Point
	reach := s.Radius
	switch s.Kind {
	case Polygon:
		min, max = s.corners()
		reach = Distance(min, max) / 2
	default:
		height, width := s.Radius, s.Radius
		if s.Kind == Box {
			height, width = s.Height/2, s.Width/2
			reach = math.Sqrt(float64(width*width) + float64(height*height))
		}
		up := height / radius / radians
		side := s.Center.Lat + up
		if s.Center.Lat < 0 {
			side = s.Center.Lat - up
		}
		across := width / radius / cos(side*radians) / radians
		min = Point{s.Center.Lon - across, s.Center.Lat - up}
		max = Point{s.Center.Lon + across, s.Center.Lat + up}
	}
	step := stepFor(reach, s.Center.Lat)
	c := cell(s.Center, step, MaxLat)
	if step > 1 && !reaches(c, min, max) {
		step--
		c = cell(s.Center, step, MaxLat)
	}
	low, high := c.area()
	south, north := step < 2 || !(low.Lat < min.Lat), step < 2 || !(high.Lat > max.Lat)
	west, east := step < 2 || !(low.Lon < min.Lon), step < 2 || !(high.Lon > max.Lon)
	for _, n := range [...]struct {
		dx, dy int
		wanted bool
	}{
		{0, 0, true}, {0, 1, north}, {0, -1, south}, {1, 0, east}, {-1, 0, west},
		{1, 1, north && east}, {-1, 1, north && west}, {1, -1, south && east}, {-1, -1, south && west},
	} {
		// In a grid of two columns and rows the neighbours of both sides are
		// the same.
		if next := c.moved(n.dx, n.dy); n.wanted && !slices.Contains(dst, next) {
			dst = append(dst, next)
		}
	}
	return dst
}

// reaches tells whether the cells beside c reach beyond min and max.
func reaches(c cellAt, min, max Point) bool {
	_, north := c.moved(0, 1).area()
	south, _ := c.moved(0, -1).area()
	_, east := c.moved(1, 0).area()
	west, _ := c.moved(-1, 0).area()
	return !(north.Lat < max.Lat || south.Lat > min.Lat || east.Lon < max.Lon || west.Lon > min.Lon)
}

// stepFor is the finest grid in which a circle of so many meters mostly lies in
// nine cells. Towards the poles cells are narrower.
func stepFor(meters, lat float64) int {
	if meters == 0 {
		return bitsEach
	}
	const halfway = 20037726.37 // the grid's, from the zero meridian to 180
	step := -1
	for ; meters < halfway; meters *= 2 {
		step++
	}
	if math.Abs(lat) > 66 {
		step--
	}
	if math.Abs(lat) > 80 {
		step--
	}
	return max(1, min(step, bitsEach))
}

// corners are the lowest and highest coordinates of a polygon.
func (s *Shape) corners() (low, high Point) {
	low, high = s.Vertices[0], s.Vertices[0]
	for _, v := range s.Vertices[1:] {
		low = Point{min(low.Lon, v.Lon), min(low.Lat, v.Lat)}
		high = Point{max(high.Lon, v.Lon), max(high.Lat, v.Lat)}
	}
	return low, high
}

// bounds is how far the shape reaches, rounded up. Longitudes count on beyond
// 180; where the shape goes around a pole they are all.
func (s *Shape) bounds() (low, high Point) {
	const more = 1e-7 // degrees: a centimeter
	if s.Kind == Polygon {
		low, high = s.corners()
		return Point{low.Lon - more, low.Lat - more}, Point{high.Lon + more, high.Lat + more}
	}
	height, width := s.Radius, s.Radius
	if s.Kind == Box {
		height, width = s.Height/2, s.Width/2
	}
	up := height/radius/radians + more
	low.Lat, high.Lat = s.Center.Lat-up, s.Center.Lat+up
	across := 180.0
	if s.Kind == Circle {
		if low.Lat > -90 && high.Lat < 90 {
			across = degrees(math.Sin(width/radius) / s.cosLat)
		}
	} else if top := min(MaxLat, max(-low.Lat, high.Lat)); width/radius < math.Pi {
		// At the latitude that is farthest from the equator it is most degrees.
		across = 2 * degrees(math.Sin(width/radius/2)/math.Cos(top*radians))
	}
	across = min(180, across+more)
	low.Lon, high.Lon = s.Center.Lon-across, s.Center.Lon+across
	return low, high
}

// degrees is an arcsine in degrees; 180 near 1, where it hangs on the rounding.
func degrees(sine float64) float64 {
	if sine > 0.999999 {
		return 180
	}
	return math.Asin(sine) / radians
}

// rest appends the ranges that are to be searched besides the nine cells, of
// which dst ends with the ranges.
func (s *Shape) rest(nine []cellAt, dst []Range) []Range {
	low, high := s.bounds()
	step := nine[0].step
	columns := func(step int) (from, n int64) {
		size := float64(int64(1) << step)
		a := math.Floor((low.Lon + MaxLon) / (2 * MaxLon) * size)
		b := math.Floor((high.Lon + MaxLon) / (2 * MaxLon) * size)
		return int64(a), min(int64(b-a)+1, 1<<step)
	}
	rows := func(step int) (from, n int64) {
		size := float64(int64(1) << step)
		a := max(0, min(size-1, math.Floor((low.Lat+MaxLat)/(2*MaxLat)*size)))
		b := max(0, min(size-1, math.Floor((high.Lat+MaxLat)/(2*MaxLat)*size)))
		return int64(a), int64(b-a) + 1
	}
	// Coarser, until nine cells are enough.
	x0, nx := columns(step)
	y0, ny := rows(step)
	for nx > 3 || ny > 3 {
		step--
		x0, nx = columns(step)
		y0, ny = rows(step)
	}
	done := dst[len(dst)-len(nine):]
	extra := len(dst)
	for x := range nx {
		for y := range ny {
			c := cellAt{uint64(x0+x) & (1<<step - 1), uint64(y0 + y), step}
			if !slices.Contains(nine, c) {
				dst = without(dst, c.scores(), done)
			}
		}
	}
	// Positions right at the upper limits lie beyond the last cells.
	if low.Lon < -MaxLon || high.Lon >= MaxLon || high.Lat >= MaxLat {
		const top = 1 << (2 * bitsEach)
		dst = without(dst, Range{top, 3*top + 1}, done)
	}
	slices.SortFunc(dst[extra:], func(a, b Range) int {
		if a.Min < b.Min {
			return -1
		}
		return 1
	})
	return dst
}

// without appends the parts of r that are in none of the ranges done.
func without(dst []Range, r Range, done []Range) []Range {
	for r.Min < r.Max {
		end := r.Max
		inside := false
		for _, d := range done {
			if d.Min <= r.Min && r.Min < d.Max {
				r.Min, inside = d.Max, true
				break
			}
			if d.Min > r.Min && d.Min < end {
				end = d.Min
			}
		}
		if !inside {
			dst = append(dst, Range{r.Min, end})
			r.Min = end
		}
	}
	return dst
}
