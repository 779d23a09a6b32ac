package metrics_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kvd/kvdtest"
	"kvd/metrics"
	"kvd/tests/harness"
)

// Of kvd's own metrics the linter has nothing to say; of those with redis_exporter's
// names only what concerns the name.
func TestLint(t *testing.T) {
	s := kvdtest.New(t)
	s.Do("SET", "k", "v", "EX", "100")
	s.Do("CONFIG", "GET", "port")
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(metrics.New(s.Engine()))
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "kvd_") || strings.Contains(p.Text, "help") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// The figures are those of what has happened.
func TestFigures(t *testing.T) {
	s := kvdtest.New(t)
	s.Do("SELECT", "3")
	c, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 5 {
		c.Do("SET", fmt.Sprint("k", i), "v", "EX", "1000")
	}
	c.Do("SELECT", "2")
	c.Do("SET", "k", "v")
	c.Do("INCR", "k")
	c.Do("CONFIG", "SET", "slowlog-log-slower-than", "0")
	c.Do("GET", "k")
	families := gather(t, s)
	for metric, want := range map[string]float64{
		`redis_db_keys db0`:                      5,
		`redis_db_keys_expiring db0`:             5,
		`redis_db_keys db2`:                      1,
		`redis_commands_total set`:               6,
		`redis_commands_total config_set`:        1,
		`redis_commands_failed_calls_total incr`: 1,
		`redis_errors_total ERR`:                 1,
		`kvd_command_duration_seconds set`:       6,
		`redis_up`:                               1,
		`redis_connected_clients`:                1,
		`redis_keyspace_hits_total`:              1,
		`redis_aof_enabled`:                      0,
		`redis_rdb_last_bgsave_status`:           1,
		`kvd_expiry_lag_seconds`:                 0,
		`redis_rdb_current_bgsave_duration_sec`:  -1,
	} {
		if got, ok := families[metric]; !ok || got != want {
			t.Errorf("%s is %v (%v), want %v", metric, got, ok, want)
		}
	}
	if families["redis_slowlog_length"] < 1 || families["redis_memory_used_bytes"] < 1 {
		t.Errorf("slow log %v, memory %v", families["redis_slowlog_length"], families["redis_memory_used_bytes"])
	}
}

// gather are all metrics by name and first label; of histograms the number of calls.
func gather(t *testing.T, s *kvdtest.Server) map[string]float64 {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(metrics.New(s.Engine()))
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			switch {
			case m.GetHistogram() != nil:
				out[name] = float64(m.GetHistogram().GetSampleCount())
			case m.GetCounter() != nil:
				out[name] = m.GetCounter().GetValue()
			default:
				out[name] = m.GetGauge().GetValue()
			}
		}
	}
	return out
}

// A scrape takes no stripe: it ends while all are locked.
func TestScrapeTakesNoStripe(t *testing.T) {
	s := kvdtest.New(t)
	col := metrics.New(s.Engine())
	reg := prometheus.NewRegistry()
	reg.MustRegister(col)
	if _, err := reg.Gather(); err != nil { // takes the first sample
		t.Fatal(err)
	}
	h := s.Engine().Keyspace.LockAll()
	defer s.Engine().Keyspace.Unlock(&h)
	done := make(chan error)
	go func() { _, err := reg.Gather(); done <- err }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the scrape waits for a stripe")
	}
}

// freePort is a port of this machine on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	p, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(p)
}

// The page is served where the directives say, to who has the token, and CONFIG SET moves it.
func TestPage(t *testing.T) {
	a, b := freePort(t), freePort(t)
	s := kvdtest.New(t, "metrics-port "+a)
	get := func(port, path, token string) (int, string) {
		req, _ := http.NewRequest("GET", "http://127.0.0.1:"+port+path, nil)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	if code, text := get(a, "/metrics", ""); code != 200 || !slices.Contains(strings.Split(text, "\n"), "redis_up 1") {
		t.Errorf("%d %s", code, text)
	}
	if code, text := get(a, "/", ""); code != 200 || !strings.Contains(text, "console.js") {
		t.Errorf("the console: %d", code)
	}
	if code, _ := get(a, "/metrics/", ""); code != 404 {
		t.Errorf("another page: %d", code)
	}
	s.Do("CONFIG", "SET", "metrics-token", "secret")
	for token, want := range map[string]int{"": 401, "secre": 401, "secret": 200} {
		if code, _ := get(a, "/metrics", token); code != want {
			t.Errorf("token %q: %d, want %d", token, code, want)
		}
	}
	// /ready: a follower that has not got its leader's data is not, and says so without a token.
	ready := func(want int, text string) {
		t.Helper()
		if code, got := get(a, "/ready", ""); code != want || !strings.Contains(got, text) {
			t.Errorf("/ready: %d %q, want %d", code, got, want)
		}
	}
	ready(200, "ready")
	s.Do("REPLICAOF", "127.0.0.1", b) // nobody is there
	ready(503, "has not come yet")
	s.Do("CONFIG", "SET", "replica-serve-stale-data", "no")
	ready(503, "replica-serve-stale-data is no")
	s.Do("REPLICAOF", "NO", "ONE")
	ready(200, "ready")
	s.Do("CONFIG", "SET", "metrics-port", b)
	if code, _ := get(a, "/metrics", "secret"); code != 0 {
		t.Errorf("the old port: %d", code)
	}
	if code, _ := get(b, "/metrics", "secret"); code != 200 {
		t.Errorf("the new port: %d", code)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+a)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, _ := s.Client()
	defer c.Close()
	if err := c.Do("CONFIG", "SET", "metrics-port", a).Err(); err == nil {
		t.Error("a port that is taken was accepted")
	}
	if code, _ := get(b, "/metrics", "secret"); code != 200 {
		t.Errorf("after that: %d", code)
	}
	s.Do("CONFIG", "SET", "metrics-port", "0")
	if code, _ := get(b, "/metrics", "secret"); code != 0 {
		t.Errorf("port 0: %d", code)
	}
}

// Every metric that the dashboard asks for is one that a server may have.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../contrib/grafana/kvd.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Fatal("it is not JSON")
	}
	s := kvdtest.New(t, "appendonly yes", "dir "+t.TempDir())
	s.Do("SET", "k", "v")
	known := gather(t, s)
	names := map[string]bool{
		"redis_connected_slave_offset_bytes": true,                            // only where there is a replica
		"kvd_snapshot_keys_done":             true, "kvd_snapshot_keys": true, // only while one is written
		"redis_errors_total": true, // only where there was one
	}
	for name := range known {
		name, _, _ = strings.Cut(name, " ")
		names[name] = true
	}
	asked := 0
	for _, name := range regexp.MustCompile(`(redis|kvd)_[a-z_]+`).FindAllString(string(text), -1) {
		asked++
		if name = strings.TrimSuffix(name, "_bucket"); !names[name] {
			t.Errorf("nothing is called %s", name)
		}
	}
	if asked < 30 {
		t.Errorf("only %d metrics were found", asked)
	}
}

// A follower that was started again serves what it has loaded while its leader is away, and
// is ready; one that has loaded nothing is not.
func TestReadyFollowerKeepsData(t *testing.T) {
	dir, nobody := t.TempDir(), freePort(t)
	s := kvdtest.New(t, "dir "+dir)
	s.Do("SET", "a", "1")
	s.Do("SAVE")
	s.End()
	ready := func(page, want string) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			text := ""
			if resp, err := http.Get("http://127.0.0.1:" + page + "/ready"); err == nil {
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				text = string(b)
			}
			switch {
			case strings.Contains(text, want):
				return
			case !strings.Contains(text, "being loaded") && text != "" || time.Now().After(deadline):
				t.Fatalf("/ready: %q, want %q", text, want)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	page := freePort(t)
	s = kvdtest.New(t, "dir "+dir, "replicaof 127.0.0.1 "+nobody, "metrics-port "+page)
	ready(page, "ready")
	s.Do("CONFIG", "SET", "replica-serve-stale-data", "no")
	ready(page, "replica-serve-stale-data is no")
	s.Do("CONFIG", "SET", "replica-serve-stale-data", "yes")
	s.Do("REPLICAOF", "NO", "ONE")
	s.Do("REPLICAOF", "127.0.0.1", nobody)
	ready(page, "has not come yet")
	s.End()
	page = freePort(t)
	kvdtest.New(t, "dir "+t.TempDir(), "replicaof 127.0.0.1 "+nobody, "metrics-port "+page)
	ready(page, "has not come yet")
}
