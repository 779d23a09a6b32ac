package lua

// OpenOS makes the table os with the one function that Redis leaves in it.
func OpenOS(s *State) {
	t := &Table{}
	s.Register(t, "clock", func(_ *State, w []Value, _ int) (int, error) {
		w[0] = Number(cpuSeconds())
		return 1, nil
	})
	s.globals.Embed("os", t.Value())
}
