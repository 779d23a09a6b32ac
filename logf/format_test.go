package logf

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Each line is one object, or one list of keys and values, whatever the message has in it.
func TestFormats(t *testing.T) {
	var out bytes.Buffer
	l := NewWriter(&out, Notice)
	l.pid, l.now = 7, func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC) }
	l.SetRole(RoleMaster)
	for format, want := range map[string]string{
		"legacy": "7:M 02 Jan 2026 03:04:05.006 # a \"b\"\n\x01\n",
		"logfmt": `pid=7 role=master timestamp="2026-01-02T03:04:05.006Z" level=warning message="a \"b\"\n\x01"` + "\n",
		"json":   `{"pid":7,"role":"master","timestamp":"2026-01-02T03:04:05.006Z","level":"warning","message":"a \"b\"\n\u0001"}` + "\n",
	} {
		out.Reset()
		if !l.SetFormat(format) {
			t.Fatalf("there is no format %s", format)
		}
		l.Warningf("a %q\n\x01", "b")
		if out.String() != want {
			t.Errorf("%s:\n got %q\nwant %q", format, out.String(), want)
		}
	}
	if l.SetFormat("nonsense") {
		t.Error("a format that there is not was taken")
	}
	out.Reset()
	l.SetFormat("json")
	l.Warningf("%s", "\xff</script>\r\n"+strings.Repeat("x", 100_000))
	var v struct{ Message, Level string }
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || v.Level != "warning" || !strings.HasSuffix(v.Message, "xxx") {
		t.Errorf("%v, %.50q", err, v.Message)
	}
}
