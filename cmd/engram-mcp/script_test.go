package main

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// save NAME... keeps the last stdout, trimmed, or each of its lines, in
// variables.
func save(ts *testscript.TestScript, neg bool, args []string) {
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	if neg || len(args) == 0 || len(lines) < len(args) {
		ts.Fatalf("usage: save NAME..., one for each line of stdout")
	}
	for i, name := range args {
		ts.Setenv(name, strings.TrimSpace(lines[i]))
	}
}

// saveJSON NAME PATH keeps a value of the last stdout, which is JSON, in a variable.
func saveJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: save-json NAME PATH")
	}
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &doc))
	v, ok := at(doc, strings.Split(args[1], "."))
	if !ok {
		ts.Fatalf("there is no %s in %s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// status N PROGRAM [ARGS] runs a program that must end with that exit status.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM [ARGS]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("the exit status is %d, not %d", got, want)
	}
}

// expect PATH VALUE checks a value in the JSON of the last stdout. A path is
// keys and indexes with dots between them; len as its last part is the length.
// "! expect PATH" checks that there is none.
func expect(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 && !neg || neg && len(args) != 1 {
		ts.Fatalf("usage: expect PATH VALUE, or ! expect PATH")
	}
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &doc))
	got, ok := at(doc, strings.Split(args[0], "."))
	switch {
	case neg && ok:
		ts.Fatalf("%s is %v", args[0], got)
	case !neg && !ok:
		ts.Fatalf("there is no %s in %s", args[0], ts.ReadFile("stdout"))
	case !neg && fmt.Sprint(got) != args[1]:
		ts.Fatalf("%s is %v, not %s", args[0], got, args[1])
	}
}

func at(v any, path []string) (any, bool) {
	for _, part := range path {
		switch x := v.(type) {
		case map[string]any:
			var ok bool
			if part == "len" {
				v = len(x)
			} else if v, ok = x[part]; !ok {
				return nil, false
			}
		case []any:
			if part == "len" {
				v = len(x)
				continue
			}
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// spoil damage|header|newer|foreign FILE makes a database unfit to be used: it
// overwrites a part in its middle or its beginning, gives it a schema version that is yet to
// come, or makes a new file that says it belongs to another program.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: spoil damage|header|newer|foreign FILE")
	}
	path := ts.MkAbs(args[1])
	if args[0] == "foreign" {
		db, err := sql.Open("sqlite", path)
		ts.Check(err)
		_, err = db.Exec("CREATE TABLE recipes (name TEXT); PRAGMA application_id = 7")
		ts.Check(errors.Join(err, db.Close()))
		return
	}
	b, err := os.ReadFile(path)
	ts.Check(err)
	switch args[0] {
	case "damage":
		for i := len(b) / 4; i < len(b)/2; i++ {
			b[i] = 0xA5
		}
	case "header":
		copy(b, "no database at all")
	case "newer":
		binary.BigEndian.PutUint32(b[60:], 99) // user_version
	default:
		ts.Fatalf("cannot spoil by %s", args[0])
	}
	ts.Check(os.WriteFile(path, b, 0o600))
}

// address chooses an address for a server: ADDR, and URL of it.
func address(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: address")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv("ADDR", ln.Addr().String())
	ts.Setenv("URL", "http://"+ln.Addr().String())
	ts.Check(ln.Close())
}

// age FILE makes a file an hour older than it is.
func age(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: age FILE")
	}
	then := time.Now().Add(-time.Hour)
	ts.Check(os.Chtimes(ts.MkAbs(args[0]), then, then))
}

// token keeps the token of the data directory in TOKEN.
func token(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: token")
	}
	ts.Setenv("TOKEN", strings.TrimSpace(ts.ReadFile(ts.Getenv("ENGRAM_DATA_DIR")+"/token")))
}

// httpCommand is the program "http [-token T] [-host H] [-modern METHOD] METHOD URL [BODY]".
// It prints the body of the answer on stdout and the status on stderr, and
// fails only if there is no answer.
func httpCommand() {
	token := flag.String("token", "", "bearer token")
	host := flag.String("host", "", "Host header")
	modern := flag.String("modern", "", "method of a request that stands alone")
	flag.Parse()
	ask := func() (*http.Response, error) {
		req, err := http.NewRequest(flag.Arg(0), flag.Arg(1), strings.NewReader(flag.Arg(2)))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Host = *host
		if *modern != "" {
			req.Header.Set("MCP-Protocol-Version", "2026-07-28")
			req.Header.Set("Mcp-Method", *modern)
			req.Header.Set("Mcp-Name", "engram_create")
		}
		if *token != "" {
			req.Header.Set("Authorization", "Bearer "+*token)
		}
		return (&http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}).Do(req)
	}
	resp, err := ask()
	for end := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(end); resp, err = ask() {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, resp.StatusCode)
	os.Stdout.Write(body)
}

// pipelineCommand is the program "pipeline N": an MCP session that creates N
// engrams without waiting for an answer.
func pipelineCommand() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var b bytes.Buffer
	b.WriteString(`{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"script","version":"1"}}}` + "\n")
	b.WriteString(`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n")
	for i := range n {
		fmt.Fprintf(&b, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"engram_create","arguments":{"content":"pipelined engram number %d"}}}`+"\n", i, i)
	}
	os.Stdout.Write(b.Bytes())
}
