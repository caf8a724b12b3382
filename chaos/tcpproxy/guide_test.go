package tcpproxy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheGuideToAddingAFaultIsTrue: the files that it names are there, and hold the code that
// it shows.
func TestTheGuideToAddingAFaultIsTrue(t *testing.T) {
	root := filepath.Join("..", "..")
	b, err := os.ReadFile(filepath.Join(root, "docs", "how-to", "add-a-fault.md"))
	if err != nil {
		t.Fatal(err)
	}
	guide := string(b)
	var named strings.Builder
	for _, file := range []string{
		"chaos/kind.go", "chaos/tcpproxy/connection_limit.go", "chaos/tcpproxy/effect.go", "docs/how-to/break-tcp.md",
		"chaos/tcpproxy/toxiproxy/noop.go", "chaos/tcpproxy/toxiproxy/types.go", "chaos/cqlproxy/effect.go", "chaos/plan.go", "chaos/internal/faulttest/variants.go",
	} {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(guide, "`"+file+"`") {
			t.Errorf("it does not name %s", file)
		}
		named.Write(text)
	}
	flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	pieces := strings.Split(guide, "```go\n")[1:]
	for _, piece := range pieces {
		code, _, _ := strings.Cut(piece, "```")
		if !strings.Contains(flat(named.String()), flat(code)) {
			t.Errorf("not in the files that it names:\n%s", code)
		}
	}
	if len(pieces) != 4 {
		t.Errorf("%d pieces of code", len(pieces))
	}
}
