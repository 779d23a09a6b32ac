//go:build race

package glob

// slowness is how many times longer the race detector may make a test take.
const slowness = 10
