package sandbox_test

import (
	"fmt"

	"engram-mcp/sandbox"
)

func ExampleParseManifest() {
	_, err := sandbox.ParseManifest([]byte(`{"name": "tidy", "grant": ["engram_search"]}`))
	fmt.Println(err)
	fmt.Println("hint:", sandbox.HintOf(err))
	// Output:
	// read manifest: not an agent that can be loaded: grant: there is no such key
	// hint: did you mean grants?
}
