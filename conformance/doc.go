// Package conformance judges from outside: that the packages keep to their
// layout, that the built binary keeps its promises to clients of both protocol
// eras, through crashes and with several processes at once, and how well it
// finds what it remembers.
package conformance
