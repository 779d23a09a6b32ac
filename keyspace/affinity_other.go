//go:build !linux

package keyspace

import "errors"

const cpuWords = 16

// Affinity is not known here.
func Affinity(int) (mask [cpuWords]uint64, err error) { return mask, errors.ErrUnsupported }

// SetAffinity is not to be had here.
func SetAffinity(int, [cpuWords]uint64) error { return errors.ErrUnsupported }

// SetAffinityOfAll is not to be had here.
func SetAffinityOfAll([cpuWords]uint64) error { return errors.ErrUnsupported }
