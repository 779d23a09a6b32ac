package geo_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"kvd/command/commandtest"
	"kvd/types/geo"
)

const sicily = "geoadd sicily 13.361389 38.115556 Palermo 14.733333 36.933333 Ragusa 15.087269 37.502669 Catania 15.287602 37.070104 Siracusa 13.588412 37.311348 Agrigento"

func TestGeoPolygon(t *testing.T) {
	s := commandtest.New(t)
	s.Want(sicily, ":5\n")
	six := "bypolygon 6 13.268550 38.354626 15.379554 37.143270 14.7 36.6 14.193438 37.334376 12.972021 38.138380 13.3 38.2"
	s.Want("geosearch sicily "+six, "*3\n$7\nPalermo\n$6\nRagusa\n$8\nSiracusa\n")
	s.Want("geosearch sicily "+six+" count 1 desc", "*1\n$8\nSiracusa\n")
	s.Want("geosearchstore d sicily "+six, ":3\n")
	s.Want("geosearch sicily "+six+" fromlonlat 1 1", "-ERR syntax error\n")
	s.Want("geosearch sicily fromlonlat 1 1 "+six, "-ERR syntax error\n")
	s.Want("geosearch sicily bypolygon 2 1 1 2 2", "-ERR a polygon must have at least 3 vertices\n")
	s.Want("geosearch sicily bypolygon 3 1 1 2 2 1", "-ERR syntax error\n")
	s.Want("geosearch sicily bypolygon 3 1 1 2 2 1 99", "-ERR invalid longitude,latitude pair 1.000000,99.000000\n")
	s.Want("geosearch sicily bypolygon 9223372036854775807 1 1 2 2 1 1", "-ERR syntax error\n")
}

// Only the key that is written is declared: the last STORE's.
func TestGeoRadiusLastStore(t *testing.T) {
	s := commandtest.New(t)
	s.Want(sicily, ":5\n")
	s.Want("georadius sicily 15 37 200 km store a storedist b", ":5\n")
	s.Want("exists a", ":0\n")
	s.Want("zcard b", ":5\n")
	s.Want("georadiusbymember sicily Ragusa 60 km storedist b store a", ":2\n")
	s.Want("zscore a Ragusa", "$16\n3476478491720624\n")
	s.Want("command getkeysandflags georadius sicily 15 37 200 km store a storedist b", "*2\n*2\n$6\nsicily\n*2\n+RO\n+access\n*2\n$1\nb\n*2\n+OW\n+update\n")
	s.Want("command getkeys georadiusbymember sicily store 1 km", "*1\n$6\nsicily\n")
	s.Effects = nil
	s.Want("georadius none 15 37 200 km store a", ":0\n")
	s.Want("exists a", ":0\n")
	s.Want("geoadd g nx 1 1 a", ":1\n")
	s.Want("geoadd g xx ch 2 2 a 3 3 b", ":1\n")
	s.WantEffects("georadius none 15 37 200 km store a", "ZADD g 3377822707026402 a", "ZADD g 3378191666521995 a")
}

// TestGeoDateLine: both sides of longitude 180 are found, and 180 itself.
func TestGeoDateLine(t *testing.T) {
	s := commandtest.New(t)
	s.Want("geoadd g 180 10 at -180 10 too 179.95 10 west -179.95 10 east 179 10 far", ":5\n")
	for _, from := range []string{"fromlonlat 180 10", "fromlonlat -180 10", "frommember at", "fromlonlat 179.999 10", "fromlonlat -179.9 10"} {
		for _, by := range []string{" byradius 30 km", " bybox 60 60 km"} {
			r := s.Run("geosearch g " + from + by + " asc")
			for _, m := range []string{"at", "too", "west", "east"} {
				if !strings.Contains(r, "\n"+m+"\r") || strings.Contains(r, "far") {
					t.Errorf("%s%s: %q", from, by, r)
					break
				}
			}
		}
	}
}

// TestGeoLong has so many members that the search goes to the background, and
// compares with a look at each of them.
func TestGeoLong(t *testing.T) {
	s := commandtest.New(t)
	r := rand.New(rand.NewPCG(1, 1))
	all := map[string]geo.Point{}
	for range 100 {
		args := []string{"geoadd", "g"}
		for range 100 {
			p := geo.Point{Lon: r.Float64()*20 - 10, Lat: r.Float64()*20 + 40}
			name := fmt.Sprint("m", len(all))
			args = append(args, fmt.Sprint(p.Lon), fmt.Sprint(p.Lat), name)
			all[name] = geo.FromScore(geo.Score(p))
		}
		s.Do(args...)
	}
	s.Want("geoadd g 0 50 center", ":1\n")
	all["center"] = geo.FromScore(geo.Score(geo.Point{Lon: 0, Lat: 50}))
	wt := commandtest.NewConn()
	s.C.Conn = wt
	for _, meters := range []float64{1000, 300_000, 5_000_000} {
		shape := geo.Shape{Center: all["center"], Radius: meters}
		shape.Prepare()
		want := 0
		for _, p := range all {
			if _, in := shape.Distance(p); in {
				want++
			}
		}
		reply := s.Run(fmt.Sprintf("geosearch g frommember center byradius %f m asc withdist", meters))
		if reply == "" {
			reply = wt.Wait(t)
		} else if meters > 100_000 {
			t.Errorf("%f m: the event loop did it", meters)
		}
		if got := strings.Count(reply, "*2"); got != want {
			t.Errorf("%f m: %d members, not %d", meters, got, want)
		}
		reply = ""
		for turns := 0; reply == ""; turns++ {
			s.C.Working = false
			if reply = s.Run(fmt.Sprintf("geosearchstore d g frommember center byradius %f m", meters)); reply == "" {
				wt.Wait(t) // what is to be stored is made aside, and the command comes again
			} else if turns == 0 && meters > 100_000 {
				t.Errorf("%f m: the event loop made what is stored", meters)
			}
		}
		if n := fmt.Sprintf(":%d\r\n", want); reply != n {
			t.Errorf("%f m: stored %q, not %q", meters, reply, n)
		}
		if got := s.Run("zcard d"); got != reply {
			t.Errorf("%f m: %q are there, %q were stored", meters, got, reply)
		}
	}
}
