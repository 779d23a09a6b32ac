package main

import (
	"strings"
	"testing"
)

// TestMemcachedFlags: memcached's flags become directives, and what is not known is refused.
func TestMemcachedFlags(t *testing.T) {
	args, err := memcachedArgs(strings.Fields("-m 100 -p 11311 -l 127.0.0.1 -I 2m -c64 -U 0 -u nobody -M -F -vv --timeout 5"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig(args, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.MaxMemory.Load() != 100<<20 || cfg.MemcachedPort.Load() != 11311 || cfg.Port.Load() != 0 || cfg.MemcachedItemSizeMax.Load() != 2<<20 ||
		cfg.MaxClients.Load() != 64 || cfg.MaxMemoryPolicy.Load() != "noeviction" || cfg.MemcachedFlushAll.Load() || cfg.LogLevel.Load() != "debug" || cfg.Timeout.Load() != 5 {
		t.Error(args)
	}
	if cfg, err = loadConfig(must(memcachedArgs(nil)), strings.NewReader("")); err != nil || cfg.MaxMemoryPolicy.Load() != "allkeys-lru" || cfg.MaxMemory.Load() != 64<<20 || cfg.AppendOnly.Load() {
		t.Error("the defaults:", err)
	}
	if cfg, err = loadConfig(must(memcachedArgs(strings.Fields("-s /tmp/x"))), strings.NewReader("")); err != nil || cfg.MemcachedPort.Load() != 0 || cfg.MemcachedUnixSocket.Load() != "/tmp/x" {
		t.Error("-s:", err)
	}
	for _, bad := range []string{"-Z", "-m", "-U 11211", "-o modern", "x", "-m 0"} {
		if _, err := memcachedArgs(strings.Fields(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func must(args []string, err error) []string {
	if err != nil {
		panic(err)
	}
	return args
}
