// Package vector finds by meaning: it turns texts into vectors and finds the
// vectors nearest to a given one.
//
// An [Embedder] turns texts into vectors. [Static] does it by itself, with a word
// table that is part of the binary; [NewOpenAI] and [NewOllama] ask a server that
// the user runs or pays for, and nothing is ever sent anywhere unless one of
// these two was configured; [None] has no vectors; [Cached] remembers those of
// another embedder.
//
// An [Index] holds the vectors of one model and searches them. It is derived:
// it lives in memory, is filled from the store at start, and losing it loses
// nothing.
//
// A failure that someone can remedy is an [*Error] with a kind and a hint.
package vector
