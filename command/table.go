package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Table is the commands of a server: the rows of its families, numbered, by the
// names that clients use. It is made and renamed in before there is a Server of
// it, and does not change then, so it is read without a lock.
type Table struct {
	byName map[string]*Row // by the names that clients use, in lower case
	quick  quickRows
	rows   []*Row          // containers and subcommands alike, by num
	hidden map[string]*Row // those with a Front, by their names

	sections []Section // of INFO, in its order
}

// NewTable makes a table of families' rows. It copies them, so two tables share
// nothing that changes. An error is a slip in a row, or two of one name.
func NewTable(families ...[]*Row) (*Table, error) {
	t := &Table{byName: make(map[string]*Row), hidden: make(map[string]*Row), sections: infoSections()}
	for _, rows := range families {
		for _, r := range rows {
			if t.byName[r.Name] != nil || t.hidden[r.Name] != nil {
				return nil, fmt.Errorf("two commands are called %s", r.Name)
			}
			own, err := t.enter(r, nil)
			if err != nil {
				return nil, err
			}
			if own.Front != "" {
				t.hidden[own.Name] = own
				continue
			}
			t.byName[own.Name] = own
			t.quick.enter(own)
		}
	}
	return t, nil
}

// enter copies a row and its subcommands into the table.
func (t *Table) enter(of, parent *Row) (*Row, error) {
	r := new(Row)
	*r = *of
	r.parent, r.full, r.num = parent, r.Name, len(t.rows)
	r.called = parent == nil && r.Front == ""
	if parent != nil {
		r.full = parent.Name + "|" + r.Name
		if r.Group == "" {
			r.Group = parent.Group
		}
		r.Flags |= parent.Flags & KeepsCaching
	}
	t.rows = append(t.rows, r)
	if r.Info != nil {
		if slices.ContainsFunc(t.sections, func(s Section) bool { return s.Name == r.Info.Name }) {
			return nil, fmt.Errorf("two sections of INFO are called %s", r.Info.Name)
		}
		t.sections = slices.Insert(t.sections, len(t.sections)-1, *r.Info) // keysizes stays the last one
	}
	r.notKeys = r.KeyFlags == "not_key"
	r.reads = r.Flags&CountsReads != 0 || r.Flags&ReadOnly != 0 && parent == nil
	r.applied = r.effect()
	if r.Parts != NoParts {
		r.makeLong()
	}
	if r.Fn == nil && len(r.Sub) == 0 || r.Arity == 0 || r.Since == "" || r.Group == "" || r.Summary == "" || r.Name != strings.ToLower(r.Name) {
		return nil, fmt.Errorf("the row of %s is not complete", r.full)
	}
	r.Sub = slices.Clone(r.Sub)
	for i, s := range r.Sub {
		own, err := t.enter(s, r)
		if err != nil {
			return nil, err
		}
		r.Sub[i] = own
	}
	return r, nil
}

// Size is the number of rows; Row.Num is below it.
func (t *Table) Size() int { return len(t.rows) }

// Rows lists all rows, subcommands and hidden ones among them, by their numbers.
func (t *Table) Rows() []*Row { return slices.Clone(t.rows) }

// Rename makes a command known to clients by another name, or by none if to is
// empty; inside, and in what is journaled, it keeps its own. It is for the
// start, before any Server is made of the table. The error's text is Redis's.
func (t *Table) Rename(from, to string) error {
	r := t.Lookup([]byte(from))
	if r == nil {
		return errors.New("No such command in rename-command")
	}
	to = strings.ToLower(to)
	if to != "" && t.byName[to] != nil && t.byName[to] != r {
		return errors.New("Target command name already exists")
	}
	delete(t.byName, strings.ToLower(from))
	r.renamed = to != r.Name
	r.called = !r.renamed
	if to != "" {
		t.byName[to] = r
	}
	return nil
}

// Lookup finds a command by the name that clients use, in any case; nil if there
// is none.
func (t *Table) Lookup(name []byte) *Row {
	if r := t.quick.find(name); r != nil {
		return r
	}
	var low [32]byte
	if len(name) > len(low) {
		return nil
	}
	for i, c := range name {
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	return t.byName[string(low[:len(name)])]
}

// quickRows are most rows, by what some letters of their names say: scripts look up a row for
// each call, and to spell a name in lower case and to hash it takes longer than short commands do.
type quickRows [1024]*Row

// slot is the place of a name, which is not empty, in any case. The factors are no more than
// those, of some that were tried, with which most rows have a place to themselves.
func (q *quickRows) slot(name []byte) **Row {
	n := uint(len(name))
	first, middle, last := uint(name[0]|0x20), uint(name[n/2]|0x20), uint(name[n-1]|0x20)
	return &q[(first*598+middle*465+last*158+n*728)%uint(len(q))]
}

func (q *quickRows) enter(r *Row) {
	if at := q.slot([]byte(r.Name)); *at == nil {
		*at = r
	}
}

// find is the row that clients call by a name, nil if it is not here.
func (q *quickRows) find(name []byte) *Row {
	if len(name) == 0 {
		return nil
	}
	if r := *q.slot(name); r != nil && r.called && EqualFold(name, r.Name) {
		return r
	}
	return nil
}

// lookupInside finds a command by its own name, whatever clients call it.
func (t *Table) lookupInside(name []byte) *Row {
	for _, r := range t.rows {
		if r.renamed && r.parent == nil && EqualFold(name, r.Name) {
			return r
		}
	}
	return t.Lookup(name)
}

// Hidden finds a row of another protocol than Redis's by its name; nil if there is none.
func (t *Table) Hidden(name string) *Row { return t.hidden[name] }

// ByFullName finds a row by a name like "client|list", in any case.
func (t *Table) ByFullName(name []byte) *Row {
	top, sub, isSub := strings.Cut(string(name), "|")
	r := t.Lookup([]byte(top))
	if r == nil || !isSub {
		return r
	}
	return r.sub([]byte(sub))
}

// Find finds the row of a call, whose arguments begin with the name; nil if there is
// no such command or subcommand.
func (t *Table) Find(args [][]byte) *Row {
	r := t.Lookup(args[0])
	if r != nil && len(r.Sub) > 0 && len(args) > 1 {
		r = r.sub(args[1])
	}
	return r
}

// Top lists the commands that are not subcommands, by name.
func (t *Table) Top() []*Row {
	rows := make([]*Row, 0, len(t.byName))
	for _, r := range t.byName {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *Row) int { return strings.Compare(a.Name, b.Name) })
	return rows
}
