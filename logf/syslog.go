//go:build unix

package logf

import (
	"fmt"
	"log/syslog"
)

// facilities are the names that the directive syslog-facility knows.
var facilities = map[string]syslog.Priority{"user": syslog.LOG_USER, "local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1,
	"local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3, "local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5,
	"local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7}

// dialSyslog connects to the system's logger; tests have one of their own.
var dialSyslog = func(p syslog.Priority, ident string) (*syslog.Writer, error) { return syslog.New(p, ident) }

// Syslog has every line go to the system's logger, too, under this name and as of this
// facility.
func (l *Logger) Syslog(ident, facility string) error {
	f, ok := facilities[facility]
	if !ok {
		return fmt.Errorf("%q is no facility of the system's log", facility)
	}
	w, err := dialSyslog(f|syslog.LOG_NOTICE, ident)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.system = func(level Level, text string) {
		// As of Redis: what is verbose here is information there.
		switch level {
		case Debug:
			_ = w.Debug(text)
		case Verbose:
			_ = w.Info(text)
		case Notice:
			_ = w.Notice(text)
		default:
			_ = w.Warning(text)
		}
	}
	return nil
}
