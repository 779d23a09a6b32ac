package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"kvd/acl"
	"kvd/config"
)

// Where users come from at the start, and where they are kept: "user" lines of the
// configuration, or the ACL file.

// CheckUsers tells whether a server with this table could take the user lines. The
// error is a *config.FileError, which names file and line.
func CheckUsers(t *Table, cfg *config.Config) error {
	_, err := configuredUsers(t.aclTable(), cfg, acl.NewDefault)
	return err
}

// configuredUsers makes the users of the configuration's lines. The error is a
// *config.FileError.
func configuredUsers(t *acl.Table, cfg *config.Config, deflt func(*acl.Table) *acl.User) (*acl.Set, error) {
	users := []*acl.User{deflt(t)}
	seen := map[string]bool{} // whether an included file has the user
	o := acl.Options{AllChannels: cfg.ACLPubSubDefault.Load() == "allchannels", Databases: int(cfg.Databases.Load())}
	for _, line := range cfg.Users() {
		name, at := line.Args[0], line.At
		fail := func(what string, err error) error {
			at.Reason = fmt.Sprintf("Error in user declaration '%s': %s", what, err)
			return &at
		}
		// A user of an included file may be told again behind it, as CONFIG REWRITE does.
		included, twice := seen[name]
		if twice && (!included || at.Included) {
			return nil, fail(name, acl.ErrDuplicate)
		}
		seen[name] = at.Included
		if acl.HasSpaces(name) {
			at.Reason = "Spaces not allowed in ACL usernames"
			return nil, &at
		}
		u, err := acl.NewUser(t, name, o.AllChannels).With(t, line.Args[1:], o)
		if err != nil {
			var rule *acl.RuleError
			if errors.As(err, &rule) {
				return nil, fail(rule.Rule, rule.Err)
			}
			at.Reason = err.Error()
			return nil, &at
		}
		if twice {
			users = slices.DeleteFunc(users, func(old *acl.User) bool { return old.Name == name })
		}
		users = append(users, u)
	}
	if len(cfg.Users()) > 0 && cfg.ACLFile.Load() != "" {
		return nil, &config.FileError{Reason: errTwoSources}
	}
	return acl.NewSet(t, users...), nil
}

const errTwoSources = "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup is very likely to lead to configuration errors and security holes, please define either an ACL file or declare users directly in your redis.conf, but not both."

// LoadUsers makes the users of the configuration, or of the ACL file, the server's. It is
// for the start, before the first client.
func (s *Server) LoadUsers() error {
	if s.Config.ACLFile.Load() != "" {
		set, err := s.readACLFile()
		if err != nil {
			return fmt.Errorf("Aborting Redis startup because of ACL errors: %w", err)
		}
		if s.Config.RequirePass.Load() != "" {
			s.Log.Warningf("requirepass has no effect where there is an aclfile: the default user is as the file says")
		}
		s.replaceUsers(set, &Client{})
		s.warnOfDisabled(set)
		return nil
	}
	set, err := configuredUsers(s.rights.table, s.Config, func(*acl.Table) *acl.User { return s.user(acl.DefaultName) })
	if err != nil {
		return err
	}
	s.replaceUsers(set, &Client{})
	if len(s.Config.Users()) > 0 {
		s.warnOfDisabled(set)
	}
	return nil
}

func (s *Server) warnOfDisabled(set *acl.Set) {
	for _, u := range set.Users() {
		if !u.Enabled() {
			s.Log.Noticef("The user '%s' is disabled (there is no 'on' modifier in the user description). Make sure this is not a configuration error.", u.Name)
		}
	}
}

// readACLFile reads the users of the ACL file.
func (s *Server) readACLFile() (*acl.Set, error) {
	name := s.Config.ACLFile.Load()
	text, err := os.ReadFile(name)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, fmt.Errorf("Error loading ACLs, opening file '%s': %w", name, err)
	}
	return acl.Parse(s.rights.table, name, string(text), s.ruleOptions())
}

// writeACLFile puts the users into the ACL file, in one step.
func (s *Server) writeACLFile() error {
	s.rights.mu.RLock()
	text := s.rights.set.Text()
	s.rights.mu.RUnlock()
	return config.ReplaceFile(s.Config.ACLFile.Load(), []byte(text))
}

// userLines are the users as lines of the configuration file: none where there is an ACL
// file.
func (s *Server) userLines() []string {
	if s.Config.ACLFile.Load() != "" {
		return nil
	}
	s.rights.mu.RLock()
	defer s.rights.mu.RUnlock()
	var lines []string
	for _, u := range s.rights.set.Users() {
		words := strings.Fields(u.Line())
		for i, w := range words {
			if plain, err := config.SplitArgs(w); err != nil || len(plain) != 1 || plain[0] != w {
				words[i] = config.Quote(w)
			}
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return lines
}
