package originaltest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos/tcpproxy/toxiproxy"
	"github.com/backstay-go/backstay/internal/testenv"
)

// suiteAddress is where Toxiproxy's tests expect their server.
const suiteAddress = "127.0.0.1:8475"

// notOurs are tests of Toxiproxy that say nothing of what its clients rely on.
var notOurs = map[string]string{
	"TestVersionEndpointReturnsVersion": "wants the word that a build of Toxiproxy from source calls its version",
}

// TestToxiproxysOwnTests runs each test of Toxiproxy's HTTP interface in a process of its
// own, with our server where it expects Toxiproxy's. The server that the test starts finds
// the address taken, and does nothing.
func TestToxiproxysOwnTests(t *testing.T) {
	testenv.NotShort(t, "it builds Toxiproxy's tests and runs 34 of them")
	const module = "github.com/Shopify/toxiproxy/v2"
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "api_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "toxiproxy.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, module).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	names := regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(source), -1)
	if len(names) != 34 {
		t.Errorf("%d tests, want 34", len(names))
	}
	for _, name := range names {
		if notOurs[name[1]] != "" {
			continue
		}
		t.Run(name[1], func(t *testing.T) {
			asked := serveSuite(t)
			cmd := exec.CommandContext(t.Context(), binary, "-test.run=^"+name[1]+"$", "-test.timeout=1m")
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
				t.Errorf("%v: %s", err, out)
			}
			if asked.Load() == 0 {
				t.Error("it asked nothing of our server")
			}
		})
	}
}

// serveSuite serves our interface where the tests expect Toxiproxy's, and counts requests.
func serveSuite(t *testing.T) *atomic.Int64 {
	t.Helper()
	api, err := toxiproxy.New(t.Context(), toxiproxy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	listen, err := net.Listen("tcp", suiteAddress)
	if err != nil {
		testenv.Missing(t, fmt.Sprintf("a free %s: %v", suiteAddress, err))
	}
	var asked atomic.Int64
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		api.ServeHTTP(w, r)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listen) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-ended
		if err := api.Close(); err != nil {
			t.Error(err)
		}
	})
	return &asked
}
