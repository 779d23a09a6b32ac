package acl

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kvd/glob"
)

// testTable is a small command table: its rows are these, by number.
func testTable() *Table {
	return NewTable([]string{"keyspace", "read", "write", "string", "admin", "dangerous", "fast", "slow", "pubsub", "connection"}, []Command{
		{Name: "get", Categories: []string{"read", "string", "fast"}, Parent: -1},
		{Name: "set", Categories: []string{"write", "string", "slow"}, Parent: -1},
		{Name: "del", Categories: []string{"keyspace", "write", "slow"}, Parent: -1},
		{Name: "keys", Categories: []string{"keyspace", "read", "slow", "dangerous"}, Parent: -1},
		{Name: "select", Categories: []string{"fast", "connection"}, Parent: -1},
		{Name: "config", Categories: []string{"slow"}, Parent: -1},
		{Name: "config|get", Categories: []string{"slow", "admin", "dangerous"}, Parent: 5},
		{Name: "config|set", Categories: []string{"slow", "admin", "dangerous"}, Parent: 5},
		{Name: "config|help", Categories: []string{"slow"}, Parent: 5},
		{Name: "auth", Categories: []string{"fast", "connection"}, Parent: -1, NoAuth: true},
		{Name: "publish", Categories: []string{"pubsub", "fast"}, Parent: -1},
		{Name: "psubscribe", Categories: []string{"pubsub", "slow"}, Parent: -1},
	})
}

func mustUser(t *testing.T, rules string) *User {
	t.Helper()
	table := testTable()
	u, err := NewUser(table, "u", false).With(table, strings.Fields(rules), Options{Databases: 16})
	if err != nil {
		t.Fatalf("%s: %v", rules, err)
	}
	return u
}

// call makes a Call of a line: its keys are the arguments from the second on.
func call(line string, access ...Access) *Call {
	table := testTable()
	words := strings.Fields(line)
	c := &Call{First: 1, DB: 0, Access: access}
	name := words[0]
	if n, ok := table.lookup(name); ok && len(table.subs[n]) > 0 {
		name += "|" + words[1]
		c.First = 2
	}
	n, ok := table.lookup(name)
	if !ok {
		panic(name)
	}
	c.Command, c.NoAuth = n, table.commands[n].NoAuth
	for i, w := range words {
		c.Args = append(c.Args, []byte(w))
		if i > 0 && len(access) > 0 {
			c.Keys = append(c.Keys, i)
		}
	}
	switch name {
	case "publish":
		c.ChannelFrom, c.ChannelTo = 1, 2
	case "psubscribe":
		c.ChannelFrom, c.ChannelTo, c.Patterns = 1, len(words), true
	}
	return c
}

// TestRules: how a user looks after rules, as ACL LIST shows it.
func TestRules(t *testing.T) {
	hash := Hash([]byte("p"))
	for _, test := range []struct{ rules, want string }{
		{"", "off sanitize-payload resetchannels -@all"},
		{"on nopass ~* &* +@all", "on nopass sanitize-payload ~* &* +@all"},
		{"ON NoPass AllKeys AllChannels AllCommands", "on nopass sanitize-payload ~* &* +@all"},
		{"on >p >p #" + hash, "on sanitize-payload #" + hash + " resetchannels -@all"},
		{">p nopass", "off nopass sanitize-payload resetchannels -@all"},
		{"nopass >p", "off sanitize-payload #" + hash + " resetchannels -@all"},
		{">p <p", "off sanitize-payload resetchannels -@all"},
		{">p !" + hash, "off sanitize-payload resetchannels -@all"},
		{">p resetpass", "off sanitize-payload resetchannels -@all"},
		{"skip-sanitize-payload", "off skip-sanitize-payload resetchannels -@all"},
		{"~a ~b ~a", "off sanitize-payload ~a ~b resetchannels -@all"},
		{"%R~a %W~a %RW~b %w~c %r~d", "off sanitize-payload ~a ~b %W~c %R~d resetchannels -@all"},
		{"~a resetkeys ~b", "off sanitize-payload ~b resetchannels -@all"},
		{"~a ~*", "off sanitize-payload ~* resetchannels -@all"},
		{"%R~* %W~*", "off sanitize-payload ~* resetchannels -@all"},
		{"&a &b* &a", "off sanitize-payload resetchannels &a &b* -@all"},
		{"&a &*", "off sanitize-payload &* -@all"},
		{"+get +SET -get", "off sanitize-payload resetchannels -@all +set -get"},
		{"+@all -@hash", ""}, // no such category here
		{"+@all -@string -@slow +get", "off sanitize-payload resetchannels +@all -@string -@slow +get"},
		{"+@all -@string -@slow +get -@string", "off sanitize-payload resetchannels +@all -@slow +get -@string"},
		{"+config|get -config +config|set", "off sanitize-payload resetchannels -@all -config +config|set"},
		{"+config -config|set", "off sanitize-payload resetchannels -@all +config -config|set"},
		{"+config -config|set +config", "off sanitize-payload resetchannels -@all +config"},
		{"+select|0 +select|1 +select|0", "off sanitize-payload resetchannels -@all +select|1 +select|0"},
		{"+select|0 +select", "off sanitize-payload resetchannels -@all +select"},
		{"+@all -@all +get", "off sanitize-payload resetchannels -@all +get"},
		{"+get +@all", "off sanitize-payload resetchannels +@all"},
		{"db=3,1,3", "off sanitize-payload resetchannels db=1,3 -@all"},
		{"db=3 db=2", "off sanitize-payload resetchannels db=2 -@all"},
		{"resetdbs", "off sanitize-payload resetchannels resetdbs -@all"},
		{"db=1 alldbs", "off sanitize-payload resetchannels -@all"},
		{"+get (~a +set) ( %R~b &c -@all +@read )", "off sanitize-payload resetchannels -@all +get (~a resetchannels -@all +set) (%R~b resetchannels &c -@all +@read)"},
		{"() ()", "off sanitize-payload resetchannels -@all (resetchannels -@all) (resetchannels -@all)"},
		{"(~a) clearselectors", "off sanitize-payload resetchannels -@all"},
		{"on >p ~a &b +get db=1 (~c) reset", "off sanitize-payload resetchannels -@all"},
		{"~[ ~\\", "off sanitize-payload ~[ ~\\ resetchannels -@all"},
	} {
		table := testTable()
		u, err := NewUser(table, "u", false).With(table, strings.Fields(test.rules), Options{Databases: 16})
		if test.want == "" {
			if err == nil {
				t.Errorf("%q: no error", test.rules)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", test.rules, err)
		} else if u.String() != test.want {
			t.Errorf("%q: %q, want %q", test.rules, u, test.want)
		}
	}
}

// TestRuleErrors: what is no rule, and why. The user stays as he was.
func TestRuleErrors(t *testing.T) {
	modifier := func(rule string, err error) string { return (&RuleError{rule, err}).Error() }
	for _, test := range []struct {
		rules []string
		want  string
	}{
		{[]string{"%~"}, modifier("%~", ErrSyntax)},
		{[]string{"%"}, modifier("%", ErrSyntax)},
		{[]string{"%R"}, modifier("%R", ErrSyntax)},
		{[]string{"%RW"}, modifier("%RW", ErrSyntax)},
		{[]string{"%RR~x"}, modifier("%RR~x", ErrSyntax)},
		{[]string{"%RX~x"}, modifier("%RX~x", ErrSyntax)},
		{[]string{"("}, "Unmatched parenthesis in acl selector starting at '('."},
		{[]string{"(%R~"}, "Unmatched parenthesis in acl selector starting at '(%R~'."},
		{[]string{"(+@all", "~*", "on"}, "Unmatched parenthesis in acl selector starting at '(+@all'."},
		{[]string{"((("}, "Unmatched parenthesis in acl selector starting at '((('."},
		{[]string{"(on)"}, modifier("(on)", ErrSyntax)},
		{[]string{"((+get))"}, modifier("((+get))", ErrSyntax)},
		{[]string{"(%~)"}, modifier("(%~)", ErrSyntax)},
		{[]string{"(>p)"}, modifier("(>p)", ErrSyntax)},
		{[]string{"(~a) +get)"}, modifier("(~a) +get)", ErrSyntax)},
		{[]string{")"}, modifier(")", ErrSyntax)},
		{[]string{"+@"}, modifier("+@", ErrUnknown)},
		{[]string{"+"}, modifier("+", ErrUnknown)},
		{[]string{"-"}, modifier("-", ErrUnknown)},
		{[]string{"+|"}, modifier("+|", ErrUnknown)},
		{[]string{"+nosuch"}, modifier("+nosuch", ErrUnknown)},
		{[]string{"-nosuch"}, modifier("-nosuch", ErrUnknown)},
		{[]string{"+config|"}, modifier("+config|", ErrSyntax)},
		{[]string{"+config|nosuch"}, modifier("+config|nosuch", ErrUnknown)},
		{[]string{"+config|get|x"}, modifier("+config|get|x", errFirstArg)},
		{[]string{"-select|0"}, modifier("-select|0", ErrUnknown)},
		{[]string{"-@all|x"}, modifier("-@all|x", ErrUnknown)},
		{[]string{"+select|a b"}, modifier("+select|a b", ErrSyntax)},
		{[]string{"#zz"}, modifier("#zz", errHash)},
		{[]string{"#" + strings.Repeat("A", 64)}, modifier("#"+strings.Repeat("A", 64), errHash)},
		{[]string{"!zz"}, modifier("!zz", errHash)},
		{[]string{"<never"}, modifier("<never", errPassword)},
		{[]string{"!" + strings.Repeat("a", 64)}, modifier("!"+strings.Repeat("a", 64), errPassword)},
		{[]string{"~*", "~x"}, modifier("~x", errAllKeys)},
		{[]string{"~*", "%R~x"}, modifier("%R~x", errAllKeys)},
		{[]string{"&*", "&x"}, modifier("&x", errChannels)},
		{[]string{"~a b"}, modifier("~a b", ErrSyntax)},
		{[]string{"~a\x00b"}, modifier("~a\x00b", ErrSyntax)},
		{[]string{"&a\nb"}, modifier("&a\nb", ErrSyntax)},
		{[]string{"nonsense"}, modifier("nonsense", ErrSyntax)},
		{[]string{"db="}, modifier("db=", ErrSyntax)},
		{[]string{"db=1,"}, modifier("db=1,", ErrSyntax)},
		{[]string{"db=-1"}, modifier("db=-1", ErrSyntax)},
		{[]string{"db=16"}, modifier("db=16", errDBs)},
		{[]string{"db=99999999999999999999"}, modifier("db=99999999999999999999", errDBs)},
	} {
		u, table := mustUser(t, "on ~a"), testTable()
		if strings.HasSuffix(test.rules[0], "*") { // all keys or channels
			u = mustUser(t, "on")
		}
		before := u.String()
		_, err := u.With(table, test.rules, Options{Databases: 16})
		if err == nil || err.Error() != test.want {
			t.Errorf("%q: %v, want %s", test.rules, err, test.want)
		}
		if u.String() != before {
			t.Errorf("%q: the user became %q", test.rules, u)
		}
	}
}

// TestSharesNothing: a user that others still hold does not change with the next one.
func TestSharesNothing(t *testing.T) {
	table := testTable()
	u := mustUser(t, "on >p ~a &b db=1 +get +select|0 (~c +set)")
	before := u.String()
	rights := slices.Clone(u.selectors[0].commands)
	if _, err := u.With(table, []string{">q", "~z", "%R~a", "&z", "-get", "+del", "+select|5", "db=2", "(~y)"}, Options{}); err != nil {
		t.Fatal(err)
	}
	if u.String() != before || !slices.Equal(u.selectors[0].commands, rights) || len(u.selectors[0].firstArgs[4]) != 1 {
		t.Errorf("%q became %q, first arguments %v", before, u, u.selectors[0].firstArgs)
	}
}

// TestCheck: who may call what.
func TestCheck(t *testing.T) {
	for _, test := range []struct {
		rules string
		call  *Call
		want  Reason
		arg   string
	}{
		{"+get ~a*", call("get ab", Read), None, ""},
		{"+get ~a*", call("get b", Read), Key, "b"},
		{"+get ~a*", call("set ab", Write), Cmd, "set"},
		{"+@all %R~r %W~w", call("get r", Read), None, ""},
		{"+@all %R~r %W~w", call("get w", Read), Key, "w"},
		{"+@all %R~r %W~w", call("set r", Write), Key, "r"},
		{"+@all %R~r %W~w", call("set w", Write), None, ""},
		{"+@all %R~x %W~x*", call("set x", Read|Write), Key, "x"}, // no one pattern allows both
		{"+@all %RW~x", call("set x", Read|Write), None, ""},
		{"+@all %W~x", call("get x", 0), None, ""}, // EXISTS and its kin
		{"+@all %W~x", call("get y", 0), Key, "y"},
		{"+@all ~a ~b", call("del a b c", Write), Key, "c"},
		{"+@all %R~src %W~dst", call("set src dst", Read, Write), None, ""},
		{"+@all %R~src %W~dst", call("set dst src", Read, Write), Key, "dst"},
		{"+select|0", call("select 0"), None, ""},
		{"+select|0", call("select 00"), Cmd, "select"},
		{"+select|0", call("select"), Cmd, "select"},
		{"+select|ON", call("select on"), None, ""},
		{"", call("auth x"), None, ""},
		{"+@all -auth", call("auth x"), None, ""},
		{"+config|get", call("config get x"), None, ""},
		{"+config|get", call("config set x"), Cmd, "config"},
		{"+@all -@dangerous", call("config help"), None, ""},
		{"+@all -@dangerous", call("config get x"), Cmd, "config"},
		{"+@all &a*", call("publish ab"), None, ""},
		{"+@all &a*", call("publish b"), Channel, "b"},
		{"+@all &a*", call("psubscribe a*"), None, ""},
		{"+@all &a*", call("psubscribe ab"), Channel, "ab"},
		{"+@all &*", call("psubscribe x*"), None, ""},
		// Selectors: one is enough, and rights of two do not add up.
		{"(+get ~a) (+set ~b)", call("get a", Read), None, ""},
		{"(+get ~a) (+set ~b)", call("set b", Write), None, ""},
		{"(+get ~a) (+set ~b)", call("get b", Read), Key, "b"},
		{"(+get ~a) (+set ~b)", call("del b", Write), Cmd, "del"},
		{"(+@all %R~k) (+@all %W~k)", call("set k", Read|Write), Key, "k"},
		{"+del ~a (+del ~a ~b)", call("del a b c", Write), Key, "c"},
		// Databases.
		{"+@all ~* db=0", call("get a", Read), None, ""},
		{"+@all ~* db=1", call("get a", Read), Database, "get"},
		{"+@all ~* resetdbs", call("get a", Read), Database, "get"},
		{"+@all ~* db=0", &Call{Command: 4, First: 1, Args: [][]byte{[]byte("select"), []byte("3")}, DB: -1, DBs: []int{3}, DBArgs: []int{1}}, Database, "3"},
		{"+@all ~* db=0,3", &Call{Command: 4, First: 1, Args: [][]byte{[]byte("select"), []byte("3")}, DB: -1, DBs: []int{3}, DBArgs: []int{1}}, None, ""},
		{"+@all ~* db=0", &Call{Command: 2, First: 1, Args: [][]byte{[]byte("del")}, EveryDB: true}, Database, "del"},
		{"+get db=0 (+@all ~* db=1)", call("set a", Write), Cmd, "set"},
	} {
		why, arg := mustUser(t, test.rules).Check(test.call)
		if why != test.want || why != None && string(test.call.Args[arg]) != test.arg {
			t.Errorf("%q calls %q: %v of %q, want %v of %q", test.rules, test.call.Args, why, test.call.Args[arg], test.want, test.arg)
		}
		if c := test.call; len(c.Keys) == 1 {
			if may := mustUser(t, test.rules).MayWithKey(c.Command, c.Args[c.Keys[0]], c.Access[0], c.DB); may != (test.want == None) {
				t.Errorf("%q, MayWithKey of %q: %v", test.rules, c.Args, may)
			}
		}
	}
}

// TestEveryKey: SORT's patterns want a selector that allows the call and all keys.
func TestEveryKey(t *testing.T) {
	for rules, want := range map[string]bool{
		"+@all ~*": true, "+@all %R~*": true, "+@all %W~* ~a": false, "+@all ~a": false, "+get ~* (+set ~a)": true,
		"+set ~* (+get ~a)": false, "(+get %R~*)": true,
	} {
		if got := mustUser(t, rules).EveryKey(call("get a", Read), Read); got != want {
			t.Errorf("%q: %v", rules, got)
		}
	}
}

// TestMayKeyIn: one selector must allow both the database and the key.
func TestMayKeyIn(t *testing.T) {
	u := mustUser(t, "~a* db=5 (~b* db=0) (~c*)")
	for key, dbs := range map[string][]int{"a1": {5}, "b1": {0}, "c1": {0, 5, 7}, "d1": nil} {
		for _, db := range []int{0, 5, 7} {
			if got, want := u.MayKeyIn(db, []byte(key), Read), slices.Contains(dbs, db); got != want {
				t.Errorf("%s of database %d: %v", key, db, got)
			}
		}
	}
}

// TestUnlimited: only who may do everything is not asked for each call.
func TestUnlimited(t *testing.T) {
	for rules, want := range map[string]bool{
		"~* &* +@all": true, "~* &* +@all -get": false, "~* &* +@all -get +get": true, "~* +@all": false, "&* +@all": false,
		"~* &* +@all db=0": false, "%R~* &* +@all": false, "(~* &* +@all)": true, "(~* +@all) &*": false,
	} {
		if got := mustUser(t, rules).Unlimited(); got != want {
			t.Errorf("%q: %v", rules, got)
		}
	}
	if !NewDefault(testTable()).Unlimited() {
		t.Error("the default user is limited")
	}
}

func TestNarrowsChannels(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     bool
	}{
		{"&a", "&a &b", false}, {"&a &b", "&a", true}, {"&*", "&a", true}, {"&a", "&*", false}, {"&a", "resetchannels", true},
		{"&a (&b)", "(&a &b)", false}, {"(&*)", "&a", true}, {"", "", false},
	} {
		if got := mustUser(t, test.from).NarrowsChannels(mustUser(t, test.to)); got != test.want {
			t.Errorf("%q to %q: %v", test.from, test.to, got)
		}
	}
}

func TestAdmits(t *testing.T) {
	u := mustUser(t, "on >p >q")
	for password, want := range map[string]bool{"p": true, "q": true, "x": false, "": false} {
		if got := u.Admits(Hash([]byte(password))); got != want {
			t.Errorf("%q: %v", password, got)
		}
	}
	if mustUser(t, "off >p").Admits(Hash([]byte("p"))) || mustUser(t, "on").Admits(Hash(nil)) || (*User)(nil).Admits(Hash(nil)) {
		t.Error("one that is off, has no password, or is not there, is admitted")
	}
	if !mustUser(t, "on nopass").Admits(Hash([]byte("any"))) {
		t.Error("nopass wants a password")
	}
}

// TestFile: what a file brings, and what it says where it cannot be used.
func TestFile(t *testing.T) {
	table := testTable()
	set, err := Parse(table, "users.acl", "# who is who\n\nuser default off\n  user a on >p ~a:* +@read  \r\n\t# more\nuser b (+get ~x y) (~z)\n", Options{})
	if err == nil {
		t.Fatalf("%v", set.Text())
	}
	set, err = Parse(table, "users.acl", "# who is who\n\nuser default off\n  user a on >p ~a:* +@read  \r\n\t# more\nuser b (+get  ~x) (~z)\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(table, "users.acl", set.Text(), Options{AllChannels: true})
	if err != nil || again.Text() != set.Text() {
		t.Errorf("%v\n%s\n%s", err, again.Text(), set.Text())
	}
	if set, err = Parse(table, "f", "", Options{}); err != nil || !set.Get("default").Open() || !set.Get("default").Unlimited() {
		t.Error("without a line the default user is not as at first")
	}
	const end = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
	for _, test := range []struct{ text, want string }{
		{"\nusers a", "f:2 should start with user keyword followed by the username. "},
		{"user", "f:1 should start with user keyword followed by the username. "},
		{"user a\x00b", "f:1: username 'a\x00b' contains invalid characters. "},
		{"user a\n\nuser a", "WARNING: Duplicate user 'a' found on line 3. "},
		{"user a +nosuch", "f:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. "},
		{"user a #secret", "f:1: The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters. "},
		{"user a ~* ~b\nuser c nonsense", "f:1: " + errAllKeys.Error() + ". f:2: Syntax error. "},
		{"user a (+get", "f:1: Unmatched parenthesis in selector definition. "},
	} {
		if _, err := Parse(table, "f", test.text, Options{}); err == nil || err.Error() != test.want+end {
			t.Errorf("%q: %v, want %s", test.text, err, test.want)
		}
	}
}

func TestLog(t *testing.T) {
	var l Log
	add := func(object string, now int64) {
		l.Add(Entry{Reason: Key, Context: "toplevel", Object: object, Username: "u", Client: object + fmt.Sprint(now)}, now, 3)
	}
	add("a", 1000)
	add("b", 2000)
	add("a", 3000)
	e := l.Newest(10)
	if len(e) != 2 || e[0].Object != "a" || e[0].Count != 2 || e[0].ID != 0 || e[0].Created != 1000 || e[0].Updated != 3000 || e[0].Client != "a3000" || e[1].ID != 1 {
		t.Errorf("%+v", e)
	}
	add("a", 3000+mergeWithin+1)
	if e = l.Newest(1); e[0].ID != 2 || e[0].Count != 1 {
		t.Errorf("after the time of merging: %+v", e)
	}
	for i := range 20 {
		add(fmt.Sprint(i), 4000)
	}
	if e = l.Newest(100); len(e) != 3 || e[0].Object != "19" {
		t.Errorf("%+v", e)
	}
	add(strings.Repeat("x", 1<<20), 5000)
	if e = l.Newest(1); len(e[0].Object) != maxLogText {
		t.Errorf("an object of %d bytes is kept", len(e[0].Object))
	}
	l.Trim(0)
	if l.Reset(); len(l.Newest(1)) != 0 || len(l.Newest(-1)) != 0 {
		t.Error("entries stay")
	}
}

// TestDescribesItself: users made by random rules are the same after their description.
func TestDescribesItself(t *testing.T) {
	table := testTable()
	words := []string{"on", "off", ">p", "nopass", "~a*", "%R~b", "%W~b", "resetkeys", "&c", "&d*", "resetchannels", "+@all", "-@all", "+get", "-get", "+@read", "-@string",
		"+@slow", "-@fast", "+config", "-config", "+config|get", "-config|set", "+select|0", "+select|1", "-select", "db=1,2", "resetdbs", "alldbs", "+select", "-@connection"}
	for n := range 3000 {
		r := rand.New(rand.NewPCG(uint64(n), 1))
		var rules []string
		for range r.IntN(12) {
			w := words[r.IntN(len(words))]
			if r.IntN(5) == 0 {
				w = "(" + words[4+r.IntN(len(words)-4)] + " " + words[4+r.IntN(len(words)-4)] + ")"
			}
			rules = append(rules, w)
		}
		u, err := NewUser(table, "u", n%2 == 0).With(table, rules, Options{AllChannels: n%2 == 0})
		if err != nil {
			if rule := (*RuleError)(nil); errors.As(err, &rule) && rule.Err == errChannels {
				continue
			}
			t.Fatalf("%q: %v", rules, err)
		}
		again, err := NewUser(table, "u", n%3 == 0).With(table, strings.Split(u.String(), " "), Options{AllChannels: n%3 == 0})
		if err != nil {
			t.Fatalf("%q: %q: %v", rules, u, err)
		}
		if again.String() != u.String() {
			t.Fatalf("%q: %q became %q", rules, u, again)
		}
		for i := range u.selectors {
			for _, list := range []map[int][]string{u.selectors[i].firstArgs, again.selectors[i].firstArgs} {
				for _, args := range list {
					slices.Sort(args)
				}
			}
			if !slices.Equal(u.selectors[i].commands, again.selectors[i].commands) || fmt.Sprint(u.selectors[i].firstArgs) != fmt.Sprint(again.selectors[i].firstArgs) {
				t.Fatalf("%q: other commands after %q", rules, u)
			}
		}
	}
}

// TestPatterns: the short cuts for simple patterns find what the pattern itself does.
func TestPatterns(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	const letters = "aab*?[]\\-^\x00\xff"
	text := func(n int) string {
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		return string(b)
	}
	simple := []string{"", "*", "a", "a*", "abcdefgh", "abcdefgh*", "abcdefghi", "abcdefghij*", "abcdefg", "abcdefg*", "\\a", "a**"}
	for n := range 200000 {
		pattern, key := text(12), text(12)
		if n%4 == 0 {
			pattern = simple[r.IntN(len(simple))]
		}
		if n%2 == 0 {
			key = "abcdefghijkl"[:r.IntN(13)]
		}
		p := newPattern(pattern, Read)
		f := p.front()
		if got, want := firstWord([]byte(key))&f.mask == f.word && p.match([]byte(key)), glob.Match([]byte(pattern), []byte(key)); got != want {
			t.Fatalf("%q, %q: %v", pattern, key, got)
		}
	}
}

// FuzzRules: no rule makes the parser fail, and what it takes describes itself.
func FuzzRules(f *testing.F) {
	for _, s := range []string{"on >p ~a %R~b &c +@all -get", "(+get ~a) (%~)", "db=1,2", "+select|0", "#", "!", "%RW~x", "(((", "+@", "+config|", "-@all|x"} {
		f.Add(s)
	}
	table := testTable()
	f.Fuzz(func(t *testing.T, text string) {
		u, err := NewUser(table, "u", false).With(table, strings.Split(text, " "), Options{Databases: 16})
		if err != nil {
			return
		}
		again, err := NewUser(table, "u", true).With(table, strings.Split(u.String(), " "), Options{Databases: 16, AllChannels: true})
		if err != nil || again.String() != u.String() {
			t.Fatalf("%q: %q became %v, %v", text, u, again, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	table := testTable()
	var rules []string
	for i := range 9 {
		rules = append(rules, fmt.Sprintf("~other%d:*", i))
	}
	u, err := NewUser(table, "u", false).With(table, append(rules, "~key:*", "+get"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	c := call("get key:000012345678", Read)
	for b.Loop() {
		if why, _ := u.Check(c); why != None {
			b.Fatal(why)
		}
	}
}
