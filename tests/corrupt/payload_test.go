package corrupt

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"kvd/types"
)

// payload is the body of a DUMP, without its footer.
type payload struct {
	form    byte // the first byte of the seed that it was made from
	body    []byte
	version uint16
}

// makeSeeds has a server dump values of every form that it writes, and adds the older ones.
func (tr *trial) makeSeeds() []payload {
	var out []payload
	add := func(body string, version uint16) {
		out = append(out, payload{body[0], []byte(body), version})
	}
	long := strings.Repeat("long", 20)
	make := func(lines ...string) {
		tr.do("DEL", "seed")
		for _, l := range lines {
			tr.do(strings.Fields(l)...)
		}
		d, err := tr.do("DUMP", "seed").Text()
		if err != nil {
			tr.t.Fatalf("%q: %v", lines, err)
		}
		add(d[:len(d)-10], binary.LittleEndian.Uint16([]byte(d[len(d)-10:])))
	}
	tr.do("CONFIG", "SET", "hash-max-listpack-entries", "8", "zset-max-listpack-entries", "8", "set-max-listpack-entries", "8", "list-max-listpack-size", "6", "stream-node-max-entries", "3", "set-max-intset-entries", "20")
	make("SET seed value")
	make("SET seed 12345")
	make("SETRANGE seed 300 x")
	make("PFADD seed a b c d e f g")
	make("PFADD seed a b c", "PFDEBUG TODENSE seed")
	make("RPUSH seed a b 1 -5 70000 c")
	make("RPUSH seed a b c 1 2 3 a b c 1 2 3 "+long, "LSET seed 3 "+strings.Repeat("plain", 2000))
	make("SADD seed 1 2 3 70000")
	make("SADD seed 1 2 3 5000000000 -5")
	make("SADD seed a b c 1 2")
	make("SADD seed a b c d e f g h i j 1 2 3")
	make("ZADD seed 1 a 2.5 b -inf c 3 1")
	make("ZADD seed 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h 9 i -inf j inf k")
	make("GEOADD seed 10 20 a -60 40 b 179.9 85 c")
	make("HSET seed a 1 b 2 c text 1 3.5")
	make("HSET seed a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8 i 9 j " + long)
	make("HSET seed a 1 b 2 c 3", "HPEXPIREAT seed 4000000000000 FIELDS 1 a", "HPEXPIREAT seed 4500000000000 FIELDS 1 b")
	make("HSET seed a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8 i 9 j "+long, "HPEXPIREAT seed 4000000000000 FIELDS 2 a j")
	make("XADD seed 1-1 a 1 b 2", "XADD seed 1-2 a 3 b 4", "XADD seed 2-1 c x", "XADD seed 3-1 a 1", "XADD seed 5-0 a "+long, "XDEL seed 2-1", "XGROUP CREATE seed g 0", "XREADGROUP GROUP g c COUNT 2 STREAMS seed >", "XREADGROUP GROUP g d COUNT 1 STREAMS seed >", "XGROUP CREATE seed h $")
	make("XADD seed 1-1 a 1", "XCFGSET seed IDMP-DURATION 1000 IDMP-MAXSIZE 10", "XADD seed IDMP pid iid * a 1", "XGROUP CREATE seed g 0", "XREADGROUP GROUP g c COUNT 2 STREAMS seed >")
	make("XADD seed 1-1 a 1", "XADD seed 2-1 a 1", "XADD seed 3-1 a 1", "XGROUP CREATE seed g 0", "XREADGROUP GROUP g c STREAMS seed >", "XNACK seed g FAIL IDS 2 1-1 3-1")
	make("ARSET seed 3 a 12 "+long+" -7", "ARMSET seed 100 x 4096 y 18446744073709551614 z", "ARINSERT seed q")
	tr.do("DEL", "seed")
	// What is read and not written.
	add("\x01\x03\x01a\x01b\x021x", 11)
	ziplist := "\x15\x00\x00\x00\x12\x00\x00\x00\x04\x00\x00\x01a\x03\xf2\x02\x01b\x03\xf3\xff"
	add("\x0a"+str(ziplist), 11)
	add("\x0c"+str(ziplist), 11)
	add("\x0d"+str(ziplist), 11)
	add("\x0e\x02"+str(ziplist)+str(ziplist), 11)
	add("\x09"+str("\x02\x01a\x01\x001\x01b\x01\x002\xff"), 11)
	add("\x03\x03\x01a\x011\x01b\x042.25\x01c\xff", 11)
	lp := listpack("b", "2", "4000000000000", "a", "1", "0")
	add("\x17"+str(string(lp)), 12)
	add("\x19"+le64(4000000000000)+str(string(listpack("b", "2", "4000000000000", "a", "1", "0"))), 12)
	add("\x16\x02\x00\x01a\x011\x42\x10\x01b\x012", 12)
	for _, p := range out {
		tr.t.Logf("form %d: %d bytes", p.form, len(p.body))
		if r := tr.c.Do("RESTORE", "seed", "0", string(seal(p.body, p.version)), "REPLACE"); r.Err() != nil {
			tr.t.Errorf("a seed is refused: %q: %v", p.body, r.Err())
		}
	}
	return out
}

// str is a string as RDB has it.
func str(s string) string {
	switch n := len(s); {
	case n < 1<<6:
		return string([]byte{byte(n)}) + s
	case n < 1<<14:
		return string([]byte{0x40 | byte(n>>8), byte(n)}) + s
	default:
		return "\x80" + string(binary.BigEndian.AppendUint32(nil, uint32(n))) + s
	}
}

func le64(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

// listpack is one as Redis writes it, with its header.
func listpack(elems ...string) []byte {
	var p types.Packed
	for _, e := range elems {
		p = p.Append([]byte(e))
	}
	return headed(p)
}

// headed puts a header before packed elements, and the end behind them.
func headed(p []byte) []byte {
	n := 0
	if types.Packed(p).Check() == nil {
		n = types.Packed(p).Count()
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(p)+7))
	b = binary.LittleEndian.AppendUint16(b, uint16(min(n, 65535)))
	return append(append(b, p...), 0xff)
}

// blob is a string within a body that has a format of its own.
type blob struct {
	at, from, to int // the length's first byte, and the string
	kind         byte
}

const (
	listpackBlob = 'l'
	ziplistBlob  = 'z'
	intsetBlob   = 'i'
	plainBlob    = 's'
)

// blobs finds the strings of a body: those whose length fits what is in them.
func blobs(body []byte) (out []blob) {
	for at := 1; at < len(body); at++ {
		from, n, ok := rdbLen(body, at)
		if !ok || n < 1 || from+n > len(body) {
			continue
		}
		b := body[from : from+n]
		switch {
		case n >= 7 && b[n-1] == 0xff && int(binary.LittleEndian.Uint32(b)) == n:
			kind := byte(listpackBlob)
			if f := body[0]; f >= 10 && f <= 14 && f != 11 {
				kind = ziplistBlob
			}
			out = append(out, blob{at, from, from + n, kind})
			at = from + n - 1
		case body[0] == 11 && from+n == len(body):
			out = append(out, blob{at, from, from + n, intsetBlob})
			at = from + n - 1
		case from+n == len(body) && n > 3:
			out = append(out, blob{at, from, from + n, plainBlob})
			at = from + n - 1
		}
	}
	return out
}

// rdbLen reads a length of RDB.
func rdbLen(b []byte, at int) (from, n int, ok bool) {
	switch c := b[at]; {
	case c < 0x40:
		return at + 1, int(c), true
	case c < 0x80 && at+1 < len(b):
		return at + 2, int(c&0x3f)<<8 | int(b[at+1]), true
	case c == 0x80 && at+4 < len(b):
		return at + 5, int(binary.BigEndian.Uint32(b[at+1:])), true
	}
	return 0, 0, false
}

// mutate damages one of the seeds and makes its lengths right again.
func (g *gen) mutate(seeds []payload) payload {
	// A form first: some have many seeds.
	var forms []byte
	for _, s := range seeds {
		if !slices.Contains(forms, s.form) {
			forms = append(forms, s.form)
		}
	}
	form := pick(g, forms...)
	p := pick(g, seeds...)
	for p.form != form {
		p = pick(g, seeds...)
	}
	p.body = slices.Clone(p.body)
	for range 1 + max(0, g.IntN(6)-3) {
		all := blobs(p.body)
		if len(all) == 0 || g.IntN(3) == 0 {
			p.body = g.damage(p.body, 1)
			continue
		}
		b := pick(g, all...)
		inner := slices.Clone(p.body[b.from:b.to])
		switch {
		case b.kind == listpackBlob && g.IntN(3) > 0:
			inner = g.reorder(inner)
		default:
			inner = g.damage(inner, 0)
		}
		inner = g.refit(inner, b.kind)
		p.body = slices.Concat(p.body[:b.at], []byte(str(string(inner))), p.body[b.to:])
	}
	if g.IntN(12) == 0 { // the value of one form is told to be of another
		p.body[0] = pick(g, seeds...).form
	}
	return p
}

// refit makes the lengths in a blob's own header fit, most of the time.
func (g *gen) refit(b []byte, kind byte) []byte {
	if g.IntN(10) == 0 {
		return b
	}
	switch {
	case kind == listpackBlob && len(b) >= 7:
		b[len(b)-1] = 0xff
		binary.LittleEndian.PutUint32(b, uint32(len(b)))
		if p := types.Packed(b[6 : len(b)-1]); p.Check() == nil {
			binary.LittleEndian.PutUint16(b[4:], uint16(p.Count()))
		}
	case kind == ziplistBlob && len(b) >= 11:
		b[len(b)-1] = 0xff
		binary.LittleEndian.PutUint32(b, uint32(len(b)))
	case kind == intsetBlob && len(b) >= 8:
		if w := binary.LittleEndian.Uint32(b); w == 2 || w == 4 || w == 8 {
			b = b[:8+(len(b)-8)/int(w)*int(w)]
			binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8)/w)
		}
	}
	return b
}

// reorder changes a listpack by its elements: twice, gone, moved, others.
func (g *gen) reorder(b []byte) []byte {
	p := types.Packed(b[6 : len(b)-1])
	if p.Check() != nil {
		return g.damage(b, 0)
	}
	var elems []string
	for off := p.First(); off >= 0; off = p.Next(off) {
		elems = append(elems, string(p.At(off).Append(nil)))
	}
	for range 1 + g.IntN(2) {
		if len(elems) == 0 {
			break
		}
		i, j := g.IntN(len(elems)), g.IntN(len(elems))
		switch g.IntN(5) {
		case 0:
			elems = slices.Insert(elems, i, elems[j])
		case 1:
			elems = slices.Delete(elems, i, i+1)
		case 2:
			elems[i], elems[j] = elems[j], elems[i]
		case 3:
			elems[i] = elems[j]
		default:
			elems[i] = pick(g, "", "0", "-1", "1", "nan", "inf", "-inf", "1e400", "9223372036854775807", "-9223372036854775808", "4000000000000", "1125899906842623", "a", strings.Repeat("y", 100), "01", "65535")
		}
	}
	return listpack(elems...)
}

// damage changes bytes from an offset on.
func (g *gen) damage(b []byte, from int) []byte {
	if len(b) <= from {
		return append(b, byte(g.Uint32()))
	}
	at := from + g.IntN(len(b)-from)
	switch g.IntN(9) {
	case 0:
		b[at] ^= 1 << g.IntN(8)
	case 1:
		b[at] = byte(g.Uint32())
	case 2:
		b[at] = pick[byte](g, 0, 1, 2, 3, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc0, 0xc3, 0xe0, 0xf0, 0xf1, 0xfd, 0xfe, 0xff)
	case 3:
		b[at] += pick[byte](g, 1, 0xff)
	case 4: // a piece is there twice
		end := min(at+1+g.IntN(16), len(b))
		b = slices.Insert(b, end, slices.Clone(b[at:end])...)
	case 5: // or not at all
		b = slices.Delete(b, at, min(at+1+g.IntN(8), len(b)))
	case 6:
		b = slices.Insert(b, at, byte(g.Uint32()))
	case 7:
		if n := pick(g, 2, 4, 8); at+n <= len(b) {
			copy(b[at:at+n], pick(g, "\x00\x00\x00\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\x7f", "\x00\x00\x00\x00\x00\x00\x00\x80", "\x00\x00\x00\x00\x00\x00\xf8\x7f", "\x00\x00\x00\x00\x00\x00\xf0\xff", "\x7f\xff\x7f\xff\x7f\xff\x7f\xff"))
		}
	default: // a piece comes from elsewhere
		n := min(1+g.IntN(12), len(b)-from)
		to, src := from+g.IntN(len(b)-from-n+1), from+g.IntN(len(b)-from-n+1)
		copy(b[to:to+n], slices.Clone(b[src:src+n]))
	}
	if len(b) == 0 {
		return []byte{0}
	}
	return b
}

func (p payload) String() string { return fmt.Sprintf("form %d: %q", p.form, p.body) }
