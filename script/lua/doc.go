// Package lua runs Lua 5.1 scripts: a compiler, a register machine and the
// libraries that Redis gives its scripts. It is a leaf: it knows no key, client
// or command.
//
// Compile turns a source into a Proto, which is immutable and may be shared
// between any number of States. A State is one machine, for one goroutine at a
// time; New makes it, Call runs a Proto or function on it.
//
// # Go functions
//
// A GoFunction gets a window of the script's stack: its n arguments are
// w[:n], and it puts its results from w[0] on and returns how many there are.
// The window has room for n+20 values; State.Need makes it longer.
//
// What runs Lua or may (Call, ToString, Index, SetIndex, LessThan, Equals) can
// move the stack: take the window anew (State.Window) after it. Values are
// words that may be kept in Go variables as long as one likes; they keep what
// they refer to alive.
//
// A Go function must not keep the window after it has returned, start
// goroutines that touch the State, or panic. It returns the errors that
// these functions give it at once and unchanged: the value that was thrown is
// in the State. An error is made by ArgError, TypeError, Errorf, Throw; any
// other Go error that is returned becomes a message without a position.
//
// Strings: Str() of a string is a view that stays valid. A string that is a
// piece of another is made by View; new bytes by NewString, which copies (build
// them in the buffer of State.Scratch), or by Alloc, which gives memory of
// exactly that size. All three count what they take against the run's memory,
// and fail before they take it. What a Go function allocates by itself in
// proportion to its arguments it charges first (Charge).
//
// Every loop whose length the script decides calls Step with the number of
// elementary steps it has made (each step some nanoseconds), a few dozen at a
// time if that is cheaper, and returns the error at once: this is how a script is killed.
package lua
