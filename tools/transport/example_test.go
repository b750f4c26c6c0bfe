package transport_test

import (
	"context"
	"os"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"engram-mcp/tools/transport"
)

func Example() {
	s := transport.New(transport.Options{Name: "greeter", Version: "1.0"})
	s.MCP().AddTool(mcp.NewTool("greet", mcp.WithString("name", mcp.Required())),
		func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if err := transport.Progress(ctx, 1, 2, "looking up the name"); err != nil {
				return nil, err
			}
			return mcp.NewToolResultText("hello, " + r.GetString("name", "")), nil
		})
	in := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call",` +
		`"params":{"name":"greet","arguments":{"name":"Ada"},"_meta":{"progressToken":"p"}}}`)
	if err := s.ServeStdio(context.Background(), in, os.Stdout); err != nil {
		panic(err)
	}
	// Output:
	// {"jsonrpc":"2.0","method":"notifications/progress","params":{"message":"looking up the name","progress":1,"progressToken":"p","total":2}}
	// {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello, Ada"}]}}
}
