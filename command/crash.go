package command

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// logPanic logs what a panic was about, with the stack if crash-log-enabled says so.
// The stack holds no arguments of commands; the panic's text may, and is left out
// where hide-user-data-from-log says so.
func (s *Server) LogPanic(r any, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	text := fmt.Sprint(r)
	if _, harmless := r.(runtime.Error); !harmless && s.Config.HideUserData.Load() {
		text = "the reason may hold user data and is not logged (hide-user-data-from-log)"
	}
	if s.Config.CrashLogEnabled.Load() {
		text += "\n" + string(debug.Stack())
	}
	s.Log.Warningf("Panic in %s: %s", what, text)
}
