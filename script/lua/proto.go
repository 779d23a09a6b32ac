package lua

import "kvd/lockrank"

// Proto is a compiled function. It never changes, so that States may share it.
type Proto struct {
	code      []instruction
	consts    []Value
	protos    []*Proto
	lines     []int32 // of each instruction
	locals    []localInfo
	upvals    []string
	upvalDesc []upvalDesc
	chunk     string // the name that was given
	chunkID   string // as messages name it
	line      int    // where it is defined, 0 for a chunk
	params    int
	vararg    uint8
	stack     int // registers needed
}

// What Proto.vararg says: the function takes any number of arguments; it has
// the hidden local `arg`; the table for that must be made.
const (
	varargIs    = 1
	varargHas   = 2
	varargNeeds = 4
)

// ownMemory is about how many bytes the function takes with its instance, but
// without the functions in it; memory is with them.
func (p *Proto) ownMemory() int {
	const head, instruction, local = 400, 4 + 4 + 8, 24
	n := head + len(p.code)*instruction + len(p.consts)*valueSize + len(p.locals)*local + len(p.upvals)*local
	for _, v := range p.consts {
		if v.isKind(KindString) {
			n += v.strLen()
		}
	}
	return n
}

func (p *Proto) memory() int {
	n := p.ownMemory()
	for _, inner := range p.protos {
		n += inner.memory()
	}
	return n
}

// localInfo is a local variable and where it is alive.
type localInfo struct {
	name       string
	start, end int32
}

// upvalDesc says where a closure takes an upvalue from when it is made: the
// function around's register, or its upvalue.
type upvalDesc struct {
	local bool
	index uint8
}

// Constants with equal bytes get equal addresses in all Protos, so that the
// inline caches of all scripts agree on the keys of a shared table.
var (
	internMu lockrank.Mutex[lockrank.LuaIntern] // protects interned
	interned = map[string]string{}
)

const (
	maxInternLen = 64
	maxInterned  = 1 << 16
)

func intern(name string) string {
	if len(name) > maxInternLen {
		return string(append([]byte(nil), name...))
	}
	internMu.Lock()
	defer internMu.Unlock()
	if s, ok := interned[name]; ok {
		return s
	}
	if len(interned) >= maxInterned {
		clear(interned)
	}
	s := string(append([]byte(nil), name...))
	interned[s] = s
	return s
}

// ForgetConstants empties the table of shared constants; what is compiled
// stays good.
func ForgetConstants() {
	internMu.Lock()
	clear(interned)
	internMu.Unlock()
}

// localName is the name of the n-th (from 1) local that is alive at pc, or "".
func (p *Proto) localName(n, pc int) string {
	for i := range p.locals {
		v := &p.locals[i]
		if int(v.start) > pc {
			break
		}
		if pc < int(v.end) {
			if n--; n == 0 {
				return v.name
			}
		}
	}
	return ""
}

// registerName finds what the value of a register is called where the
// instruction at pc uses it, for messages: the kind of name ("local",
// "global", "field", "method", "upvalue") and the name; kind is "" where it has
// none.
func (p *Proto) registerName(reg, pc int) (kind, name string) {
	if name := p.localName(reg+1, pc); name != "" {
		return "local", name
	}
	i := p.code[p.lastSetter(reg, pc)]
	switch i.op() {
	case opGetGlobal:
		return "global", p.consts[i.bx()].str()
	case opMove:
		if i.b() < i.a() {
			return p.registerName(i.b(), pc)
		}
	case opGetTable:
		return "field", p.constName(i.c())
	case opGetUpval:
		if i.b() < len(p.upvals) {
			return "upvalue", p.upvals[i.b()]
		}
		return "upvalue", "?"
	case opSelf:
		return "method", p.constName(i.c())
	}
	return "", ""
}

func (p *Proto) constName(rk int) string {
	if isConst(rk) {
		if v := p.consts[rk&^constBit]; v.isKind(KindString) {
			s := v.str()
			for i := 0; i < len(s); i++ {
				if s[i] == 0 {
					return s[:i]
				}
			}
			return s
		}
	}
	return "?"
}

// lastSetter is the address of the instruction before pc that set the register
// last, taking jumps forward that do not skip pc. Where there is none it is the
// function's last instruction, a return.
func (p *Proto) lastSetter(reg, end int) int {
	last := len(p.code) - 1
	for pc := 0; pc < end; pc++ {
		i := p.code[pc]
		a := i.a()
		changes := false
		switch i.op() {
		case opMove, opLoadK, opLoadBool, opGetUpval, opGetGlobal, opGetTable, opNewTable, opAdd, opSub, opMul, opDiv,
			opMod, opPow, opUnm, opNot, opLen, opConcat, opTest, opTestSet, opForLoop, opForPrep, opClosure, opVararg:
			changes = reg == a
		case opLoadNil:
			changes = a <= reg && reg <= i.b()
		case opSelf:
			changes = reg == a || reg == a+1
		case opTForLoop:
			changes = reg >= a+2
		case opCall, opTailCall:
			changes = reg >= a
		}
		if changes {
			last = pc
		}
		switch i.op() {
		case opJmp, opForLoop, opForPrep:
			if to := pc + 1 + i.sbx(); to > pc && to <= end {
				pc = to - 1
			}
		case opClosure:
			pc += len(p.protos[i.bx()].upvals)
		case opSetList:
			if i.c() == 0 {
				pc++
			}
		}
	}
	return last
}
