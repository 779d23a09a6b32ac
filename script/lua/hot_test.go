package lua

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
)

// TestHotCallsNothing looks at the machine code of the hot loop: a call of any
// function makes the compiler keep the loop's state on the stack. Write
// barriers, bounds panics and the growth of Go's stack are what remains.
func TestHotCallsNothing(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("other processors may be slower")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
	object := filepath.Join(t.TempDir(), "lua.a")
	if out, err := exec.Command("go", "build", "-pgo=off", "-o", object, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command("go", "tool", "objdump", "-s", `lua\.\(\*State\)\.hot$`, object).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^.*\bCALL\b.*$`).FindAllString(string(out), -1)
	if len(lines) == 0 {
		t.Fatal("the hot loop is not found, or has no write barriers")
	}
	allowed := regexp.MustCompile(`runtime\.(gcWriteBarrier[1-8]|panicBounds|panicIndex\w*|goPanic\w+|morestack\w*)\b`)
	for _, l := range lines {
		if !allowed.MatchString(l) {
			t.Errorf("the hot loop calls: %s", l)
		}
	}
}
