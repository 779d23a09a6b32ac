package persist

import (
	"strings"
	"testing"

	"kvd/types"
)

// TestFlagsInCommands: in a base of commands a client's flags stand behind the value.
func TestFlagsInCommands(t *testing.T) {
	var c commander
	got := string(c.value(nil, []byte("k"), types.TString, types.EncRaw, []byte("v"), nil, 5000, 7))
	want := "*3 $3 SET $1 k $1 v *2 $4 PING $10 kvd:mc 7 k *3 $9 PEXPIREAT $1 k $4 5000 "
	if got = strings.ReplaceAll(got, "\r\n", " "); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
