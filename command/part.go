package command

import (
	"reflect"
	"sync"
)

// parts are what families keep for a server, by type.
type parts struct{ all sync.Map }

// Part is the T of a server: what a family of commands needs for as long as the
// server runs, and nobody else knows. It is made at the first call; make may be
// called more than once then, and must do nothing but allocate.
func Part[T any](s *Server, make func(s *Server) *T) *T {
	key := reflect.TypeFor[T]()
	if v, ok := s.parts.all.Load(key); ok {
		return v.(*T)
	}
	v, _ := s.parts.all.LoadOrStore(key, make(s))
	return v.(*T)
}
