package command

import (
	"kvd/types"
	"kvd/types/hll"
	"kvd/types/stream"
)

// Memory that an Exec's commands use again and again, one after the other.

// hllValues is memory that an Exec works on HyperLogLogs with.
type hllValues struct {
	Buf []byte
	All *hll.All
}

// setValues are what an Exec works on sets with, again and again.
type setValues struct {
	set types.Set
	Buf []byte // see openSet
}

// ReadFrom says from which entry on XREAD and XREADGROUP read a stream.
type ReadFrom struct {
	Kind int
	ID   stream.ID
}

// zsetValues are what an Exec works on sorted sets with, again and again.
type zsetValues struct {
	set    types.SortedSet
	buf    []byte    // see OpenZSet
	Scores []float64 // of ZADD
}
