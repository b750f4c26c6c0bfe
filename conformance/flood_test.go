package conformance

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	floodTime  = 2 * time.Second  // that each flood lasts
	floodBound = 200 << 20        // bytes of memory that the server may take meanwhile
	hang       = 10 * time.Second // after which a server counts as one that does not answer
)

// A flood is what somebody does who wants that others are not served. It goes on
// until ctx ends.
type flood struct {
	name string
	run  func(ctx context.Context, f *flooder)
}

// A flooder does it: with a token of its own, to one server.
type flooder struct {
	t     *testing.T
	addr  string
	token string
	big   []string // ids of engrams of the greatest size
}

// Whatever one client does, others are answered, and the memory of the server is
// bounded. The figures are printed; what fails the test is a bound of memory, an
// error, or a hang.
func TestServerStandsFloods(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("the memory of a process is read from /proc, which is not here")
	}
	for _, fl := range floods {
		t.Run(fl.name, func(t *testing.T) {
			data := t.TempDir()
			alice, mallory := newToken(t, data, "alice", "--space", "a"), newToken(t, data, "mallory", "--space", "b")
			g := serveGuarded(t, data)
			for i := range 50 {
				g.created(t, alice, fmt.Sprintf("Fact number %d is worth knowing", i))
			}
			f := &flooder{t: t, addr: strings.TrimPrefix(g.url, "http://"), token: mallory}
			if fl.name == "slow readers" {
				for i := range 2 { // as many as one answer takes
					f.big = append(f.big, g.created(t, mallory, strings.Repeat(strconv.Itoa(i), 240<<10)))
				}
			}
			calm := g.watch(t, alice, 500*time.Millisecond)
			ctx, stop := context.WithTimeout(t.Context(), floodTime)
			defer stop()
			done := make(chan struct{})
			go func() {
				defer close(done)
				fl.run(ctx, f)
			}()
			flooded := g.watch(t, alice, floodTime)
			stop()
			<-done
			t.Logf("calm:    %v", calm)
			t.Logf("flooded: %v", flooded)
			if flooded.memory > floodBound {
				t.Errorf("the server took %d MB of memory", flooded.memory>>20)
			}
			if after := g.watch(t, alice, 100*time.Millisecond); after.answers == 0 {
				t.Error("nobody is answered afterwards")
			}
		})
	}
}

// observation is what a client and the operator see of a server.
type observation struct {
	answers     int
	again       int           // connections that were lost, and tried again
	half, worst time.Duration // p50 and maximum of the time to an answer
	memory      int64         // the most, resident, in bytes
}

func (o observation) String() string {
	return fmt.Sprintf("%d answers, %d after a lost connection, p50 %v, slowest %v, memory %d MB", o.answers, o.again, o.half.Round(10*time.Microsecond), o.worst.Round(10*time.Microsecond), o.memory>>20)
}

// watch asks the server again and again for so long, in turn on a connection that
// is kept and on a new one.
func (g *guarded) watch(t *testing.T, token string, span time.Duration) (o observation) {
	t.Helper()
	kept := &http.Client{Timeout: hang}
	fresh := &http.Client{Timeout: hang, Transport: &http.Transport{DisableKeepAlives: true}}
	var took []time.Duration
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		a := toolCall(token, "engram_search", map[string]any{"query": "fact worth knowing", "limit": 3})
		if a.client = kept; len(took)%2 == 1 {
			a.client = fresh
		}
		start := time.Now()
		got, err := g.do(t, a)
		for ; err != nil && time.Since(start) < hang; got, err = g.do(t, a) {
			o.again++ // as clients do that find their connection closed
		}
		took = append(took, time.Since(start))
		if err != nil || got.status != http.StatusOK || !strings.Contains(got.body, "Fact number") {
			t.Fatalf("answered with %v %d %s", err, got.status, got.body)
		}
		o.memory = max(o.memory, resident(t, g.cmd.Process.Pid))
	}
	slices.Sort(took)
	o.answers, o.half, o.worst = len(took), took[len(took)/2], took[len(took)-1]
	return o
}

// resident is the memory of a process that is in use, in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// each runs do on so many goroutines, again and again.
func (f *flooder) each(ctx context.Context, n int, do func(ctx context.Context, i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				do(ctx, i)
			}
		})
	}
	wg.Wait()
}

// head is the beginning of a request of the flooder's own, or, without a token,
// of a stranger's.
func (f *flooder) head(known bool, more string) string {
	h := "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMcp-Protocol-Version: 2026-07-28\r\n"
	if known {
		h += "Authorization: Bearer " + f.token + "\r\n"
	}
	return h + more
}

// send connects, writes the parts with pauses between them, and then does not
// read for as long as it is told, or until the server hangs up.
func (f *flooder) send(ctx context.Context, pause time.Duration, parts ...string) {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", f.addr)
	if err != nil {
		time.Sleep(10 * time.Millisecond)
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for _, p := range parts {
		if _, err := io.WriteString(c, p); err != nil {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
	_, _ = io.Copy(io.Discard, c)
}

// drip is a text in many small parts.
func drip(text string) []string { return strings.SplitAfter(text, "") }

func length(n int) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n", n) }

// whole is a request of the flooder's own with a body that stands alone.
func (f *flooder) whole(a attempt) string {
	return f.head(true, "Mcp-Method: "+a.header.Get("Mcp-Method")+"\r\nMcp-Name: "+a.header.Get("Mcp-Name")+"\r\n"+length(len(a.body))+a.body)
}

// message is a call with an argument written as JSON.
func message(id, query string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"engram_search","arguments":{"query":` + query +
		`},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
}

var floods = []flood{
	{"bodies of 64 MiB", func(ctx context.Context, f *flooder) {
		part := strings.Repeat("x", 1<<20)
		f.each(ctx, 16, func(ctx context.Context, i int) {
			parts := []string{f.head(i%2 == 0, length(64<<20)) + `{"x":"`}
			if i%4 == 0 {
				parts[0] = f.head(true, "Transfer-Encoding: chunked\r\n\r\n")
			}
			part := part
			for range 64 {
				if i%4 == 0 {
					part = fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat(" ", 1<<20))
				}
				parts = append(parts, part)
			}
			f.send(ctx, 0, parts...)
		})
	}},
	{"bodies of 8 MB", func(ctx context.Context, f *flooder) {
		body := message("1", `"`+strings.Repeat("x", 8_000_000)+`"`)
		f.each(ctx, 16, func(ctx context.Context, _ int) {
			f.send(ctx, 0, f.head(true, "Connection: close\r\nMcp-Method: tools/call\r\nMcp-Name: engram_search\r\n"+length(len(body)))+body)
		})
	}},
	{"connections that say nothing", func(ctx context.Context, f *flooder) {
		f.each(ctx, 2000, func(ctx context.Context, _ int) { f.send(ctx, 0) })
	}},
	{"connections that come and go", func(ctx context.Context, f *flooder) {
		f.each(ctx, 64, func(ctx context.Context, _ int) {
			f.send(ctx, 0, f.head(false, "Connection: close\r\n"+length(2))+"{}")
		})
	}},
	{"slow heads", func(ctx context.Context, f *flooder) {
		parts := drip(f.head(true, "X-Slow: "+strings.Repeat("x", 1000)))
		f.each(ctx, 1500, func(ctx context.Context, _ int) { f.send(ctx, 200*time.Millisecond, parts...) })
	}},
	{"slow bodies", func(ctx context.Context, f *flooder) {
		parts := append([]string{f.head(true, length(8<<20))}, drip(strings.Repeat(" ", 1000))...)
		strange := append([]string{f.head(false, length(8<<20))}, parts[1:]...)
		f.each(ctx, 1000, func(ctx context.Context, i int) {
			if i%2 == 0 {
				f.send(ctx, 200*time.Millisecond, parts...)
				return
			}
			f.send(ctx, 200*time.Millisecond, strange...)
		})
	}},
	{"slow readers", func(ctx context.Context, f *flooder) {
		one := f.whole(toolCall(f.token, "engram_get", map[string]any{"ids": f.big}))
		f.each(ctx, 100, func(ctx context.Context, _ int) {
			c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", f.addr)
			if err != nil {
				return
			}
			defer c.Close()
			_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
			_, _ = io.WriteString(c, strings.Repeat(one, 4))
			<-ctx.Done()
		})
	}},
	{"deep JSON", func(ctx context.Context, f *flooder) {
		body := message("1", strings.Repeat("[", 1_000_000)+strings.Repeat("]", 1_000_000))
		f.each(ctx, 16, func(ctx context.Context, _ int) {
			f.send(ctx, 0, f.head(true, "Connection: close\r\n"+length(len(body)))+body)
		})
	}},
	{"huge ids", func(ctx context.Context, f *flooder) {
		body := message(`"`+strings.Repeat("9", 4_000_000)+`"`, `"x"`)
		f.each(ctx, 16, func(ctx context.Context, _ int) {
			f.send(ctx, 0, f.head(true, "Connection: close\r\nMcp-Method: tools/call\r\nMcp-Name: engram_search\r\n"+length(len(body)))+body)
		})
	}},
	{"batches", func(ctx context.Context, f *flooder) {
		body := "[" + strings.TrimSuffix(strings.Repeat(message("1", `"x"`)+",", 10_000), ",") + "]"
		f.each(ctx, 16, func(ctx context.Context, _ int) {
			f.send(ctx, 0, f.head(true, "Connection: close\r\n"+length(len(body)))+body)
		})
	}},
	{"calls without end", func(ctx context.Context, f *flooder) {
		one := f.whole(toolCall(f.token, "engram_search", map[string]any{"query": "x"}))
		f.each(ctx, 64, func(ctx context.Context, _ int) { f.send(ctx, 0, strings.Repeat(one, 100)) })
	}},
}
