package conformance

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"engram-mcp/conformance/binary"
)

// BenchmarkProgram prints what a user of the built program meets at a size:
//
//	go test ./conformance -run '^$' -bench Program -benchtime 1x
//
// ENGRAM_BENCH_SIZES=10000,100000 chooses the sizes.
func BenchmarkProgram(b *testing.B) {
	sizes := os.Getenv("ENGRAM_BENCH_SIZES")
	if sizes == "" {
		sizes = "10000"
	}
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal("ENGRAM_BENCH_SIZES: ", err)
		}
		b.Run(text, func(b *testing.B) {
			for range b.N {
				benchProgram(b, n)
			}
		})
	}
}

func benchProgram(b *testing.B, n int) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string { return "w" + strconv.Itoa(int(20000*r.Float64()*r.Float64()*r.Float64())) }
	data, file := b.TempDir(), filepath.Join(b.TempDir(), "import.jsonl")
	writeImport(b, file, n, r, word)
	load := binary.Command(b, data, "import", file) // builds the program first
	start := time.Now()
	if out, err := load.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	fmt.Printf("%d engrams: import %.0f/s\n", n, float64(n)/time.Since(start).Seconds())

	took := make([]time.Duration, 20)
	for i := range took {
		start := time.Now()
		s := binary.Start(b, data)
		s.Begin(b)
		took[i] = time.Since(start)
		s.Close(b)
	}
	slices.Sort(took)
	fmt.Printf("%d engrams: start to initialize answered p50 %v, most %v\n", n, took[10].Round(100*time.Microsecond), took[19].Round(100*time.Microsecond))

	s := binary.Start(b, data)
	s.Begin(b)
	fmt.Printf("%d engrams: resident after initialize %s\n", n, rss(s))
	each := func(what, tool string, times int, args func() map[string]any) {
		took := make([]time.Duration, times)
		for i := range took {
			message := binary.Call(i+1, tool, args())
			start := time.Now()
			s.Send(b, message)
			took[i] = time.Since(start)
		}
		slices.Sort(took)
		fmt.Printf("%d engrams: %-28s p50 %8.2f ms  p99 %8.2f ms\n", n, what, ms(took[times/2]), ms(took[times*99/100]))
	}
	query := func() map[string]any {
		return map[string]any{"query": strings.Join([]string{word(), word(), word(), word()}, " ")}
	}
	each("engram_search", "engram_search", 100, query)
	each("engram_search again", "engram_search", 200, query)
	each("engram_create, full", "engram_create", 300, func() map[string]any {
		return map[string]any{"content": strings.Join([]string{word(), word(), word(), word(), word(), word()}, " ")}
	})
	fmt.Printf("%d engrams: resident after searching %s\n", n, rss(s))
	s.Close(b)
}

func writeImport(b *testing.B, path string, n int, r *rand.Rand, word func() string) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range n {
		words := make([]string, 12+r.IntN(7))
		for j := range words {
			words[j] = word()
		}
		fmt.Fprintf(w, "{\"engram\":{\"content\":\"%s\",\"source\":\"bench\",\"context\":\"c%d\",\"created_at\":\"2026-01-01T00:00:00.%03dZ\"}}\n", strings.Join(words, " "), i%200, i%1000)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// rss is the resident memory of a server, where the system tells it.
func rss(s *binary.Stdio) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Cmd.Process.Pid))
	if err != nil {
		return "unknown here"
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown here"
}
