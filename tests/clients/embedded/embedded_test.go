// Package embedded runs go-redis against a kvd inside this process. It is a module of
// its own, so that kvd's needs nothing of go-redis; TestEmbedded of kvd/tests runs it.
// With REDIS_SOCKET, the path of a redis-server's unix socket, its benchmarks compare.
package embedded

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"kvd"
	"kvd/kvdtest"
)

// A program's code that uses Redis is tested without a server, and time passes at once.
func TestGoRedis(t *testing.T) {
	s := kvdtest.New(t)
	for _, proto := range []int{2, 3} {
		rdb := redis.NewClient(&redis.Options{Dialer: s.Dialer, Protocol: proto})
		defer rdb.Close()
		ctx := t.Context()
		if err := rdb.Set(ctx, "session", "x", 30*24*time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range 10_000 {
				p.RPush(ctx, fmt.Sprint("list", proto), i)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if n := rdb.LLen(ctx, fmt.Sprint("list", proto)).Val(); n != 10_000 {
			t.Errorf("the list has %d elements", n)
		}
		sub := rdb.Subscribe(ctx, "news")
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		if err := rdb.Publish(ctx, "news", "hello").Err(); err != nil {
			t.Fatal(err)
		}
		if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "hello" {
			t.Errorf("received %v, %v", m, err)
		}
		s.Advance(31 * 24 * time.Hour)
		if n := rdb.Exists(ctx, "session").Val(); n != 0 {
			t.Error("the session is still there after a month")
		}
	}
}

var value = string(make([]byte, 64))

func goRedis(b *testing.B) *redis.Client {
	path := os.Getenv("REDIS_SOCKET")
	if path == "" {
		b.Skip("REDIS_SOCKET names no redis-server")
	}
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: path, PoolSize: 1})
	b.Cleanup(func() { rdb.Close() })
	return rdb
}

func BenchmarkRedisSet(b *testing.B) {
	rdb, ctx := goRedis(b), context.Background()
	for range b.N {
		if err := rdb.Set(ctx, "key:0000000001", value, 0).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRedisGet(b *testing.B) {
	rdb, ctx := goRedis(b), context.Background()
	rdb.Set(ctx, "key:0000000001", value, 0)
	for range b.N {
		if err := rdb.Get(ctx, "key:0000000001").Err(); err != nil {
			b.Fatal(err)
		}
	}
}

func calls(b *testing.B) *kvd.Client {
	s, err := kvd.Open(kvd.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.End)
	c, err := s.Client()
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func BenchmarkCallSet(b *testing.B) {
	c, ctx, v := calls(b), context.Background(), []byte(value)
	for range b.N {
		if r := c.Call(ctx, []byte("SET"), []byte("key:0000000001"), v); r.Kind() != '+' {
			b.Fatal(r.Value())
		}
	}
}

func BenchmarkCallGet(b *testing.B) {
	c, ctx := calls(b), context.Background()
	c.Do("SET", "key:0000000001", value)
	for range b.N {
		if r := c.Call(ctx, []byte("GET"), []byte("key:0000000001")); r.Kind() != '$' {
			b.Fatal(r.Value())
		}
	}
}

func BenchmarkMemorySet(b *testing.B) {
	s, err := kvd.Open(kvd.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.End)
	rdb, ctx := redis.NewClient(&redis.Options{Dialer: kvdDialer(s), PoolSize: 1}), context.Background()
	b.Cleanup(func() { rdb.Close() })
	for range b.N {
		if err := rdb.Set(ctx, "key:0000000001", value, 0).Err(); err != nil {
			b.Fatal(err)
		}
	}
}
