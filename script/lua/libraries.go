package lua

// openLibraries adds the libraries beside the basic functions.
func openLibraries(s *State) {
}
