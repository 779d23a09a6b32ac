package lua

// openLibraries adds the libraries beside the basic functions.
func openLibraries(s *State) {
	OpenString(s)
	OpenTable(s)
	OpenMath(s)
	OpenOS(s)
	OpenBit(s)
	OpenStruct(s)
	OpenCmsgpack(s)
	OpenCjson(s)
}
