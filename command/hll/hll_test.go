package hll_test

import (
	"fmt"
	"strings"
	"testing"

	"kvd/command"
	"kvd/command/commandtest"
	family "kvd/command/hll"
	"kvd/types/hll"
)

func TestPFAdd(t *testing.T) {
	s := commandtest.New(t)
	s.Want("pfadd k", ":1\n")
	s.Want("pfadd k", ":0\n")
	s.Want("pfadd k a b c", ":1\n")
	s.Want("pfadd k b c a", ":0\n")
	s.Want("object encoding k", "$3\nraw\n")
	s.Want("pfcount k", ":3\n")
	s.Want("pfcount k", ":3\n")
	s.Want("pfcount none", ":0\n")
	// What PFCOUNT has kept is journaled, once.
	s.WantEffects("pfadd k", "pfadd k a b c", "pfcount k")
	s.Want("pfdebug encoding k", "+sparse\n")
	s.Want("pfdebug todense k", ":1\n")
	s.Want("pfdebug todense k", ":0\n")
	s.Want("pfdebug decode k", "-ERR HLL encoding is not sparse\n")
	s.Want("pfdebug encoding none", "-ERR The specified key does not exist\n")
	s.Want("pfdebug nothing k", "-ERR Unknown PFDEBUG subcommand 'nothing'\n")
	s.Want("strlen k", ":12304\n")
	s.Want("pfcount k", ":3\n")
	s.Want("pfadd k a", ":0\n")
	s.Want("pfadd k d", ":1\n")
	s.Want("pfcount k", ":4\n")
	s.WantEffects("pfdebug todense k", "pfadd k d", "pfcount k")
	s.Want("pfmerge m k none", "+OK\n")
	s.Want("pfdebug encoding m", "+dense\n")
	s.Want("pfadd k2 x y", ":1\n")
	s.Want("pfcount k k2", ":6\n")
	s.Want("pfmerge m k2", "+OK\n")
	s.Want("pfcount m", ":6\n")
	if all := strings.Count(s.Run("pfdebug getreg m"), "\n:"); all != hll.Registers {
		t.Errorf("%d registers", all)
	}
}

// A command that fails has changed nothing.
func TestPFErrors(t *testing.T) {
	s := commandtest.New(t)
	wrong := "-" + hll.ErrNone.Error() + "\n"
	corrupt := "-" + hll.ErrCorrupt.Error() + "\n"
	s.Want("set n 12", "+OK\n")
	s.Want("set s HYLLX", "+OK\n")
	s.Do("set", "c", "HYLL\x01"+strings.Repeat("\x00", 11)+"\x7f\xfe")
	s.Do("setrange", "c", "15", "\x80")
	s.Do("set", "long", "HYLL\x01"+strings.Repeat("\x00", 100_000))
	s.Want("lpush l a", ":1\n")
	s.Effects = nil
	for _, line := range []string{"pfadd %s a", "pfcount %s", "pfcount %s m", "pfmerge m %s", "pfdebug getreg %s"} {
		for key, want := range map[string]string{"n": wrong, "s": wrong, "l": "-" + command.ErrWrongType + "\n", "c": corrupt, "long": corrupt} {
			if strings.HasPrefix(line, "pfadd") && key == "c" {
				s.Want("pfadd c foo", ":1\n") // its register is before the fault
				s.Effects = nil
				continue
			}
			before := s.Run("get " + key)
			s.Want(fmt.Sprintf(line, key), want)
			if s.Run("get "+key) != before {
				t.Errorf("%s changed", key)
			}
		}
	}
	s.Want("exists m", ":0\n")
	s.WantEffects()
}

// The directive says when a HyperLogLog becomes dense.
func TestPFSparseMax(t *testing.T) {
	s := commandtest.New(t)
	for _, v := range []struct {
		limit string
		want  string
	}{{"30", "+dense\n"}, {"3000", "+sparse\n"}} {
		s.Want("config set hll-sparse-max-bytes "+v.limit, "+OK\n")
		s.Run("pfadd k" + v.limit + " a b c d e f g h i j")
		s.Want("pfdebug encoding k"+v.limit, v.want)
		s.Want("pfcount k"+v.limit, ":10\n")
	}
}

func TestPFSelfTest(t *testing.T) {
	if err := family.SelfTestHLL(3000, 3, 200_000); err != nil {
		t.Error(err)
	}
}
