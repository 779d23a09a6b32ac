package config

import (
	"errors"
	"os"
	"strings"
)

// Passwords need not stand in the configuration or on a command line, where others
// of the machine see them: they may come from a file, or from the environment.

// secretSources are the directives that have such sources: the directive that names a
// file, and the variable of the environment.
var secretSources = []struct{ name, file, variable string }{
	{"requirepass", "requirepass-file", "KVD_REQUIREPASS"},
	{"masterauth", "masterauth-file", "KVD_MASTERAUTH"},
}

// secretMax is the most of a password's file that is read, in bytes.
const secretMax = 64 << 10

// readSecrets sets the passwords that files or the environment have, where the
// configuration does not say them itself.
func (c *Config) readSecrets() error {
	for _, s := range secretSources {
		e, file := c.must(s.name), c.must(s.file)
		path := file.value.(*String).Load()
		value, from := os.Getenv(s.variable), s.variable
		switch {
		case path != "" && e.given:
			return file.wrong(errors.New("both " + s.name + " and " + s.file + " are given"))
		case path != "":
			b, err := os.ReadFile(path)
			if err != nil {
				return file.wrong(errors.New("Can't read the file: " + systemError(err)))
			}
			if len(b) > secretMax {
				return file.wrong(errors.New("the file is too long for a password"))
			}
			value, from = strings.TrimRight(string(b), "\r\n"), s.file
			if value == "" || strings.ContainsAny(value, "\r\n") {
				return file.wrong(errors.New("the file must have one line, the password"))
			}
		case e.given || value == "":
			continue
		}
		if err := e.set([]string{value}); err != nil {
			return errors.New(from + ": " + err.Error())
		}
		e.secret = value
	}
	return nil
}

// wrong is an error at the place where the directive was given.
func (e *entry) wrong(err error) error {
	at := e.origin
	at.Reason = err.Error()
	return &at
}
