// Package clients runs go-redis against the server that KVD_ADDR names (host:port), whose databases it
// empties. It is a module of its own, so that kvd's needs nothing of it; TestGoRedis of kvd/tests runs
// it. With KVD_MODERN=1 the server also has what came after Redis 7.0. KVD_TLS_DIR names the directory of
// ca.crt, client.crt and client.key, with which the clients speak TLS.
//
// Not tried, because kvd lacks it: scripts and functions, streams, geo and HyperLogLog commands,
// ACLs with more users than default, cluster mode (ClusterClient), Redis's modules.
package clients

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"
)

var (
	addr   = os.Getenv("KVD_ADDR")
	modern = os.Getenv("KVD_MODERN") == "1"
)

// both runs f with each protocol and an empty server.
func both(t *testing.T, f func(t *testing.T, c check)) {
	if addr == "" {
		t.Skip("KVD_ADDR names no server; go test ./tests -run TestGoRedis of kvd starts one")
	}
	for _, proto := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", proto), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			t.Cleanup(cancel)
			c := check{t, ctx, proto, nil}
			c.r = c.client(func(*redis.Options) {})
			c.ok(c.r.FlushAll(ctx).Err())
			f(t, c)
		})
	}
}

// check is a client with what asserts its results.
type check struct {
	t     *testing.T
	ctx   context.Context
	proto int
	r     *redis.Client
}

// client makes a client of the server that is closed at the test's end.
func (c check) client(set func(*redis.Options)) *redis.Client {
	o := &redis.Options{Addr: addr, Protocol: c.proto, MaxRetries: -1, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second, TLSConfig: c.tls()}
	set(o)
	r := redis.NewClient(o)
	c.t.Cleanup(func() { r.Close() })
	return r
}

// tls is how the clients speak TLS; nil where they do not.
func (c check) tls() *tls.Config {
	c.t.Helper()
	dir := os.Getenv("KVD_TLS_DIR")
	if dir == "" {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key"))
	c.ok(err)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	c.ok(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		c.t.Fatal("ca.crt has no certificate")
	}
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}
}

func (c check) ok(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// eq wants a command's result and no error.
func eq[T any](c check, cmd interface{ Result() (T, error) }, want T) {
	c.t.Helper()
	got, err := cmd.Result()
	if err != nil {
		c.t.Errorf("error %v, want %v", err, want)
	} else if !reflect.DeepEqual(got, want) {
		c.t.Errorf("got %v, want %v", got, want)
	}
}

// sorted wants a command's strings in whatever order.
func sorted(c check, cmd *redis.StringSliceCmd, want ...string) {
	c.t.Helper()
	got, err := cmd.Result()
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		c.t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// fails wants an error reply that begins with prefix.
func (c check) fails(err error, prefix string) {
	c.t.Helper()
	var reply redis.Error
	if !errors.As(err, &reply) || !strings.HasPrefix(err.Error(), prefix) {
		c.t.Errorf("got the error %v, want one that begins with %s", err, prefix)
	}
}

func (c check) isNil(err error) {
	c.t.Helper()
	if err != redis.Nil {
		c.t.Errorf("got %v, want redis.Nil", err)
	}
}

// until polls f until it is true.
func (c check) until(what string, f func() bool) {
	c.t.Helper()
	for !f() {
		select {
		case <-c.ctx.Done():
			c.t.Fatalf("not in time: %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func TestStrings(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		ctx, r := c.ctx, c.r
		eq(c, r.Set(ctx, "k", "café", time.Minute), "OK")
		eq(c, r.Get(ctx, "k"), "café")
		c.isNil(r.Get(ctx, "none").Err())
		eq(c, r.SetNX(ctx, "k", "x", 0), false)
		eq(c, r.GetEx(ctx, "k", time.Hour), "café")
		if ttl := r.TTL(ctx, "k").Val(); ttl <= time.Minute || ttl > time.Hour {
			t.Errorf("TTL %v after GETEX with an hour", ttl)
		}
		eq(c, r.Persist(ctx, "k"), true)
		eq(c, r.TTL(ctx, "k"), -1)
		eq(c, r.TTL(ctx, "none"), -2)
		eq(c, r.GetDel(ctx, "k"), "café")
		eq(c, r.IncrBy(ctx, "n", 41), 41)
		eq(c, r.IncrByFloat(ctx, "n", 0.5), 41.5)
		eq(c, r.MSet(ctx, "a", 1, "b", "two"), "OK")
		eq(c, r.MGet(ctx, "a", "none", "b"), []any{"1", nil, "two"})
		eq(c, r.SetBit(ctx, "bits", 7, 1), 0)
		eq(c, r.BitField(ctx, "bits", "GET", "u8", 0, "INCRBY", "u8", 0, 9), []int64{1, 10})
		eq(c, r.Append(ctx, "b", "!"), 4)
		eq(c, r.GetRange(ctx, "b", -2, -1), "o!")
		eq(c, r.LCS(ctx, &redis.LCSQuery{Key1: "b", Key2: "a"}), &redis.LCSMatch{MatchString: ""})
		eq(c, r.PExpire(ctx, "a", time.Millisecond), true)
		c.until("a expires", func() bool { return r.Exists(ctx, "a").Val() == 0 })
		dump := r.Dump(ctx, "b").Val()
		eq(c, r.Restore(ctx, "b2", 0, dump), "OK")
		eq(c, r.Get(ctx, "b2"), "two!")
		c.fails(r.Restore(ctx, "b2", 0, dump).Err(), "BUSYKEY")
		if modern {
			eq(c, r.Set(ctx, "k", "one", 0), "OK")
			eq(c, r.SetIFEQ(ctx, "k", "two", "one", 0), "OK")
			c.isNil(r.SetIFEQ(ctx, "k", "three", "one", 0).Err())
			digest := r.Digest(ctx, "k").Val()
			eq(c, r.SetIFDEQ(ctx, "k", "three", digest, 0), "OK")
			eq(c, r.DelExArgs(ctx, "k", redis.DelExArgs{Mode: "IFEQ", MatchValue: "three"}), 1)
			eq(c, r.MSetEX(ctx, redis.MSetEXArgs{Condition: redis.NX}, "p", "1", "q", "2"), 1)
			eq(c, r.MSetEX(ctx, redis.MSetEXArgs{Condition: redis.NX}, "q", "3", "s", "2"), 0)
		}
	})
}

func TestCollections(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		ctx, r := c.ctx, c.r
		eq(c, r.HSet(ctx, "h", map[string]any{"Name": "kvd", "Size": 42}), 2)
		eq(c, r.HGetAll(ctx, "h"), map[string]string{"Name": "kvd", "Size": "42"})
		var row struct {
			Name string `redis:"Name"`
			Size int    `redis:"Size"`
		}
		c.ok(r.HGetAll(ctx, "h").Scan(&row))
		if row.Name != "kvd" || row.Size != 42 {
			t.Errorf("scanned %+v", row)
		}
		c.isNil(r.HGet(ctx, "h", "none").Err())
		eq(c, r.HMGet(ctx, "h", "none", "Size"), []any{nil, "42"})
		eq(c, r.HIncrByFloat(ctx, "h", "Size", 0.5), 42.5)
		eq(c, r.HDel(ctx, "h", "Name", "none"), 1)
		eq(c, r.HRandFieldWithValues(ctx, "h", 5), []redis.KeyValue{{Key: "Size", Value: "42.5"}})
		if modern {
			eq(c, r.HExpire(ctx, "h", time.Minute, "Size", "none"), []int64{1, -2})
			eq(c, r.HPersist(ctx, "h", "Size"), []int64{1})
		}

		eq(c, r.RPush(ctx, "l", "a", "b", "c", "d"), 4)
		eq(c, r.LRange(ctx, "l", 1, -1), []string{"b", "c", "d"})
		eq(c, r.LPopCount(ctx, "l", 2), []string{"a", "b"})
		eq(c, r.LMove(ctx, "l", "m", "RIGHT", "LEFT"), "d")
		eq(c, r.LInsertBefore(ctx, "l", "c", "x"), 2)
		eq(c, r.LPos(ctx, "l", "c", redis.LPosArgs{}), 1)
		eq(c, r.Sort(ctx, "l", &redis.Sort{Alpha: true, Order: "DESC"}), []string{"x", "c"})
		c.isNil(r.LPop(ctx, "none").Err())

		eq(c, r.SAdd(ctx, "s", 1, 2, 3, 3), 3)
		eq(c, r.SAdd(ctx, "t", 2, 3, 4), 3)
		sorted(c, r.SMembers(ctx, "s"), "1", "2", "3")
		sorted(c, r.SInter(ctx, "s", "t"), "2", "3")
		sorted(c, r.SDiff(ctx, "s", "t"), "1")
		eq(c, r.SIsMember(ctx, "s", 1), true)
		eq(c, r.SMIsMember(ctx, "s", 1, 9), []bool{true, false})
		eq(c, r.SMembersMap(ctx, "t"), map[string]struct{}{"2": {}, "3": {}, "4": {}})

		eq(c, r.ZAdd(ctx, "z", redis.Z{Score: 1, Member: "a"}, redis.Z{Score: 2.5, Member: "b"}, redis.Z{Score: math.Inf(1), Member: "c"}), 3)
		eq(c, r.ZScore(ctx, "z", "b"), 2.5)
		eq(c, r.ZScore(ctx, "z", "c"), math.Inf(1))
		c.isNil(r.ZScore(ctx, "z", "none").Err())
		eq(c, r.ZRangeWithScores(ctx, "z", 0, 1), []redis.Z{{Score: 1, Member: "a"}, {Score: 2.5, Member: "b"}})
		eq(c, r.ZRangeArgs(ctx, redis.ZRangeArgs{Key: "z", Start: 1, Stop: "(2.5", ByScore: true}), []string{"a"})
		eq(c, r.ZRank(ctx, "z", "b"), 1)
		eq(c, r.ZIncrBy(ctx, "z", 9, "a"), 10)
		eq(c, r.ZPopMin(ctx, "z"), []redis.Z{{Score: 2.5, Member: "b"}})
		eq(c, r.ZUnionWithScores(ctx, redis.ZStore{Keys: []string{"z", "t"}, Weights: []float64{2, 1}, Aggregate: "MIN"}),
			[]redis.Z{{Score: 1, Member: "2"}, {Score: 1, Member: "3"}, {Score: 1, Member: "4"}, {Score: 20, Member: "a"}, {Score: math.Inf(1), Member: "c"}})
		key, popped, err := r.ZMPop(ctx, "max", 1, "none", "z").Result()
		if err != nil || key != "z" || !reflect.DeepEqual(popped, []redis.Z{{Score: math.Inf(1), Member: "c"}}) {
			t.Errorf("ZMPOP: %s %v %v", key, popped, err)
		}
	})
}

func TestScanIterators(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		ctx, r := c.ctx, c.r
		_, err := r.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range 500 {
				n := strconv.Itoa(i)
				p.Set(ctx, "key:"+n, i, 0)
				p.SAdd(ctx, "set", n)
				p.HSet(ctx, "hash", n, n)
				p.ZAdd(ctx, "zset", redis.Z{Score: float64(i), Member: n})
			}
			return nil
		})
		c.ok(err)
		for name, want := range map[string]struct {
			scan  *redis.ScanCmd
			items int // each once, in what is walked through
		}{
			"keys":   {r.Scan(ctx, 0, "key:*", 50), 500},
			"set":    {r.SScan(ctx, "set", 0, "", 50), 500},
			"hash":   {r.HScan(ctx, "hash", 0, "1*", 50), 111},
			"zset":   {r.ZScan(ctx, "zset", 0, "", 50), 500},
			"type":   {r.ScanType(ctx, 0, "", 50, "zset"), 1},
			"nobody": {r.Scan(ctx, 0, "nobody*", 1000), 0},
		} {
			seen := map[string]bool{}
			it := want.scan.Iterator()
			for it.Next(ctx) {
				seen[it.Val()] = true
			}
			// A hash's and a sorted set's values are the fields' own names here.
			if it.Err() != nil || len(seen) != want.items {
				t.Errorf("%s: %d items, %v, want %d", name, len(seen), it.Err(), want.items)
			}
		}
		eq(c, r.DBSize(ctx), 503)
	})
}

func TestPipelines(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		ctx, r := c.ctx, c.r
		p := r.Pipeline()
		var got []*redis.IntCmd
		for i := range 1000 {
			got = append(got, p.IncrBy(ctx, "n", int64(i)))
		}
		bad := p.LPush(ctx, "n", "x")
		last := p.Get(ctx, "n")
		_, err := p.Exec(ctx)
		c.fails(err, "WRONGTYPE")
		c.fails(bad.Err(), "WRONGTYPE")
		sum := 0
		for i, g := range got {
			sum += i
			if g.Val() != int64(sum) {
				t.Fatalf("command %d of the pipeline: %d, want %d", i, g.Val(), sum)
			}
		}
		eq(c, last, strconv.Itoa(sum))

		tx := r.TxPipeline()
		all, score := tx.HSet(ctx, "h", "f", "v"), tx.ZAdd(ctx, "z", redis.Z{Score: 1, Member: "m"})
		fields := tx.HGetAll(ctx, "h")
		_, err = tx.Exec(ctx)
		c.ok(err)
		eq(c, all, 1)
		eq(c, score, 1)
		eq(c, fields, map[string]string{"f": "v"})
	})
}

// TestWatch raises a counter from several goroutines by WATCH, and has one transaction fail for certain.
func TestWatch(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		ctx, r := c.ctx, c.r
		raise := func(tx *redis.Tx) error {
			n, err := tx.Get(ctx, "n").Int()
			if err != nil && err != redis.Nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Set(ctx, "n", n+1, 0)
				return nil
			})
			return err
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 25 {
					var err error = redis.TxFailedErr
					for err == redis.TxFailedErr {
						err = r.Watch(ctx, raise, "n")
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		eq(c, r.Get(ctx, "n"), "100")
		err := r.Watch(ctx, func(tx *redis.Tx) error {
			c.ok(r.Incr(ctx, "n").Err())
			_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, "n", "lost", 0).Err() })
			return err
		}, "n")
		if err != redis.TxFailedErr {
			t.Errorf("a transaction whose watched key changed: %v", err)
		}
		eq(c, r.Get(ctx, "n"), "101")
	})
}

// TestLock is the lock without a script: SET NX PX with a token, a delete on condition that it is ours.
func TestLock(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		ctx, r := c.ctx, c.r
		errNotOurs := errors.New("not ours")
		release := func(token string) error {
			return r.Watch(ctx, func(tx *redis.Tx) error {
				if got, err := tx.Get(ctx, "lock").Result(); err != nil || got != token {
					return errNotOurs
				}
				_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Del(ctx, "lock").Err() })
				return err
			}, "lock")
		}
		eq(c, r.SetNX(ctx, "lock", "one", time.Minute), true)
		eq(c, r.SetNX(ctx, "lock", "two", time.Minute), false)
		if err := release("two"); err != errNotOurs {
			t.Errorf("release of another's lock: %v", err)
		}
		c.ok(release("one"))
		eq(c, r.SetNX(ctx, "lock", "two", 10*time.Millisecond), true)
		c.until("an abandoned lock can be taken", func() bool { return r.SetNX(ctx, "lock", "three", time.Minute).Val() })
		c.ok(release("three"))
		eq(c, r.Exists(ctx, "lock"), 0)
	})
}

func TestBlocking(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		ctx, r := c.ctx, c.r
		served := func(wait, push func() error) {
			t.Helper()
			done := make(chan error, 1)
			go func() { done <- wait() }()
			c.until("a client is blocked", func() bool {
				// The list has flag b for a client that waits in a blocking command.
				for _, cl := range parseList(r.ClientList(ctx).Val()) {
					if cl["flags"] == "b" {
						return true
					}
				}
				return false
			})
			c.ok(push())
			c.ok(<-done)
		}
		want := func(got []string, err error, want ...string) error {
			if err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("got %q, want %q", got, want)
			}
			return err
		}
		served(func() error {
			got, err := r.BLPop(ctx, 20*time.Second, "a", "b").Result()
			return want(got, err, "b", "x")
		}, func() error { return r.RPush(ctx, "b", "x", "y").Err() })
		served(func() error {
			got, err := r.BLMove(ctx, "a", "to", "LEFT", "RIGHT", 20*time.Second).Result()
			return want([]string{got}, err, "v")
		}, func() error { return r.RPush(ctx, "a", "v").Err() })
		served(func() error {
			got, err := r.BZPopMax(ctx, 20*time.Second, "z").Result()
			if err != nil {
				return err
			}
			return want([]string{got.Key, got.Member.(string), fmt.Sprint(got.Score)}, nil, "z", "n", "2.5")
		}, func() error { return r.ZAdd(ctx, "z", redis.Z{Score: 2.5, Member: "n"}).Err() })
		served(func() error {
			key, got, err := r.BLMPop(ctx, 20*time.Second, "LEFT", 5, "c").Result()
			return want(append([]string{key}, got...), err, "c", "1", "2")
		}, func() error { return r.RPush(ctx, "c", "1", "2").Err() })
		c.isNil(r.Do(ctx, "BLPOP", "none", "0.01").Err())
	})
}

// parseList reads CLIENT LIST: one client a line, of name=value fields.
func parseList(list string) []map[string]string {
	var out []map[string]string
	for line := range strings.Lines(list) {
		fields := map[string]string{}
		for f := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(f, "=")
			fields[name] = value
		}
		out = append(out, fields)
	}
	return out
}

func TestPubSub(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		ctx, r := c.ctx, c.r
		receive := func(p *redis.PubSub, want string) {
			t.Helper()
			m, err := p.Receive(ctx)
			if err != nil || fmt.Sprint(m) != want {
				t.Fatalf("received %v, %v, want %s", m, err, want)
			}
		}
		p := r.Subscribe(ctx, "news")
		defer p.Close()
		receive(p, "subscribe: news")
		c.ok(p.PSubscribe(ctx, "n*"))
		receive(p, "psubscribe: n*")
		eq(c, r.Publish(ctx, "news", "hello"), 2)
		receive(p, "Message<news: hello>")
		m, err := p.ReceiveMessage(ctx)
		c.ok(err)
		if m.Pattern != "n*" || m.Channel != "news" || m.Payload != "hello" {
			t.Errorf("the pattern's message: %+v", m)
		}
		eq(c, r.PubSubChannels(ctx, "*"), []string{"news"})
		eq(c, r.PubSubNumSub(ctx, "news", "none"), map[string]int64{"news": 1, "none": 0})
		eq(c, r.PubSubNumPat(ctx), 1)
		c.ok(p.Ping(ctx, "there?"))
		receive(p, "Pong<there?>")
		c.ok(p.PUnsubscribe(ctx, "n*"))
		receive(p, "punsubscribe: n*")

		const messages = 500
		go func() {
			pipe := r.Pipeline()
			for i := range messages {
				pipe.Publish(ctx, "news", i)
			}
			pipe.Exec(ctx)
		}()
		ch := p.Channel()
		for i := range messages {
			select {
			case m := <-ch:
				if m.Payload != strconv.Itoa(i) {
					t.Fatalf("message %d is %s", i, m.Payload)
				}
			case <-ctx.Done():
				t.Fatalf("%d messages of %d", i, messages)
			}
		}

		s := r.SSubscribe(ctx, "orders")
		defer s.Close()
		receive(s, "ssubscribe: orders")
		eq(c, r.SPublish(ctx, "orders", "o1"), 1)
		receive(s, "Message<orders: o1>")
		eq(c, r.Publish(ctx, "orders", "not of the shard"), 0)
		eq(c, r.PubSubShardChannels(ctx, "*"), []string{"orders"})
	})
}

func TestClients(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		ctx := c.ctx
		r := c.client(func(o *redis.Options) { o.ClientName, o.DB = "mine", 9 }).Conn()
		defer r.Close()
		eq(c, r.ClientGetName(ctx), "mine")
		info, err := r.ClientInfo(ctx).Result()
		c.ok(err)
		id := r.ClientID(ctx).Val()
		if info.ID != id || info.Name != "mine" || info.DB != 9 || info.Resp != c.proto {
			t.Errorf("CLIENT INFO: %+v", info)
		}
		if modern && !strings.HasPrefix(info.LibName, "go-redis") {
			t.Errorf("CLIENT INFO names the library %q", info.LibName)
		}
		eq(c, c.r.ClientKillByFilter(ctx, "ID", strconv.FormatInt(id, 10)), 1)
		if err := r.Ping(ctx).Err(); err == nil {
			t.Error("a killed connection answers")
		}
		hello, err := c.r.Do(ctx, "HELLO").Result()
		c.ok(err)
		if _, isMap := hello.(map[any]any); isMap != (c.proto == 3) {
			t.Errorf("HELLO answers a %T", hello)
		}
		score, err := c.r.Do(ctx, "ZADD", "z", "INCR", "1.5", "m").Result()
		c.ok(err)
		if want := map[int]any{2: "1.5", 3: 1.5}[c.proto]; score != want {
			t.Errorf("ZADD INCR answers %#v", score)
		}
	})
}

func TestErrors(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		ctx, r := c.ctx, c.r
		c.ok(r.Set(ctx, "k", "v", 0).Err())
		c.fails(r.LPush(ctx, "k", "x").Err(), "WRONGTYPE")
		c.fails(r.Incr(ctx, "k").Err(), "ERR value is not an integer")
		c.fails(r.Do(ctx, "NOSUCH").Err(), "ERR unknown command")
		c.fails(r.Rename(ctx, "none", "k").Err(), "ERR no such key")
		// The library reports the command's own error first.
		_, err := r.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Do(ctx, "NOSUCH").Err() })
		c.fails(err, "EXECABORT")

		c.ok(r.ConfigSet(ctx, "requirepass", "secret").Err())
		with := func(password string) error {
			return c.client(func(o *redis.Options) { o.Password = password }).Ping(ctx).Err()
		}
		none, wrong, right := with(""), with("wrong"), with("secret")
		c.ok(r.ConfigSet(ctx, "requirepass", "").Err())
		if !redis.IsAuthError(none) || !redis.IsAuthError(wrong) || right != nil {
			t.Errorf("without a password: %v; with a wrong one: %v; with the right one: %v", none, wrong, right)
		}

		c.ok(r.ReplicaOf(ctx, "127.0.0.1", "1").Err()) // where nobody listens
		err = r.Set(ctx, "k", "x", 0).Err()
		c.ok(r.ReplicaOf(ctx, "NO", "ONE").Err())
		if !redis.IsReadOnlyError(err) {
			t.Errorf("a write to a follower: %v", err)
		}
		eq(c, r.Get(ctx, "k"), "v")
	})
}

// invalidated passes on the keys of invalidation pushes; nil stands for all keys.
type invalidated chan []string

func (ch invalidated) HandlePushNotification(_ context.Context, _ push.NotificationHandlerContext, n []any) error {
	var keys []string
	if list, ok := n[1].([]any); ok {
		for _, k := range list {
			keys = append(keys, fmt.Sprint(k))
		}
	}
	ch <- keys
	return nil
}

// TestTracking wants invalidations as pushes in RESP3, and through a subscriber in RESP2.
func TestTracking(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		ctx, other := c.ctx, c.r
		c.ok(other.Set(ctx, "k", "1", 0).Err())
		own := c.client(func(o *redis.Options) { o.PoolSize = 1 })
		conn := own.Conn()
		defer conn.Close()
		if c.proto == 3 {
			got := make(invalidated, 10)
			c.ok(own.RegisterPushNotificationHandler("invalidate", got, false))
			c.ok(conn.Do(ctx, "CLIENT", "TRACKING", "ON").Err())
			eq(c, conn.Get(ctx, "k"), "1")
			c.ok(other.Set(ctx, "k", "2", 0).Err())
			c.until("an invalidation", func() bool { c.ok(conn.Ping(ctx).Err()); return len(got) > 0 })
			if keys := <-got; !slices.Equal(keys, []string{"k"}) {
				t.Errorf("invalidated %q", keys)
			}
			c.ok(other.FlushAll(ctx).Err())
			c.until("a flush", func() bool { c.ok(conn.Ping(ctx).Err()); return len(got) > 0 })
			if keys := <-got; keys != nil {
				t.Errorf("a flush invalidated %q", keys)
			}
			return
		}
		sub := other.Subscribe(ctx, "__redis__:invalidate")
		defer sub.Close()
		_, err := sub.Receive(ctx)
		c.ok(err)
		for _, cl := range parseList(other.ClientList(ctx).Val()) {
			if cl["sub"] == "1" {
				c.ok(conn.Do(ctx, "CLIENT", "TRACKING", "ON", "REDIRECT", cl["id"]).Err())
			}
		}
		eq(c, conn.Get(ctx, "k"), "1")
		c.ok(other.Set(ctx, "k", "2", 0).Err())
		m, err := sub.ReceiveMessage(ctx)
		c.ok(err)
		if !slices.Equal(m.PayloadSlice, []string{"k"}) {
			t.Errorf("invalidated %+v", m)
		}
	})
}

func TestClientSideCache(t *testing.T) {
	both(t, func(t *testing.T, c check) {
		if c.proto == 2 {
			t.Skip("the library's cache is for RESP3")
		}
		ctx, other := c.ctx, c.r
		c.ok(other.Set(ctx, "k", "1", 0).Err())
		own := c.client(func(o *redis.Options) { o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{} })
		c.until("k is cached", func() bool { eq(c, own.Get(ctx, "k"), "1"); return own.CSCStats().Hits > 0 })
		before := own.CSCStats()
		for range 50 {
			eq(c, own.Get(ctx, "k"), "1")
		}
		if after := own.CSCStats(); after.Hits < before.Hits+50 {
			t.Errorf("%+v, then 50 reads, then %+v", before, after)
		}
		c.ok(other.Set(ctx, "k", "2", 0).Err())
		c.until("the new value is seen", func() bool { return own.Get(ctx, "k").Val() == "2" })
		c.ok(other.FlushAll(ctx).Err())
		c.until("the flush is seen", func() bool { return own.Get(ctx, "k").Err() == redis.Nil })
	})
}
