package acl

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Set is the users of a server. It takes no lock: callers that change it, or read
// it while others may change it, must hold one.
type Set struct {
	users map[string]*User
}

// NewSet is a set with these users, and with the default one in any case.
func NewSet(t *Table, users ...*User) *Set {
	s := &Set{users: make(map[string]*User, len(users)+1)}
	for _, u := range users {
		s.users[u.Name] = u
	}
	if s.users[DefaultName] == nil {
		s.users[DefaultName] = NewDefault(t)
	}
	return s
}

// Get finds a user; nil if there is none of that name.
func (s *Set) Get(name string) *User { return s.users[name] }

// Put enters a user, in place of the one of the same name.
func (s *Set) Put(u *User) { s.users[u.Name] = u }

// Delete removes a user and tells whether there was one. The default one stays.
func (s *Set) Delete(name string) bool {
	if s.users[name] == nil || name == DefaultName {
		return false
	}
	delete(s.users, name)
	return true
}

// Users are all users by name.
func (s *Set) Users() []*User {
	list := make([]*User, 0, len(s.users))
	for _, name := range slices.Sorted(maps.Keys(s.users)) {
		list = append(list, s.users[name])
	}
	return list
}

// Text is the content of an ACL file.
func (s *Set) Text() string {
	var b strings.Builder
	for _, u := range s.Users() {
		b.WriteString(u.Line())
		b.WriteByte('\n')
	}
	return b.String()
}

// Parse reads the text of an ACL file: a user each line; empty lines, and lines that
// begin with #, are passed over. name is the file's, for errors. All errors are
// told in one line, as Redis does, and then there is no set.
func Parse(t *Table, name, text string, o Options) (*Set, error) {
	var users []*User
	seen := map[string]bool{}
	var faults strings.Builder
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimFunc(line, isSpace)
		if line == "" || line[0] == '#' {
			continue
		}
		at := fmt.Sprintf("%s:%d", name, i+1)
		words := fields(line)
		if words[0] != "user" || len(words) < 2 {
			faults.WriteString(at + " should start with user keyword followed by the username. ")
			continue
		}
		if HasSpaces(words[1]) { // a zero byte
			fmt.Fprintf(&faults, "%s: username '%s' contains invalid characters. ", at, words[1])
			continue
		}
		if seen[words[1]] {
			fmt.Fprintf(&faults, "WARNING: Duplicate user '%s' found on line %d. ", words[1], i+1)
			continue
		}
		seen[words[1]] = true
		u, err := NewUser(t, words[1], o.AllChannels).With(t, words[2:], o)
		if err != nil {
			describeFault(&faults, at, err)
			continue
		}
		users = append(users, u)
	}
	if faults.Len() > 0 {
		return nil, errors.New(faults.String() + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
	}
	return NewSet(t, users...), nil
}

// describeFault tells of a line that cannot be used. A rule may be a password, so it is
// shown only where it names a command.
func describeFault(b *strings.Builder, at string, err error) {
	var rule *RuleError
	switch {
	case errors.As(err, &rule) && rule.Err == ErrUnknown:
		fmt.Fprintf(b, "%s: Error in applying operation '%s': %s. ", at, rule.Rule, rule.Err)
	case errors.As(err, &rule):
		fmt.Fprintf(b, "%s: %s. ", at, rule.Err)
	default:
		fmt.Fprintf(b, "%s: Unmatched parenthesis in selector definition. ", at)
	}
}
