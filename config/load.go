package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxIncludes bounds how deep files may include each other.
const maxIncludes = 16

// FileError is a configuration that cannot be used. Its text has the shape of Redis's message.
type FileError struct {
	File   string // "" for flags and standard input
	Line   int    // counted through file, standard input and flags as if they were one text; 0: no single line
	Text   string // the line
	Reason string

	Included bool // the file is one that another includes
}

func (e *FileError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "*** FATAL CONFIG FILE ERROR (Redis %s) ***\n", RedisVersion)
	if e.Line > 0 {
		fmt.Fprintf(&b, "Reading the configuration file, at line %d\n>>> '%s'\n", e.Line, e.Text)
	}
	b.WriteString(e.Reason)
	if e.File != "" && e.Line > 0 {
		fmt.Fprintf(&b, "\nIn the file '%s'", e.File)
	}
	return b.String()
}

// OpenError is a configuration file that could not be read.
type OpenError struct {
	File string
	Err  error
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("Fatal error, can't open config file '%s': %s", e.File, systemError(e.Err))
}

func (e *OpenError) Unwrap() error { return e.Err }

// LoadFile reads a configuration file, which CONFIG REWRITE will then write.
// The error is a *FileError or an *OpenError.
func (c *Config) LoadFile(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return &OpenError{path, err}
	}
	content, err := os.ReadFile(abs)
	if err != nil {
		return &OpenError{abs, err}
	}
	c.configFile = abs
	base := c.newlines
	c.newlines += strings.Count(string(content), "\n")
	return c.loadText(abs, string(content), base)
}

// LoadReader reads configuration text from r. The error is a *FileError, or that of reading.
func (c *Config) LoadReader(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	base := c.newlines
	c.newlines += strings.Count(string(content), "\n")
	return c.loadText("", string(content), base)
}

// LoadArgs reads command-line flags: "--name" and the arguments that follow
// up to the next argument that begins with "--". A name that needs an
// argument takes the next one whatever it looks like; "--name value" may also
// be one argument. The error is a *FileError.
func (c *Config) LoadArgs(args []string) error {
	var lines []string
	complete := true // the option already has an argument
	for i, arg := range args {
		if !complete || !strings.HasPrefix(arg, "--") {
			if len(lines) == 0 {
				lines = append(lines, "")
			}
			lines[len(lines)-1] += " " + Quote(arg)
			complete = true
			continue
		}
		line := arg[2:]
		words, err := SplitArgs(arg)
		complete = err != nil || len(words) != 1
		if !complete && (i+1 == len(args) || strings.HasPrefix(args[i+1], "--")) {
			if bare, ok := c.bareArg(words[0][2:]); ok {
				line += " " + Quote(bare)
				complete = true
			}
		}
		lines = append(lines, line)
	}
	return c.loadText("", strings.Join(lines, "\n"), c.newlines+1)
}

// bareArg returns the argument that a flag without one stands for.
func (c *Config) bareArg(name string) (arg string, ok bool) {
	e := c.lookup(name)
	if e == nil || e.Bare == "" && e.Kind != KindSave {
		return "", false
	}
	return e.Bare, true
}

// loadText obeys the lines of text; the first has the number base+1.
func (c *Config) loadText(file, text string, base int) error {
	for i, line := range strings.Split(text, "\n") {
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		at := FileError{File: file, Line: base + i + 1, Text: line, Included: c.depth > 0}
		args, err := SplitArgs(line)
		if err == nil && len(args) > 0 {
			err = c.setInitial(args[0], args[1:], at)
		}
		if err == nil {
			continue
		}
		var inner *FileError
		var open *OpenError
		if errors.As(err, &inner) || errors.As(err, &open) { // of an included file
			return err
		}
		at.Reason = err.Error()
		return &at
	}
	return nil
}

// SetInitial sets one directive at start-up, as a line of the file with these
// arguments would. The error's text is the reason alone.
func (c *Config) SetInitial(name string, args []string) error {
	return c.setInitial(name, args, FileError{Text: name})
}

func (c *Config) setInitial(name string, args []string, at FileError) error {
	e := c.lookup(name)
	if e == nil {
		if !strings.Contains(name, ".") {
			return errBadDirective
		}
		if len(args) != 1 {
			return errors.New("Module config specified without value")
		}
		c.lookup("loadmodule").mark(at) // a module's directive is as unsupported as the module
		return nil
	}
	switch {
	case e.Kind == KindObsolete:
		if len(args) != 1 {
			return errBadDirective
		}
		e.mark(at)
		return nil
	case e.Kind == KindFileOnly:
		return c.fileOnly(e, args, at)
	case e.multiArg():
		if len(args) == 1 && args[0] != "" {
			args = strings.Split(args[0], " ") // --save "900 1"
		}
		if e.Kind == KindReplicaOf && len(args) == 0 {
			return errors.New("wrong number of arguments")
		}
	case len(args) != 1:
		return errors.New("wrong number of arguments")
	}
	if e.Kind == KindSave {
		// Lines add up, the first replaces the default, and "" empties the list.
		if c.saveSeen && len(args) > 0 && args[0] != "" {
			args = append(strings.Fields(e.value.text(e.Directive)), args...)
		}
	}
	if err := e.set(args); err != nil {
		return err
	}
	if e.Kind == KindSave {
		c.saveSeen = true
	}
	e.mark(at)
	return nil
}

var errBadDirective = errors.New("Bad directive or wrong number of arguments")

// mark remembers that and where the directive was given.
func (e *entry) mark(at FileError) {
	e.given, e.origin = true, at
	e.included = e.included || at.Included
	e.pending = e.Effect == Refuse && (e.Kind == KindFileOnly || e.value.text(e.Directive) != e.deflt)
}

func (c *Config) fileOnly(e *entry, args []string, at FileError) error {
	switch {
	case e.Name == "include" && len(args) == 1:
		return c.include(args[0])
	case e.Name == "rename-command" && len(args) == 2:
		e.mark(at)
		c.renames = append(c.renames, Pair{args[0], args[1]})
		return nil
	case e.Name == "user" && len(args) >= 1:
		e.mark(at)
		c.users = append(c.users, UserLine{args, at})
		return nil
	case e.Name == "loadmodule" && len(args) >= 1:
		e.mark(at)
		return nil
	}
	return errBadDirective
}

// include reads other files at once, so that lines behind the include win. A
// pattern may match nothing; a plain name must exist. Directories hold no lines
// and are passed over, as in Redis: conf.d/* may match some. Relative names are
// looked up from the working directory of the moment, as in Redis.
func (c *Config) include(pattern string) error {
	if c.depth >= maxIncludes {
		return errors.New("too many nested includes")
	}
	c.depth++
	defer func() { c.depth-- }()
	files := []string{pattern}
	if strings.ContainsAny(pattern, "*?[") {
		files = globFiles(pattern)
	}
	for _, f := range files {
		if st, err := os.Stat(f); err == nil && st.IsDir() {
			continue
		}
		content, err := os.ReadFile(f)
		if err != nil {
			return &OpenError{f, err}
		}
		if err := c.loadText(f, string(content), 0); err != nil {
			return err
		}
	}
	return nil
}

// globFiles returns the names that match a shell's pattern, in order, as glob(3) does:
// [!a] is [^a], what begins with a dot (an editor's swap file) is matched by a dot only,
// and a pattern that is none matches nothing.
func globFiles(pattern string) []string {
	all, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if err != nil {
		return nil
	}
	parts := strings.Split(filepath.ToSlash(filepath.Clean(pattern)), "/")
	return slices.DeleteFunc(all, func(name string) bool {
		names := strings.Split(filepath.ToSlash(name), "/")
		if len(names) != len(parts) {
			return false
		}
		for i, n := range names {
			if strings.HasPrefix(n, ".") && !strings.HasPrefix(parts[i], ".") {
				return true
			}
		}
		return false
	})
}

// Finish ends the loading: it checks what only the whole configuration tells.
// The error is a *FileError: the log file cannot be opened, or a directive
// was given that kvd would have to obey and cannot yet, without
// ignore-unsupported.
func (c *Config) Finish() error {
	if err := c.readSecrets(); err != nil {
		return err
	}
	if c.Ephemeral.Load() {
		if c.AppendOnly.Load() {
			return &FileError{Reason: "ephemeral and appendonly cannot both be yes"}
		}
		for name, value := range map[string]string{"save": "", "enable-debug-command": "local"} {
			if c.lookup(name).given {
				continue
			}
			if err := c.SetInitial(name, []string{value}); err != nil {
				return &FileError{Reason: err.Error()}
			}
		}
	}
	if path := c.LogFile.Load(); path != "" {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return &FileError{Reason: "Can't open the log file: " + systemError(err)}
		}
		_ = f.Close()
	}
	if c.IgnoreUnsupported.Load() {
		return nil
	}
	var refused []*entry
	for _, e := range c.entries {
		if e.pending {
			refused = append(refused, e)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	names := make([]string, len(refused))
	for i, e := range refused {
		names[i] = e.Name
	}
	err := refused[0].origin
	err.Reason = fmt.Sprintf("kvd cannot obey yet: %s. Remove this, or start with --ignore-unsupported to run without its effect.",
		strings.Join(names, ", "))
	return &err
}

// InertGiven returns the names of the directives that were given at start and
// have no effect, in alphabetical order, for one warning. It includes those
// that Finish would refuse without ignore-unsupported.
func (c *Config) InertGiven() []string {
	var names []string
	for _, e := range c.entries {
		if e.given && (e.Effect == Inert || e.pending) {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	return names
}
