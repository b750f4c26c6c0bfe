// Package memory is what agents remember: engrams, the typed links between
// them, the contexts and collections they live in, and the history of all of
// it, in one SQLite file per space.
//
// There are few types. A [Store] is one open space; [Spaces] opens stores by
// name. An [Engram] is an atomic unit of knowledge, a [Link] a typed and
// weighted edge between two of them, a [Group] a context or a collection. A
// [Mutation] is a list of changes that happen all or none; [Store.Do] is the
// only way to make one here, [Store.Apply] the only way to take in the [Op]s
// that another store made. A [Query] asks; a [Hit] answers.
//
// Every call is made by a [Principal], carried in the context. A call without
// one is refused, and no answer tells an engram that the principal may not
// read apart from one that does not exist.
//
// The package knows nothing of MCP, of agents' code, or of embedding models:
// it declares what it needs of them ([Embedder], [Index], [Lexicon]) in plain types.
package memory
