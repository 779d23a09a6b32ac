package command

import (
	"fmt"
	"strings"
	"testing"

	"kvd/types/hll"
)

func TestPFAdd(t *testing.T) {
	s := newTestServer(t)
	s.want("pfadd k", ":1\n")
	s.want("pfadd k", ":0\n")
	s.want("pfadd k a b c", ":1\n")
	s.want("pfadd k b c a", ":0\n")
	s.want("object encoding k", "$3\nraw\n")
	s.want("pfcount k", ":3\n")
	s.want("pfcount k", ":3\n")
	s.want("pfcount none", ":0\n")
	// What PFCOUNT has kept is journaled, once.
	s.wantEffects("pfadd k", "pfadd k a b c", "pfcount k")
	s.want("pfdebug encoding k", "+sparse\n")
	s.want("pfdebug todense k", ":1\n")
	s.want("pfdebug todense k", ":0\n")
	s.want("pfdebug decode k", "-ERR HLL encoding is not sparse\n")
	s.want("pfdebug encoding none", "-ERR The specified key does not exist\n")
	s.want("pfdebug nothing k", "-ERR Unknown PFDEBUG subcommand 'nothing'\n")
	s.want("strlen k", ":12304\n")
	s.want("pfcount k", ":3\n")
	s.want("pfadd k a", ":0\n")
	s.want("pfadd k d", ":1\n")
	s.want("pfcount k", ":4\n")
	s.wantEffects("pfdebug todense k", "pfadd k d", "pfcount k")
	s.want("pfmerge m k none", "+OK\n")
	s.want("pfdebug encoding m", "+dense\n")
	s.want("pfadd k2 x y", ":1\n")
	s.want("pfcount k k2", ":6\n")
	s.want("pfmerge m k2", "+OK\n")
	s.want("pfcount m", ":6\n")
	if all := strings.Count(s.run("pfdebug getreg m"), "\n:"); all != hll.Registers {
		t.Errorf("%d registers", all)
	}
}

// A command that fails has changed nothing.
func TestPFErrors(t *testing.T) {
	s := newTestServer(t)
	wrong := "-" + hll.ErrNone.Error() + "\n"
	corrupt := "-" + hll.ErrCorrupt.Error() + "\n"
	s.want("set n 12", "+OK\n")
	s.want("set s HYLLX", "+OK\n")
	s.do("set", "c", "HYLL\x01"+strings.Repeat("\x00", 11)+"\x7f\xfe")
	s.do("setrange", "c", "15", "\x80")
	s.do("set", "long", "HYLL\x01"+strings.Repeat("\x00", 100_000))
	s.want("lpush l a", ":1\n")
	s.effects = nil
	for _, line := range []string{"pfadd %s a", "pfcount %s", "pfcount %s m", "pfmerge m %s", "pfdebug getreg %s"} {
		for key, want := range map[string]string{"n": wrong, "s": wrong, "l": "-" + errWrongType + "\n", "c": corrupt, "long": corrupt} {
			if strings.HasPrefix(line, "pfadd") && key == "c" {
				s.want("pfadd c foo", ":1\n") // its register is before the fault
				s.effects = nil
				continue
			}
			before := s.run("get " + key)
			s.want(fmt.Sprintf(line, key), want)
			if s.run("get "+key) != before {
				t.Errorf("%s changed", key)
			}
		}
	}
	s.want("exists m", ":0\n")
	s.wantEffects()
}

// The directive says when a HyperLogLog becomes dense.
func TestPFSparseMax(t *testing.T) {
	s := newTestServer(t)
	for _, v := range []struct {
		limit string
		want  string
	}{{"30", "+dense\n"}, {"3000", "+sparse\n"}} {
		s.want("config set hll-sparse-max-bytes "+v.limit, "+OK\n")
		s.run("pfadd k" + v.limit + " a b c d e f g h i j")
		s.want("pfdebug encoding k"+v.limit, v.want)
		s.want("pfcount k"+v.limit, ":10\n")
	}
}

func TestPFSelfTest(t *testing.T) {
	if err := selfTestHLL(3000, 3, 200_000); err != nil {
		t.Error(err)
	}
}
