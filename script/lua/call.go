package lua

// Call calls a function, or what has __call, from a Go function. The results
// are a part of the stack: they are good until the next call.
func (s *State) Call(f Value, args ...Value) ([]Value, error) { return s.call(f, args) }
