//go:build wasip1

// Package engram is the memory, for agents in Go that are built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared
//
// It is one file with nothing but the standard library. An action is an
// exported function that hands its work to Act:
//
//	//go:wasmexport tool_newest
//	func newest() int32 {
//		return engram.Act(func(in struct{ Context string }) (any, error) {
//			return engram.Search(engram.Query{Context: in.Context, Limit: 1})
//		})
//	}
//
// What an action writes takes effect when it returns without an error, all
// together, and not at all otherwise. Between calls nothing stays but Globals.
package engram

import (
	"encoding/json"
	"fmt"
	"time"
	"unsafe"
)

// The host's functions: the agent ABI engram:agent/1.

//go:wasmimport engram input_len
func inputLen() uint32

//go:wasmimport engram input_read
func inputRead(to unsafe.Pointer, room uint32) uint32

//go:wasmimport engram output
func hostOutput(at unsafe.Pointer, n uint32)

//go:wasmimport engram call
func hostCall(op unsafe.Pointer, opLen uint32, in unsafe.Pointer, inLen uint32) int32

//go:wasmimport engram result_read
func resultRead(to unsafe.Pointer, room uint32) uint32

//go:wasmimport engram log
func hostLog(level int32, at unsafe.Pointer, n uint32)

//go:wasmimport engram emit
func hostEmit(at unsafe.Pointer, n uint32)

//go:wasmimport engram config
func hostConfig(key unsafe.Pointer, n uint32) int32

//go:wasmimport engram deadline_ms
func hostDeadline() int64

//go:wasmimport engram fuel_left
func hostFuel() int64

func data(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

// result fetches the newest result of the host, of n bytes.
func result(n int32) []byte {
	b := make([]byte, n)
	resultRead(data(b))
	return b
}

// Act decodes the parameters of this call into an In, runs do, and sets what it
// returns as the action's output, or its error. The exported function of an
// action returns what Act returns.
func Act[In, Out any](do func(In) (Out, error)) int32 {
	b := make([]byte, inputLen())
	inputRead(data(b))
	var in In
	err := json.Unmarshal(b, &in)
	var out any
	if err == nil {
		out, err = do(in)
	}
	code := int32(0)
	if err != nil {
		out, code = map[string]string{"message": err.Error()}, 1
	}
	if b, err = json.Marshal(out); err != nil {
		b, code = []byte(`{"message":"the output cannot be JSON"}`), 1
	}
	hostOutput(data(b))
	return code
}

// An Error is why the memory refused a call.
type Error struct {
	Code    string `json:"code"` // one word, such as denied or not_found
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + " (" + e.Hint + ")"
}

// Call calls a tool by its name, one that the manifest grants: with in as its
// arguments, and its answer decoded into out, which may be nil. What the memory
// refuses is an *Error.
func Call(op string, in, out any) error {
	args, err := json.Marshal(in)
	if err != nil {
		return err
	}
	name, nameLen := data([]byte(op))
	at, n := data(args)
	size := hostCall(name, nameLen, at, n)
	if size < 0 {
		refused := &Error{}
		if err := json.Unmarshal(result(-size), refused); err != nil {
			return err
		}
		return refused
	}
	answer := result(size)
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// An Engram is a memory as the memory gives it.
type Engram struct {
	ID          string          `json:"id"`
	Content     string          `json:"content"`
	Kind        string          `json:"kind"`
	Source      string          `json:"source"`
	Author      string          `json:"author"`
	Trust       string          `json:"trust"` // user, agent or import
	Confidence  float64         `json:"confidence"`
	Importance  float64         `json:"importance"`
	Tags        []string        `json:"tags"`
	Metadata    json.RawMessage `json:"metadata"`
	Context     string          `json:"context"`
	Collections []string        `json:"collections"`
	ValidFrom   time.Time       `json:"valid_from"`
	ValidTo     time.Time       `json:"valid_to"`
	CreatedAt   time.Time       `json:"created_at"`
	Version     int64           `json:"version"`
	Score       float64         `json:"score"` // of a hit
	Links       []Edge          `json:"links"` // if Get was asked for them
}

// A New is an engram to be created. Only Content is needed.
type New struct {
	Content        string    `json:"content"`
	Kind           string    `json:"kind,omitempty"`
	Source         string    `json:"source,omitempty"`
	Confidence     float64   `json:"confidence,omitempty"`
	Importance     float64   `json:"importance,omitempty"`
	Tags           []string  `json:"tags,omitempty"`
	Metadata       any       `json:"metadata,omitempty"` // a JSON object
	Context        string    `json:"context,omitempty"`
	Collections    []string  `json:"collections,omitempty"`
	ValidFrom      time.Time `json:"valid_from,omitzero"`
	ValidTo        time.Time `json:"valid_to,omitzero"`
	TTLSeconds     int64     `json:"ttl_seconds,omitempty"`
	AllowDuplicate bool      `json:"allow_duplicate,omitempty"`
	Links          []Edge    `json:"links,omitempty"` // From is the new one
}

// Made is what Create made of a New, or found in its place.
type Made struct {
	ID        string `json:"id"`
	Version   int64  `json:"version"`
	Duplicate bool   `json:"duplicate"` // an equal one was there
}

// An Edge is a typed, weighted link.
type Edge struct {
	From     string  `json:"from,omitempty"`
	To       string  `json:"to"`
	Relation string  `json:"relation"`
	Weight   float64 `json:"weight,omitempty"` // 0 to 1; 0 stands for 1
}

// Create remembers engrams, all or none, and answers in their order.
func Create(engrams ...New) (made []Made, err error) {
	var out struct{ Engrams []Made }
	err = Call("engram_create", map[string]any{"engrams": engrams}, &out)
	return out.Engrams, err
}

// Get returns the engrams with these ids, those that there are.
func Get(ids ...string) ([]Engram, error) {
	var out struct{ Engrams []Engram }
	err := Call("engram_get", map[string]any{"ids": ids, "include_links": true}, &out)
	return out.Engrams, err
}

// A Query says what to search for. What is zero does not narrow it.
type Query struct {
	Query         string    `json:"query,omitempty"` // words or a question; without it the newest come first
	Limit         int       `json:"limit,omitempty"` // at most 200; 0 stands for 10
	Context       string    `json:"context,omitempty"`
	Collections   []string  `json:"collections,omitempty"`
	Tags          []string  `json:"tags,omitempty"`
	Kind          string    `json:"kind,omitempty"`
	Source        string    `json:"source,omitempty"`
	After         time.Time `json:"after,omitzero"`
	Before        time.Time `json:"before,omitzero"`
	MinConfidence float64   `json:"min_confidence,omitempty"`
	Mode          string    `json:"mode,omitempty"` // hybrid, text or vector
}

// Search finds engrams, best first.
func Search(q Query) ([]Engram, error) {
	var out struct{ Hits []Engram }
	err := Call("engram_search", q, &out)
	return out.Hits, err
}

// Link sets links. The same ends and relation again change a link.
func Link(edges ...Edge) error {
	return Call("engram_link", map[string]any{"links": edges}, nil)
}

// Update changes fields of an engram, by the names that engram_update has for
// them.
func Update(id string, fields map[string]any) (Engram, error) {
	args := map[string]any{"id": id}
	for k, v := range fields {
		args[k] = v
	}
	var out struct{ Engram Engram }
	err := Call("engram_update", args, &out)
	return out.Engram, err
}

// Forget hides engrams; engram_restore brings them back.
func Forget(ids ...string) error {
	return Call("engram_forget", map[string]any{"ids": ids}, nil)
}

// Graph returns the engrams and links within so many steps of the start, along
// these relations, or all.
func Graph(start string, depth int, relations ...string) ([]Engram, []Edge, error) {
	args := map[string]any{"start": start, "mode": "subgraph", "depth": depth}
	if len(relations) > 0 {
		args["relations"] = relations
	}
	var out struct {
		Engrams []Engram
		Links   []Edge
	}
	err := Call("engram_graph", args, &out)
	return out.Engrams, out.Links, err
}

// Globals decodes what the agent remembers between calls, a JSON object, into
// into.
func Globals(into any) error { return Call("globals_get", struct{}{}, into) }

// SetGlobals replaces the globals by v, a JSON object of at most 64 KiB, if the
// action succeeds.
func SetGlobals(v any) error { return Call("globals_set", v, nil) }

// Config decodes the config of the manifest into into.
func Config(into any) error {
	n := hostConfig(data(nil))
	if n < 0 {
		return nil
	}
	return json.Unmarshal(result(n), into)
}

// The levels of a line of the log.
const (
	Debug = iota
	Info
	Warn
	Severe
)

// Log writes a line to the agent's log.
func Log(level int32, format string, args ...any) {
	at, n := data([]byte(fmt.Sprintf(format, args...)))
	hostLog(level, at, n)
}

// Progress tells the caller how far the action is.
func Progress(done, total float64, message string) {
	b, err := json.Marshal(map[string]any{"progress": done, "total": total, "message": message})
	if err == nil {
		hostEmit(data(b))
	}
}

// Deadline is when the call will be stopped.
func Deadline() time.Time { return time.UnixMilli(hostDeadline()) }

// FuelLeft is the work that the call may still do, about one unit an
// instruction.
func FuelLeft() int64 { return hostFuel() }

// A Hook is what an action is given that runs before or after a tool.
type Hook struct {
	Tool   string
	Args   json.RawMessage
	Result json.RawMessage // after the tool only
}

// An Answer is what such an action returns. The zero Answer changes nothing.
type Answer struct {
	Args   any    `json:"args,omitempty"`   // before: go on with these
	Refuse string `json:"refuse,omitempty"` // before: stop the call, for this reason
	Result any    `json:"result,omitempty"` // after: give the caller this
}
