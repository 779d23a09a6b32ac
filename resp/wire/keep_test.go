package wire

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestKeep: arguments that are kept as they come are those of the command in one piece, whatever the cuts, also where
// the command is completed again, and nobody changes them later.
func TestKeep(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		var in []byte
		var want []string
		for range 5 {
			n := []int{1, 3, keepArgs, keepArgs + 1, 2000, 4 * keepArgs, 9000}[r.IntN(7)]
			all := make([]string, n)
			for i := range all {
				all[i] = strings.Repeat(string(rune('a'+i%26)), r.IntN(12))
				if r.IntN(3000) == 0 {
					all[i] = strings.Repeat("L", keepBlock/8*(1+r.IntN(10)))
				}
			}
			want = append(want, strings.Join(all, " "))
			in = fmt.Appendf(in, "*%d\r\n", n)
			for _, a := range all {
				in = fmt.Appendf(in, "$%d\r\n%s\r\n", len(a), a)
			}
		}
		lim := &Limits{Authenticated: true}
		s := Scanner{Keep: true}
		var got [][][]byte
		var buf []byte
		most := 0
		for len(in) > 0 || len(buf) > 0 {
			n := min(len(in), 1+r.IntN(20_000))
			old := buf
			buf = slices.Concat(old, in[:n])
			in = in[n:]
			spoil(old)
			for len(buf) > 0 {
				n, st, err := s.Scan(buf, lim)
				if err != nil {
					t.Fatal(err)
				}
				if st == More {
					spoil(buf[:n])
					buf = buf[n:]
					break
				}
				if s.Own() && r.IntN(2) == 0 {
					s.Hold()
					buf = slices.Clone(buf) // the caller may move what it has
					again, st, _ := s.Scan(buf, lim)
					if st != Complete || again != n {
						t.Fatalf("held, and then %d with status %d", again, st)
					}
				}
				if s.Own() {
					got = append(got, s.Args)
					if s.Kept() < len(s.Args)*24 {
						t.Errorf("%d arguments are kept in %d bytes", len(s.Args), s.Kept())
					}
					s.Reset()
				} else {
					all := make([][]byte, len(s.Args))
					for i, a := range s.Args {
						all[i] = slices.Clone(a)
					}
					got = append(got, all)
				}
				if s.Kept() != 0 {
					t.Fatal("something is kept of a command that is done")
				}
				spoil(buf[:n])
				buf = buf[n:]
			}
			most = max(most, len(buf))
		}
		for i, args := range got {
			if one := string(joined(args)); one != want[i] {
				t.Fatalf("round %d, command %d: got %.100q, want %.100q", round, i, one, want[i])
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d commands of %d", len(got), len(want))
		}
		if most > 2*keepBlock*2 {
			t.Errorf("%d bytes had to be given again", most)
		}
	}
}

// spoil overwrites bytes that the scanner wants no more.
func spoil(b []byte) {
	for i := range b {
		b[i] = 0xEE
	}
}

func joined(args [][]byte) (all []byte) {
	for i, a := range args {
		if i > 0 {
			all = append(all, ' ')
		}
		all = append(all, a...)
	}
	return all
}

// TestKeepReservesLittle: what is announced reserves at most four times what has come.
func TestKeepReservesLittle(t *testing.T) {
	s := Scanner{Keep: true}
	in := []byte(fmt.Sprintf("*1000000\r\n%s$1\r\nx", strings.Repeat("$1\r\nx\r\n", 5000)))
	if _, st, _ := s.Scan(in, &Limits{Authenticated: true}); st != More || cap(s.Args) > 20_000 {
		t.Errorf("status %d with room for %d arguments", st, cap(s.Args))
	}
}

// TestKeepGrowsAside: the last, large room for arguments is made by a goroutine before the
// present one is full; nothing is lost or counted twice on the way.
func TestKeepGrowsAside(t *testing.T) {
	const total = 8 * asideArgs
	in := fmt.Appendf(nil, "*%d\r\n", total)
	for i := range total {
		a := fmt.Sprint(i)
		in = fmt.Appendf(in, "$%d\r\n%s\r\n", len(a), a)
	}
	s := Scanner{Keep: true}
	lim := &Limits{Authenticated: true}
	var buf []byte
	aside := false
	for len(in) > 0 {
		buf = append(slices.Clone(buf), in[:min(len(in), 10_000)]...)
		in = in[min(len(in), 10_000):]
		n, st, err := s.Scan(buf, lim)
		if err != nil || (st == Complete) != (len(in) == 0) {
			t.Fatalf("status %d, error %v, %d bytes to come", st, err, len(in))
		}
		aside = aside || s.larger != nil
		buf = buf[n:]
	}
	if !aside {
		t.Error("the room grows in the caller's time")
	}
	if s.larger != nil {
		t.Error("room is made for arguments that do not come")
	}
	if len(s.Args) != total {
		t.Fatalf("%d arguments, want %d", len(s.Args), total)
	}
	for i, a := range s.Args {
		if string(a) != fmt.Sprint(i) {
			t.Fatalf("argument %d is %q", i, a)
		}
	}
	if least, most := total*argRoom, total*(argRoom+8)+keepBlock; s.Kept() < least || s.Kept() > most {
		t.Errorf("%d bytes are kept, want %d to %d", s.Kept(), least, most)
	}
}
