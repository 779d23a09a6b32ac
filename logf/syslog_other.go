//go:build !unix

package logf

import "errors"

// Syslog fails: there is no such logger here.
func (l *Logger) Syslog(ident, facility string) error { return errors.ErrUnsupported }
