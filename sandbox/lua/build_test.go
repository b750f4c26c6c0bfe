package lua

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The interpreter is the one whose hash is kept, and what its source gives.
func TestInterpreterMatchesItsSource(t *testing.T) {
	want, err := os.ReadFile("lua.wasm.sha256")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x  lua.wasm\n", sha256.Sum256(interpreter)); got != string(want) {
		t.Errorf("lua.wasm is %swant %s", got, want)
	}
	if os.Getenv("ENGRAM_REBUILD") == "" {
		t.Skip("set ENGRAM_REBUILD=1 to build it again; guest/build.sh names the compilers")
	}
	out := t.TempDir()
	cmd := exec.Command("sh", "guest/build.sh")
	cmd.Env = append(os.Environ(), "OUT="+out)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("the toolchain of guest/build.sh is not here: %v\n%s", err, msg)
	}
	built, err := os.ReadFile(filepath.Join(out, "lua.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(built, interpreter) {
		t.Error("lua.wasm differs from what its source gives; run guest/build.sh")
	}
}
