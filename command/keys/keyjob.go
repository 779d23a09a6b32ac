package keys

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"kvd/command"
	"kvd/glob"
	"kvd/keyspace"
	"kvd/lockrank"
)

// KEYJOB, kvd's own: what is to be done with all keys whose names match a pattern
// is done in the background. A job walks over one database; keys that are there
// from its beginning to its end are all met, once. It removes and changes keys a
// few at a time, as commands do: what it has done is in the log and at the
// followers, and what it has not is not done any more after a restart. On a
// server that becomes a follower it ends.

func keyjobRows() []*command.Row {
	const cost = "O(1); the job takes O(N) in the number of keys"
	return []*command.Row{{Name: "keyjob", Arity: -2, Info: &command.Section{Name: "keyjobs", Extra: true, Write: keyJobsInfo}, Since: "1.0.0", Group: "generic", Summary: "Does something with all keys that match a pattern, in the background (kvd).", Complexity: "Depends on subcommand", Sub: []*command.Row{
		{Name: "start", Fn: cmdKeyJobStart, Arity: -4, Flags: command.Write, Since: "1.0.0", Summary: "Starts a job and returns its number.", Complexity: cost,
			Syntax: "<UNLINK pattern | COUNT pattern | EXPIRE pattern seconds>", Categories: "dangerous"},
		{Name: "status", Fn: cmdKeyJobStatus, Arity: -2, Flags: command.Loading | command.Stale, Since: "1.0.0", Summary: "Says how far a job is, or all of them.", Complexity: "O(N) in the number of jobs", Syntax: "[id]"},
		{Name: "cancel", Fn: cmdKeyJobCancel, Arity: 3, Flags: command.Loading | command.Stale, Since: "1.0.0", Summary: "Ends a job.", Complexity: "O(1)", Syntax: "id"},
		command.HelpRow("1.0.0",
			"START UNLINK <pattern> | COUNT <pattern> | EXPIRE <pattern> <seconds>",
			"    Start a job on the keys of this database that match; return its number.",
			"STATUS [<id>]",
			"    Say how far a job is, or all that run and the last that ended.",
			"CANCEL <id>",
			"    End a job. What it has done stays done."),
	}}}
}

const (
	// keyJobsAtOnce is how many jobs may run at a time.
	keyJobsAtOnce = 4
	// keyJobsKept is how many jobs that have ended are remembered.
	keyJobsKept = 16
	// keyJobTurn is how many keys a job looks at, with a stripe locked, and then
	// changes at most, with their stripes locked.
	keyJobTurn = 64
)

type keyJobState int32

const (
	jobRuns keyJobState = iota
	jobDone
	jobCancelled
	jobFailed
)

func (s keyJobState) String() string {
	return [...]string{"running", "done", "cancelled", "failed"}[s]
}

// keyJob is one job.
type keyJob struct {
	id       int64
	op       string // unlink, count or expire
	pattern  []byte
	db       int
	deadline int64 // of expire, Unix ms
	started  time.Time

	state   atomic.Int32 // a keyJobState; claimed by who ends it
	seen    atomic.Int64 // keys looked at
	matched atomic.Int64 // keys that matched and were counted or changed
	part    atomic.Int32 // of the keyspace that is walked over, in 1/10,000
	took    atomic.Int64 // ms, once it has ended
}

// keyJobsOf are the jobs of a server.
func keyJobsOf(s *command.Server) *keyJobs {
	return command.Part(s, func(*command.Server) *keyJobs { return new(keyJobs) })
}

// keyJobs are the jobs of a server.
type keyJobs struct {
	mu   lockrank.Mutex[lockrank.KeyJobs] // protects all and last; held over nothing
	all  []*keyJob                        // by id
	last int64
}

func (j *keyJob) running() bool { return keyJobState(j.state.Load()) == jobRuns }

// end ends a job that runs.
func (j *keyJob) end(how keyJobState) bool {
	if !j.state.CompareAndSwap(int32(jobRuns), int32(how)) {
		return false
	}
	j.took.Store(time.Since(j.started).Milliseconds())
	return true
}

// add enters a job. It returns false if too many run.
func (k *keyJobs) add(j *keyJob) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	running := 0
	for _, o := range k.all {
		if o.running() {
			running++
		}
	}
	if running >= keyJobsAtOnce {
		return false
	}
	for i := 0; len(k.all)-running > keyJobsKept && i < len(k.all); i++ {
		if !k.all[i].running() {
			k.all = append(k.all[:i:i], k.all[i+1:]...)
			i--
		}
	}
	k.last++
	j.id = k.last
	k.all = append(k.all, j)
	return true
}

func (k *keyJobs) list() []*keyJob {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]*keyJob(nil), k.all...)
}

func (k *keyJobs) find(id int64) *keyJob {
	for _, j := range k.list() {
		if j.id == id {
			return j
		}
	}
	return nil
}

func cmdKeyJobStart(c *command.Ctx) {
	j := &keyJob{pattern: bytes.Clone(c.Args[3]), db: c.DB(), started: time.Now()}
	switch {
	case c.Word(2, "unlink") && len(c.Args) == 4:
		j.op = "unlink"
	case c.Word(2, "count") && len(c.Args) == 4:
		j.op = "count"
	case c.Word(2, "expire") && len(c.Args) == 5:
		j.op = "expire"
		seconds, ok := c.Int(4)
		if !ok {
			return
		}
		if seconds > (math.MaxInt64-c.Now)/1000 || seconds < -(math.MaxInt64-c.Now)/1000 {
			c.InvalidExpire()
			return
		}
		// What is in the past is removed; a deadline of 0 would be none.
		j.deadline = max(1, c.Now+seconds*1000)
	default:
		c.Err(command.ErrSyntax)
		return
	}
	if !keyJobsOf(c.S).add(j) {
		c.Err("ERR too many jobs are running")
		return
	}
	c.W.Int(j.id)
	go j.run(c.S)
}

func cmdKeyJobCancel(c *command.Ctx) {
	id, ok := c.Int(2)
	if !ok {
		return
	}
	j := keyJobsOf(c.S).find(id)
	switch {
	case j == nil:
		c.Err("ERR no such job")
	case j.end(jobCancelled):
		c.W.OK()
	default:
		c.Err("ERR the job has ended")
	}
}

func cmdKeyJobStatus(c *command.Ctx) {
	jobs := keyJobsOf(c.S).list()
	if len(c.Args) > 3 {
		c.WrongArity()
		return
	}
	if len(c.Args) == 3 {
		id, ok := c.Int(2)
		if !ok {
			return
		}
		j := keyJobsOf(c.S).find(id)
		if j == nil {
			c.Err("ERR no such job")
			return
		}
		jobs = []*keyJob{j}
	}
	c.W.Array(len(jobs))
	for _, j := range jobs {
		c.W.Map(8)
		text := func(name, value string) { c.W.BulkString(name); c.W.BulkString(value) }
		number := func(name string, value int64) { c.W.BulkString(name); c.W.Int(value) }
		number("id", j.id)
		text("op", j.op)
		c.W.BulkString("pattern")
		c.W.Bulk(j.pattern)
		number("db", int64(j.db))
		text("state", keyJobState(j.state.Load()).String())
		number("seen", j.seen.Load())
		number("matched", j.matched.Load())
		text("progress", j.progress())
	}
}

// progress is the part of the keyspace that is walked over, in percent.
func (j *keyJob) progress() string {
	return strconv.FormatFloat(float64(j.part.Load())/100, 'f', 2, 64)
}

// keyJobsInfo is a section of INFO.
func keyJobsInfo(w *command.InfoWriter) {
	jobs := keyJobsOf(w.Server()).list()
	running := 0
	for _, j := range jobs {
		if j.running() {
			running++
		}
	}
	w.Field("keyjobs_running", running)
	for _, j := range jobs {
		took := j.took.Load()
		if j.running() {
			took = time.Since(j.started).Milliseconds()
		}
		w.Field(fmt.Sprintf("keyjob_%d", j.id), fmt.Sprintf("op=%s,db=%d,state=%s,seen=%d,matched=%d,progress=%s,ms=%d",
			j.op, j.db, keyJobState(j.state.Load()), j.seen.Load(), j.matched.Load(), j.progress(), took))
	}
}

// run is the goroutine of a job.
func (j *keyJob) run(s *command.Server) {
	defer func() {
		if r := recover(); r != nil {
			s.LogPanic(r, "key job %d", j.id)
			j.end(jobFailed)
		}
	}()
	pattern := glob.Compile(j.pattern)
	var rest keyspace.Rest
	rest.Begin()
	defer rest.End()
	var names [][]byte
	cursor := uint64(0)
	for j.running() {
		names = names[:0]
		seen := 0
		cursor = s.Keyspace.Scan(j.db, cursor, keyJobTurn, s.Keyspace.Now().UnixMilli(), false, func(e *keyspace.Entry) {
			seen++
			names = append(names, bytes.Clone(e.Key()))
		})
		j.seen.Add(int64(seen))
		matching := names[:0]
		for _, name := range names {
			if pattern.Match(name) {
				matching = append(matching, name)
			}
		}
		switch {
		case j.op == "count":
			j.matched.Add(int64(len(matching)))
		default:
			// Keys that crowd one place of a table are visited together.
			for len(matching) > 0 && j.running() {
				n := min(len(matching), keyJobTurn)
				if !j.change(s, matching[:n]) {
					j.end(jobFailed)
					return
				}
				matching = matching[n:]
			}
		}
		if cursor == 0 {
			j.part.Store(10_000)
			j.end(jobDone)
			return
		}
		j.part.Store(int32(keyspace.ScanPart(cursor) * 10_000))
		rest.Turn()
	}
}

var (
	wordUnlink   = []byte("UNLINK")
	wordsUnlink1 = [][]byte{wordUnlink}
)

// change does what a job does to keys, those of them that are still there;
// false: the server takes no writes any more.
func (j *keyJob) change(s *command.Server, names [][]byte) bool {
	keys := make([]keyspace.Key, len(names))
	for i, name := range names {
		keys[i].Set(name)
	}
	ran := false
	s.ChangeLater(nil, j.db, keys, func(c *command.Ctx) {
		if ran = s.TakesWrites(); !ran {
			return
		}
		if !j.running() {
			return
		}
		gone := wordsUnlink1
		n := 0
		for i := range keys {
			k := &keys[i]
			if e := c.Peek(k); !e.Exists() {
				continue
			}
			n++
			c.Dirty++
			if j.op == "expire" && j.deadline > c.Now {
				c.SetDeadline(k, j.deadline)
				c.Notify('g', "expire", k)
				c.Effect(command.WordPExpireAt, k.B, strconv.AppendInt(nil, j.deadline, 10))
				continue
			}
			c.Delete(k)
			c.Notify('g', "del", k)
			gone = append(gone, k.B)
		}
		if len(gone) > 1 {
			c.Effect(gone...)
		}
		j.matched.Add(int64(n))
	})
	return ran
}
