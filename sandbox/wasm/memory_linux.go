package wasm

import "syscall"

// dropPages zeroes a part of mapped memory by giving its pages back, and
// reports whether it did. Only Linux promises that they come back zeroed.
func dropPages(b []byte) bool { return syscall.Madvise(b, syscall.MADV_DONTNEED) == nil }
