package command

import (
	"fmt"
	"strings"
	"time"

	"kvd/resp/wire"
)

// INFO, and what its sections are written with.

func infoRows() []*Row {
	return []*Row{{Name: "info", Fn: cmdInfo, Arity: -1, Flags: Loading | Stale | Walks | WalksPast, Since: "1.0.0", Group: "server", Categories: "dangerous",
		Summary: "Returns what is to know of the server, in sections.", Complexity: "O(N) in the number of commands and stripes; for keysizes, of keys", Syntax: "[section [section ...]]",
		Tips: "nondeterministic_output request_policy:all_shards response_policy:special"}}
}

// Section is a section of INFO.
type Section struct {
	Name string // lower case
	// Extra: INFO shows it to those who ask for it, or for all, and the figures that
	// are watched from outside (Server.Figures) leave it out.
	Extra bool
	Write func(*InfoWriter)
}

// InfoWriter gathers the text of INFO. A section writes with Field.
type InfoWriter struct {
	strings.Builder
	s      *Server
	now    time.Time
	locked bool // all stripes are

	counted bool
	totals  totals
}

// Server is the one that INFO tells of.
func (w *InfoWriter) Server() *Server { return w.s }

// Field writes one; a bool is 1 or 0.
func (w *InfoWriter) Field(name string, value any) {
	switch value {
	case true:
		value = 1
	case false:
		value = 0
	}
	fmt.Fprintf(w, "%s:%v\r\n", name, value)
}

// Fields writes several, each given as "name:value".
func (w *InfoWriter) Fields(lines ...string) {
	for _, l := range lines {
		w.WriteString(l)
		w.WriteString("\r\n")
	}
}

func cmdInfo(c *Ctx) {
	var basic, all bool
	want := map[string]bool{}
	for _, a := range c.Args[1:] {
		switch name := strings.ToLower(string(a)); name {
		case "default":
			basic = true
		case "all", "everything":
			all = true
		default:
			want[name] = true
		}
	}
	basic = basic || len(c.Args) == 1
	w := &InfoWriter{s: c.S, now: c.x.now, locked: c.HoldsAll()}
	write := func(out *wire.Writer) {
		for _, sec := range c.S.Table.sections {
			if !(all && sec.Name != keySizes) && !(basic && !sec.Extra) && !want[sec.Name] {
				continue
			}
			if w.Len() > 0 {
				w.WriteString("\r\n")
			}
			title := strings.ToUpper(sec.Name[:1]) + sec.Name[1:]
			if sec.Name == "cpu" || sec.Name == "tls" {
				title = strings.ToUpper(sec.Name)
			}
			w.Fields("# " + title)
			sec.Write(w)
		}
		out.Verbatim("txt", w.String())
	}
	if want[keySizes] {
		c.Background(write)
	} else {
		write(c.W)
	}
}
