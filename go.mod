module engram-mcp

go 1.26
