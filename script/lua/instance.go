package lua

// instance is a Proto as one State runs it: the code of the hot loop with its
// inline caches.
type instance struct {
	p      *Proto
	code   []uint64
	protos []*instance
	main   *closure // kept for runs of a whole chunk
	size   int      // what a script's memory counts for it: 0 where the script did not compile it
	epoch  uint32

	// For the hot loop.
	consts pointer
	stack  uintptr // bytes of registers
	params uint64
	plain  bool // takes no variable arguments
}

func (s *State) instance(p *Proto) *instance {
	if i, ok := s.instances[p]; ok {
		return i
	}
	i := s.newInstance(p)
	s.instances[p] = i
	return i
}

func (s *State) newInstance(p *Proto) *instance {
	i := &instance{p: p, protos: make([]*instance, len(p.protos))}
	for n, inner := range p.protos {
		i.protos[n] = s.newInstance(inner)
	}
	i.code = translate(p)
	i.consts = first(p.consts)
	i.stack, i.params, i.plain = uintptr(p.stack*valueSize), uint64(p.params), p.vararg == 0
	return i
}

// measure makes the instance and those in it count for the script.
func (i *instance) measure() {
	i.size = i.p.ownMemory()
	for _, inner := range i.protos {
		inner.measure()
	}
}

// Forget lets go of what the State keeps for a Proto that will not be run
// again.
func (s *State) Forget(p *Proto) { delete(s.instances, p) }
