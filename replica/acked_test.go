package replica

import "testing"

// TestAckedAfterLoad: a follower that was sent the snapshot counts for WAIT and WAITAOF when
// it has answered, not before; what a client wrote before there was a stream is at offset 0.
func TestAckedAfterLoad(t *testing.T) {
	f := &follower{state: online, ready: make(chan struct{}), synced: -1}
	l := &Leader{followers: []*follower{f}}
	if l.AckedBy(0) != 0 || l.SyncedBy(0) != 0 {
		t.Error("it counts before it has said anything")
	}
	close(f.ready)
	if l.AckedBy(0) != 1 || l.AckedBy(1) != 0 || l.SyncedBy(0) != 0 {
		t.Error("it counts for what it has acknowledged")
	}
	f.synced = 0
	if l.SyncedBy(0) != 1 || l.SyncedBy(1) != 0 {
		t.Error("it counts for what is on its disk")
	}
}
