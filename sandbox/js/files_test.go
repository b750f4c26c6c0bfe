package js

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// engram.d.ts says what programs find; tsc checks it on small examples. The others
// make more of their types than plain JavaScript tells.
func TestTypesFitTheExamples(t *testing.T) {
	if _, err := os.Stat("types/node_modules/.bin/tsc"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("tsc is not here: npm ci in sandbox/js/types installs it, as .ci/run does")
	}
	cmd := exec.Command("node_modules/.bin/tsc", "-p", ".")
	cmd.Dir = "types"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// js.wasm is what guest/build.sh made last.
func TestInterpreterIsTheOneThatWasBuilt(t *testing.T) {
	sum := sha256.Sum256(interpreter)
	want, _, _ := strings.Cut(string(file(t, "guest/js.wasm.sha256")), " ")
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("js.wasm has %s, guest/js.wasm.sha256 says %s: run guest/build.sh", got, want)
	}
	if len(interpreter) > 1<<20 {
		t.Errorf("it has grown to %d bytes", len(interpreter))
	}
}

// Built again it is the same, byte by byte.
func TestInterpreterIsWhatItsSourceGives(t *testing.T) {
	if os.Getenv("ENGRAM_REBUILD") == "" {
		t.Skip("set ENGRAM_REBUILD=1 to build js.wasm again; guest/build.sh names the compilers")
	}
	if out, err := exec.Command("sh", "guest/build.sh").CombinedOutput(); err != nil {
		t.Skipf("the toolchain of guest/build.sh is not here: %v\n%s", err, out)
	}
	if string(file(t, "js.wasm")) != string(interpreter) {
		t.Error("the source gives another js.wasm, which is in its place now")
	}
}
