package persist

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"
)

// stop is a reader of nothing, which tells when it is read and waits then.
type stop struct{ here, goOn chan bool }

func (s *stop) Read([]byte) (int, error) {
	if s.here != nil {
		close(s.here)
		s.here = nil
		<-s.goOn
	}
	return 0, io.EOF
}

// TestReloadWaitsForReplace: DEBUG RELOAD beside the loading of a leader's snapshot saved
// what was half loaded, and loaded that. It waits for the end now.
func TestReloadWaitsForReplace(t *testing.T) {
	rng := newRand(t)
	t.Chdir(t.TempDir())
	leader := newRoom(t)
	leader.fill(rng, 400)
	leader.mustSave()
	leader.lock.release()
	file, err := os.ReadFile("dump.rdb")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	r := newRoom(t)
	r.fill(rng, 50)
	half, goOn := make(chan bool), make(chan bool)
	from := io.MultiReader(bytes.NewReader(file[:len(file)/2]), &stop{half, goOn}, bytes.NewReader(file[len(file)/2:]))
	replaced, reloaded := make(chan error, 1), make(chan error, 1)
	go func() { replaced <- r.Replace(from, Replacement{Name: "the leader"}) }()
	<-half // it is loading then
	go func() {
		_, err := r.Reload(false, false, false)
		reloaded <- err
	}()
	select {
	case err := <-reloaded:
		close(goOn)
		<-replaced
		t.Fatalf("DEBUG RELOAD ended beside the loading: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(goOn)
	if err := <-replaced; err != nil {
		t.Fatal(err)
	}
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
	wantSame(t, r.contents(), leader.contents())
}
