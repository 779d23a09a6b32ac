package lua

func (s *State) hot() {}

func translate(p *Proto) []uint64 { return nil }

func (f *frame) remember(i int) {}
