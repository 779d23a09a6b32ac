package command

import (
	"time"

	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/types"
)

// hashOrders are the big hashes that have an index of their fields in order, so that those
// which nobody asks for ranges any more lose it.
type hashOrders struct {
	s *Server
	// mu protects all and runs. It is held for map operations, under stripes or over nothing.
	mu   lockrank.Mutex[lockrank.HashOrders]
	all  map[orderName]bool
	runs bool // a goroutine looks after all
}

type orderName struct {
	db   int
	name string
}

// ordersEvery is how often the indexes are looked at, at most; they may take a twentieth
// of a processor.
const ordersEvery = time.Second

func ordersOf(s *Server) *hashOrders {
	return Part(s, func(s *Server) *hashOrders {
		return &hashOrders{s: s, all: map[orderName]bool{}}
	})
}

// add enters the hash at a key.
func (o *hashOrders) add(db int, name []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[orderName{db, string(name)}] = true
	if !o.runs {
		o.runs = true
		go o.run()
	}
}

// run looks after the indexes until there are none.
func (o *hashOrders) run() {
	rest := time.Duration(0)
	for {
		time.Sleep(max(ordersEvery, 20*rest))
		began := time.Now()
		if !o.look() {
			return
		}
		rest = time.Since(began)
	}
}

// look drops the indexes that nobody has wanted for hash-order-idle-time, and counts the
// others; false: there are none.
func (o *hashOrders) look() bool {
	o.mu.Lock()
	names := make([]orderName, 0, len(o.all))
	for n := range o.all {
		names = append(names, n)
	}
	o.mu.Unlock()
	oldest := int64(0)
	if idle := o.s.Config.HashOrderIdleTime.Load(); idle > 0 {
		oldest = o.s.Keyspace.Now().UnixMilli() - idle*1000
	}
	count, bytes := int64(0), int64(0)
	for _, n := range names {
		db, b, there := o.lookAt(n, oldest)
		if !there || db != n.db {
			o.mu.Lock()
			delete(o.all, n)
			if there {
				o.all[orderName{db, n.name}] = true
			}
			o.mu.Unlock()
		}
		if there {
			count++
			bytes += b
		}
	}
	o.s.HashOrders.Count.Store(count)
	o.s.HashOrders.Bytes.Store(bytes)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.runs = len(o.all) > 0
	return o.runs
}

// lookAt is the size of one index and in which database it is, and drops it if it was not
// wanted since oldest. SWAPDB may have brought the hash elsewhere.
func (o *hashOrders) lookAt(n orderName, oldest int64) (db int, bytes int64, there bool) {
	var k keyspace.Key
	k.Set([]byte(n.name))
	keys := []keyspace.Key{k}
	ks := o.s.Keyspace
	held := ks.LockKeys(keys)
	defer ks.Unlock(&held)
	for i := range ks.Databases() {
		db = (n.db + i) % ks.Databases()
		tx := ks.TxOn(db)
		e := tx.Peek(&k)
		if !e.Exists() || e.Type() != types.THash || !e.Encoding().IsObject() {
			continue
		}
		var h types.Hash
		h.Load(e.Encoding(), nil, e.Object())
		used, has := h.OrderUsed()
		switch {
		case !has:
		case used < oldest:
			tx.Grew(&k, -h.DropOrder())
			return 0, 0, false
		default:
			return db, h.OrderBytes(), true
		}
	}
	return 0, 0, false
}

// HashInOrder sees to it that ranges of the hash are quick; false: the command comes again
// when they are. Where it cannot wait and somebody else makes the index, the fields are
// put in order for this command alone.
func (c *Ctx) HashInOrder(k *keyspace.Key, h *types.Hash) bool {
	state, grown := h.Ordered(c.Now)
	if grown != 0 {
		c.Grew(k, grown)
	}
	switch {
	case state == types.OrderReady:
		return true
	case state == types.OrderBuilds:
		if !c.CanBlock() {
			return true
		}
		if ready := c.ComeAgain(); !h.AwaitOrder(ready) {
			c.Assist(ready) // it is there by now
		}
		return false
	}
	run := h.BuildOrder(c.Now)
	ordersOf(c.S).add(c.DB(), k.B)
	if h.OrderAtOnce() || !c.CanBlock() {
		run()
		_, grown = h.Ordered(c.Now)
		c.Grew(k, grown)
		return true
	}
	h.AwaitOrder(c.ComeAgain())
	c.Assist(run)
	return false
}
