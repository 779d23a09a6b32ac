package memcached

// The counters that stats shows; see command.Ctx.Tally.
const (
	cmdGet = iota
	cmdSet
	cmdFlush
	cmdTouch
	cmdMeta
	getHits
	getMisses
	deleteHits
	deleteMisses
	incrHits
	incrMisses
	decrHits
	decrMisses
	casHits
	casMisses
	casBadval
	touchHits
	touchMisses
	TooLargeCount // of items that were refused for their size
	NoMemoryCount // for want of memory
	AuthCount
	AuthErrorCount
	totalItems
)
