//go:build !amd64

package vector

// fastest returns the best kernel for this machine.
func fastest() kernel { return dotGo }
