// Package vector finds by meaning.
//
// An [Index] holds the vectors of one model and searches them. It is derived:
// it lives in memory, is filled from the store at start, and losing it loses
// nothing.
//
// Every failure is an [*Error] with a kind and a hint.
package vector
