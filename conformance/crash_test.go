package conformance

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"engram-mcp/conformance/binary"
)

type created struct {
	Engrams []struct {
		ID        string
		Duplicate bool
	}
}

// acknowledgedID is the id in the answer to an engram_create, "" if it failed.
func acknowledgedID(answer []byte) string {
	var m struct {
		Result struct {
			IsError           bool
			StructuredContent created
		}
	}
	if json.Unmarshal(answer, &m) != nil || m.Result.IsError || len(m.Result.StructuredContent.Engrams) != 1 {
		return ""
	}
	return m.Result.StructuredContent.Engrams[0].ID
}

// allThere asks a fresh server for every id.
func allThere(t *testing.T, data string, ids []string) {
	t.Helper()
	s := binary.Start(t, data)
	s.Begin(t)
	for i := 0; i < len(ids); i += 100 {
		var got struct{ Missing []string }
		binary.Structured(t, s.Send(t, binary.Call(i+1, "engram_get", map[string]any{"ids": ids[i:min(i+100, len(ids))]})), &got)
		for _, id := range got.Missing {
			t.Errorf("acknowledged, but not there: %s", id)
		}
	}
	s.Close(t)
	if out, err := binary.Command(t, data, "doctor").CombinedOutput(); err != nil {
		t.Errorf("doctor: %v\n%s", err, out)
	}
}

func TestPipelinedCreatesAreAllStored(t *testing.T) {
	const n = 100
	data := t.TempDir()
	s := binary.Start(t, data)
	s.Begin(t)
	var all strings.Builder
	for i := range n {
		all.Write(append(binary.Call(i+1, "engram_create", map[string]any{"content": fmt.Sprint("fact number ", i)}), '\n'))
	}
	go func() { _, _ = s.In.Write([]byte(all.String())); _ = s.In.Close() }()
	var ids []string
	for range n {
		id := acknowledgedID(s.Receive(t))
		if id == "" {
			t.Fatal("a create failed")
		}
		ids = append(ids, id)
	}
	s.Close(t)
	allThere(t, data, ids)
}

func TestProcessesStartTogetherAndShareASpace(t *testing.T) {
	each := 200
	if testing.Short() {
		each = 20
	}
	for _, n := range []int{2, 4} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			data := t.TempDir()
			var mu sync.Mutex
			var ids []string
			var wg sync.WaitGroup
			servers := make([]*binary.Stdio, n)
			for i := range servers {
				servers[i] = binary.Start(t, data)
			}
			for p, s := range servers {
				wg.Go(func() {
					s.Begin(t)
					for i := range each {
						answer := s.Send(t, binary.Call(i+1, "engram_create", map[string]any{"content": fmt.Sprintf("process %d fact %d", p, i)}))
						id := acknowledgedID(answer)
						if id == "" {
							t.Errorf("process %d: %s", p, answer)
							return
						}
						mu.Lock()
						ids = append(ids, id)
						mu.Unlock()
					}
					s.Close(t)
				})
			}
			wg.Wait()
			if len(ids) != n*each {
				t.Errorf("%d acknowledged, want %d", len(ids), n*each)
			}
			allThere(t, data, ids)
		})
	}
}

func TestKillInMidWriteLosesNothingAcknowledged(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 2
	}
	data := t.TempDir()
	var ids []string
	for round := range rounds {
		s := binary.Start(t, data)
		s.Begin(t)
		stop := time.Now().Add(time.Duration(50+rand.IntN(150)) * time.Millisecond)
		go func() {
			for i := 0; time.Now().Before(stop); i++ {
				if _, err := s.In.Write(append(binary.Call(i+1, "engram_create", map[string]any{"content": fmt.Sprintf("round %d fact %d", round, i)}), '\n')); err != nil {
					return
				}
			}
			_ = s.Cmd.Process.Kill()
		}()
		for {
			line, err := s.Out.ReadBytes('\n')
			if err != nil {
				break
			}
			if id := acknowledgedID(line); id != "" {
				ids = append(ids, id)
			}
		}
		_ = s.Cmd.Wait()
	}
	t.Logf("%d creates acknowledged in %d rounds", len(ids), rounds)
	if len(ids) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	allThere(t, data, ids)
	files, err := filepath.Glob(filepath.Join(data, "spaces", "default", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		switch filepath.Base(f) {
		case "engram.db", "engram.db-wal", "engram.db-shm":
		default:
			t.Errorf("stray file %s", f)
		}
	}
}
