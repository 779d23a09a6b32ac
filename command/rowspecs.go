package command

import "strings"

// What follows from a row: its categories, and where its keys are as clients are told.

// Categories lists the ACL categories as Redis does.
var Categories = strings.Fields("keyspace read write set sortedset list hash string bitmap hyperloglog geo stream array pubsub admin fast slow blocking dangerous connection transaction scripting")

// groupCategories are the categories that a group implies.
var groupCategories = map[string]string{
	"generic": "keyspace", "string": "string", "list": "list", "set": "set", "sorted-set": "sortedset", "hash": "hash", "bitmap": "bitmap",
	"hyperloglog": "hyperloglog", "geo": "geo", "stream": "stream", "array": "array", "pubsub": "pubsub", "connection": "connection", "transactions": "transaction", "scripting": "scripting",
}

// ACLCategories are the ACL categories of a row.
func (r *Row) ACLCategories() []string {
	has := map[string]bool{}
	// A container that is no command itself is in no group's category.
	if r.Fn != nil {
		has[groupCategories[r.Group]] = true
	}
	if r.Flags&Write != 0 {
		has["write"] = true
	}
	if r.Flags&ReadOnly != 0 && r.Group != "scripting" {
		has["read"] = true
	}
	if r.Flags&Admin != 0 {
		has["admin"], has["dangerous"] = true, true
	}
	if r.Flags&PubSub != 0 {
		has["pubsub"] = true
	}
	if r.Flags&Blocking != 0 {
		has["blocking"] = true
	}
	if r.Flags&Fast != 0 {
		has["fast"] = true
	} else {
		has["slow"] = true
	}
	for _, c := range strings.Fields(r.Categories) {
		if c, not := strings.CutPrefix(c, "-"); not {
			delete(has, c)
		} else {
			has[c] = true
		}
	}
	var names []string
	for _, c := range Categories {
		if has[c] {
			names = append(names, c)
		}
	}
	return names
}

// KeySpec says where keys are and what happens to them. Either Index or
// Unknown; and a range from there, or a number of keys at it.
type KeySpec struct {
	Flags   []string
	Unknown bool
	Index   int
	Counted bool // the argument at Index says how many keys follow
	Last    int  // of a range: the last key, as Redis counts from the first one
	Step    int
}

// KeySpecs derives the specs from First, Last and Step; keys that follow a
// count are found in the syntax ("numkeys key [key ...]"); what else a KeysFn
// finds is unknown to others. KeyFlags has one item for each, in order.
func (r *Row) KeySpecs() (specs []KeySpec) {
	items := strings.Split(r.KeyFlags, ";")
	add := func(s KeySpec) {
		s.Flags = strings.Fields(items[min(len(specs), len(items)-1)])
		specs = append(specs, s)
	}
	if r.First > 0 {
		last := r.Last
		if last > 0 {
			last -= r.First
		}
		switch {
		case len(items) < 2 || r.KeysFn != nil && r.Last == r.First:
			add(KeySpec{Index: r.First, Last: last, Step: r.Step})
		case r.Last < 0:
			add(KeySpec{Index: r.First, Step: 1})
			add(KeySpec{Index: r.First + 1, Last: last, Step: r.Step})
		default:
			for i := r.First; i <= r.Last; i += r.Step {
				add(KeySpec{Index: i, Step: 1})
			}
		}
	}
	if r.KeysFn != nil {
		if at := numKeysAt(r); at > 0 {
			add(KeySpec{Index: at, Counted: true, Step: 1})
		} else {
			add(KeySpec{Unknown: true})
		}
	}
	return
}

// numKeysAt is the position of the argument "numkeys", 0 if it has no fixed one.
func numKeysAt(r *Row) int {
	pos := 1
	if r.parent != nil {
		pos = 2
	}
	for _, w := range SyntaxWords(r.Syntax) {
		switch {
		case w == "numkeys":
			return pos
		case strings.Contains("[<|", w):
			return 0
		}
		pos++
	}
	return 0
}

// SyntaxWords splits a syntax into words and brackets.
func SyntaxWords(s string) (words []string) {
	for _, c := range "[]<>|" {
		s = strings.ReplaceAll(s, string(c), " "+string(c)+" ")
	}
	return strings.Fields(s)
}
