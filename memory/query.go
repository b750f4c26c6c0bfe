package memory

import "time"

// A Filter selects engrams. Zero fields select everything; all given ones must
// hold. Only live engrams that the caller may read are ever selected.
type Filter struct {
	Context       string
	Collections   []string // in any of them
	Tags          []string // has all of them
	Kind          string
	Source        string
	After         time.Time // valid_from, or else created_at, not before this
	Before        time.Time // and before this
	ValidAt       time.Time // valid_from <= ValidAt < valid_to, open ends included
	MinConfidence float64
}

// A Mode says which candidates a search considers.
type Mode string

// The modes of search.
const (
	Hybrid Mode = "hybrid" // by words and by meaning
	Text   Mode = "text"   // by words only
	Vector Mode = "vector" // by meaning only
)

// A Query asks for engrams. Without any word in Text it lists the newest first.
type Query struct {
	Text string
	Filter
	Limit   int    // 1..MaxPage; 10 if 0
	Cursor  string // from an earlier answer to the same query
	Mode    Mode   // Hybrid if empty
	Explain bool   // fill Hit.Parts
}

// A Hit is one engram found. Score is comparable between hits of one query;
// Parts add up to it.
type Hit struct {
	Engram
	Score float64            `json:"score"`
	Parts map[string]float64 `json:"parts,omitempty"`
}

// Found is a page of hits, best first, equal scores by id.
type Found struct {
	Hits   []Hit
	Cursor string // of the next page; empty at the end
	// Notes are remarks on how the answer came about that a caller should
	// know, such as meaning being unavailable for now.
	Notes []string
}

// GetOptions refine Get.
type GetOptions struct {
	Links bool // fill Engram.Links with the visible links from and to it
}

// A Walk asks for a part of the graph of links around Start.
type Walk struct {
	Start     []string // engram ids
	Mode      WalkMode // Neighbors if empty
	To        string   // the goal, for Path
	Depth     int      // steps; 1 for Neighbors, 6 for Path, 2 for Subgraph if 0; at most MaxDepth
	Relations []string // follow only these; all if empty
	Limit     int      // engrams in the answer; 50 if 0; at most MaxPage
}

// A WalkMode is a way to walk the graph.
type WalkMode string

// The ways to walk.
const (
	Neighbors WalkMode = "neighbors" // what is linked with the start, in either direction
	Path      WalkMode = "path"      // a shortest path from the start to To; links may be followed backwards
	Subgraph  WalkMode = "subgraph"  // everything within Depth steps, and all links inside
)

// MaxDepth bounds the steps of a walk.
const MaxDepth = 10

// A Graph is the answer to a walk: engrams in the order they were reached, and
// the links among them, each with both ends in Engrams.
type Graph struct {
	Engrams   []Engram
	Links     []Link
	Truncated bool // more was there than Limit
}

// A Version is one entry of an engram's history.
type Version struct {
	Version   int64          `json:"version"`
	At        time.Time      `json:"at"`
	Principal string         `json:"principal,omitempty"`
	Change    string         `json:"change"`              // create, update, forget or restore
	Fields    map[string]any `json:"fields,omitempty"`    // what it set
	Compacted bool           `json:"compacted,omitempty"` // the values were compacted away
}

// Stats describes a space.
type Stats struct {
	Space       string `json:"space"`
	Engrams     int64  `json:"engrams"`
	Forgotten   int64  `json:"forgotten"`
	Links       int64  `json:"links"`
	Contexts    int64  `json:"contexts"`
	Collections int64  `json:"collections"`
	Ops         int64  `json:"ops"`             // 0 for who may not manage the space
	FileBytes   int64  `json:"file_bytes"`      // with the write-ahead log; 0 likewise
	Model       string `json:"model,omitempty"` // of the embedder; empty without one
	Embedded    int64  `json:"embedded"`        // engrams with a vector of that model
	Pending     int64  `json:"pending"`         // engrams that still wait for one
}

// A Policy is what Maintain does. Zero fields do nothing.
type Policy struct {
	PurgeExpired   time.Duration // purge what expired longer ago than this
	PurgeForgotten time.Duration // purge what was forgotten longer ago than this
	CompactHistory time.Duration // drop superseded values older than this
	Reinforce      bool          // let access counts raise importance
}

// Maintained is what Maintain did, or would do.
type Maintained struct {
	Purged     int64 `json:"purged"`
	Compacted  int64 `json:"compacted"`  // history entries whose values were dropped
	Reinforced int64 `json:"reinforced"` // engrams whose importance was raised
	FreedBytes int64 `json:"freed_bytes"`
}
