package config

import "testing"

func TestDBLimits(t *testing.T) {
	c := New()
	if err := load(c, "db-maxmemory 3 1kb\ndb-maxmemory 0 100 5 2mb\ndb-maxmemory 5 0"); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "db-maxmemory"); got != "0 100 3 1024" {
		t.Errorf("three lines give %q", got)
	}
	if err := set(c, "db-maxmemory", "3 7"); err != nil || get(t, c, "db-maxmemory") != "0 100 3 7" {
		t.Errorf("CONFIG SET gives %v and %q", err, get(t, c, "db-maxmemory"))
	}
	for _, bad := range []string{"1", "x 5", "-1 5", "1 5%", "1 -5", "1 2 3"} {
		if err := set(c, "db-maxmemory", bad); err == nil || get(t, c, "db-maxmemory") != "0 100 3 7" {
			t.Errorf("CONFIG SET db-maxmemory %q gives %v and %q", bad, err, get(t, c, "db-maxmemory"))
		}
	}
	if err := set(c, "db-maxmemory", ""); err != nil || get(t, c, "db-maxmemory") != "" {
		t.Errorf("an empty value gives %v and %q", err, get(t, c, "db-maxmemory"))
	}
}
