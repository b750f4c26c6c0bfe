// Package quality measures how well the built program finds what it remembers:
// on conversations of LoCoMo, where a file of them is at hand, and on a set of
// its own, beside plain BM25. README.md tells how to measure other data.
package quality

//go:generate go run ./generate
