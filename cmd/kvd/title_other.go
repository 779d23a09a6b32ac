//go:build !linux

package main

import "errors"

func keepArgs() {}

// writeTitle is not to be had here.
func writeTitle(string) error { return errors.ErrUnsupported }
