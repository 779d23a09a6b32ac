package command

import (
	"strings"
	"testing"

	"kvd/resp/wire"
)

func TestCommandlog(t *testing.T) {
	s := newTestServer(t)
	s.want("config get commandlog-execution-slower-than", "*2\n$32\ncommandlog-execution-slower-than\n$5\n10000\n")
	s.want("config set commandlog-execution-slower-than -1 commandlog-request-larger-than 100 commandlog-reply-larger-than 200", "+OK\n")
	s.run("commandlog reset large-request") // it was one itself
	s.run("client setname me")
	long := strings.Repeat("x", 100)
	s.run("set k " + long)
	s.run("get k") // 108 bytes
	s.run("set k " + long + long)
	s.run("get k")
	s.want("commandlog len slow", ":0\n")
	s.want("commandlog len large-request", ":2\n")
	s.want("commandlog len LARGE-REPLY", ":1\n")
	if got := s.run("commandlog get 1 large-reply"); !strings.HasPrefix(got, "*1\r\n*6\r\n:0\r\n:") || !strings.Contains(got, "\r\n:208\r\n*2\r\n$3\r\nget\r\n$1\r\nk\r\n") {
		t.Errorf("large replies: %q", got)
	}
	// *3 $3 SET $1 k $100 x...: the overhead counts one digit for each length.
	if got := s.run("commandlog get -1 large-request"); !strings.HasPrefix(got, "*2\r\n*6\r\n:2\r\n:") || !strings.Contains(got, "\r\n:228\r\n*3\r\n$3\r\nset\r\n") ||
		!strings.HasSuffix(got, "\r\n:128\r\n*3\r\n$3\r\nset\r\n$1\r\nk\r\n$100\r\n"+long+"\r\n$11\r\n127.0.0.1:1\r\n$2\r\nme\r\n") {
		t.Errorf("large requests: %q", got)
	}
	s.run("commandlog reset large-reply") // the reply was one itself
	// Inside EXEC each command counts for itself, EXEC does not.
	s.run("multi")
	s.run("get k")
	s.run("exec")
	s.run("get k")
	s.want("commandlog len large-reply", ":2\n")
	s.want("config set commandlog-large-reply-max-len 1", "+OK\n")
	s.want("commandlog len large-reply", ":1\n")
	s.want("commandlog reset large-reply", "+OK\n")
	s.want("commandlog len large-reply", ":0\n")
	s.want("commandlog len large-request", ":2\n")
	s.want("config set commandlog-reply-larger-than -1", "+OK\n")
	s.run("get k")
	s.want("commandlog len large-reply", ":0\n")
	s.want("commandlog len fast", "-ERR type should be one of the following: slow, large-request, large-reply\n")
	s.want("commandlog get -2 slow", "-ERR count should be greater than or equal to -1\n")
	s.want("commandlog get", "-ERR wrong number of arguments for 'commandlog|get' command\n")
}

// savingForTest is a server that saves, or is about to.
type savingForTest struct {
	Persistence
	saving, scheduled, aborted bool
}

func (p *savingForTest) Saving() bool { return p.saving }
func (p *savingForTest) Abort()       { p.aborted = true }
func (p *savingForTest) Unschedule() bool {
	was := p.scheduled
	p.scheduled = false
	return was
}

func TestBgsaveCancel(t *testing.T) {
	s := newTestServer(t)
	p := &savingForTest{Persistence: s.persist, saving: true}
	s.persist = p
	s.want("bgsave cancel", "+Background saving cancelled\n")
	if !p.aborted {
		t.Error("the snapshot goes on")
	}
	p.saving, p.scheduled = false, true
	s.want("bgsave cancel", "+Scheduled background saving cancelled\n")
	s.want("bgsave cancel", "-ERR Background saving is currently not in progress or scheduled\n")
}

func TestClientFilters(t *testing.T) {
	s := newTestServer(t)
	s.run("client setname me")
	s.run("client setinfo lib-name lib")
	me := s.c
	other := s.NewClient(nil, "10.0.0.1:5", "127.0.0.1:2", 9)
	third := s.NewClient(nil, "[::1]:5", "127.0.0.1:3", 9)
	s.c = other
	s.run("select 3")
	s.run("client no-touch on")
	s.run("client capa redirect nonsense")
	s.c = third
	s.run("multi")
	s.c = me
	for filter, want := range map[string]string{
		"": "1 2 3", "id 1 3": "1 3", "id 1 3 type normal db 0": "1 3", "not-id 1 3": "2", "addr 10.0.0.1:5": "2", "not-addr 10.0.0.1:5": "1 3",
		"laddr 127.0.0.1:2": "1 2", "ip 10.0.0.1": "2", "ip ::1": "3", "not-ip 10.0.0.1": "1 3", "name me": "1", "not-name me": "2 3", "lib-name lib": "1", "not-lib-name lib": "2 3",
		"lib-ver 1": "", "db 3": "2", "not-db 3": "1 3", "flags T": "2", "flags x": "3", "flags N": "1", "not-flags T": "1 3", "flags Tx": "", "capa r": "2", "not-capa r": "1 3",
		"type pubsub": "", "not-type pubsub": "1 2 3", "user default": "1 2 3", "not-user default": "", "skipme yes": "2 3", "skipme no": "1 2 3", "maxage 1": "", "idle 1": "",
	} {
		var ids []string
		for _, line := range strings.Split(s.run("client list "+filter), "\n") {
			if id, ok := strings.CutPrefix(line, "id="); ok {
				id, _, _ = strings.Cut(id, " ")
				ids = append(ids, id)
			}
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("CLIENT LIST %s: %q, want %q", filter, got, want)
		}
	}
	if got := s.run("client list id 2"); !strings.Contains(got, " db=3 ") || !strings.Contains(got, " flags=T ") || !strings.Contains(got, " capa=r\n") {
		t.Errorf("%q", got)
	}
	for filter, want := range map[string]string{
		"flags ?": "ERR Unknown flags found in the provided filter: ?", "capa x": "ERR Unknown capa found in the provided filter: x", "idle 0": "ERR idle should be greater than 0",
		"not-idle 5": "ERR syntax error", "db 99": "ERR DB index is out of range", "db x": "ERR DB is not an integer or out of range", "nothing 1": "ERR syntax error", "id": "ERR syntax error",
		"skipme maybe": "ERR syntax error", "not-user nobody": "ERR No such user 'nobody'", "id 10 wrong": "ERR Invalid client ID",
	} {
		s.want("client list "+filter, "-"+want+"\n")
	}
	s.want("client kill id 2 0", "-ERR client-id should be greater than 0\n")
	s.want("client kill name nobody", ":0\n")
	conn := &notedConn{}
	s.NewClient(conn, "10.0.0.9:1", "127.0.0.1:2", 9)
	s.want("client kill ip 10.0.0.9 not-db 5", ":1\n")
	if conn.killed != 1 {
		t.Errorf("killed %d times", conn.killed)
	}
	s.c = other
	s.run("reset")
	s.c = me
	if got := s.run("client list id 2"); !strings.Contains(got, " db=0 ") || !strings.Contains(got, " flags=N ") || !strings.Contains(got, " capa=\n") {
		t.Errorf("after RESET: %q", got)
	}
}

func TestCapaRedirect(t *testing.T) {
	s := newTestServer(t)
	s.run("set k v")
	s.want("readonly", "-ERR This instance has cluster support disabled\n")
	s.want("client capa", "-ERR wrong number of arguments for 'client|capa' command\n")
	s.want("client capa redirect", "+OK\n")
	s.want("get k", "$1\nv\n")
	if err := s.Config.SetInitial("replicaof", []string{"10.1.2.3", "7000"}); err != nil {
		t.Fatal(err)
	}
	s.following.Store(true)
	s.want("get k", "-REDIRECT 10.1.2.3:7000\n")
	s.want("set k w", "-REDIRECT 10.1.2.3:7000\n")
	s.want("ping", "+PONG\n")
	s.want("readonly", "+OK\n")
	s.want("get k", "$1\nv\n")
	s.want("set k w", "-REDIRECT 10.1.2.3:7000\n")
	s.run("multi")
	s.want("set k w", "-REDIRECT 10.1.2.3:7000\n")
	s.want("exec", "-EXECABORT Transaction discarded because of previous errors.\n")
	s.want("readwrite", "+OK\n")
	s.want("get k", "-REDIRECT 10.1.2.3:7000\n")
	s.following.Store(false)
	s.run("multi")
	s.run("get k")
	s.following.Store(true)
	s.want("exec", "-REDIRECT 10.1.2.3:7000\n")
	s.want("exec", "-ERR EXEC without MULTI\n")
	s.following.Store(false)
	s.run("reset")
	s.want("readwrite", "-ERR This instance has cluster support disabled\n")
}

func TestImportSource(t *testing.T) {
	s := newTestServer(t)
	s.want("client import-source on", "-ERR Server is not in import mode\n")
	s.want("client import-source off", "+OK\n")
	s.want("config set import-mode yes", "+OK\n")
	s.want("client import-source on", "+OK\n")
	source := s.c
	s.want("set k v px 1", "+OK\n")
	s.want("set late v pxat 1", "+OK\n") // it is over already, but the source has not said so
	s.effects = nil
	s.now = s.now.Add(1e9)
	s.want("get k", "$1\nv\n")
	s.want("get late", "$1\nv\n")
	if got := s.run("client list id 1"); !strings.Contains(got, " flags=I ") {
		t.Errorf("%q", got)
	}
	s.c = s.NewClient(nil, "10.0.0.1:5", "127.0.0.1:2", 9)
	s.want("get k", "$-1\n") // not seen, and not removed
	s.want("dbsize", ":2\n")
	s.wantEffects()
	s.c = source
	s.want("config set import-mode no", "+OK\n")
	s.want("get k", "$-1\n")
	s.wantEffects("DEL k")
}

func TestInfoKeySizes(t *testing.T) {
	s := newTestServer(t)
	s.run("set a 1234")
	s.run("set b 12345678")
	s.run("set c " + strings.Repeat("x", 5000))
	s.run("setrange d 200000 x")
	s.do("set", "e", "")
	s.run("rpush l 1 2 3")
	s.run("sadd s 1")
	s.run("zadd z 1 a 2 b")
	s.run("hset h f v")
	s.run("select 2")
	s.run("rpush l 1 2")
	got := s.info("keysizes")
	for name, want := range map[string]string{"db0_distrib_strings_sizes": "0=1,4=1,8=1,4K=1,128K=1", "db0_distrib_lists_items": "2=1", "db0_distrib_sets_items": "1=1",
		"db0_distrib_zsets_items": "2=1", "db0_distrib_hashes_items": "1=1", "db2_distrib_lists_items": "2=1"} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if len(got) != 6 {
		t.Errorf("%v", got)
	}
}

// Commands of a pipeline are measured only where their input is long enough.
func TestRequestMost(t *testing.T) {
	for _, input := range []string{"*1\r\n$4\r\nPING\r\n", "*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "a\r\n", "a b\r\n", "a b c d e f g h i j k l m n\r\n", strings.Repeat("a ", 1000) + "\r\n"} {
		words := strings.Fields(input)
		if strings.HasPrefix(input, "*") {
			words = strings.Split(strings.TrimSuffix(input, "\r\n"), "\r\n")[2:]
			for i := 1; i < len(words); i++ { // drops the lengths
				words = append(words[:i], words[i+1:]...)
			}
		}
		var args [][]byte
		for _, w := range words {
			args = append(args, []byte(w))
		}
		if n, most := requestLen(args), requestMost(len(input)); n > most {
			t.Errorf("%q: %d bytes are above the bound of %d", input, n, most)
		}
	}
	s := newTestServer(t)
	s.run("config set commandlog-request-larger-than 4000")
	args := [][]byte{[]byte("set"), []byte("k"), []byte(strings.Repeat("x", 3980))}
	for _, end := range []int{0, len("*3\r\n$3\r\nset\r\n$1\r\nk\r\n$3980\r\n") + 3982} {
		s.run("commandlog reset large-request")
		var w wire.Writer
		p := []Pending{{}, {}}
		p[0].Set([][]byte{[]byte("get"), []byte("k")}, 20)
		p[1].Set(args, end)
		s.x.Foresee(s.c, p)
		for i := range p {
			w.Buf = w.Buf[:0]
			s.x.RunPending(s.c, &p[i], &w)
		}
		s.want("commandlog len large-request", ":1\n")
	}
}
