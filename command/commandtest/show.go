package commandtest

import (
	"fmt"
	"strings"
	"testing"

	"kvd/command"
)

// Show runs command lines on a server that has the commands of rows too, and prints each
// with its reply (" " for CRLF) and what was journaled. It is for examples, which have no
// testing.TB.
func Show(rows []*command.Row, lines ...string) {
	t := &printer{}
	defer t.end()
	s := New(t, rows...)
	for _, line := range lines {
		reply := strings.TrimSuffix(strings.ReplaceAll(s.Run(line), "\r\n", " "), " ")
		fmt.Printf("%s -> %s", line, reply)
		if len(s.Effects) > 0 {
			fmt.Printf(" (journaled: %s)", strings.Join(s.Effects, "; "))
		}
		fmt.Println()
		s.Effects = nil
	}
}

// printer is a testing.TB that prints what is wrong.
type printer struct {
	testing.TB
	cleanups []func()
}

func (p *printer) Helper()                   {}
func (p *printer) Cleanup(f func())          { p.cleanups = append(p.cleanups, f) }
func (p *printer) Error(args ...any)         { fmt.Println(args...) }
func (p *printer) Errorf(f string, a ...any) { fmt.Printf(f+"\n", a...) }
func (p *printer) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }

func (p *printer) end() {
	for _, f := range p.cleanups {
		f()
	}
}
