package memory_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"engram-mcp/memory"
)

// TestMain lets the test binary be a writer in another process.
func TestMain(m *testing.M) {
	if dir := os.Getenv("ENGRAM_TEST_WRITER"); dir != "" {
		if err := writeUntilKilled(dir, os.Stdout); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// writeUntilKilled creates engrams and prints each id once it is acknowledged:
// ENGRAM_TEST_COUNT of them, or without end.
func writeUntilKilled(dir string, out io.Writer) error {
	ctx := memory.WithPrincipal(context.Background(), memory.Principal{Space: "default", Name: "writer", Rights: memory.Read | memory.Write})
	s, err := memory.Open(ctx, dir, memory.Options{})
	if err != nil {
		return err
	}
	count := -1
	fmt.Sscan(os.Getenv("ENGRAM_TEST_COUNT"), &count)
	for i := 0; i != count; i++ {
		r, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{
			memory.Create{Content: fmt.Sprintf("from %d number %d", os.Getpid(), i), Tags: []string{"t"}, Context: "shared"}}})
		if err != nil {
			return err
		}
		fmt.Fprintln(out, r[0].Engram.ID)
	}
	return s.Close()
}

func writer(t *testing.T, dir string, count int) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ENGRAM_TEST_WRITER="+dir, fmt.Sprint("ENGRAM_TEST_COUNT=", count))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// acknowledged reads the ids that a writer printed in full.
func acknowledged(out io.Reader) (ids []string) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if id := lines.Text(); len(id) == 36 {
			ids = append(ids, id)
		} else if strings.HasPrefix(id, "error") {
			ids = append(ids, id)
		}
	}
	return ids
}

// Several processes start at once on a space that is not there yet, and write:
// none fails, everything acknowledged is there.
func TestProcessesShareASpace(t *testing.T) {
	for _, n := range []int{2, 4} {
		t.Run(fmt.Sprint(n, " processes"), func(t *testing.T) {
			each := 200
			if testing.Short() {
				each = 20
			}
			dir := t.TempDir()
			var cmds []*exec.Cmd
			got := make(chan []string, n)
			for range n {
				cmd, out := writer(t, dir, each)
				cmds = append(cmds, cmd)
				go func() { got <- acknowledged(out) }()
			}
			var ids []string
			for range n {
				ids = append(ids, <-got...)
			}
			for _, cmd := range cmds {
				if err := cmd.Wait(); err != nil {
					t.Error("a process died:", err)
				}
			}
			if len(ids) != n*each {
				t.Errorf("%d acknowledged, want %d", len(ids), n*each)
			}
			ctx, s := reopen(t, dir, memory.Options{})
			present(t, ctx, s, ids)
			healthy(t, ctx, s)
		})
	}
}

// A kill in the middle of writing loses nothing that was acknowledged.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	var ids []string
	for range rounds {
		cmd, out := writer(t, dir, -1)
		got := make(chan []string, 1)
		go func() { got <- acknowledged(out) }()
		time.Sleep(time.Duration(60+rand.IntN(120)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, <-got...)
		_ = cmd.Wait()
	}
	if len(ids) < rounds {
		t.Skipf("only %d creates in %d rounds: the machine is too slow to say anything", len(ids), rounds)
	}
	t.Logf("%d acknowledged in %d rounds", len(ids), rounds)
	ctx, s := reopen(t, dir, memory.Options{})
	present(t, ctx, s, ids)
	healthy(t, ctx, s)
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	if slices.ContainsFunc(files, func(f string) bool { return f != "engram.db" && f != "engram.db-wal" && f != "engram.db-shm" }) {
		t.Errorf("stray files: %v", files)
	}
}

func present(t *testing.T, ctx context.Context, s *memory.Store, ids []string) {
	t.Helper()
	for page := range slices.Chunk(ids, memory.MaxPage) {
		_, missing, err := s.Get(ctx, page, memory.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range missing {
			t.Errorf("acknowledged, but not there: %s", id)
		}
	}
}

func healthy(t *testing.T, ctx context.Context, s *memory.Store) {
	t.Helper()
	problems, err := s.Check(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error("check:", p.What)
	}
}

// What another process wrote is in the next search, read and listing.
func TestAnotherProcessIsSeenAtOnce(t *testing.T) {
	dir := t.TempDir()
	ctx, a := reopen(t, dir, memory.Options{})
	_, b := reopen(t, dir, memory.Options{})
	search(t, ctx, b, "apple") // b is warm
	id := create(t, ctx, a, memory.Create{Content: "apple"})
	if got := search(t, ctx, b, "apple"); !slices.Equal(got, []string{id}) {
		t.Errorf("found %v", got)
	}
	do(t, ctx, b, memory.Update{ID: id, Content: ptr("pear")})
	if e := get(t, ctx, a, id); e.Content != "pear" {
		t.Errorf("read %q", e.Content)
	}
}

// Watch wakes for the writes of this store and of others on the file.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	ctx, a := reopen(t, dir, memory.Options{})
	_, b := reopen(t, dir, memory.Options{})
	woken := make(chan struct{}, 100)
	watching, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); a.Watch(watching, func() { woken <- struct{}{} }) }()
	wait := func(what string) {
		t.Helper()
		select {
		case <-woken:
		case <-time.After(20 * time.Second):
			t.Fatal("not woken by", what)
		}
	}
	wait("its start")
	create(t, ctx, a, memory.Create{Content: "one"})
	wait("its own write")
	create(t, ctx, b, memory.Create{Content: "two"})
	wait("another's write")
	stop()
	<-done
}
