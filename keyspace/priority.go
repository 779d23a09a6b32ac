package keyspace

// The nice values of threads that do not serve clients at once.
const (
	// NiceBackground is for what nobody waits for: expiry, a snapshot's file.
	NiceBackground = 10
	// NiceReader is for long reads, whose client waits while others want to be
	// served: a third of an event loop's weight where both want a processor. With
	// 10 it was a tenth, and the others' p99 was no better.
	NiceReader = 5
)
