//go:build !unix

package js

import "time"

// busy returns how long f took: the time of the processor cannot be told here.
func busy(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
