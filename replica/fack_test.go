package replica

import "testing"

// TestDurable: an offset is told to last only when the log has what came up to it.
func TestDurable(t *testing.T) {
	var d durable
	d.reset()
	want := func(logged, offset int64) {
		t.Helper()
		if got := d.lasts(logged); got != offset {
			t.Errorf("where the log lasts up to %d the stream does up to %d, not %d", logged, got, offset)
		}
	}
	want(1000, -1)
	d.note(10, 100)
	want(99, -1)
	want(100, 10)
	d.note(20, 200) // waits
	d.note(30, 300) // passed over by
	d.note(40, 400)
	want(199, 10)
	want(200, 20)
	want(399, 20)
	want(400, 40)
	d.note(50, 400) // nothing for the log, such as a PING
	want(400, 50)
	d.note(60, 500)
	d.reset()
	want(1000, -1)
	d.note(5, 1000)
	want(1000, 5)
}
