//go:build unix

package transport

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/server"
)

// BenchmarkOverhead runs the same calls through mcp-go's own transports and ours,
// turn by turn in one process, and reports both rates and the ratio of the CPU
// time of a call. The client is as small as can be, and the same for both.
func BenchmarkOverhead(b *testing.B) {
	ours, _ := newTestServer(b, Options{Instructions: "x"})
	bare := ours.MCP()
	b.Run("stdio", func(b *testing.B) {
		for _, callers := range []int{1, 16} {
			b.Run(strconv.Itoa(callers), func(b *testing.B) {
				compare(b, callers,
					pipeline(b, callers, func(ctx context.Context, in io.Reader, out io.Writer) error {
						// As large as its limits allow; the default drops to one
						// call at a time once 100 wait.
						s := server.NewStdioServer(bare)
						server.WithWorkerPoolSize(16)(s)
						server.WithQueueSize(10_000)(s)
						server.WithErrorLogger(log.New(io.Discard, "", 0))(s)
						return s.Listen(ctx, in, out)
					}),
					pipeline(b, callers, ours.ServeStdio))
			})
		}
	})
	for _, e := range eras {
		b.Run("http/"+e.name, func(b *testing.B) {
			for _, callers := range []int{1, 16} {
				b.Run(strconv.Itoa(callers), func(b *testing.B) {
					quiet := slog.New(slog.DiscardHandler)
					plain := &http.Server{Handler: server.NewStreamableHTTPServer(bare, server.WithStateful(true), server.WithStreamableHTTPLogger(quiet))}
					guarded := ours.Handler(HTTPOptions{
						Authenticate: BearerTokens(map[TokenHash]Identity{HashToken("t"): {Key: "a"}}), Rate: 1e9,
					})
					compare(b, callers,
						connections(b, callers, e, func(ctx context.Context, ln net.Listener) {
							defer context.AfterFunc(ctx, func() { plain.Close() })()
							_ = plain.Serve(ln) // it is closed
						}),
						connections(b, callers, e, func(ctx context.Context, ln net.Listener) {
							if err := ours.Serve(ctx, ln, nil, guarded); err != nil {
								b.Error(err)
							}
						}))
				})
			}
		})
	}
}

// compare runs b.N calls through each side, in turns, and reports the figures.
func compare(b *testing.B, callers int, bare, ours func(n int)) {
	var spent, cpu [2]time.Duration
	b.ResetTimer()
	for done, turn := 0, 0; done < b.N; turn++ {
		n := min(max(b.N/10, 100), b.N-done)
		for _, side := range []int{turn % 2, 1 - turn%2} {
			start, used := time.Now(), cpuTime()
			[]func(int){bare, ours}[side](n)
			spent[side] += time.Since(start)
			cpu[side] += cpuTime() - used
		}
		done += n
	}
	b.StopTimer()
	rate := func(d time.Duration) float64 { return float64(b.N) / d.Seconds() }
	perCall := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(b.N) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate(spent[0]), "bare-calls/s")
	b.ReportMetric(rate(spent[1]), "calls/s")
	b.ReportMetric(perCall(cpu[0]), "bare-cpu-µs")
	b.ReportMetric(perCall(cpu[1]), "cpu-µs")
	b.ReportMetric(cpu[1].Seconds()/cpu[0].Seconds(), "cpu-ratio")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pipeline returns a function that makes n calls over pipes with as many under way
// as there are callers.
func pipeline(b *testing.B, callers int, serve func(context.Context, io.Reader, io.Writer) error) func(n int) {
	inR, inW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = serve(context.Background(), inR, outW)
	}()
	b.Cleanup(func() {
		inW.Close()
		<-served
		inR.Close()
		outW.Close()
		outR.Close()
	})
	answers := bufio.NewReader(outR)
	send := func(line string) {
		if _, err := io.WriteString(inW, line+"\n"); err != nil {
			b.Fatal(err)
		}
	}
	receive := func() {
		if _, err := answers.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
	}
	send(initialize)
	receive()
	return func(n int) {
		sent := 0
		for ; sent < min(callers, n); sent++ {
			send(legacy.call(strconv.Itoa(sent), "echo", `"text":"hello"`))
		}
		for range n {
			receive()
			if sent < n {
				send(legacy.call(strconv.Itoa(sent), "echo", `"text":"hello"`))
				sent++
			}
		}
	}
}

// connections returns a function that makes n calls over as many connections as
// there are callers.
func connections(b *testing.B, callers int, e era, serve func(context.Context, net.Listener)) func(n int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serve(ctx, ln)
	}()
	b.Cleanup(func() {
		stop()
		<-ended
	})
	header := "Host: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nAuthorization: Bearer t\r\n"
	if e.name == modern.name {
		header += "Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n"
	}
	conns := make([]*rawConn, callers)
	for i := range conns {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { nc.Close() })
		conns[i] = &rawConn{b, nc, bufio.NewReader(nc)}
	}
	if e.name == legacy.name {
		got := conns[0].post(header, initialize)
		header += "Mcp-Session-Id: " + got.Get("Mcp-Session-Id") + "\r\n"
	}
	return func(n int) {
		var wg sync.WaitGroup
		for i, c := range conns {
			wg.Go(func() {
				for id := i; id < n; id += callers {
					c.post(header, e.call(strconv.Itoa(id), "echo", `"text":"hello"`))
				}
			})
		}
		wg.Wait()
	}
}

// rawConn is the least of an HTTP client.
type rawConn struct {
	b  *testing.B
	nc net.Conn
	r  *bufio.Reader
}

func (c *rawConn) post(header, body string) textproto.MIMEHeader {
	if _, err := fmt.Fprintf(c.nc, "POST /mcp HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", header, len(body), body); err != nil {
		c.b.Fatal(err)
	}
	tp := textproto.NewReader(c.r)
	status, err := tp.ReadLine()
	if err != nil {
		c.b.Fatal(err)
	}
	h, err := tp.ReadMIMEHeader()
	if err != nil {
		c.b.Fatal(err)
	}
	n, err := strconv.Atoi(h.Get("Content-Length"))
	if err != nil || !strings.Contains(status, " 200 ") {
		c.b.Fatalf("%s %v", status, h)
	}
	if _, err := c.r.Discard(n); err != nil {
		c.b.Fatal(err)
	}
	return h
}
