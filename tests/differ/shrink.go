package differ

import (
	"slices"
	"time"
)

// Bounds of the search for a shorter script.
const (
	shrinkTime = 2 * time.Minute
	shrinkRuns = 2000
)

// shrink plays ever smaller parts of the script on emptied servers and keeps the smallest that
// still shows a difference, be it another one, but not one that shows by chance in place of one that does not, for then hardly
// anything could be left out any more: such steps are left out themselves. Shrunk stays nil if the whole script did not show it again.
func (d *Diff) shrink(kvd, redis Endpoint) error {
	deadline := time.Now().Add(shrinkTime)
	runs := 0
	var failed error
	// try plays a script; a difference makes it the best so far, cut where it showed.
	var try func(script []Step) bool
	try = func(script []Step) bool {
		if failed != nil || runs >= shrinkRuns || time.Now().After(deadline) {
			return false
		}
		runs++
		again, err := Play(kvd, redis, script)
		if err != nil {
			failed = err
			return false
		}
		if again == nil {
			return false
		}
		if again.Step().byChance() && !d.shown().byChance() {
			return try(slices.Delete(slices.Clone(script), again.Index, again.Index+1))
		}
		d.Shrunk = slices.Clone(again.Script)
		d.Got, d.Want, d.Err, d.Note = again.Got, again.Want, again.Err, again.Note
		return true
	}
	if !try(d.Script) {
		return failed
	}
	for size := max(len(d.Shrunk)/2, 1); ; size /= 2 {
		for at := len(d.Shrunk) - 1; at >= 0; at -= size {
			from := max(0, at-size+1)
			if from >= len(d.Shrunk) {
				continue
			}
			try(slices.Concat(d.Shrunk[:from], d.Shrunk[min(at+1, len(d.Shrunk)):]))
		}
		if size <= 1 {
			break
		}
	}
	for i := 0; i < len(d.Shrunk); i++ { // shorter arguments
		for j := 1; j < len(d.Shrunk[i].Args); j++ {
			for n := len(d.Shrunk[i].Args[j]); n > 16; n /= 2 {
				script := slices.Clone(d.Shrunk)
				script[i].Args = slices.Clone(script[i].Args)
				script[i].Args[j] = script[i].Args[j][:n/2]
				if !try(script) || i >= len(d.Shrunk) {
					break
				}
			}
			if i >= len(d.Shrunk) {
				break
			}
		}
	}
	return failed
}

// shown is the step that shows the difference in the shortest script so far.
func (d *Diff) shown() Step {
	if n := len(d.Shrunk); n > 0 {
		return d.Shrunk[n-1]
	}
	return d.Step()
}

// byChance tells whether the step looks at something that the server chooses, so that it may show a difference or not.
func (s Step) byChance() bool {
	switch s.Cmp {
	case "randomkey", "spop", "srandmember", "hrandfield", "zrandmember":
		return true
	}
	return false
}
