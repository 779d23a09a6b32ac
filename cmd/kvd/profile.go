//go:build profile

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// A build with the tag profile writes CPU profiles of all that it does into the directory $KVD_PROFILES, a file every
// few seconds, so that the last one may be missing when the process ends. `make profile` makes default.pgo of them,
// from which the compiler learns what runs often.
func init() {
	dir := os.Getenv("KVD_PROFILES")
	if dir == "" {
		return
	}
	go func() {
		for i := 0; ; i++ {
			f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%d-%d.pprof", os.Getpid(), i)))
			if err == nil {
				err = pprof.StartCPUProfile(f)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "profile:", err)
				return
			}
			time.Sleep(2 * time.Second)
			pprof.StopCPUProfile()
			f.Close()
		}
	}()
}
