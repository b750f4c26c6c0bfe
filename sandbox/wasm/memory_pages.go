//go:build !linux

package wasm

func dropPages([]byte) bool { return false }
