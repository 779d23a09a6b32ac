package commandtest_test

import (
	"strings"
	"testing"

	"kvd/command"
	"kvd/command/commandtest"
	"kvd/keyspace"
	"kvd/types"
)

// A family of three commands, as a newcomer would write it: a stack of words, which is a
// list. Beside its package (this file), a real one has its line in package families and
// its forms in tests/differ/table.go: three places.
func toyRows() []*command.Row {
	row := func(name string, fn func(*command.Ctx), arity int, flags command.Flag, keyFlags, summary, syntax string) *command.Row {
		return &command.Row{Name: name, Fn: fn, Arity: arity, Flags: flags, First: 1, Last: 1, Step: 1, KeyFlags: keyFlags,
			Since: "1.0.0", Group: "toy", Summary: summary, Complexity: "O(1)", Syntax: syntax}
	}
	return []*command.Row{
		row("toy.push", toyPush, 3, command.Write|command.DenyOOM|command.Fast, "RW insert", "Puts a word on a stack.", "key word"),
		row("toy.pop", toyPop, 2, command.Write|command.Fast, "RW access delete", "Takes the last word from a stack.", "key"),
		row("toy.wait", toyWait, 3, command.Write|command.Blocking, "RW access delete", "Takes the last word from a stack, and waits for one.", "key timeout"),
	}
}

func toyPush(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TList, &e) {
		return
	}
	var l types.List
	was := c.Open(k, &e, &l)
	l.PushBack(c.Args[2])
	c.Store(k, was, &l, types.TList, false)
	c.Dirty++
	c.Notify('l', "toy.push", k)
	c.Ready(k)
	c.W.Int(int64(l.Len()))
}

func toyPop(c *command.Ctx) {
	if !toyTake(c, &c.Keys[0]) {
		c.W.Null()
	}
}

// toyTake replies with the last word; false: there is none, and nothing is replied.
func toyTake(c *command.Ctx, k *keyspace.Key) bool {
	var e keyspace.Entry
	if !c.LookupType(k, types.TList, &e) {
		return true
	}
	if !e.Exists() {
		return false
	}
	var l types.List
	was := c.Open(k, &e, &l)
	word, _ := l.PopBack()
	command.WriteElem(c.W, word)
	c.Store(k, was, &l, types.TList, l.Len() == 0)
	c.Dirty++
	c.Effect([]byte("TOY.POP"), k.B)
	return true
}

func toyWait(c *command.Ctx) {
	ms, ok := c.Timeout(2)
	switch {
	case !ok || toyTake(c, &c.Keys[0]):
	case !c.CanBlock():
		c.W.Null()
	default:
		c.Block(c.Keys, command.Wait{Timeout: ms, TimedOut: command.NullArray, Serve: toyTake})
	}
}

func TestToyFamily(t *testing.T) {
	s := commandtest.New(t, toyRows()...)
	s.Want("TOY.PUSH k a", ":1\n")
	s.Want("TOY.PUSH k b", ":2\n")
	s.Want("TOY.POP k", "$1\nb\n")
	s.Want("TOY.WAIT k 0", "$1\na\n")
	s.Want("TOY.POP k", "$-1\n")
	s.WantEffects("TOY.PUSH k a", "TOY.PUSH k b", "TOY.POP k", "TOY.POP k")
	b := s.Block("TOY.WAIT k 0")
	s.Want("TOY.PUSH k c", ":1\n")
	b.Want("$1\nc\n")
	s.WantEffects("TOY.PUSH k c", "TOY.POP k")
	s.Want("SET s x", "+OK\n")
	s.Want("TOY.PUSH s c", "-WRONGTYPE Operation against a key holding the wrong kind of value\n")
	// What comes from the rows: arity, keys, COMMAND, transactions.
	s.Want("TOY.POP", "-ERR wrong number of arguments for 'toy.pop' command\n")
	s.Want("COMMAND GETKEYS TOY.PUSH k w", "*1\n$1\nk\n")
	if got := s.Run("COMMAND DOCS toy.wait"); !strings.Contains(got, "waits for one") {
		t.Errorf("COMMAND DOCS says %q", got)
	}
	for _, line := range []string{"MULTI", "TOY.PUSH k d", "TOY.POP k", "TOY.WAIT k 0"} {
		s.Run(line)
	}
	s.Want("EXEC", "*3\n:1\n$1\nd\n$-1\n")
	s.WantNoWaiters()
}
