package keyspace

import (
	"math"
	"math/rand/v2"
	"sync/atomic"

	"github.com/tidwall/btree"

	"kvd/lockrank"
)

// While there is a limit, the memory in use is known at any moment without a
// lock: each unlocking of a stripe reports what has changed there. A report of
// less than a grain waits for the next one, so that loops do not all write to
// one counter with each command.

// NoLimit is the limit of a memory that has none.
const NoLimit = math.MaxInt64

// grainOf is how many bytes of a stripe may be unreported: all stripes together
// a part in 256 of the limit.
func grainOf(limit int64, stripes int) int64 {
	return min(max(limit, 0)/int64(stripes)/256, 16<<10)
}

// usage is the memory in use, and its limits.
type usage struct {
	limit atomic.Int64 // bytes; NoLimit: none
	grain atomic.Int64
	used  atomic.Int64 // what the stripes have reported
	// kept is what they keep from the system and from Go's heap for that: used with what is
	// lost in half-empty pages. most is how much it may be before that is made less.
	kept, most atomic.Int64
	allowed    atomic.Int64 // see SetMostKept
	dbs        atomic.Pointer[[]dbUsage]
	over       atomic.Bool // as it was last told: used, or that of a database, is above its limit, or too much is kept

	mu lockrank.Mutex[lockrank.Usage] // one at a time compares and tells; held over no lock of the keyspace
}

// dbUsage is the same for one database that has a limit of its own.
type dbUsage struct {
	db    int
	limit int64
	used  *atomic.Int64
}

// reported is what a stripe has reported of itself.
type reported struct {
	used atomic.Int64 // written under the stripe's lock
	kept atomic.Int64 // likewise
	// loose is what of kept could hold entries and tables and holds none: what moving them
	// together may gain. Likewise.
	loose atomic.Int64
	dbs   *[]dbUsage // those that db is about
	db    []int64    // bytes, by place in dbs
}

func (u *usage) init() {
	u.limit.Store(NoLimit)
	u.most.Store(NoLimit)
	u.allowed.Store(NoLimit)
}

// mostOf is how much memory may be kept where so much may be used. The rest of what a
// process may take, a tenth of the limit and 64 MiB more, is for what is no data.
func mostOf(limit int64) int64 {
	if limit == NoLimit {
		return NoLimit
	}
	return limit + limit/10 + 24<<20
}

// DBLimit is a limit for one database.
type DBLimit struct {
	DB    int
	Bytes int64
}

// SetLimits sets the limit of the memory in use, in bytes, and those of single
// databases. It locks one stripe after another where limits are new; nothing may be
// locked.
func (ks *Keyspace) SetLimits(limit int64, dbs []DBLimit) {
	u := &ks.usage
	var list *[]dbUsage
	grain := grainOf(limit, len(ks.stripes))
	if len(dbs) > 0 {
		list = new([]dbUsage)
		for _, d := range dbs {
			*list = append(*list, dbUsage{d.DB, d.Bytes, new(atomic.Int64)})
			grain = min(grain, grainOf(d.Bytes, len(ks.stripes)))
		}
	}
	u.grain.Store(grain)
	u.dbs.Store(list)
	on := limit != NoLimit || list != nil
	ks.setCare(careUsage, on)
	if on {
		ks.Report()
	}
	u.limit.Store(limit)
	u.most.Store(min(mostOf(limit), u.allowed.Load()))
	u.settle(ks)
}

// Report brings the memory in use up to date. It locks one stripe after another.
func (ks *Keyspace) Report() {
	for i := range ks.stripes {
		st := &ks.stripes[i]
		st.lock()
		st.report(0)
		st.unlock()
	}
}

// Used is the memory in use, in bytes, as of the last Report and changes since.
// It means nothing while there is no limit.
func (ks *Keyspace) Used() int64 { return ks.usage.used.Load() }

// Kept is what the keyspace keeps from the system, and on Go's heap, for what is in use.
// See Used.
func (ks *Keyspace) Kept() int64 { return ks.usage.kept.Load() }

// SetMostKept has no more kept than so many bytes, also where the limit allows more: the
// process takes more beside them than it should. NoLimit ends that.
func (ks *Keyspace) SetMostKept(bytes int64) {
	u := &ks.usage
	u.allowed.Store(bytes)
	u.most.Store(min(mostOf(u.limit.Load()), bytes))
	u.settle(ks)
}

// Sparse tells whether too much memory is lost in half-empty pages.
func (ks *Keyspace) Sparse() bool { return ks.usage.sparse() > 0 }

// sparse is how many bytes too much are kept.
func (u *usage) sparse() int64 { return u.kept.Load() - u.most.Load() }

// Over tells whether more memory is in use, or kept, than a limit allows.
func (ks *Keyspace) Over() bool { return ks.usage.over.Load() }

// OverIn tells whether a database, or the whole, has more memory in use than its
// limit allows.
func (ks *Keyspace) OverIn(db int) bool {
	u := &ks.usage
	return u.used.Load() > u.limit.Load() || u.dbOver(db)
}

func (u *usage) dbOver(db int) bool {
	if list := u.dbs.Load(); list != nil {
		for i := range *list {
			if d := &(*list)[i]; d.db == db && d.used.Load() > d.limit {
				return true
			}
		}
	}
	return false
}

// Excess is how many bytes are in use above the limit of the whole, or kept above what that
// allows, or else in use above the limit of the database, and that limit.
func (ks *Keyspace) Excess(db int) (bytes, limit int64) {
	u := &ks.usage
	limit = u.limit.Load()
	if bytes = max(u.used.Load()-limit, u.sparse()); bytes > 0 {
		return bytes, limit
	}
	if list := u.dbs.Load(); list != nil {
		for i := range *list {
			if d := &(*list)[i]; d.db == db && d.used.Load() > d.limit {
				return d.used.Load() - d.limit, d.limit
			}
		}
	}
	return 0, limit
}

// excess is how many bytes are above the limit, and in which database: the whole
// comes first (-1).
func (u *usage) excess() (bytes int64, db int) {
	if n := u.used.Load() - u.limit.Load(); n > 0 {
		return n, -1
	}
	if list := u.dbs.Load(); list != nil {
		// Any of them: one that has nothing to evict must not be in the way of others.
		from := rand.IntN(len(*list))
		for i := range *list {
			d := &(*list)[(from+i)%len(*list)]
			if n := d.used.Load() - d.limit; n > 0 {
				return n, d.db
			}
		}
	}
	return 0, -1
}

// settle tells Hooks.Over where it has changed. Nothing is locked.
func (u *usage) settle(ks *Keyspace) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		n, _ := u.excess()
		on := n > 0 || u.sparse() > 0
		if on == u.over.Load() {
			return
		}
		u.over.Store(on)
		if ks.hooks.Over != nil {
			ks.hooks.Over(on)
		}
		if on {
			ks.evictor.signal()
		}
		// Compare again: a stripe that reported in between has seen the old value of over.
	}
}

// used is what the stripe takes, in bytes, without what is being freed of flushed
// databases.
func (st *stripe) used() int64 {
	return st.held() + int64(st.indexed)*deadlineBytes + st.ordered - st.leaving
}

// kept is what the stripe keeps for that, and for what is being freed. Values on Go's
// heap have some garbage beside them.
func (st *stripe) kept() int64 {
	return st.entries.Held() + st.tables.Held() + st.objMem + st.objMem/8 + int64(st.indexed)*deadlineBytes + st.ordered
}

// held is what entries, tables and Objects take.
func (st *stripe) held() int64 { return st.entries.Used() + st.tables.Used() + st.objMem }

// used is what the stripe's part of a database takes.
func (sh *shard) used() int64 {
	return sh.bytes + int64(indexLen(sh))*deadlineBytes + sh.orderBytes()
}

// indexLen is the number of deadlines in the indexes of a shard.
func indexLen(sh *shard) (n int) {
	for _, d := range [...]*btree.BTreeG[deadline]{sh.deadlines, sh.fieldDeadlines} {
		if d != nil {
			n += d.Len()
		}
	}
	return n
}

// dropIndexes forgets the deadlines of a shard that has no keys any more.
func (st *stripe) dropIndexes(sh *shard) {
	n := indexLen(sh)
	st.indexed -= n
	st.leaving -= int64(n) * deadlineBytes
	sh.deadlines, sh.fieldDeadlines = nil, nil
}

// report says what has changed since the last report, if it is more than grain,
// and tells whether settle is to be called. The stripe is locked.
func (st *stripe) report(grain int64) (crossed bool) {
	u, r := &st.ks.usage, &st.reported
	if d := st.used() - r.used.Load(); d > grain || d < -grain {
		r.used.Store(r.used.Load() + d)
		crossed = u.used.Add(d) > u.limit.Load()
	} else {
		crossed = u.used.Load() > u.limit.Load()
	}
	if d := st.kept() - r.kept.Load(); d > grain || d < -grain {
		r.kept.Store(r.kept.Load() + d)
		u.kept.Add(d)
	}
	if n := st.entries.Loose() + st.tables.Loose(); n-r.loose.Load() > grain || r.loose.Load()-n > grain {
		r.loose.Store(n)
	}
	crossed = crossed || u.sparse() > 0
	if list := u.dbs.Load(); list != nil {
		if r.dbs != list {
			r.dbs, r.db = list, make([]int64, len(*list))
		}
		for i := range *list {
			l := &(*list)[i]
			n := l.used.Load()
			if d := st.ks.dbs[l.db].shards[st.number].used() - r.db[i]; d > grain || d < -grain {
				r.db[i] += d
				n = l.used.Add(d)
			}
			crossed = crossed || n > l.limit
		}
	}
	return crossed != u.over.Load()
}
