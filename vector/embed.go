package vector

import "context"

// Embedder turns texts into vectors. Implementations may be used concurrently.
type Embedder interface {
	// ID names the model and everything else that decides what vector a text
	// gets, as provider|model|dim|version. Vectors of different IDs must never
	// be compared.
	ID() string

	// Dim is the dimension of every vector.
	Dim() int

	// Embed returns one vector of unit length for each text, in their order.
	// It is all or nothing. The vectors belong to the caller.
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// None is the Embedder of a memory that is searched by words alone.
type None struct{}

// ID returns "none".
func (None) ID() string { return "none" }

// Dim returns 0.
func (None) Dim() int { return 0 }

// Embed returns no vectors for no texts, and [ErrNoEmbedder] for any other.
func (None) Embed(_ context.Context, texts []string) ([][]float32, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	return nil, &Error{Op: "embed", Kind: ErrNoEmbedder, Hint: "choose an embedder in the configuration, or search by words"}
}
