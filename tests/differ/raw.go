package differ

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// RawAnswer is what a server does with bytes: what it sends, and whether it closes the connection.
type RawAnswer struct {
	Bytes  []byte
	Closed bool
}

func (r RawAnswer) String() string { return fmt.Sprintf("%.500q closed=%v", r.Bytes, r.Closed) }

// RawDiff is an input on which the servers differed.
type RawDiff struct {
	In        []byte
	Split     int // the input went out in two parts, the first of this length; 0: in one
	Got, Want RawAnswer
}

func (d RawDiff) String() string {
	return fmt.Sprintf("input %.400q (split at %d)\n  got  (kvd):   %s\n  want (Redis): %s", d.In, d.Split, d.Got, d.Want)
}

// A server is taken to have said everything once it was silent for so long; a difference counts
// only if it stands after the longest silence too.
var silences = []time.Duration{40 * time.Millisecond, 250 * time.Millisecond, 1500 * time.Millisecond, 8 * time.Second}

// RawCases are inputs in which a protocol's reader can go wrong. They read and write no key,
// so that they can be played side by side. Two that belong here are left out, as Redis's answer is of no use to compare
// with: a protocol error under CLIENT REPLY OFF, after which Redis neither answers nor closes (kvd does both), and a whole
// inline command of more than 64 KB, which Redis takes or refuses as its reads fall (kvd refuses it).
func RawCases() [][]byte {
	ping, long := "*1\r\n$4\r\nPING\r\n", strings.Repeat("x", 70_000)
	var out [][]byte
	for _, s := range []string{
		"", "\r\n", "\n", "\r", " \r\n", "PING\r\n", "PING\n", "ping\r\n", "PiNg \r\n", " PING\r\n", "\tPING\r\n", "PING\r\n\r\n\r\nPING\r\n",
		"PING hello\r\n", "PING \"hello world\"\r\n", "PING 'hello world'\r\n", "PING 'it\\'s'\r\n", "ECHO \"\\x41\\x42\\n\\t\\\\\\\"\"\r\n", "ECHO 'a\\n'\r\n", "ECHO \"first\"\r\nECHO \"other\"\r\n'ECHO' 'third'\r\n",
		"ECHO \"unbalanced\r\n", "ECHO 'unbalanced\r\n", "ECHO \"a\"b\r\n", "ECHO \"\"\r\n", "ECHO ''\r\n", "ECHO \"\\xzz\"\r\n", "ECHO a\"b c\"\r\n", "ECHO \\x41\r\n",
		"ECHO a\x00b\r\n", "ECHO a\rb\r\n", "\"PING\"\r\n", "\"\"\r\n", "PING a b\r\n", "NOSUCH a b c\r\n", "PIN", "PING", "PING\r", "ECHO a\r\nPING\nECHO b\r\n",
		ping, ping + ping + ping, "*1\r\n$4\r\nping\r\n", "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n",
		"*0\r\n", "*0\r\n" + ping, "*-1\r\n", "*-1\r\n" + ping, "*-10\r\n" + ping, "*\r\n", "*\r\n" + ping, "*a\r\n", "*1a\r\n", "* 1\r\n", "*1 \r\n", "*+1\r\n", "*01\r\n",
		"*1048576\r\n", "*1048577\r\n", "*2147483647\r\n", "*2147483648\r\n", "*-2147483649\r\n", "*9223372036854775807\r\n", "*9223372036854775808\r\n", "*99999999999999999999\r\n",
		"*1\r\n", "*1\r\n$", "*1\r\n$4", "*1\r\n$4\r", "*1\r\n$4\r\n", "*1\r\n$4\r\nPI", "*1\r\n$4\r\nPING", "*1\r\n$4\r\nPING\r", "*1\r\n\r\n", "*1\r\n*1\r\n", "*1\r\nPING\r\n", "*1\r\n:1\r\n",
		"*1\r\n+PING\r\n", "*1\r\n$\r\n", "*1\r\n$a\r\n", "*1\r\n$-1\r\n", "*1\r\n$-2\r\n", "*1\r\n$+4\r\nPING\r\n", "*1\r\n$04\r\nPING\r\n", "*1\r\n$ 4\r\nPING\r\n", "*1\r\n$4 \r\nPING\r\n",
		"*1\r\n$0\r\n\r\n", "*1\r\n$536870912\r\n", "*1\r\n$536870913\r\n", "*1\r\n$9223372036854775807\r\n", "*1\r\n$9223372036854775808\r\n", "*2\r\n$4\r\nECHO\r\n$-1\r\n",
		"*1\r\n$4\r\nPINGxx" + ping, "*1\r\n$4\r\nPINGPING\r\n", "*1\r\n$3\r\nPING\r\n", "*1\r\n$5\r\nPING\r\n", "*1\r\n$4\nPING\n", "*1\n$4\r\nPING\r\n", "*1\r$4\r\nPING\r\n",
		"*2\r\n$4\r\nECHO\r\n$4 PING\r\n", "$4\r\nPING\r\n", "$4 PING\r\n", "+PING\r\n", "-ERR\r\n", ":1\r\n", "%1\r\n", "~1\r\n", "_\r\n", ">1\r\n", "#t\r\n", "(1\r\n",
		"*3\r\n$3\r\nGET\r\n$1\r\na\r\n$1\r\nb\r\n", "*1\r\n$6\r\nNOSUCH\r\n", "*2\r\n$6\r\nNOSUCH\r\n$5\r\na\x00\r\nb\r\n", "*2\r\n$7\r\nNO\r\nSUC\r\n$1\r\na\r\n",
		ping + "*a\r\n" + ping, ping + "*1\r\n$-5\r\n" + ping, "ECHO 'x\r\n" + ping,
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\n\r\n", "post / x\r\n", "Host: x\r\n" + ping, "*1\r\n$4\r\nPOST\r\n" + ping, "*2\r\n$5\r\nhost:\r\n$1\r\na\r\n" + ping,
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", "\x00\x00\x00\x00", "\xff\xfe\r\n", "\x80\x01\r\n",
		"QUIT\r\n" + ping, "QUIT\r\n", ping + "*1\r\n$4\r\nQUIT\r\n" + ping, "QUIT now\r\n" + ping,
		"CLIENT REPLY OFF\r\nPING\r\nPING\r\nCLIENT REPLY ON\r\nPING\r\n", "CLIENT REPLY SKIP\r\nPING\r\nECHO b\r\n", "CLIENT REPLY SKIP\r\nNOSUCH\r\nECHO b\r\n",
		"RESET\r\nPING\r\n", "SELECT 1\r\nSELECT 99\r\nPING\r\n", "HELLO 4\r\nHELLO x\r\nPING\r\n",
		long, "PING " + strings.Repeat("y", 60_000) + "\r\n", "*1\r\n$" + strings.Repeat("1", 30) + "\r\n", "*" + strings.Repeat("0", 300) + "1\r\n$4\r\nPING\r\n",
		"*2\r\n$4\r\nECHO\r\n$12000\r\n" + strings.Repeat("z", 12000) + "\r\n", strings.Repeat(ping, 300), strings.Repeat("PING\r\n", 300), strings.Repeat("*0\r\n", 500) + ping,
		"*200\r\n$4\r\nECHO\r\n" + strings.Repeat("$1\r\na\r\n", 199) + ping,
	} {
		out = append(out, []byte(s))
	}
	return out
}

// Mutate makes n inputs out of the short ones of cases, by changing bytes and numbers and by joining parts.
func Mutate(cases [][]byte, seed uint64, n int) [][]byte {
	g := rand.New(rand.NewPCG(seed, 1))
	var short [][]byte
	for _, c := range cases {
		// What QUIT, OFF and SKIP leave unread or unanswered depends on how the bytes arrive.
		if len(c) > 0 && len(c) < 200 && !bytes.Contains(c, []byte("QUIT")) && !bytes.Contains(c, []byte("REPLY")) {
			short = append(short, c)
		}
	}
	pieces := []string{"\r\n", "\r", "\n", "*", "$", "-1", "0", "4", "999999999", "1048577", " ", "\x00", "\"", "'", "PING", "*1\r\n", "$4\r\n", "\xff", "18446744073709551615"}
	out := make([][]byte, n)
	for i := range out {
		b := slices.Clone(short[g.IntN(len(short))])
		for range 1 + g.IntN(3) {
			at := g.IntN(len(b) + 1)
			switch g.IntN(5) {
			case 0:
				b = slices.Insert(b, at, []byte(pieces[g.IntN(len(pieces))])...)
			case 1:
				b = b[:at]
			case 2:
				if at < len(b) {
					b[at] = byte(g.Uint32())
				}
			case 3:
				b = append(b, short[g.IntN(len(short))]...)
			case 4:
				if at < len(b) {
					b = slices.Delete(b, at, at+1)
				}
			}
		}
		out[i] = b
	}
	return out
}

// PlayRaw sends every input to both servers, in one part and, with a seed, in two, and returns the differences.
func PlayRaw(kvd, redis Endpoint, cases [][]byte, seed uint64) ([]RawDiff, error) {
	type job struct {
		in    []byte
		split int
	}
	var jobs []job
	g := rand.New(rand.NewPCG(seed, 2))
	for _, in := range cases {
		jobs = append(jobs, job{in, 0})
		if len(in) > 1 {
			jobs = append(jobs, job{in, 1 + g.IntN(len(in)-1)})
		}
	}
	diffs := make([]*RawDiff, len(jobs))
	errs := make([]error, len(jobs))
	var wg sync.WaitGroup
	gate := make(chan struct{}, 16)
	for i, j := range jobs {
		wg.Add(1)
		gate <- struct{}{}
		go func() {
			defer func() { <-gate; wg.Done() }()
			diffs[i], errs[i] = compareRaw(kvd.Addr, redis.Addr, j.in, j.split)
		}()
	}
	wg.Wait()
	var out []RawDiff
	for _, d := range diffs {
		if d != nil {
			out = append(out, *d)
		}
	}
	return out, errors.Join(errs...)
}

func compareRaw(kvd, redis string, in []byte, split int) (*RawDiff, error) {
	for i, silence := range silences {
		var got, want RawAnswer
		var gotErr, wantErr error
		var wg sync.WaitGroup
		wg.Add(2)
		go func() { defer wg.Done(); got, gotErr = exchange(kvd, in, split, silence) }()
		go func() { defer wg.Done(); want, wantErr = exchange(redis, in, split, silence) }()
		wg.Wait()
		if gotErr != nil || wantErr != nil {
			return nil, errors.Join(gotErr, wantErr)
		}
		got.Bytes, want.Bytes = rawFree.ReplaceAll(got.Bytes, []byte("$1")), rawFree.ReplaceAll(want.Bytes, []byte("$1"))
		if got.Closed == want.Closed && (bytes.Equal(got.Bytes, want.Bytes) || got.Closed && cutShort(in, got.Bytes, want.Bytes)) {
			return nil, nil
		}
		if i == len(silences)-1 {
			return &RawDiff{in, split, got, want}, nil
		}
	}
	return nil, nil
}

// rawFree are the values in HELLO's reply that are the server's own affair.
var rawFree = regexp.MustCompile("(\\$\\d+\r\n(?:version|id)\r\n)(?:\\$\\d+\r\n[0-9.]+|:\\d+)\r\n")

// cutShort tells whether one side sent less because HTTP's words end a connection along with the replies that it was
// not sent yet: which these are hangs on how much either side reads at once.
func cutShort(in, got, want []byte) bool {
	in = bytes.ToLower(in)
	return (bytes.Contains(in, []byte("post")) || bytes.Contains(in, []byte("host:"))) && (bytes.HasPrefix(got, want) || bytes.HasPrefix(want, got))
}

func exchange(addr string, in []byte, split int, silence time.Duration) (RawAnswer, error) {
	var r RawAnswer
	c, err := net.DialTimeout("tcp", addr, 30*time.Second)
	if err != nil {
		return r, err
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(30 * time.Second))
	for i, part := range [][]byte{in[:split], in[split:]} {
		if i == 1 && split > 0 {
			time.Sleep(2 * time.Millisecond) // so that the parts arrive apart
		}
		if _, err := c.Write(part); err != nil {
			break // closed already; what it said can still be read
		}
	}
	buf := make([]byte, 64<<10)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		c.SetReadDeadline(time.Now().Add(silence))
		n, err := c.Read(buf)
		r.Bytes = append(r.Bytes, buf[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return r, nil
		}
		if err != nil {
			// A reset is a close that leaves bytes of ours unread.
			r.Closed = true
			if err != io.EOF && !isReset(err) {
				return r, err
			}
			return r, nil
		}
	}
	return r, fmt.Errorf("%.100q: the server does not stop talking", in)
}

func isReset(err error) bool {
	return strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "broken pipe")
}
