package command

import (
	"strings"
	"sync/atomic"
	"time"

	"kvd/acl"
	"kvd/lockrank"
	"kvd/pubsub"
)

// Who a client is and what he may do. The rules, and the test of one call, are in
// package acl; here clients are bound to users, and calls are tested: before they run
// (permitted), again where they ran later than they were tested (EXEC's queue,
// commands that waited), and those that a script makes.
//
// A user is changed by putting another one in his place, and giving it to all clients
// of his, under rights.mu. So a client's loop needs no lock: it loads Client.limits,
// which is nil for those who may do everything.

// rights is the users of a server.
type rights struct {
	s     *Server
	table *acl.Table
	rows  []rowRights // by Row.Num
	gone  *acl.User   // the limits of clients whose user was deleted, until they are closed

	// mu protects set, and that every client has the rights of the user in it of its
	// user's name. It is taken under stripe locks, over those of clients and channels.
	mu  lockrank.RWMutex[lockrank.Rights]
	set *acl.Set

	open   atomic.Bool // connections need not authenticate: the default user is on and has nopass
	nopass atomic.Bool // the default user has nopass

	log    acl.Log
	denied [acl.Channel + 1]atomic.Int64 // by reason
}

// rowRights is what a row tells of its calls' rights.
type rowRights struct {
	access []acl.Access // see acl.Call
	keyed  bool         // there may be keys
	works  bool         // it works on a database, even without keys
	first  int          // where the first argument stands
	single int          // where the key stands of a row that names nothing else; 0: it is no such row
}

// asked is an Exec's memory for mayCall.
type asked struct {
	call  acl.Call
	pos   []int
	dbPos []int
	dbs   []int
	some  [1]acl.Access
}

func (r *rights) init(s *Server) {
	r.s = s
	r.table = s.Table.aclTable()
	for _, row := range s.Table.rows {
		r.rows = append(r.rows, row.rights())
	}
	r.gone = acl.NewUser(r.table, "", false)
	r.set = acl.NewSet(r.table)
	s.Config.OnChange("requirepass", s.passwordChanged)
	_ = s.passwordChanged()
	s.Config.OnChange("acllog-max-len", func() error {
		r.log.Trim(s.Config.ACLLogMaxLen.Load())
		return nil
	})
	s.Config.OnRewrite("user", s.userLines)
}

// aclTable is the table as package acl knows it.
func (t *Table) aclTable() *acl.Table {
	commands := make([]acl.Command, len(t.rows))
	for i, r := range t.rows {
		commands[i] = acl.Command{Name: r.full, Categories: r.ACLCategories(), Parent: -1, NoAuth: r.Flags&NoAuth != 0}
		if r.parent != nil {
			commands[i].Parent = r.parent.num
		}
	}
	return acl.NewTable(Categories, commands)
}

// rights derives what tests need of a row.
func (r *Row) rights() rowRights {
	rr := rowRights{first: 1, keyed: (r.First > 0 || r.KeysFn != nil) && !r.notKeys, works: r.Flags&(Write|ReadOnly) != 0}
	if r.parent != nil {
		rr.first = 2
	}
	for _, s := range r.KeySpecs() {
		rr.access = append(rr.access, accessOf(s.Flags))
	}
	if rr.keyed && r.KeysFn == nil && r.Last == r.First && len(rr.access) == 1 && r.KeyFlagsFn == nil && r.DBArgs == nil && !r.EveryDB && r.Channels == "" {
		rr.single = r.First
	}
	return rr
}

// accessOf is what flags of a key spec ask for.
func accessOf(flags []string) (a acl.Access) {
	for _, f := range flags {
		switch f {
		case "access":
			a |= acl.Read
		case "insert", "delete", "update":
			a |= acl.Write
		}
	}
	return a
}

// DbsAt is a DBArgs for databases at fixed places.
func DbsAt(at ...int) func(args [][]byte, dst []int) []int {
	return func(_ [][]byte, dst []int) []int { return append(dst, at...) }
}

// mayCall tests whether a user may make a call in database db. If not, object is
// what he may not touch: a key, a channel, a database, or the command.
func (x *Exec) mayCall(u *acl.User, row *Row, args [][]byte, db int) (why acl.Reason, object []byte) {
	why, at := u.Check(x.ask(u, row, args, db))
	return why, args[at]
}

// MayCall tells whether the client's user may make another call than the one that runs: of
// a command by its full name, as clients of Redis know it, with these arguments behind the name.
func (c *Ctx) MayCall(name string, args [][]byte) bool {
	row := c.S.Table.ByFullName([]byte(name))
	if row == nil { // it was renamed away
		return false
	}
	u := c.C.limits.Load()
	if u == nil {
		return true
	}
	call := make([][]byte, 0, len(args)+2)
	for _, w := range strings.Split(name, "|") {
		call = append(call, []byte(w))
	}
	why, _ := c.x.mayCall(u, row, append(call, args...), c.DB())
	return why == acl.None
}

// ask describes a call for the test.
func (x *Exec) ask(u *acl.User, row *Row, args [][]byte, db int) *acl.Call {
	rr, a := &x.s.rights.rows[row.num], &x.asked
	c := &a.call
	*c = acl.Call{Command: row.num, NoAuth: row.Flags&NoAuth != 0, Args: args, First: rr.first, DB: -1, EveryDB: row.EveryDB}
	if u.NeedsKeys() {
		x.askKeys(row, rr)
		if rr.works || len(c.Keys) > 0 {
			c.DB = db
		}
		if row.DBArgs != nil {
			a.askDBs(row)
		}
	}
	if row.Channels != "" && len(args) > 1 {
		c.ChannelFrom, c.ChannelTo = 1, len(args)
		switch row.Channels {
		case "publish":
			c.ChannelTo = 2
		case "psubscribe":
			c.Patterns = true
		}
	}
	return c
}

// askKeys finds the keys of the call. Where arguments are wrong there are none, and the
// command will say so.
func (x *Exec) askKeys(row *Row, rr *rowRights) {
	a := &x.asked
	c := &a.call
	switch {
	case row.Flags&RunsQueue != 0 && len(c.Args) > 2: // its condition; see execCondition
		a.pos, a.some[0] = append(a.pos[:0], 2), acl.Read
		c.Keys, c.Access = a.pos, a.some[:]
		return
	case !rr.keyed || !row.ArityOK(len(c.Args)):
		return
	}
	pos, ok := row.KeyPositions(c.Args, a.pos[:0])
	a.pos = pos
	if !ok || len(pos) == 0 {
		return
	}
	c.Keys, c.Access = pos, rr.access
	if row.KeyFlagsFn != nil {
		a.some[0] = accessOf(strings.Fields(row.KeyFlagsFn(c.Args)))
		c.Access = a.some[:]
	}
}

// askDBs finds the databases that the call names.
func (a *asked) askDBs(row *Row) {
	c := &a.call
	if !row.ArityOK(len(c.Args)) {
		return
	}
	a.dbPos, a.dbs = row.DBArgs(c.Args, a.dbPos[:0]), a.dbs[:0]
	for _, p := range a.dbPos {
		n, ok := ParseInt(c.Args[p])
		if !ok || int64(int(n)) != n {
			n = -1 // no database, so none that is allowed
		}
		a.dbs = append(a.dbs, int(n))
	}
	c.DBs, c.DBArgs = a.dbs, a.dbPos
}

// permitted tests the call of a client that may not do everything; where it may not
// be made it is refused and noted.
func (x *Exec) permitted(ctx *Ctx, u *acl.User) bool {
	if rr := &x.s.rights.rows[ctx.Row.num]; rr.single > 0 && u.MayWithKey(ctx.Row.num, ctx.Args[rr.single], rr.access[0], ctx.C.DB()) {
		return true
	}
	why, object := x.mayCall(u, ctx.Row, ctx.Args, ctx.C.DB())
	if why == acl.None {
		return true
	}
	x.stats[ctx.Row.num].Rejected.Add(1)
	if u == x.s.rights.gone {
		ctx.Close() // it is about to be closed
		return false
	}
	context := "toplevel"
	if ctx.C.multi != nil {
		context = "multi"
	}
	x.noteDenied(ctx.C, u, ctx.Row, why, object, context)
	x.reject(ctx, "NOPERM "+why.Text(u.Name, ctx.Row.full))
	return false
}

// noteDenied counts and logs a call that was refused.
func (x *Exec) noteDenied(c *Client, u *acl.User, row *Row, why acl.Reason, object []byte, context string) {
	e := acl.Entry{Reason: why, Context: context, Object: string(object), Username: u.Name}
	if why == acl.Cmd {
		e.Object = row.full
	}
	x.s.logDenied(c, e)
}

// logDenied enters an event in ACL LOG.
func (s *Server) logDenied(c *Client, e acl.Entry) {
	s.rights.denied[e.Reason].Add(1)
	e.Client = c.Info()
	s.rights.log.Add(e, time.Now().UnixMilli(), s.Config.ACLLogMaxLen.Load())
}

// stillPermitted tests a command of EXEC's queue again, for rights may have changed
// since it was queued. It replies where the command must not run.
func (x *Exec) stillPermitted(c *Ctx, row *Row, args [][]byte) bool {
	u := c.C.limits.Load()
	if u == nil {
		return true
	}
	why, object := x.mayCall(u, row, args, c.C.DB())
	if why == acl.None {
		return true
	}
	x.noteDenied(c.C, u, row, why, object, "multi")
	text := "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: " +
		map[acl.Reason]string{acl.Cmd: "no permission to execute the command or subcommand", acl.Key: "no permission to touch the specified keys",
			acl.Channel: "no permission to access one of the channels used as arguments to the command", acl.Database: "no permission to access the database"}[why]
	x.s.CountError(text)
	c.W.Error(text)
	return false
}

// refusedInScript is why a script may not call a command for its caller, "" if it may.
func (x *Exec) refusedInScript(c *Ctx, row *Row, args [][]byte) string {
	u := c.C.limits.Load()
	if u == nil {
		return ""
	}
	why, object := x.mayCall(u, row, args, c.C.DB())
	if why == acl.None {
		return ""
	}
	x.noteDenied(c.C, u, row, why, object, "lua")
	return "NOPERM ACL failure in script: " + why.Text(u.Name, row.full)
}

// permittedStill tests the command of a blocked client again before it is served. It
// replies in its place where the client may not make the call any more.
func (x *Exec) permittedStill(wt *waiter) bool {
	u := wt.c.limits.Load()
	if u == nil {
		return true
	}
	why, object := x.mayCall(u, wt.row, wt.args, wt.db)
	if why == acl.None {
		return true
	}
	if u != x.s.rights.gone {
		x.noteDenied(wt.c, u, wt.row, why, object, "toplevel")
	}
	x.answer.Error("NOPERM " + why.Text(u.Name, wt.row.full))
	return false
}

// MayReadAll tells whether the command, which reads keys that it does not name, may
// read any.
func (c *Ctx) MayReadAll() bool {
	u := c.C.limits.Load()
	return u == nil || u.EveryKey(c.x.ask(u, c.Row, c.Args, c.DB()), acl.Read)
}

// maySee tells whether a client may be told of a key's name, as broadcast
// invalidations do.
func maySee(limits *acl.User, key []byte) bool { return limits == nil || limits.MayKey(key, acl.Read) }

// MaySee tells whether the client's user has a right to read the key. Nothing is noted.
func (c *Client) MaySee(key []byte) bool { return maySee(c.limits.Load(), key) }

// maySeeIn is MaySee of a key in a database.
func (c *Client) maySeeIn(db int, key []byte) bool {
	u := c.limits.Load()
	return u == nil || u.MayKeyIn(db, key, acl.Read)
}

// user finds a user by name; nil if there is none.
func (s *Server) user(name string) *acl.User {
	s.rights.mu.RLock()
	defer s.rights.mu.RUnlock()
	return s.rights.set.Get(name)
}

// UserName is the name of the client's user.
func (c *Client) UserName() string {
	if u := c.user.Load(); u != nil {
		return u.Name
	}
	return "(superuser)"
}

// bind makes a client one of a user; rights.mu is locked.
func (c *Client) bind(u *acl.User) {
	c.user.Store(u)
	if u.Unlimited() {
		u = nil
	}
	c.limits.Store(u)
}

// Trust lets a client do everything, whatever users there are: it is the program that
// the server is a part of. AUTH makes it a user like any other. It is called by the
// goroutine that runs the client's commands.
func (s *Server) Trust(c *Client) { s.unbind(c) }

// unbind frees a client of all limits: it is no user's.
func (s *Server) unbind(c *Client) {
	s.rights.mu.Lock()
	c.user.Store(nil)
	c.limits.Store(nil)
	s.rights.mu.Unlock()
	c.Authed = true
}

// enroll registers a client as the default user.
func (s *Server) enroll(c *Client) {
	s.rights.mu.RLock()
	defer s.rights.mu.RUnlock()
	u := s.rights.set.Get(acl.DefaultName)
	c.bind(u)
	c.Authed = u.Open()
	s.clients.add(c) // a change of users from now on finds it
}

// beDefault makes the client the default user again, as a new connection is.
func (s *Server) beDefault(c *Client) {
	s.rights.mu.RLock()
	u := s.rights.set.Get(acl.DefaultName)
	c.bind(u)
	s.rights.mu.RUnlock()
	c.Authed = u.Open()
	s.tracking.rightsChanged(c)
}

// LoginAs makes a client a user without a password: it has proved in another way who it
// is. It returns false where there is no such user, or he is off. It is called by
// the goroutine that runs the client's commands, or before there is one.
func (s *Server) LoginAs(c *Client, name string) bool {
	return s.login(c, name, (*acl.User).Enabled)
}

// HasPassword tells whether there is such a user, and only who knows a password may be him.
func (s *Server) HasPassword(name string) bool {
	s.rights.mu.RLock()
	defer s.rights.mu.RUnlock()
	u := s.rights.set.Get(name)
	return u != nil && !u.NoPass()
}

// Proves tells whether to know the password of this hash (see acl.Hash) proves that one is
// the user: there is one of that name, he is on, it is a password of his, and one is needed.
func (s *Server) Proves(name, hash string) bool { return proves(s.user(name), hash) }

// LoginProved makes a client a user whose password's hash was proved before, as far as it
// still does. It may be called when LoginAs may.
func (s *Server) LoginProved(c *Client, name, hash string) bool {
	return s.login(c, name, func(u *acl.User) bool { return proves(u, hash) })
}

func proves(u *acl.User, hash string) bool { return u.Admits(hash) && !u.NoPass() }

// login makes a client a user if he passes the test, which fails for nil.
func (s *Server) login(c *Client, name string, test func(*acl.User) bool) bool {
	s.rights.mu.RLock()
	u := s.rights.set.Get(name)
	ok := test(u)
	if ok {
		c.bind(u)
	}
	s.rights.mu.RUnlock()
	if ok {
		c.Authed = true
		s.tracking.rightsChanged(c)
	}
	return ok
}

// authenticate is AUTH, also HELLO's: the client becomes the user if the password is
// right. If not, that is noted; by is the command's name as it came.
func (s *Server) authenticate(c *Client, user, password, by []byte) bool {
	hash := acl.Hash(password)
	if s.login(c, string(user), func(u *acl.User) bool { return u.Admits(hash) }) {
		return true
	}
	context := "toplevel"
	if c.multi != nil {
		context = "multi"
	}
	s.logDenied(c, acl.Entry{Reason: acl.Auth, Context: context, Object: string(by), Username: string(user)})
	return false
}

// DefaultNoPass tells whether the default user needs no password, which protected-mode
// guards.
func (s *Server) DefaultNoPass() bool { return s.rights.nopass.Load() }

// ruleOptions are what rules depend on now.
func (s *Server) ruleOptions() acl.Options {
	return acl.Options{AllChannels: s.Config.ACLPubSubDefault.Load() == "allchannels", Databases: s.Keyspace.Databases(), FirstArg: func(rule string) {
		s.Log.Warningf("Deprecation warning: Allowing a first arg of an otherwise blocked command is a misuse of ACL and may get disabled in the future (offender: %s)", rule)
	}}
}

// passwordChanged makes requirepass the default user's password, or takes his away.
func (s *Server) passwordChanged() error {
	rules := []string{"resetpass", "nopass"}
	if p := s.Config.RequirePass.Load(); p != "" {
		rules = []string{"resetpass", ">" + p}
	}
	return s.changeUser(acl.DefaultName, rules, nil)
}

// changeUser applies rules to a user, who is made if there is none of that name. All rules
// are applied, or none. me is the client whose command it is, or nil.
func (s *Server) changeUser(name string, rules []string, me *Client) error {
	r := &s.rights
	o := s.ruleOptions()
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.set.Get(name)
	from := old
	if from == nil {
		from = acl.NewUser(r.table, name, o.AllChannels)
	}
	u, err := from.With(r.table, rules, o)
	if err != nil {
		return err
	}
	r.set.Put(u)
	r.settle()
	if old != nil {
		s.rebind(map[*acl.User]*acl.User{old: u}, me)
	}
	return nil
}

// settle derives what connections are asked for; mu is locked.
func (r *rights) settle() {
	u := r.set.Get(acl.DefaultName)
	r.open.Store(u.Open())
	r.nopass.Store(u.NoPass())
}

// deleteUsers deletes users, closes their clients and tells how many there were, and
// whether me is one of those clients, which is left to the caller.
func (s *Server) deleteUsers(names []string, me *Client) (deleted int, mine bool) {
	r := &s.rights
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := map[*acl.User]*acl.User{}
	for _, name := range names {
		if u := r.set.Get(name); r.set.Delete(name) {
			deleted++
			gone[u] = nil
		}
	}
	mine = gone[me.user.Load()] == nil && has(gone, me.user.Load())
	s.rebind(gone, me)
	return deleted, mine
}

func has(m map[*acl.User]*acl.User, u *acl.User) bool {
	_, ok := m[u]
	return ok
}

// replaceUsers puts other users in place of all, closes the clients of those who are
// missing, and tells whether me is one of them.
func (s *Server) replaceUsers(set *acl.Set, me *Client) (mine bool) {
	r := &s.rights
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[*acl.User]*acl.User{}
	for _, u := range r.set.Users() {
		next[u] = set.Get(u.Name)
	}
	r.set = set
	r.settle()
	u, known := next[me.user.Load()]
	s.rebind(next, me)
	return known && u == nil
}

// rebind gives clients the users that theirs have become; nil: he is deleted, and the
// client is closed. So is one that is subscribed to what its user may not hear any
// more. The client me, whose command it is, gets the reply first; where its user is
// deleted its command must close it. rights.mu is locked.
func (s *Server) rebind(next map[*acl.User]*acl.User, me *Client) {
	if len(next) == 0 {
		return
	}
	listeners := map[pubsub.Conn]*Client{}
	for _, c := range s.clients.list() {
		old := c.user.Load()
		u, concerned := next[old]
		switch {
		case !concerned || u == old:
		case u == nil:
			c.limits.Store(s.rights.gone) // nothing that it has sent is run any more
			if c != me {
				s.kill(c)
			}
		default:
			c.bind(u)
			if c.Conn != nil && c.has(statePubSub) && old.NarrowsChannels(u) {
				listeners[c.Conn] = c
			}
			s.tracking.rightsChanged(c)
		}
	}
	if len(listeners) == 0 {
		return
	}
	// Whoever subscribes from now on sees its new rights when it has (see subscribe).
	lost := map[*Client]bool{}
	s.pubsub.Each(func(ch *pubsub.Channel) {
		ch.EachConn(func(conn pubsub.Conn) {
			if c := listeners[conn]; c != nil && !lost[c] && !c.user.Load().MaySubscribe([]byte(ch.Name), ch.IsPattern()) {
				lost[c] = true
			}
		})
	})
	for c := range lost {
		if c == me {
			c.Conn.Kill(true)
			continue
		}
		s.kill(c)
	}
}

// kill ends a client's connection. Its loop closes it in a moment; from now on
// nobody sees it.
func (s *Server) kill(c *Client) {
	c.set(stateClosing, true)
	s.clients.remove(c)
	if c.has(stateReplica) { // what this transaction still writes is not for it
		s.replication.Kill(c.ID)
	}
	if c.Conn != nil {
		c.Conn.Kill(false)
	}
}
