package tools

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"engram-mcp/memory"
	"engram-mcp/tools/transport"
)

// The resources of a memory. There is one template for all engrams and never
// one resource an engram: clients list resources whole.
const (
	engramURI = "engram://"
	statsURI  = "engram://stats"
	jsonMIME  = "application/json"
)

func serveResources(srv *server.MCPServer, set *Set, open Opener) {
	srv.AddResource(mcp.NewResource(statsURI, "stats", mcp.WithResourceTitle("Statistics"),
		mcp.WithResourceDescription("What the memory holds, as far as you may read it."), mcp.WithMIMEType(jsonMIME)),
		func(ctx context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return resource(ctx, set, open, req.Params.URI, func(s *memory.Store) (any, error) { return s.Stats(ctx) })
		})
	srv.AddResourceTemplate(mcp.NewResourceTemplate(engramURI+"{id}", "engram", mcp.WithTemplateTitle("Engram"),
		mcp.WithTemplateDescription("One engram with its links."), mcp.WithTemplateMIMEType(jsonMIME)),
		func(ctx context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return resource(ctx, set, open, req.Params.URI, func(s *memory.Store) (any, error) {
				engrams, _, err := s.Get(ctx, []string{strings.TrimPrefix(req.Params.URI, engramURI)}, memory.GetOptions{Links: true})
				if err != nil || len(engrams) == 0 {
					return nil, errors.Join(err, memory.ErrNotFound)
				}
				return engrams[0], nil
			})
		})
}

// resource reads what read gives as JSON, seen by whoever observes set. Who may
// not read it is told that it is not there.
func resource(ctx context.Context, set *Set, open Opener, uri string, read func(*memory.Store) (any, error)) ([]mcp.ResourceContents, error) {
	raw, err := set.observed(ctx, string(mcp.MethodResourcesRead), mustMarshal(uri), func() (json.RawMessage, error) {
		store, release, err := open(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
		v, err := read(store)
		if err != nil {
			return nil, err
		}
		return marshal(v)
	})
	if err != nil {
		return nil, refusal(ctx, uri, err)
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{URI: uri, MIMEType: jsonMIME, Text: string(clean(raw))}}, nil
}

// refusal turns an error that a client may know into the JSON-RPC error of its
// protocol revision.
func refusal(ctx context.Context, uri string, err error) error {
	text, kind := Explain(err)
	code := mcp.INVALID_PARAMS
	switch kind {
	case "":
		return err
	case "not_found", "denied":
		text = "resource not found"
		if !mcp.IsModernProtocol(server.RequestProtocolVersion(ctx)) {
			code = mcp.RESOURCE_NOT_FOUND
		}
	}
	return &transport.Error{Code: code, Message: text, Data: json.RawMessage(`{"uri":` + string(mustMarshal(uri)) + `}`)}
}

func mustMarshal(s string) json.RawMessage {
	raw, _ := json.Marshal(s) // a string cannot fail
	return raw
}
