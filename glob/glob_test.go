package glob

import (
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", false}, {"*", "a", true}, {"**", "ab", true},
		{"a*", "a", true}, {"a*", "b", false}, {"*a", "ba", true}, {"*a", "ab", false}, {"a*b*c", "aXbYbZc", true},
		{"a**", "a", true}, {"?", "a", true}, {"?", "ab", false}, {"?*", "a", true},
		{"[ab]", "b", true}, {"[ab]", "c", false}, {"[^ab]", "c", true}, {"[^ab]", "a", false},
		{"[a-c]x", "bx", true}, {"[c-a]x", "bx", true}, {"[a-c", "b", true}, {"[^", "x", true}, {"[", "x", false}, {"[", "[", false},
		{"[]", "x", false}, {"[^]", "x", true}, {`[\]]`, "]", true}, {`[a\-z]`, "-", true}, {`[a\-z]`, "b", false},
		{"[a-]", "-", false}, {"[a-]", "_", true}, {"[a-]]", "-", false}, {"[a-]]", "_]", false}, {"[a-]x", "_", true}, {"[a-", "a", true},
		{`\*`, "*", true}, {`\*`, "a", false}, {`\`, `\`, true}, {`a\`, `a\`, true}, {`\\`, `\`, true},
		{"[\x80-\xff]", "\x90", true}, {"[a-\xff]", "b", false}, {"[a-\xff]", "A", true},
		{"ABC", "abc", false},
	} {
		if got := Match([]byte(c.pattern), []byte(c.s)); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"ABC", "abc", true}, {"a[X-Z]", "Ay", true}, {`\A`, "a", true}, {`[\A]`, "a", false}, {"[b]", "B", true}, {"max*", "MaxMemory", true},
	} {
		if got := CompileFold([]byte(c.pattern)).Match([]byte(c.s)); got != c.want {
			t.Errorf("MatchFold(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

// TestQuick: no pattern makes matching long, whatever it is made of. Each of
// these took seconds, or would have, when all elements were tried at every place.
func TestQuick(t *testing.T) {
	rep := strings.Repeat
	for _, c := range []struct{ name, pattern, s string }{
		{"stars", rep("a*", 20_000) + "b", rep("a", 1_000_000)},
		{"a long class", "*[" + rep("b", 30_000) + "]", rep("a", 1_000_000)},
		{"a class of ranges", "*[" + rep("b-z", 30_000) + "]", rep("a", 1_000_000)},
		{"long classes", rep("[^"+rep("b", 30_000)+"]", 100) + "c", rep("a", 100)},
		{"plain bytes", "*" + rep("a", 100_000) + "b*", rep("a", 1_000_000)},
		{"any bytes", "*?" + rep("a", 20_000) + "b*", rep("a", 60_000)},
		{"classes", "*" + rep("[a-c]", 20_000) + "d*", rep("a", 60_000)},
	} {
		most := slowness * 300 * time.Millisecond
		if runtime.GOARCH != "amd64" {
			most *= 20 // it may be emulated
		}
		took := most + 1
		for try := 0; try < 5 && took > most; try++ { // the machine may have stood still
			began := time.Now()
			if Match([]byte(c.pattern), []byte(c.s)) {
				t.Errorf("%s: matches", c.name)
			}
			took = min(took, time.Since(began))
		}
		if took > most {
			t.Errorf("%s: takes more than %v", c.name, most)
		}
	}
}

// TestWide compares patterns that are searched for element by element with a
// simple matcher, on texts that make the search give up its first way.
func TestWide(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	matched := 0
	for range 3000 {
		var p []byte
		for range rng.IntN(150) {
			p = append(p, []string{"a", "a", "a", "?", "[ab]", "[^c]", "b", "*"}[rng.IntN(7+rng.IntN(20)/19)]...)
		}
		p = append(append([]byte("*"), p...), "b*"[:rng.IntN(3)]...)
		s := make([]byte, rng.IntN(400))
		for i := range s {
			s[i] = "aaaaaaaaaab"[rng.IntN(11)]
		}
		want := simple(string(p), string(s))
		if got := Match(p, s); got != want {
			t.Fatalf("Match(%q, %q) = %v", p, s, got)
		}
		if want {
			matched++
		}
	}
	if matched < 100 {
		t.Errorf("only %d texts match", matched)
	}
	wide := Compile([]byte("*" + strings.Repeat("?", 70) + "b"))
	if !wide.Hard() || !wide.Slow(1<<20) || wide.Slow(1000) || Compile([]byte("a*b*c[xyz]*")).Hard() {
		t.Error("Hard or Slow")
	}
	for n := range 200 { // around the ends of words
		s := []byte(strings.Repeat("a", 500) + "c" + strings.Repeat("a", n) + "b" + strings.Repeat("a", 300))
		p := Compile([]byte("*?" + strings.Repeat("a", n) + "b*"))
		if at := p.findWide(&p.pieces[0], s); at != 500 {
			t.Fatalf("%d: at %d", n, at)
		}
	}
}

// simple matches as a person would.
func simple(p, s string) bool {
	can := make([]bool, len(s)+1) // what of s the pattern so far can match
	can[0] = true
	for len(p) > 0 {
		next := make([]bool, len(s)+1)
		width := 1
		if p[0] == '[' {
			width = strings.IndexByte(p, ']') + 1
		}
		for i := range can {
			switch {
			case p[0] == '*':
				next[i] = can[i] || i > 0 && next[i-1]
			case i == 0 || !can[i-1]:
			case p[0] == '?':
				next[i] = true
			case p[:width] == "[ab]":
				next[i] = s[i-1] != 'c'
			case p[:width] == "[^c]":
				next[i] = s[i-1] != 'c'
			default:
				next[i] = p[0] == s[i-1]
			}
		}
		p, can = p[width:], next
	}
	return can[len(s)] && len(s) > 0
}

// TestRedis compares random patterns with what KEYS of a real Redis answers.
func TestRedis(t *testing.T) {
	c := harness.StartRedis(t).MustDial(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	random := func(alphabet string, most int) string {
		b := make([]byte, rng.IntN(most))
		for i := range b {
			b[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(b)
	}
	keys := map[string]bool{}
	for range 400 {
		k := random("abc-]^\\\xe0", 6)
		keys[k] = true
		c.MustDo(t, "SET", k, "1")
	}
	for range 4000 {
		p := random("abc*?[]^-\\\xe0*?[", 9)
		if strings.Trim(p, "*") == "" {
			continue // KEYS takes a lone star for everything
		}
		got := map[string]bool{}
		for _, k := range c.MustDo(t, "KEYS", p).Strings() {
			got[k] = true
		}
		for k := range keys {
			if Match([]byte(p), []byte(k)) != got[k] {
				t.Fatalf("Match(%q, %q) = %v", p, k, !got[k])
			}
		}
	}
}
