// Command generate makes what packages hold besides the program, from the table of
// directives: `generate man` the man page, `generate bash` the completions of bash.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"kvd/config"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	switch {
	case len(os.Args) == 2 && os.Args[1] == "man":
		man(out)
	case len(os.Args) == 2 && os.Args[1] == "bash":
		bash(out)
	default:
		fmt.Fprintln(os.Stderr, "generate man | bash")
		os.Exit(2)
	}
}

// commands are those of the program, with what each takes.
var commands = [][2]string{
	{"check", "[--fix] FILE-or-DIR ..."}, {"memcached", "[-m MEGABYTES] [-p PORT] ..."}, {"backup", "[--from SERVER] DIR"}, {"restore", "--to DIR [--until TIME] BACKUP"},
	{"import", "[--to SERVER] [--follow | --scan] [--replace] SOURCE"}, {"compare", "A B"}, {"top", "[SERVER]"},
}

// roff is text for a man page.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}

func man(w io.Writer) {
	fmt.Fprintln(w, `.TH KVD 1
.SH NAME
kvd \- a Redis\-protocol data\-structure server
.SH SYNOPSIS
.B kvd
[\fI/path/to/redis.conf\fR] [\fB\-\-\fIdirective value\fR ...] [\fB\-\fR]`)
	for _, c := range commands {
		fmt.Fprintf(w, ".br\n.B kvd %s\n%s\n", roff(c[0]), roff(c[1]))
	}
	fmt.Fprintln(w, `.SH DESCRIPTION
kvd takes flags and redis.conf files as redis\-server does and serves the Redis protocol. A lone \fB\-\fR reads more of the configuration from standard input.
Each command tells more with \fB\-\-help\fR.
.SH SIGNALS
SIGTERM and SIGINT end the server as the command SHUTDOWN does; a second SIGINT ends it at once. SIGHUP is ignored.
.SH EXIT STATUS
0, or 1 where the server could not start or save, and where \fBcheck\fR finds damage, \fBcompare\fR a difference, or \fBimport\fR something that was refused.
.SH DIRECTIVES
Each is a line of the configuration file, and a flag.`)
	for _, group := range config.Groups {
		fmt.Fprintf(w, ".SS %s\n", roff(group))
		for _, d := range config.Directives() {
			if d.Group != group || d.Flags&config.Hidden != 0 {
				continue
			}
			deflt := d.Default
			if deflt == "" {
				deflt = `""`
			}
			fmt.Fprintf(w, ".TP\n.B %s\n%s Default: %s.", roff(d.Name), roff(d.Help), roff(deflt))
			switch {
			case d.Effect == config.Inert:
				fmt.Fprintf(w, " It has no effect: %s", roff(d.Why))
			case d.Effect == config.Refuse:
				fmt.Fprint(w, " Unsupported: anything but the default is refused.")
			case d.Changeable():
				fmt.Fprint(w, " CONFIG SET changes it.")
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintln(w, `.SH FILES
/etc/kvd/kvd.conf, /var/lib/kvd
.SH SEE ALSO
redis\-cli(1)`)
}

func bash(w io.Writer) {
	var names, flags []string
	for _, c := range commands {
		names = append(names, c[0])
	}
	for _, d := range config.Directives() {
		if d.Flags&config.Hidden == 0 {
			flags = append(flags, "--"+d.Name)
		}
	}
	fmt.Fprintf(w, `# Completions of bash for kvd.
_kvd() {
	local word=${COMP_WORDS[COMP_CWORD]}
	case $word in
	-*) COMPREPLY=($(compgen -W '%s --help --version' -- "$word")) ;;
	*)
		COMPREPLY=()
		[ "$COMP_CWORD" = 1 ] && COMPREPLY=($(compgen -W '%s' -- "$word"))
		COMPREPLY+=($(compgen -f -- "$word"))
		;;
	esac
}
complete -o filenames -F _kvd kvd
`, strings.Join(flags, " "), strings.Join(names, " "))
}
