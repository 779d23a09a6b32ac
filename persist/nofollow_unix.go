//go:build unix

package persist

import "syscall"

// noFollow has OpenFile fail where the name is that of a link.
const noFollow = syscall.O_NOFOLLOW
