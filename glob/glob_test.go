package glob

import (
	"math/rand/v2"
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
		if got := Match(c.pattern, []byte(c.s)); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"ABC", "abc", true}, {"a[X-Z]", "Ay", true}, {`\A`, "a", true}, {`[\A]`, "a", false}, {"[b]", "B", true}, {"max*", "MaxMemory", true},
	} {
		if got := MatchFold([]byte(c.pattern), c.s); got != c.want {
			t.Errorf("MatchFold(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

func TestQuick(t *testing.T) {
	began := time.Now()
	if Match(strings.Repeat("a*", 100)+"b", strings.Repeat("a", 10000)) {
		t.Error("matches")
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("takes %v", d)
	}
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
			if Match(p, k) != got[k] {
				t.Fatalf("Match(%q, %q) = %v", p, k, !got[k])
			}
		}
	}
}
