package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"

	"kvd/glob"
)

// DefaultName is the user that a connection has before it authenticates.
const DefaultName = "default"

// User is a user and his rights. It does not change.
type User struct {
	Name string

	on           bool
	nopass       bool
	skipSanitize bool
	passwords    []string // SHA-256 in hex, in the order in which they came
	// selectors are sets of rights, each enough by itself. The first one is the
	// root: what stands outside of parentheses.
	selectors []selector

	unlimited bool // may do all there is
	keyed     bool // some selector asks for the keys
}

// selector is one set of rights.
type selector struct {
	allKeys, allChannels, allDBs bool

	commands bits
	// firstArgs are first arguments with which a command may be called that commands
	// has not.
	firstArgs map[int][]string
	// future: +@all was said last of all that is about all, so commands that come
	// with a later version may be called, too.
	future bool
	// rules are those about commands since then, in order, in lower case. Those that
	// a later one makes void are left out.
	rules []string

	patterns []pattern
	fronts   []front // of patterns, each at its place
	channels []channel
	dbs      []int // in ascending order
}

// channel is a pattern of channels.
type channel struct {
	text string
	glob *glob.Pattern
}

// NewUser is a user with the least rights: off, without a password, and allowed
// nothing, but all databases, and all channels if it is said
// (acl-pubsub-default).
func NewUser(t *Table, name string, allChannels bool) *User {
	u := &User{Name: name, selectors: []selector{newSelector(t, allChannels)}}
	u.settle(t)
	return u
}

// NewDefault is the user "default" as it is without any rule: on, without a password,
// and allowed everything.
func NewDefault(t *Table) *User {
	u, err := NewUser(t, DefaultName, true).With(t, []string{"on", "nopass", "~*", "&*", "+@all"}, Options{})
	if err != nil {
		panic("acl: " + err.Error())
	}
	return u
}

func newSelector(t *Table, allChannels bool) selector {
	return selector{allChannels: allChannels, allDBs: true, commands: newBits(len(t.commands))}
}

func (s *selector) clone() selector {
	c := *s
	c.commands = slices.Clone(s.commands)
	c.rules, c.patterns, c.channels, c.dbs = slices.Clone(s.rules), slices.Clone(s.patterns), slices.Clone(s.channels), slices.Clone(s.dbs)
	c.fronts = slices.Clone(s.fronts)
	c.firstArgs = nil
	for n, list := range s.firstArgs {
		c.addFirstArgs(n, list...)
	}
	return c
}

func (s *selector) addFirstArgs(n int, args ...string) {
	if s.firstArgs == nil {
		s.firstArgs = map[int][]string{}
	}
	s.firstArgs[n] = append(s.firstArgs[n], args...)
}

func (u *User) clone() *User {
	c := *u
	c.passwords = slices.Clone(u.passwords)
	c.selectors = make([]selector, len(u.selectors))
	for i := range u.selectors {
		c.selectors[i] = u.selectors[i].clone()
	}
	return &c
}

// settle computes what is derived.
func (u *User) settle(t *Table) {
	u.unlimited, u.keyed = false, false
	for i := range u.selectors {
		s := &u.selectors[i]
		if s.allKeys && s.allChannels && s.allDBs && slices.Equal(s.commands, t.everything) {
			u.unlimited = true
		}
		if !s.allKeys || !s.allDBs {
			u.keyed = true
		}
	}
}

// Unlimited tells whether the user may do everything.
func (u *User) Unlimited() bool { return u.unlimited }

// Enabled tells whether one can authenticate as the user; nil is none.
func (u *User) Enabled() bool { return u != nil && u.on }

// NoPass tells whether any password is right.
func (u *User) NoPass() bool { return u.nopass }

// Open tells, of the default user, whether connections need not authenticate.
func (u *User) Open() bool { return u.on && u.nopass }

// Hash is a password as users keep it.
func Hash(password []byte) string {
	sum := sha256.Sum256(password)
	return hex.EncodeToString(sum[:])
}

// Admits tells whether a client may log in as the user with the password of this hash.
// It takes the same time whatever password is wrong, and where there is no
// user at all (nil).
func (u *User) Admits(hash string) bool {
	if u == nil {
		u = &nobody
	}
	right := 0
	for _, p := range u.passwords {
		right |= subtle.ConstantTimeCompare([]byte(p), []byte(hash))
	}
	return u.on && (u.nopass || right == 1)
}

// nobody is for Admits to be as slow for a user that does not exist.
var nobody = User{passwords: []string{Hash(nil)}}

// String is the user as ACL LIST and the ACL file describe him, without "user NAME".
// A user that is made from these rules has the same rights.
func (u *User) String() string {
	words := u.Flags()
	for _, p := range u.passwords {
		words = append(words, "#"+p)
	}
	for i := range u.selectors {
		text := u.selectors[i].describe()
		if i > 0 {
			text = "(" + text + ")"
		}
		words = append(words, text)
	}
	return strings.Join(words, " ")
}

// Line is the user as a line of the ACL file.
func (u *User) Line() string { return "user " + u.Name + " " + u.String() }

// Flags are the words of ACL GETUSER's flags.
func (u *User) Flags() []string {
	flags := make([]string, 0, 3)
	if u.on {
		flags = append(flags, "on")
	} else {
		flags = append(flags, "off")
	}
	if u.nopass {
		flags = append(flags, "nopass")
	}
	if u.skipSanitize {
		flags = append(flags, "skip-sanitize-payload")
	} else {
		flags = append(flags, "sanitize-payload")
	}
	return flags
}

// Passwords are the hashes of the user's passwords. They must not be changed.
func (u *User) Passwords() []string { return u.passwords }

// Description is a set of rights as ACL GETUSER shows it.
type Description struct {
	Commands, Keys, Channels string
	Databases                string // "" if all are allowed
}

// Describe describes the root, then the selectors.
func (u *User) Describe() []Description {
	list := make([]Description, len(u.selectors))
	for i := range u.selectors {
		s := &u.selectors[i]
		list[i] = Description{Commands: s.describeCommands(), Keys: strings.Join(s.describeKeys(), " "), Channels: strings.Join(s.describeChannels(), " ")}
		if !s.allDBs {
			list[i].Databases = s.describeDBs()
		}
	}
	return list
}

// describe is the selector as rules.
func (s *selector) describe() string {
	words := s.describeKeys()
	if !s.allChannels { // the server that reads it may have another acl-pubsub-default
		words = append(words, "resetchannels")
	}
	words = append(words, s.describeChannels()...)
	if !s.allDBs {
		words = append(words, s.describeDBs())
	}
	words = append(words, s.describeCommands())
	return strings.Join(words, " ")
}

func (s *selector) describeKeys() (words []string) {
	if s.allKeys {
		return []string{"~*"}
	}
	for _, p := range s.patterns {
		words = append(words, map[Access]string{Read | Write: "~", Read: "%R~", Write: "%W~"}[p.access]+p.text)
	}
	return words
}

func (s *selector) describeChannels() (words []string) {
	if s.allChannels {
		return []string{"&*"}
	}
	for _, c := range s.channels {
		words = append(words, "&"+c.text)
	}
	return words
}

func (s *selector) describeDBs() string {
	if len(s.dbs) == 0 {
		return "resetdbs"
	}
	return "db=" + joinInts(s.dbs)
}

func (s *selector) describeCommands() string {
	start := "-@all"
	if s.future {
		start = "+@all"
	}
	return strings.Join(append([]string{start}, s.rules...), " ")
}
