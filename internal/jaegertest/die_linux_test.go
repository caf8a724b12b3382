package jaegertest_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/jaegertest"
)

// TestHelperProcess is the body of that process.
func TestHelperProcess(t *testing.T) {
	if os.Getenv(helper) == "" {
		return
	}
	jaeger := jaegertest.Start(t)
	fmt.Println("\nquery " + jaeger.Query)
	<-t.Context().Done() // never: the process is killed before
}

func TestJaegerDiesWithItsTest(t *testing.T) {
	jaegertest.Binary(t) // so that the helper need not build it
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperProcess$")
	cmd.Env = append(os.Environ(), helper+"=1")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var query string
	for lines := bufio.NewScanner(out); query == "" && lines.Scan(); {
		query, _ = strings.CutPrefix(lines.Text(), "query ")
		if !strings.HasPrefix(query, "http") {
			query = ""
		}
	}
	must(t, cmd.Process.Kill())
	if query == "" {
		t.Fatal("the helper did not start Jaeger")
	}
	_ = cmd.Wait() // it was killed
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for deadline := time.Now().Add(time.Minute); ; {
		resp, err := client.Get(query + "/api/services")
		if err != nil {
			return // gone
		}
		must(t, resp.Body.Close())
		if time.Now().After(deadline) {
			t.Fatal("Jaeger outlives the process that started it")
		}
	}
}
