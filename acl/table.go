package acl

import (
	"slices"
	"strings"
)

// Access is what a command does with a key, or a pattern allows.
type Access uint8

// The kinds of access, as bits. A command that does neither (EXISTS) may be called
// for a key that a pattern allows anything on.
const (
	Read Access = 1 << iota
	Write
)

// Command is a row of the command table. Its number is its place in the list that
// NewTable is given.
type Command struct {
	Name       string   // the full one, in lower case: "get", "config|set"
	Categories []string // without the @
	Parent     int      // the number of the container, -1: none
	NoAuth     bool     // anybody may call it, such as AUTH
}

// Table is the commands that rules can name. It does not change.
type Table struct {
	commands   []Command
	numbers    map[string]int
	subs       map[int][]int   // subcommands by container
	categories []string        // in the order of ACL CAT
	members    map[string]bits // by category
	everything bits
}

// NewTable makes a table of commands, and of the categories that there are.
func NewTable(categories []string, commands []Command) *Table {
	t := &Table{commands: commands, numbers: make(map[string]int, len(commands)), subs: map[int][]int{},
		categories: categories, members: make(map[string]bits, len(categories)), everything: newBits(len(commands))}
	for _, name := range categories {
		t.members[name] = newBits(len(commands))
	}
	for n, c := range commands {
		t.numbers[c.Name] = n
		t.everything.set(n, true)
		if c.Parent >= 0 {
			t.subs[c.Parent] = append(t.subs[c.Parent], n)
		}
		for _, name := range c.Categories {
			if b := t.members[name]; b != nil {
				b.set(n, true)
			}
		}
	}
	return t
}

// Categories are the names of all categories.
func (t *Table) Categories() []string { return t.categories }

// HasCategory tells whether there is a category of this name, in any case.
func (t *Table) HasCategory(name string) bool {
	return slices.Contains(t.categories, strings.ToLower(name))
}

// In tells whether a command is in a category, whose name is in any case.
func (t *Table) In(category string, command int) bool {
	return t.members[strings.ToLower(category)].has(command)
}

// lookup finds a command by its full name in any case.
func (t *Table) lookup(name string) (int, bool) {
	n, ok := t.numbers[strings.ToLower(name)]
	return n, ok
}

// bits is a set of commands by number.
type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }

func (b bits) has(i int) bool { return i>>6 < len(b) && b[i>>6]>>(i&63)&1 != 0 }

func (b bits) set(i int, on bool) {
	if on {
		b[i>>6] |= 1 << (i & 63)
	} else {
		b[i>>6] &^= 1 << (i & 63)
	}
}
