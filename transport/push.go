package transport

// appendPush appends a push in the form of the client's protocol; see
// command/push.go.
func appendPush(dst, b []byte, proto int) []byte {
	at := len(dst)
	dst = append(dst, b...)
	if proto < 3 && len(b) > 0 && b[0] == '>' {
		dst[at] = '*'
	}
	return dst
}
