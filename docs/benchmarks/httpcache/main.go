package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/resilience"
)

//go:embed run.mjs
var script string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: httpcache SUITE\n\nSUITE is a folder with github.com/http-tests/cache-tests, after npm install.")
		os.Exit(2)
	}
	if err := run(ctx, os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "httpcache:", err)
		os.Exit(1)
	}
}

// result is one test's. Kind is required, optimal or check; Outcome is a key of the
// suite's resultTypes.
type result struct {
	ID, Suite, Kind, Outcome string
	Detail                   string
}

// results are those of one cache.
type results struct {
	Name  string
	Tests []result
}

func run(ctx context.Context, suite string, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	origin, wait, err := serve(ctx, suite)
	if err != nil {
		return err
	}
	defer wait()
	defer cancel()
	proxy, err := newProxy(origin)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	node := exec.CommandContext(ctx, "node", "--no-warnings", "--input-type=module", "-e", script)
	node.Dir, node.Stderr = suite, os.Stderr
	node.Env = append(os.Environ(), "BASE=http://"+l.Addr().String())
	text, err := node.Output()
	if err != nil {
		return fmt.Errorf("run the suite in %s: %w", suite, err)
	}
	var all []results
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("the suite's results: %w", err)
	}
	return table(out, all)
}

// serve starts the suite's own server, which does what each test asks of an origin.
func serve(ctx context.Context, suite string) (origin *url.URL, wait func(), err error) {
	free, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return nil, nil, err
	}
	port := free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, "node", "test-engine/server/server.mjs")
	cmd.Dir = suite
	cmd.Env = append(os.Environ(), "npm_config_protocol=http", fmt.Sprint("npm_config_port=", port), "npm_config_pidfile="+os.DevNull)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start the suite's server: %w", err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "Listening") {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			origin, err := url.Parse(fmt.Sprint("http://localhost:", port))
			return origin, func() { _ = cmd.Wait() }, err
		}
	}
	return nil, nil, errors.Join(fmt.Errorf("the suite's server did not start: %s", stderr.String()), cmd.Wait())
}

// newProxy is a reverse proxy whose transport has the cache.
func newProxy(origin *url.URL) (http.Handler, error) {
	guard, err := resilience.New(resilience.Policy{
		Name:     "origin",
		Bulkhead: resilience.BulkheadPolicy{Limit: 256, Queue: 1000},
		Default:  resilience.OperationPolicy{Timeout: 30 * time.Second},
	})
	if err != nil {
		return nil, err
	}
	kept, err := cache.New(cache.Config{})
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(origin); r.Out.Host = r.In.Host },
		Transport: &rest.Transport{Guard: guard, Cache: kept, Base: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}, nil
}

// columns are the outcomes that are counted, as the suite calls them.
var columns = []struct{ name, title string }{
	{"pass", "pass"}, {"fail", "fail"}, {"optional_fail", "optional, not done"},
	{"yes", "check: yes"}, {"no", "check: no"}, {"other", "not run, or what it depends on failed"},
}

func table(out io.Writer, all []results) error {
	var b strings.Builder
	b.WriteString("| cache |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.title)
	}
	b.WriteString("\n|-|" + strings.Repeat("-|", len(columns)) + "\n")
	for _, r := range all {
		counts := map[string]int{}
		for _, t := range r.Tests {
			counts[column(t.Outcome)]++
		}
		fmt.Fprintf(&b, "| %s |", r.Name)
		for _, c := range columns {
			fmt.Fprintf(&b, " %d |", counts[c.name])
		}
		b.WriteString("\n")
	}
	for _, outcome := range []string{"fail", "optional_fail", "setup_fail", "harness_fail"} {
		for _, t := range all[0].Tests {
			if t.Outcome == outcome {
				fmt.Fprintf(&b, "\n- %s: `%s`: %s", outcome, t.ID, t.Detail)
			}
		}
	}
	_, err := io.WriteString(out, b.String()+"\n")
	return err
}

func column(outcome string) string {
	for _, c := range columns {
		if c.name == outcome {
			return outcome
		}
	}
	return "other"
}
