//go:build !invariants

package command

// checkKeys is for builds with the tag invariants; see invariants_on.go.
func checkKeys(*Ctx) {}
