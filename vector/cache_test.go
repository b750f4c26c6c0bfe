package vector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// counter is an Embedder that counts how often it embeds each text.
type counter struct {
	mu    sync.Mutex
	id    string
	asked [][]string
	err   error
}

func (c *counter) ID() string { return c.id }
func (c *counter) Dim() int   { return 2 }
func (c *counter) Embed(_ context.Context, texts []string) ([][]float32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, slices.Clone(texts))
	if c.err != nil {
		return nil, c.err
	}
	var vecs [][]float32
	for _, text := range texts {
		vecs = append(vecs, vecOf(c.id+text))
	}
	return vecs, nil
}

func TestCachedAsksForEachTextOnce(t *testing.T) {
	ctx := context.Background()
	inner := &counter{id: "model"}
	c := NewCached(inner, 1<<20)
	for range 3 {
		got, err := c.Embed(ctx, []string{"a", "bb", "a", "ccc"})
		if err != nil {
			t.Fatal(err)
		}
		want := [][]float32{vecOf("modela"), vecOf("modelbb"), vecOf("modela"), vecOf("modelccc")}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("vectors (-want +got):\n%s", diff)
		}
		got[0][0] = 99 // the caller's own
		if got[2][0] == 99 {
			t.Error("two texts share a vector")
		}
	}
	if _, err := c.Embed(ctx, []string{"bb", "new"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"a", "bb", "ccc"}, {"new"}}, inner.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestCachedNeverMixesModels(t *testing.T) {
	inner := &counter{id: "model"}
	c := NewCached(inner, 1<<20)
	for _, id := range []string{"model", "another"} {
		inner.id = id
		got, err := c.Embed(context.Background(), []string{"text"})
		if err != nil || !cmp.Equal(got, [][]float32{vecOf(id + "text")}) {
			t.Errorf("%s: got %v, %v", id, got, err)
		}
	}
}

func TestCachedRemembersNoFailure(t *testing.T) {
	inner := &counter{id: "model", err: errors.New("down")}
	c := NewCached(inner, 1<<20)
	if _, err := c.Embed(context.Background(), []string{"text"}); !errors.Is(err, inner.err) {
		t.Errorf("got %v", err)
	}
	inner.err = nil
	if _, err := c.Embed(context.Background(), []string{"text"}); err != nil {
		t.Error(err)
	}
}

func TestCachedStaysWithinItsBytes(t *testing.T) {
	ctx := context.Background()
	inner := &counter{id: "model"}
	const room = 3
	c := NewCached(inner, room*entrySize(make([]float32, 2)))
	embed := func(text string) (asked bool) {
		before := len(inner.asked)
		if _, err := c.Embed(ctx, []string{text}); err != nil {
			t.Fatal(err)
		}
		return len(inner.asked) > before
	}
	for i := range 100 {
		embed("0") // in use, so it stays
		embed(fmt.Sprint(i))
		if len(c.known) > room || c.order.Len() != len(c.known) || c.bytes > c.maxBytes {
			t.Fatalf("%d entries, %d bytes", len(c.known), c.bytes)
		}
	}
	if embed("0") {
		t.Error("the most used text was forgotten")
	}
	if !embed("1") {
		t.Error("the text used least recently was kept")
	}

	none := NewCached(inner, 0)
	if _, err := none.Embed(ctx, []string{"text"}); err != nil || len(none.known) != 0 {
		t.Errorf("without room: %v, %d entries", err, len(none.known))
	}
}

func TestCachedServesManyGoroutines(t *testing.T) {
	c := NewCached(&counter{id: "model"}, 4*entrySize(make([]float32, 2)))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				text := fmt.Sprint((g + i) % 10 * 11)
				got, err := c.Embed(context.Background(), []string{text, "x"})
				if err != nil || !cmp.Equal(got, [][]float32{vecOf("model" + text), vecOf("modelx")}) {
					t.Errorf("got %v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}
