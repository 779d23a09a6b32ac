//go:build !race

package glob

const slowness = 1
