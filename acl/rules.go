package acl

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"kvd/glob"
)

// What can be wrong with a rule. The texts are Redis's.
var (
	ErrSyntax    = errors.New("Syntax error")
	ErrUnknown   = errors.New("Unknown command or category name in ACL")
	errAllKeys   = errors.New("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns")
	errChannels  = errors.New("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels")
	errPassword  = errors.New("The password you are trying to remove from the user does not exist")
	errHash      = errors.New("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")
	errFirstArg  = errors.New("Allowing first-arg of a subcommand is not supported")
	errDBs       = errors.New("The provided database ID is out of range")
	ErrDuplicate = errors.New("Duplicate user found. A user can only be defined once in config files")
)

// RuleError is a rule that cannot be applied.
type RuleError struct {
	Rule string
	Err  error
}

func (e *RuleError) Error() string {
	return "Error in ACL SETUSER modifier '" + e.Rule + "': " + e.Err.Error()
}

func (e *RuleError) Unwrap() error { return e.Err }

// OpenError is a selector without its closing parenthesis.
type OpenError struct{ Start string }

func (e *OpenError) Error() string {
	return "Unmatched parenthesis in acl selector starting at '" + e.Start + "'."
}

// Options are what rules depend on besides the table.
type Options struct {
	AllChannels bool // of new selectors, and after reset (acl-pubsub-default)
	Databases   int  // how many there are; 0: any number is one
	// FirstArg is told of rules such as +select|0, which Redis warns about; may be nil.
	FirstArg func(rule string)
}

// With is the user after rules, of which each may be a selector in several parts. The
// error is a *RuleError or an *OpenError.
func (u *User) With(t *Table, rules []string, o Options) (*User, error) {
	rules, err := mergeSelectors(rules)
	if err != nil {
		return nil, err
	}
	c := u.clone()
	for _, r := range rules {
		if err := c.apply(t, r, o); err != nil {
			return nil, &RuleError{r, err}
		}
	}
	c.settle(t)
	return c, nil
}

// mergeSelectors joins selectors that were split at their blanks.
func mergeSelectors(rules []string) ([]string, error) {
	var merged, open []string
	for _, r := range rules {
		closed := strings.HasSuffix(r, ")")
		switch {
		case open != nil:
			if open = append(open, r); closed {
				merged = append(merged, strings.Join(open, " "))
				open = nil
			}
		case strings.HasPrefix(r, "(") && !closed:
			open = []string{r}
		default:
			merged = append(merged, r)
		}
	}
	if open != nil {
		return nil, &OpenError{open[0]}
	}
	return merged, nil
}

// apply changes the user by one rule.
func (u *User) apply(t *Table, rule string, o Options) error {
	switch strings.ToLower(rule) {
	case "":
		return nil
	case "on":
		u.on = true
		return nil
	case "off":
		u.on = false
		return nil
	case "skip-sanitize-payload":
		u.skipSanitize = true
		return nil
	case "sanitize-payload":
		u.skipSanitize = false
		return nil
	case "nopass":
		u.nopass, u.passwords = true, nil
		return nil
	case "resetpass":
		u.nopass, u.passwords = false, nil
		return nil
	case "clearselectors":
		u.selectors = u.selectors[:1]
		return nil
	case "reset":
		*u = *NewUser(t, u.Name, o.AllChannels)
		return nil
	}
	switch rule[0] {
	case '>', '#', '<', '!':
		return u.password(rule[0], rule[1:])
	case '(':
		if !strings.HasSuffix(rule, ")") {
			return ErrSyntax
		}
		s := newSelector(t, o.AllChannels)
		for _, r := range fields(rule[1 : len(rule)-1]) {
			if strings.HasSuffix(r, ")") { // in a file the selector would end with it
				return ErrSyntax
			}
			if err := s.apply(t, r, o); err != nil {
				return err
			}
		}
		u.selectors = append(u.selectors, s)
		return nil
	}
	return u.selectors[0].apply(t, rule, o)
}

// password adds or removes one: >text #hash, <text !hash.
func (u *User) password(kind byte, arg string) error {
	if kind == '>' || kind == '<' {
		arg = Hash([]byte(arg))
	} else if !isHash(arg) {
		return errHash
	}
	at := slices.Index(u.passwords, arg)
	if kind == '>' || kind == '#' {
		if at < 0 {
			u.passwords = append(u.passwords, arg)
		}
		u.nopass = false
		return nil
	}
	if at < 0 {
		return errPassword
	}
	u.passwords = slices.Delete(u.passwords, at, at+1)
	return nil
}

func isHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// apply changes the selector by one rule.
func (s *selector) apply(t *Table, rule string, o Options) error {
	switch strings.ToLower(rule) {
	case "allkeys", "~*":
		s.allKeys, s.patterns, s.fronts = true, nil, nil
		return nil
	case "resetkeys":
		s.allKeys, s.patterns, s.fronts = false, nil, nil
		return nil
	case "allchannels", "&*":
		s.allChannels, s.channels = true, nil
		return nil
	case "resetchannels":
		s.allChannels, s.channels = false, nil
		return nil
	case "alldbs":
		s.allDBs, s.dbs = true, nil
		return nil
	case "resetdbs":
		s.allDBs, s.dbs = false, nil
		return nil
	case "allcommands", "+@all":
		copy(s.commands, t.everything)
		s.firstArgs, s.rules, s.future = nil, nil, true
		return nil
	case "nocommands", "-@all":
		clear(s.commands)
		s.firstArgs, s.rules, s.future = nil, nil, false
		return nil
	}
	switch {
	case rule == "":
		return nil
	case rule[0] == '~':
		return s.addPattern(Read|Write, rule[1:])
	case rule[0] == '%':
		access, text, ok := readAccess(rule[1:])
		if !ok {
			if s.allKeys {
				return errAllKeys
			}
			return ErrSyntax
		}
		return s.addPattern(access, text)
	case rule[0] == '&':
		return s.addChannel(rule[1:])
	case rule[0] == '+', rule[0] == '-':
		return s.command(t, rule[0] == '+', rule[1:], o)
	case len(rule) >= 3 && strings.EqualFold(rule[:3], "db="):
		return s.setDBs(rule[3:], o.Databases)
	}
	return ErrSyntax
}

// readAccess reads what stands between % and the pattern: R, W or both, and ~.
func readAccess(s string) (a Access, text string, ok bool) {
	for i := range len(s) {
		switch c := s[i]; {
		case c|0x20 == 'r' && a&Read == 0:
			a |= Read
		case c|0x20 == 'w' && a&Write == 0:
			a |= Write
		case c == '~' && a != 0:
			return a, s[i+1:], true
		default:
			return 0, "", false
		}
	}
	return 0, "", false
}

func (s *selector) addPattern(a Access, text string) error {
	if s.allKeys {
		return errAllKeys
	}
	if HasSpaces(text) {
		return ErrSyntax
	}
	for i := range s.patterns {
		if s.patterns[i].text == text {
			s.patterns[i].access |= a
			return nil
		}
	}
	p := newPattern(text, a)
	s.patterns, s.fronts = append(s.patterns, p), append(s.fronts, p.front())
	return nil
}

func (s *selector) addChannel(text string) error {
	if s.allChannels {
		return errChannels
	}
	if HasSpaces(text) {
		return ErrSyntax
	}
	for i := range s.channels {
		if s.channels[i].text == text {
			return nil
		}
	}
	s.channels = append(s.channels, channel{text, glob.Compile([]byte(text))})
	return nil
}

// setDBs is db=0,1: these databases and no others.
func (s *selector) setDBs(list string, databases int) error {
	var dbs []int
	for part := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseUint(part, 10, 31)
		switch {
		case errors.Is(err, strconv.ErrRange), err == nil && databases > 0 && int(n) >= databases:
			return errDBs
		case err != nil:
			return ErrSyntax
		}
		if at, found := slices.BinarySearch(dbs, int(n)); !found {
			dbs = slices.Insert(dbs, at, int(n))
		}
	}
	s.allDBs, s.dbs = false, dbs
	return nil
}

// command allows or forbids what stands behind + or -.
func (s *selector) command(t *Table, allow bool, what string, o Options) error {
	if category, is := strings.CutPrefix(what, "@"); is {
		members, ok := t.members[strings.ToLower(category)]
		if !ok {
			return ErrUnknown
		}
		for n := range t.commands {
			if members.has(n) {
				s.allow(t, n, allow)
			}
		}
		s.note(allow, what)
		return nil
	}
	bar := strings.LastIndexByte(what, '|')
	n, known := t.lookup(what)
	if !allow || bar < 0 {
		if !known {
			return ErrUnknown
		}
		s.allow(t, n, allow)
		s.note(allow, what)
		return nil
	}
	container, ok := t.lookup(what[:bar])
	arg := what[bar+1:]
	switch {
	case !ok:
		return ErrUnknown
	case t.commands[container].Parent >= 0:
		return errFirstArg
	case arg == "":
		return ErrSyntax
	case len(t.subs[container]) > 0:
		if !known {
			return ErrUnknown
		}
		s.allow(t, n, true)
	case HasSpaces(arg): // it could not be written down
		return ErrSyntax
	default:
		if o.FirstArg != nil {
			o.FirstArg("+" + what)
		}
		if arg = strings.ToLower(arg); !slices.Contains(s.firstArgs[container], arg) {
			s.addFirstArgs(container, arg)
		}
	}
	s.note(true, what)
	return nil
}

// allow allows or forbids a command, and with a container its subcommands.
func (s *selector) allow(t *Table, n int, allow bool) {
	s.commands.set(n, allow)
	delete(s.firstArgs, n)
	for _, sub := range t.subs[n] {
		s.commands.set(sub, allow)
	}
}

// note keeps a rule about commands. The same one of before is void, and those about
// the command's subcommands or first arguments.
func (s *selector) note(allow bool, what string) {
	what = strings.ToLower(what)
	s.rules = slices.DeleteFunc(s.rules, func(r string) bool {
		rest, is := strings.CutPrefix(r[1:], what)
		return is && (rest == "" || rest[0] == '|')
	})
	sign := "-"
	if allow {
		sign = "+"
	}
	s.rules = append(s.rules, sign+what)
}

// HasSpaces tells whether a text holds what separates words in the ACL file: it can
// neither be a user's name nor a pattern then.
func HasSpaces(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r == 0 || isSpace(r) }) >= 0
}

func isSpace(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' }

// fields splits at blanks. (strings.Fields would do so at bytes above 0x7f, too.)
func fields(s string) []string { return strings.FieldsFunc(s, isSpace) }

func joinInts(list []int) string {
	var b []byte
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return string(b)
}
