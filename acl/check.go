package acl

import (
	"slices"
	"strings"
)

// Reason is why a call is not allowed. Of several that selectors give, the greater
// one is told.
type Reason uint8

// The reasons. None: it is allowed. Auth is no answer of Check, but one of the log.
const (
	None Reason = iota
	Database
	Cmd
	Key
	Auth
	Channel
)

// String is the reason as ACL LOG names it.
func (r Reason) String() string {
	return [...]string{"none", "database", "command", "key", "auth", "channel"}[r]
}

// Call is a call of a command whose rights are asked for.
type Call struct {
	Command int      // its number
	NoAuth  bool     // anybody may
	Args    [][]byte // with the command's name
	First   int      // where the first argument stands: behind the subcommand, if it is one

	// Keys are where keys stand among Args. The access to the one at i is Access[i], or
	// the last of Access if it is shorter. It is not empty where there are keys.
	Keys   []int
	Access []Access

	// Channels are the arguments from ChannelFrom up to ChannelTo, which is excluded.
	// Patterns: they are patterns to subscribe to.
	ChannelFrom, ChannelTo int
	Patterns               bool

	// DB is the database that the command works in, -1 if in none.
	DB int
	// DBs are further databases that it names, and DBArgs the arguments that name them.
	DBs, DBArgs []int
	EveryDB     bool // it works in all
}

// NeedsKeys tells whether it matters which keys a call has. Where it does not, the
// caller need not find them.
func (u *User) NeedsKeys() bool { return u.keyed }

// Check tells whether the user may make a call. If not, arg is the argument that
// he may not name, of a key, channel or database.
func (u *User) Check(c *Call) (why Reason, arg int) {
	for i := range u.selectors {
		r, at := u.selectors[i].check(c)
		if r == None {
			return None, 0
		}
		if r > why || r == why && at > arg {
			why, arg = r, at
		}
	}
	return why, arg
}

// MayWithKey is Check for what most calls are: of a command that has one key and names
// no channel and no database. It tells whether the user may; why not, Check tells.
func (u *User) MayWithKey(command int, key []byte, a Access, db int) bool {
	for i := range u.selectors {
		s := &u.selectors[i]
		if s.commands.has(command) && (s.allDBs || slices.Contains(s.dbs, db)) && (s.allKeys || s.key(key, a)) {
			return true
		}
	}
	return false
}

func (s *selector) check(c *Call) (Reason, int) {
	if !s.commands.has(c.Command) && !c.NoAuth && !s.firstArg(c) {
		return Cmd, 0
	}
	if !s.allDBs {
		if at, ok := s.checkDBs(c); !ok {
			return Database, at
		}
	}
	if !s.allKeys {
		for i, at := range c.Keys {
			if !s.key(c.Args[at], c.Access[min(i, len(c.Access)-1)]) {
				return Key, at
			}
		}
	}
	if !s.allChannels {
		for at := c.ChannelFrom; at < c.ChannelTo; at++ {
			if !s.channel(c.Args[at], c.Patterns) {
				return Channel, at
			}
		}
	}
	return None, 0
}

func (s *selector) firstArg(c *Call) bool {
	list := s.firstArgs[c.Command]
	return list != nil && c.First < len(c.Args) && slices.Contains(list, strings.ToLower(string(c.Args[c.First])))
}

func (s *selector) checkDBs(c *Call) (arg int, ok bool) {
	if c.EveryDB || c.DB >= 0 && !slices.Contains(s.dbs, c.DB) {
		return 0, false
	}
	for i, db := range c.DBs {
		if !slices.Contains(s.dbs, db) {
			return c.DBArgs[i], false
		}
	}
	return 0, true
}

// key tells whether one pattern allows all that is done with a key.
func (s *selector) key(key []byte, a Access) bool {
	word := firstWord(key)
	for i, f := range s.fronts {
		if word&f.mask != f.word {
			continue
		}
		if p := &s.patterns[i]; p.access&a == a && p.match(key) {
			return true
		}
	}
	return false
}

// channel tells whether a channel may be named. A pattern must be one of the rules,
// letter by letter: no other test tells that it reaches no channel beyond them.
func (s *selector) channel(name []byte, isPattern bool) bool {
	for i := range s.channels {
		if c := &s.channels[i]; isPattern && c.text == string(name) || !isPattern && c.glob.Match(name) {
			return true
		}
	}
	return false
}

// MayKey tells whether any selector allows access to a key, whatever command it is for.
func (u *User) MayKey(key []byte, a Access) bool {
	for i := range u.selectors {
		if s := &u.selectors[i]; s.allKeys || s.key(key, a) {
			return true
		}
	}
	return false
}

// MayKeyIn is MayKey of a key in a database that the selector is for, too.
func (u *User) MayKeyIn(db int, key []byte, a Access) bool {
	for i := range u.selectors {
		if s := &u.selectors[i]; (s.allDBs || slices.Contains(s.dbs, db)) && (s.allKeys || s.key(key, a)) {
			return true
		}
	}
	return false
}

// EveryKey tells whether the user may make a call by a selector that also allows the
// access to every key, as SORT's BY and GET need.
func (u *User) EveryKey(c *Call, a Access) bool {
	for i := range u.selectors {
		s := &u.selectors[i]
		if r, _ := s.check(c); r == None && s.everyKey(a) {
			return true
		}
	}
	return false
}

func (s *selector) everyKey(a Access) bool {
	return s.allKeys || slices.ContainsFunc(s.patterns, func(p pattern) bool { return p.text == "*" && p.access&a == a })
}

// MaySubscribe tells whether the user may be subscribed to a channel or pattern.
func (u *User) MaySubscribe(name []byte, isPattern bool) bool {
	for i := range u.selectors {
		if s := &u.selectors[i]; s.allChannels || s.channel(name, isPattern) {
			return true
		}
	}
	return false
}

// NarrowsChannels tells whether subscriptions that were allowed before may not be
// allowed any more to the user that becomes of u.
func (u *User) NarrowsChannels(next *User) bool {
	var has []string
	for i := range next.selectors {
		if next.selectors[i].allChannels {
			return false
		}
		for _, c := range next.selectors[i].channels {
			has = append(has, c.text)
		}
	}
	for i := range u.selectors {
		if u.selectors[i].allChannels {
			return true
		}
		for _, c := range u.selectors[i].channels {
			if !slices.Contains(has, c.text) {
				return true
			}
		}
	}
	return false
}

// Text is what a refused client is told, without "NOPERM ". command is the full name.
func (r Reason) Text(user, command string) string {
	switch r {
	case Key:
		return "No permissions to access a key"
	case Channel:
		return "No permissions to access a channel"
	case Database:
		return "No permissions to access database"
	}
	return "User " + user + " has no permissions to run the '" + command + "' command"
}

// Verbose is Text for who may know more (ACL DRYRUN): it names the object, which is the
// argument that Check found.
func (r Reason) Verbose(user, command, object string) string {
	switch r {
	case Key:
		return "User " + user + " has no permissions to access the '" + object + "' key"
	case Channel:
		return "User " + user + " has no permissions to access the '" + object + "' channel"
	case Database:
		return "User " + user + " has no permissions to access database " + object
	}
	return r.Text(user, command)
}
