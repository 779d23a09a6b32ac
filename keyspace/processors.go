package keyspace

import (
	"errors"
	"strconv"
	"strings"
)

// ParseProcessors reads a list of processors as the directives ..._cpulist give it:
// numbers and ranges, separated by commas; a range may have a step ("0-6:2"). Source:
// the comment above server_cpulist in redis.conf, and taskset(1).
func ParseProcessors(list string) (mask [cpuWords]uint64, err error) {
	bad := errors.New("'" + list + "' is no list of processors")
	for part := range strings.SplitSeq(list, ",") {
		span, step, stepped := strings.Cut(strings.TrimSpace(part), ":")
		from, to, ranged := strings.Cut(span, "-")
		if !ranged {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		n := 1
		if stepped {
			if n, err = strconv.Atoi(step); err != nil || n < 1 || !ranged {
				return mask, bad
			}
		}
		if err1 != nil || err2 != nil || a < 0 || b < a || b >= cpuWords*64 {
			return mask, bad
		}
		for ; a <= b; a += n {
			mask[a/64] |= 1 << (a % 64)
		}
	}
	return mask, nil
}

// RunOn has the calling goroutine's thread, to which it must be locked, run on the
// processors of a list (see ParseProcessors) until restore is called. An empty list, and
// one that the system does not take, changes nothing.
func RunOn(list string) (restore func()) {
	nothing := func() {}
	if list == "" {
		return nothing
	}
	mask, err := ParseProcessors(list)
	if err != nil {
		return nothing
	}
	old, err := Affinity(0)
	if err != nil || SetAffinity(0, mask) != nil {
		return nothing
	}
	return func() { _ = SetAffinity(0, old) }
}
