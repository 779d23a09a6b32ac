package transport

const (
	LateMax  = lateMax
	ReadSize = readSize
)
