package memory

import "sync"

// frequencies keeps in how many engrams words stand. A count is good until
// the space has grown or shrunk by a tenth since it was taken: what it is used
// for, the logarithm of a share, does not notice less.
type frequencies struct {
	mu     sync.Mutex
	counts map[string]frequency
}

type frequency struct{ engrams, df int }

const maxFrequencies = 20_000

// countsOften is the size up to which counting is so cheap that counts are
// not kept: small spaces are exact.
const countsOften = 5000

func (f *frequencies) get(stem string, engrams int) (df int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.counts[stem]
	drift := max(c.engrams-engrams, engrams-c.engrams)
	return c.df, ok && engrams > countsOften && drift*10 <= engrams
}

func (f *frequencies) put(stem string, engrams, df int) {
	if engrams <= countsOften {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil || len(f.counts) >= maxFrequencies {
		f.counts = map[string]frequency{}
	}
	f.counts[stem] = frequency{engrams, df}
}
