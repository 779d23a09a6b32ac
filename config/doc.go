// Package config holds every configuration directive: the table that declares
// them, the readers of redis.conf and of command-line flags, and the
// semantics of CONFIG GET, CONFIG SET and CONFIG REWRITE.
//
// Each directive is one row of the table in directives.go: its name, type,
// default, range, whether it may change at run time, and its Effect. A row
// with effect Acts has a typed field in Config, found by the field's
// `directive` tag; the hot paths read it with one atomic Load. A row with
// effect Inert keeps its value (CONFIG GET answers it) and is warned about
// when somebody sets it, so that no option is accepted in silence. A row with
// effect Refuse stops the start when it is given a value other than its
// default. Making a feature work means changing one word of its row.
//
// Concurrency: the handles in Config are atomics; Load never blocks and may
// run at any time. A CONFIG SET of several directives changes them one after
// the other: a concurrent reader may see the first changed and the second not
// yet, or a value that is rolled back a moment later. Set and Rewrite exclude
// each other. The Load... functions and On... registrations belong to
// start-up, before the Config is shared.
//
// This is a leaf package: it imports nothing of the server but package glob, opens no socket
// and prints nothing. The files that it touches are the configuration files,
// the log file (only to see whether it can be opened) and the working
// directory, which is what the "dir" directive names.
package config

// RedisVersion is the Redis release whose commands, answers and messages this server
// has: what INFO, HELLO and --version say, and by which clients choose what to send. Some
// commands and options are of later releases. Directives and defaults are those of 7.0.
const RedisVersion = "8.0.0"
