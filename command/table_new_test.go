package command

import (
	"strings"
	"testing"
)

func TestDelIfEq(t *testing.T) {
	s := newTestServer(t)
	s.want("set k v", "+OK\n")
	s.want("set n 7", "+OK\n")
	s.want("delifeq k w", ":0\n")
	s.want("delifeq none w", ":0\n")
	s.effects = nil
	s.want("delifeq k v", ":1\n")
	s.want("delifeq n 7", ":1\n")
	s.want("exists k n", ":0\n")
	s.wantEffects("DEL k", "DEL n")
	s.want("lpush l a", ":1\n")
	s.want("delifeq l a", "-"+ErrWrongType+"\n")
}

// The reply shows the elements as they stand in the destination.
func TestLMoveM(t *testing.T) {
	for _, v := range []struct{ how, src, dst string }{
		{"left left count 3 obo", "d e", "c b a x y"},
		{"left left count 3 bulk", "d e", "a b c x y"},
		{"left right count 3 obo", "d e", "x y a b c"},
		{"left right exactly 3 bulk", "d e", "x y a b c"},
		{"right left count 3 obo", "a b", "c d e x y"},
		{"right left count 3 bulk", "a b", "c d e x y"},
		{"right right count 3 obo", "a b", "x y e d c"},
		{"right right exactly 3 bulk", "a b", "x y c d e"},
		{"left right", "b c d e", "x y a"},
		{"left right count 9 bulk", "", "x y a b c d e"},
		{"left right exactly 6 bulk", "a b c d e", "x y"},
	} {
		s := newTestServer(t)
		s.run("rpush s a b c d e")
		s.run("rpush d x y")
		list := func(key string) string {
			var words []string
			for i, w := range strings.Split(s.run("lrange "+key+" 0 -1"), "\r\n") {
				if i > 0 && i%2 == 0 {
					words = append(words, w)
				}
			}
			return strings.Join(words, " ")
		}
		reply := s.run("lmovem s d " + v.how)
		if list("s") != v.src || list("d") != v.dst {
			t.Errorf("%s: %q and %q", v.how, list("s"), list("d"))
		}
		moved := strings.Trim(strings.ReplaceAll(v.dst, "x y", ""), " ")
		var got []string
		for i, w := range strings.Split(reply, "\r\n") {
			if i > 0 && i%2 == 0 {
				got = append(got, w)
			}
		}
		if strings.Join(got, " ") != moved {
			t.Errorf("%s: replied %q", v.how, reply)
		}
	}
	s := newTestServer(t)
	s.want("lmovem none d left right", "*-1\n")
	s.want("lmovem none d left right exactly 1 obo", "*-1\n")
	s.want("lmovem none d left right count 1", "-ERR syntax error\n")
	s.want("lmovem none d left right count 1 other", "-ERR syntax error\n")
	s.want("lmovem none d left right count 0 obo", "-ERR value is out of range, must be positive\n")
	s.want("rpush s a b c", ":3\n")
	s.want("lmovem s s left right count 2 bulk", "*2\n$1\na\n$1\nb\n")
	s.want("lrange s 0 -1", "*3\n$1\nc\n$1\na\n$1\nb\n")
	s.want("set str v", "+OK\n")
	s.want("lmovem s str left right", "-"+ErrWrongType+"\n")
	s.want("lmovem str s left right", "-"+ErrWrongType+"\n")
	s.want("llen s", ":3\n")
}

func TestBLMoveM(t *testing.T) {
	s := newTestServer(t)
	other := newFakeConn()
	waiter := s.NewClient(other, "127.0.0.1:3", "127.0.0.1:2", 4)
	push := s.c
	s.c = waiter
	if got := s.run("blmovem s d left right 0 exactly 2 obo"); got != "" {
		t.Fatalf("%q", got)
	}
	s.c = push
	s.effects = nil
	s.want("rpush s a", ":1\n")
	s.want("exists d", ":0\n")
	s.want("rpush s b c", ":3\n")
	if got := other.wait(t); got != "*2\r\n$1\r\na\r\n$1\r\nb\r\n" {
		t.Errorf("%q", got)
	}
	s.wantEffects("rpush s a", "rpush s b c", "LMOVEM s d LEFT RIGHT COUNT 2 OBO")
}

func TestClusterOff(t *testing.T) {
	s := newTestServer(t)
	for _, line := range []string{"cluster info", "cluster slots", "cluster keyslot a", "cluster help", "readonly", "readwrite", "asking"} {
		s.want(line, "-ERR This instance has cluster support disabled\n")
	}
	s.want("cluster foo", "-ERR unknown subcommand 'foo'. Try CLUSTER HELP.\n")
	s.want("cluster", "-ERR wrong number of arguments for 'cluster' command\n")
}

// EXEC on a condition: where it does not hold nothing runs, and the transaction
// is over.
func TestExecCondition(t *testing.T) {
	s := newTestServer(t)
	s.run("set k v")
	s.run("lpush l a")
	for _, v := range []struct{ how, reply string }{
		{"ifeq k v", "*1\n:1\n"}, {"ifeq k w", "*-1\n"}, {"ifeq none v", "*-1\n"}, {"IFNE k v", "*-1\n"}, {"ifne k w", "*1\n:1\n"},
		{"ifne none v", "*1\n:1\n"}, {"nx k", "*-1\n"}, {"nx none", "*1\n:1\n"}, {"xx k", "*1\n:1\n"}, {"xx none", "*-1\n"},
		{"ifeq l a", "-" + ErrWrongType + "\n"}, {"xx l", "*1\n:1\n"},
		{"nx", "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\n"},
		{"some k", "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\n"},
	} {
		s.run("del n")
		s.want("multi", "+OK\n")
		s.want("incr n", "+QUEUED\n")
		s.want("exec "+v.how, v.reply)
		s.want("exec", "-ERR EXEC without MULTI\n")
		ran := ":0\n"
		if strings.HasPrefix(v.reply, "*1") {
			ran = ":1\n"
		}
		s.want("exists n", ran)
	}
	// The condition is on what stands there under the locks of the transaction.
	s.run("multi")
	s.run("set k x")
	s.effects = nil
	s.want("exec ifeq k v", "*1\n+OK\n")
	s.wantEffects("set k x")
}
