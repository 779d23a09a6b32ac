package command

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestTwoServers runs two servers of one process side by side, which have
// different names of commands, directives and data.
func TestTwoServers(t *testing.T) {
	a := newTestServer(t, [2]string{"set", "put"}, [2]string{"flushall", ""}, [2]string{"client", "cl"})
	b := newTestServer(t, [2]string{"get", "set2"}, [2]string{"set", "get"}, [2]string{"set2", "set"})
	var wg sync.WaitGroup
	for _, f := range []func(){
		func() {
			a.want("config set hash-max-listpack-entries 1", "+OK\n")
			for i := range 200 {
				a.want(fmt.Sprintf("put k %d", i), "+OK\n")
				a.want("get k", fmt.Sprintf("$%d\n%d\n", len(fmt.Sprint(i)), i))
			}
			a.want("hset h a 1 b 2", ":2\n")
			a.want("object encoding h", "$9\nhashtable\n")
			a.want("set k v", "-ERR unknown command 'set', with args beginning with: 'k' 'v' \n")
			a.want("flushall", "-ERR unknown command 'flushall', with args beginning with: \n")
			a.want("cl getname", "$-1\n")
		},
		func() {
			for i := range 200 {
				b.want(fmt.Sprintf("get k other%d", i), "+OK\n")
				b.want("set k", fmt.Sprintf("$%d\nother%d\n", 5+len(fmt.Sprint(i)), i))
			}
			b.want("hset h a 1 b 2", ":2\n")
			b.want("object encoding h", "$8\nlistpack\n")
			b.want("put k v", "-ERR unknown command 'put', with args beginning with: 'k' 'v' \n")
			b.want("client getname", "$-1\n")
			b.want("eval return{redis.call('get','k','v'),redis.pcall('put','k','v')} 0", "*2\n+OK\n-ERR Unknown Redis command called from script\n")
			b.want("flushall", "+OK\n")
			b.want("dbsize", ":0\n")
		},
	} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f()
		}()
	}
	wg.Wait()
	a.want("dbsize", ":2\n")
	for _, s := range []struct {
		s          *testServer
		has, hasnt string
	}{{a, "cmdstat_set:calls=200", "cmdstat_flushall"}, {b, "cmdstat_flushall:calls=1", "cmdstat_put"}} {
		if info := s.s.run("info commandstats"); !strings.Contains(info, s.has) || strings.Contains(info, s.hasnt) {
			t.Errorf("%s", info)
		}
	}
}

// TestTableErrors: what can only be a slip in a row is found.
func TestTableErrors(t *testing.T) {
	ok := Row{Name: "a", Fn: func(*Ctx) {}, Arity: 1, Since: "1.0.0", Group: "generic", Summary: "Does."}
	with := func(change func(r *Row)) *Row {
		r := ok
		change(&r)
		return &r
	}
	if table, err := NewTable([]*Row{&ok}); err != nil || table.Size() != 1 || table.Lookup([]byte("A")) == &ok {
		t.Fatalf("%v, %v", table, err)
	}
	for name, rows := range map[string][]*Row{
		"two of one name": {&ok, &ok},
		"upper case":      {with(func(r *Row) { r.Name = "A" })},
		"no function":     {with(func(r *Row) { r.Fn = nil })},
		"no arity":        {with(func(r *Row) { r.Arity = 0 })},
		"no summary":      {with(func(r *Row) { r.Summary = "" })},
		"no group":        {with(func(r *Row) { r.Group = "" })},
		"a bad sub":       {with(func(r *Row) { r.Sub = []*Row{with(func(r *Row) { r.Since = "" })} })},
	} {
		if _, err := NewTable(rows); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}
