package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"engram-mcp/memory"
	"engram-mcp/tools"
	"engram-mcp/tools/transport"
)

const (
	maxAudited   = 200         // ids in a line of the audit log
	maxRequestID = 100         // bytes of a request's own id there
	auditReopen  = time.Second // between looks whether the file was moved away
)

// An auditLog tells in lines of JSON who called what on which engrams, and
// nothing of what they say. The nil log tells nothing.
type auditLog struct {
	path string // empty for a stream
	log  *slog.Logger

	mu     sync.Mutex
	w      io.Writer
	file   *os.File // what w is; nil for a stream
	looked time.Time
}

// An auditEntry is one line of the audit log.
type auditEntry struct {
	Time      time.Time       `json:"time"`
	Request   json.RawMessage `json:"request,omitempty"` // the client's id of its request
	Principal string          `json:"principal"`
	Space     string          `json:"space"`
	Tool      string          `json:"tool"`
	Nested    bool            `json:"nested,omitempty"` // called by an agent, within the request
	IDs       []string        `json:"ids,omitempty"`
	MoreIDs   int             `json:"more_ids,omitempty"` // how many there were besides
	Outcome   string          `json:"outcome"`            // ok, or what went wrong in a word
	Ms        float64         `json:"ms"`
}

// openAudit opens the audit log that the settings ask for, if they do.
func (a *app) openAudit(log *slog.Logger) (*auditLog, error) {
	switch a.audit {
	case "":
		return nil, nil
	case "-":
		return &auditLog{log: log, w: a.out}, nil
	}
	l := &auditLog{path: a.audit, log: log}
	if err := l.open(); err != nil {
		return nil, failed("the audit log cannot be written", "check that the folder of "+a.audit+" is there and yours, or choose another with --audit", err)
	}
	return l, nil
}

// open opens the file anew, unless it is the one that is open.
func (l *auditLog) open() error {
	l.looked = time.Now()
	if l.file != nil {
		if there, err := os.Stat(l.path); err == nil {
			if ours, err := l.file.Stat(); err == nil && os.SameFile(there, ours) {
				return nil
			}
		}
	}
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if l.file != nil {
		_ = l.file.Close() // each line was written when it was told
	}
	l.file, l.w = f, f
	return nil
}

// write tells of one call. A file that was moved away, as by logrotate, is begun
// anew within a second.
func (l *auditLog) write(ctx context.Context, c tools.Called, nested bool) {
	if l == nil {
		return
	}
	who, _ := memory.PrincipalFrom(ctx)
	ids := touched(c.In, c.Out)
	e := auditEntry{
		Time: time.Now().UTC(), Principal: who.Name, Space: who.Space, Tool: c.Tool, Nested: nested,
		IDs: ids[:min(len(ids), maxAudited)], MoreIDs: max(0, len(ids)-maxAudited), Outcome: outcome(c.Err), Ms: milliseconds(c.Took),
	}
	if id := transport.RequestID(ctx); id != "" && len(id) <= maxRequestID {
		e.Request = json.RawMessage(id)
	}
	line, err := json.Marshal(e)
	if err != nil {
		l.log.Error("the audit log lacks a call", "err", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path != "" && time.Since(l.looked) > auditReopen {
		err = l.open()
	}
	if err == nil {
		_, err = l.w.Write(append(line, '\n'))
	}
	if err != nil {
		l.log.Error("the audit log lacks a call", "err", err)
	}
}

func (l *auditLog) close() {
	if l != nil && l.file != nil {
		_ = l.file.Close() // each line was written when it was told
	}
}

// touched are the ids of engrams in the texts of a call, each once: whatever is
// one, outside of what somebody wrote to be remembered.
func touched(texts ...json.RawMessage) []string {
	var ids []string
	seen := map[string]bool{}
	add := func(s string) {
		if len(s) == len("engram://")+36 && s[:9] == "engram://" {
			s = s[9:]
		}
		if len(s) != 36 || seen[s] || uuid.Validate(s) != nil {
			return
		}
		seen[s] = true
		ids = append(ids, s)
	}
	for _, text := range texts {
		var v any
		if dec := json.NewDecoder(bytes.NewReader(text)); dec.Decode(&v) == nil {
			walk(v, add)
		}
	}
	return ids
}

// walk shows add the texts below v that stand where ids do.
func walk(v any, add func(string)) {
	switch v := v.(type) {
	case string:
		add(v)
	case []any:
		for _, item := range v {
			walk(item, add)
		}
	case map[string]any:
		for _, key := range idKeys {
			if item, ok := v[key]; ok {
				walk(item, add)
			}
		}
	}
}

// idKeys are the keys under which tools take and give ids of engrams, or lists of
// objects that have such keys.
var idKeys = []string{"id", "ids", "engram_id", "engram_ids", "memory_id", "start", "from", "to", "from_id", "to_id", "source_id", "target_id",
	"engram", "engrams", "hits", "links", "missing"}
