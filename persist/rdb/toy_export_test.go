package rdb

import "kvd/types"

// AddCodec gives a type a line in the table, for the test of a made-up one.
func AddCodec(t types.Type, c Codec) {
	Codecs[t] = c
	formTypes = typesByForm(&Codecs)
}
