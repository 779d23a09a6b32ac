package differ

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"

	"kvd/tests/harness"
)

// A fault is a way to be wrong that a proxy adds to a server that is right. ask may change a request, and
// tell may change its reply; either may be nil. The planted faults are those that a new server is likely
// to have: they tell how well the scripts look.
type fault struct {
	name string
	why  string
	ask  func(args []string) []string
	tell func(args []string, r reply) []byte // nil: leave the reply as it is
	// after is sent behind the request, and its reply thrown away.
	after func(args []string, r reply) []string
}

func is(args []string, names ...string) bool {
	for _, n := range names {
		if strings.EqualFold(args[0], n) {
			return true
		}
	}
	return false
}

// without removes every word from args[from:].
func without(args []string, from int, word string) []string {
	out := args[:min(from, len(args)):min(from, len(args))]
	for _, a := range args[len(out):] {
		if !strings.EqualFold(a, word) {
			out = append(out, a)
		}
	}
	return out
}

var faults = []fault{
	{name: "big-incr", why: "INCR, INCRBY, DECR and DECRBY count in doubles: wrong beyond 2^53",
		tell: func(args []string, r reply) []byte {
			if is(args, "INCR", "INCRBY", "DECR", "DECRBY") && r.Kind == ':' && int64(float64(r.Int)) != r.Int && math.Abs(float64(r.Int)) < 1<<63 {
				return []byte(":" + strconv.FormatInt(int64(float64(r.Int)), 10) + "\r\n")
			}
			return nil
		}},
	{name: "no-nx", why: "SET ignores NX",
		ask: func(args []string) []string {
			if is(args, "SET") {
				return without(args, 3, "NX")
			}
			return args
		}},
	{name: "negative-end", why: "GETRANGE leaves out the last byte of a range with a negative end",
		tell: func(args []string, r reply) []byte {
			if is(args, "GETRANGE", "SUBSTR") && len(args) == 4 && strings.HasPrefix(args[3], "-") && r.Kind == '$' && len(r.Str) > 0 {
				return []byte("$" + strconv.Itoa(len(r.Str)-1) + "\r\n" + r.Str[:len(r.Str)-1] + "\r\n")
			}
			return nil
		}},
	{name: "error-text", why: "the text for a bad integer lacks its second half",
		tell: func(_ []string, r reply) []byte {
			if r.Err() == "ERR value is not an integer or out of range" {
				return []byte("-ERR value is not an integer\r\n")
			}
			return nil
		}},
	{name: "ttl-missing", why: "TTL says -1 of a missing key",
		tell: func(args []string, r reply) []byte {
			if is(args, "TTL") && r.Kind == ':' && r.Int == -2 {
				return []byte(":-1\r\n")
			}
			return nil
		}},
	{name: "rename-ttl", why: "RENAME loses the deadline",
		after: func(args []string, r reply) []string {
			if is(args, "RENAME") && len(args) == 3 && r.Str == "OK" {
				return []string{"PERSIST", args[2]}
			}
			return nil
		}},
	{name: "bit-unit", why: "BITCOUNT and BITPOS take BIT for BYTE",
		ask: func(args []string) []string {
			if is(args, "BITCOUNT", "BITPOS") {
				return without(args, 4, "BIT")
			}
			return args
		}},
	{name: "copy-replaces", why: "COPY overwrites without REPLACE",
		ask: func(args []string) []string {
			if is(args, "COPY") && len(args) == 3 {
				return append(args[:3:3], "REPLACE")
			}
			return args
		}},
	{name: "expire-gt", why: "EXPIRE and its kin ignore GT",
		ask: func(args []string) []string {
			if is(args, "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT") && len(args) == 4 {
				return without(args, 3, "GT")
			}
			return args
		}},
	{name: "null-kind", why: "GET answers with RESP2's null in RESP3",
		tell: func(args []string, r reply) []byte {
			if is(args, "GET") && r.Kind == '_' {
				return []byte("$-1\r\n")
			}
			return nil
		}},
	{name: "set-keeps-ttl", why: "SET without options keeps the deadline: no reply tells, only a later one",
		ask: func(args []string) []string {
			if is(args, "SET") && len(args) == 3 {
				return append(args[:3:3], "KEEPTTL")
			}
			return args
		}},
	{name: "setrange-creates", why: "SETRANGE of nothing on a missing key creates it",
		after: func(args []string, r reply) []string {
			if is(args, "SETRANGE") && len(args) == 4 && args[3] == "" && r.Kind == ':' && r.Int == 0 {
				return []string{"SET", args[1], "", "NX"}
			}
			return nil
		}},
	{name: "overflow-sat", why: "BITFIELD wraps where it was told to saturate",
		ask: func(args []string) []string {
			if is(args, "BITFIELD") {
				out := append([]string(nil), args...)
				for i, a := range out {
					if strings.EqualFold(a, "SAT") {
						out[i] = "WRAP"
					}
				}
				return out
			}
			return args
		}},
}

// proxy is a server that hands everything on to another, with a fault.
type proxy struct {
	net.Listener
	to    string
	fault fault
	wg    sync.WaitGroup
}

func newProxy(to string, f fault) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{Listener: l, to: to, fault: f}
	p.wg.Add(1)
	go p.serve()
	return p, nil
}

func (p *proxy) endpoint() Endpoint { return Endpoint{Addr: p.Addr().String()} }

func (p *proxy) serve() {
	defer p.wg.Done()
	for {
		nc, err := p.Accept()
		if err != nil {
			return
		}
		p.wg.Add(1)
		go func() {
			defer p.wg.Done()
			defer nc.Close()
			to, err := harness.Dial(p.to)
			if err != nil {
				return
			}
			defer to.Close()
			p.relay(harness.NewConn(nc), to)
		}()
	}
}

// relay hands on one request after another until either side ends.
func (p *proxy) relay(from, to *harness.Conn) {
	for {
		args, err := request(from)
		if err != nil {
			return
		}
		sent := args
		if p.fault.ask != nil {
			sent = p.fault.ask(args)
		}
		r, err := to.Do(sent...)
		if err != nil {
			return
		}
		if p.fault.after != nil {
			if more := p.fault.after(args, r); more != nil {
				if _, err := to.Do(more...); err != nil {
					return
				}
			}
		}
		out := r.Raw
		if p.fault.tell != nil {
			if wrong := p.fault.tell(args, r); wrong != nil {
				out = wrong
			}
		}
		if _, err := from.Write(out); err != nil {
			return
		}
	}
}

// request reads one request, an array of bulk strings, as this package's clients send it.
func request(c *harness.Conn) ([]string, error) {
	r, err := c.Receive()
	if err != nil {
		return nil, err
	}
	if r.Kind != '*' || len(r.Elems) == 0 {
		return nil, fmt.Errorf("not a request: %s", r)
	}
	return r.Strings(), nil
}
