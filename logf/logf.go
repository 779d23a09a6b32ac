// Package logf writes the server's log in the line format that Redis
// operators and tools already parse:
//
//	PID:ROLE dd Mon yyyy hh:mm:ss.mmm C text
//
// ROLE is M (master), S (replica), C (child, also start-up) or X (sentinel);
// C is one character for the level: '.' debug, '-' verbose, '*' notice,
// '#' warning.
//
// The package only formats and writes lines: it knows nothing of the
// configuration, never exits the process and never reports its own failures
// to the caller (a server must not stop because its log disk is full).
package logf

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"kvd/lockrank"
)

// Level orders messages by importance; a logger drops what is below its own level.
type Level int32

// The levels, in the order of the "loglevel" directive's values.
const (
	Debug Level = iota
	Verbose
	Notice
	Warning
	Nothing // as a logger's level: drop everything
)

var levelNames = [...]string{"debug", "verbose", "notice", "warning", "nothing"}

const levelChars = ".-*#"

// String returns the level's name as the "loglevel" directive spells it.
func (l Level) String() string {
	if l < Debug || l > Nothing {
		return "unknown"
	}
	return levelNames[l]
}

// ParseLevel returns the level of that name, in any letter case; ok is false for other text.
func ParseLevel(name string) (level Level, ok bool) {
	for i, n := range levelNames {
		if strings.EqualFold(n, name) {
			return Level(i), true
		}
	}
	return Notice, false
}

// The roles that a log line may name.
const (
	RoleMaster   = 'M'
	RoleReplica  = 'S'
	RoleChild    = 'C'
	RoleSentinel = 'X'
)

// Logger writes log lines. All methods may be called concurrently; level and
// role may be changed while others log.
type Logger struct {
	pid   int
	path  string // "" writes to out and never reopens
	level atomic.Int32
	role  atomic.Int32

	// mu keeps lines whole and in order, and protects out, file, info and
	// buf. It is held during the write: a slow log disk delays loggers, which
	// is what a log in order costs. Nothing else is called under it.
	mu   lockrank.Mutex[lockrank.Logf]
	out  io.Writer
	file *os.File
	info os.FileInfo // of file, as it was opened
	buf  []byte
	now  func() time.Time
	// system is the system's logger; nil: none.
	system func(Level, string)
	format atomic.Int32 // a Format
	stamps atomic.Int32 // a place in Timestamps
}

// Format is how lines are written.
type Format int32

// The formats, as the directive log-format names them.
const (
	Legacy Format = iota // Redis's
	Logfmt               // key=value
	JSON                 // an object a line
)

// Formats are their names.
var Formats = []string{"legacy", "logfmt", "json"}

// SetFormat changes how the lines that follow are written; false: there is no such
// format.
func (l *Logger) SetFormat(name string) bool {
	for i, n := range Formats {
		if n == name {
			l.format.Store(int32(i))
			return true
		}
	}
	return false
}

// Timestamps are the ways to say the time, as log-timestamp-format names them. Legacy
// says it as each Format does by itself.
var Timestamps = []string{"legacy", "iso8601", "milliseconds"}

// SetTimestamps changes how the lines that follow say the time; false: there is no such
// way.
func (l *Logger) SetTimestamps(name string) bool {
	i := slices.Index(Timestamps, name)
	if i >= 0 {
		l.stamps.Store(int32(i))
	}
	return i >= 0
}

// appendTime says the time; layout is that of the line's format.
func (l *Logger) appendTime(b []byte, layout string) []byte {
	switch l.stamps.Load() {
	case 1:
		layout = isoTime
	case 2:
		return strconv.AppendInt(b, l.now().UnixMilli(), 10)
	}
	return l.now().AppendFormat(b, layout)
}

const isoTime = "2006-01-02T15:04:05.000Z07:00"

// roleNames are the roles in words.
var roleNames = map[byte]string{RoleMaster: "master", RoleReplica: "replica", RoleChild: "child", RoleSentinel: "sentinel"}

// line appends a message in the logger's format, with the end of the line.
func (l *Logger) line(b []byte, level Level, format string, args []any) []byte {
	role := byte(l.role.Load())
	f := Format(l.format.Load())
	if f == Legacy {
		b = strconv.AppendInt(b, int64(l.pid), 10)
		b = append(b, ':', role, ' ')
		b = l.appendTime(b, "02 Jan 2006 15:04:05.000")
		b = append(b, ' ', levelChars[level], ' ')
		b = fmt.Appendf(b, format, args...)
		return append(b, '\n')
	}
	stamp := l.appendTime(nil, isoTime)
	text := fmt.Sprintf(format, args...)
	if f == JSON {
		quoted, _ := json.Marshal(text) // a string cannot fail; what is no UTF-8 is replaced
		b = append(b, `{"pid":`...)
		b = strconv.AppendInt(b, int64(l.pid), 10)
		b = fmt.Appendf(b, `,"role":"%s","timestamp":"%s","level":"%s","message":`, roleNames[role], stamp, level)
		return append(append(b, quoted...), '}', '\n')
	}
	b = append(b, "pid="...)
	b = strconv.AppendInt(b, int64(l.pid), 10)
	b = fmt.Appendf(b, " role=%s timestamp=\"%s\" level=%s message=", roleNames[role], stamp, level)
	return append(strconv.AppendQuote(b, text), '\n')
}

// New returns a logger for the file at path, opened for append and created
// when missing; an empty path means standard output. The role starts as
// RoleChild. The error is that of opening the file.
func New(path string, level Level) (*Logger, error) {
	l := newLogger(level)
	if path == "" {
		l.out = os.Stdout
		return l, nil
	}
	// The working directory may change (the dir directive); the log must not move with it.
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	l.path = abs
	if err := l.reopen(); err != nil {
		return nil, err
	}
	return l, nil
}

// NewWriter returns a logger that writes each line to w with one Write call.
func NewWriter(w io.Writer, level Level) *Logger {
	l := newLogger(level)
	l.out = w
	return l
}

func newLogger(level Level) *Logger {
	l := &Logger{pid: os.Getpid(), now: time.Now}
	l.level.Store(int32(level))
	l.role.Store(RoleChild)
	return l
}

// Path is the log's file, "" if it goes to a stream.
func (l *Logger) Path() string { return l.path }

// SetLevel changes the level; lines already being written are not affected.
func (l *Logger) SetLevel(level Level) { l.level.Store(int32(level)) }

// Level returns the current level.
func (l *Logger) Level() Level { return Level(l.level.Load()) }

// SetRole changes the role letter that lines carry from now on.
func (l *Logger) SetRole(role byte) { l.role.Store(int32(role)) }

// Enabled reports whether a message of that level would be written, for
// callers whose arguments are costly to compute.
func (l *Logger) Enabled(level Level) bool {
	return level >= Level(l.level.Load()) && level < Nothing
}

// Debugf logs what only a developer wants to see.
func (l *Logger) Debugf(format string, args ...any) { l.Logf(Debug, format, args...) }

// Verbosef logs rarely useful detail.
func (l *Logger) Verbosef(format string, args ...any) { l.Logf(Verbose, format, args...) }

// Noticef logs what a production server should say.
func (l *Logger) Noticef(format string, args ...any) { l.Logf(Notice, format, args...) }

// Warningf logs what an operator must see.
func (l *Logger) Warningf(format string, args ...any) { l.Logf(Warning, format, args...) }

// Logf logs at the given level.
func (l *Logger) Logf(level Level, format string, args ...any) {
	if !l.Enabled(level) || level < Debug {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// The clock is read under the lock so that time stamps never run backwards in the file.
	b := l.line(l.buf[:0], level, format, args)
	if cap(b) <= 64<<10 { // do not keep one huge line's buffer for ever
		l.buf = b
	}
	if l.path != "" && l.rotated() {
		// A failed reopen leaves the old file in use: its lines may still be read there.
		_ = l.reopen()
	}
	if l.out != nil {
		_, _ = l.out.Write(b)
	}
	if l.system != nil {
		l.system(level, fmt.Sprintf(format, args...))
	}
}

// rotated reports whether the path no longer names the open file: log
// rotation moved or removed it. One stat costs about a microsecond, against
// the open and close for each line that it replaces. l.mu must be held.
func (l *Logger) rotated() bool {
	if l.file == nil {
		return true
	}
	now, err := os.Stat(l.path)
	return err != nil || !os.SameFile(now, l.info)
}

// reopen opens the path and only then closes what was open before. l.mu must
// be held, or l not yet shared.
func (l *Logger) reopen() error {
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	if l.file != nil {
		_ = l.file.Close()
	}
	l.file, l.out, l.info = f, f, info
	return nil
}

// Close closes the log file, if the logger has one; lines logged afterwards
// open it again, so a late goroutine loses nothing.
func (l *Logger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file, l.out = nil, nil
	return err
}
