package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"kvd/config"
)

// memcachedCommand is `kvd memcached`: memcached's flags as directives.
func memcachedCommand(stdin io.Reader, start func(*config.Config) error) *cli.Command {
	return &cli.Command{
		Name:      "memcached",
		Usage:     "start as memcached is started: a cache without a disk",
		UsageText: "kvd memcached [-p PORT | -s SOCKET] [-l ADDRESS] [-m MEGABYTES] [-I SIZE] [-c CONNECTIONS] [-b BACKLOG] [-t THREADS] [-d] [-P FILE] [-M] [-F] [-X] [-A] [-v] [--directive value ...]",
		Description: "The memory is limited (-m, 64 MB), what was used least recently is evicted, nothing is written to a disk, and only clients of memcached\n" +
			"are served. Directives of kvd may follow, and say more: --port 6379 lets clients of Redis in.",
		SkipFlagParsing: true,
		HideHelp:        true,
		Action: func(ctx *cli.Context) error {
			args := ctx.Args().Slice()
			if len(args) > 0 && (args[0] == "-h" || args[0] == "--help") {
				return cli.ShowSubcommandHelp(ctx)
			}
			directives, err := memcachedArgs(args)
			if err != nil {
				return err
			}
			cfg, err := loadConfig(directives, stdin)
			if err != nil {
				return err
			}
			return start(cfg)
		},
	}
}

// memcachedFlags are memcached's flags of one letter that take a value, with the directive
// that each is.
var memcachedFlags = map[string]string{"-p": "memcached-port", "-m": "maxmemory", "-I": "memcached-item-size-max", "-c": "maxclients", "-b": "tcp-backlog", "-t": "io-threads",
	"-P": "pidfile", "-l": "bind", "-s": "memcached-unixsocket"}

// memcachedBare are those without a value.
var memcachedBare = map[string][]string{"-M": {"--maxmemory-policy", "noeviction"}, "-F": {"--memcached-flush-all", "no"}, "-X": {"--memcached-dump", "no"}, "-W": {"--memcached-watch", "no"},
	"-A": {"--memcached-shutdown", "yes"}, "-d": {"--daemonize", "yes"}, "-v": {"--loglevel", "verbose"}, "-vv": {"--loglevel", "debug"}, "-vvv": {"--loglevel", "debug"}}

// memcachedArgs are the directives that memcached's flags stand for.
func memcachedArgs(args []string) ([]string, error) {
	out := []string{"--port", "0", "--memcached-port", "11211", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--maxclients", "1024", "--save", "", "--appendonly", "no"}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if strings.HasPrefix(arg, "--") {
			return append(out, args[i:]...), nil
		}
		if bare := memcachedBare[arg]; bare != nil {
			out = append(out, bare...)
			continue
		}
		name, value := arg, ""
		if len(arg) > 2 { // -m64
			name, value = arg[:2], arg[2:]
		} else if i++; i < len(args) {
			value = args[i]
		}
		directive := memcachedFlags[name]
		switch {
		case name == "-U" && value == "0", name == "-u" && value != "": // no UDP; who runs it is the caller's business
			continue
		case directive == "" || value == "":
			return nil, fmt.Errorf("kvd memcached: %s is no flag that kvd knows, or lacks its value; see kvd memcached --help", arg)
		case name == "-m":
			if value == "0" {
				return nil, errors.New("kvd memcached: -m 0 is no limit; say --maxmemory 0")
			}
			value += "mb"
		case name == "-I":
			value = strings.ToLower(value)
			if strings.HasSuffix(value, "k") || strings.HasSuffix(value, "m") {
				value += "b" // memcached's units are of 1,024
			}
		case name == "-s": // it listens on no port then
			out = append(out, "--memcached-port", "0")
		case name == "-l":
			out = append(append(out, "--bind"), strings.Split(value, ",")...)
			continue
		}
		out = append(out, "--"+directive, value)
	}
	return out, nil
}
