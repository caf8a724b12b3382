package jaegertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Jaeger is a running Jaeger with its store in memory. It is safe for concurrent use. The test
// that started it closes it automatically.
type Jaeger struct {
	// OTLP is the address that accepts spans by OTLP over HTTP. It has the form of
	// OpenTelemetry's environment variable OTEL_EXPORTER_OTLP_ENDPOINT: http://127.0.0.1:PORT.
	OTLP string
	// Query is the address of the query service, without a path.
	Query string

	client *http.Client
}

// patience bounds each wait. It is far above what any step here takes, so that no test fails
// because the machine is busy.
const patience = time.Minute

// Start runs Jaeger on free ports and returns when it answers.
func Start(tb testing.TB) *Jaeger {
	tb.Helper()
	binary := Binary(tb)
	var err error
	for range 5 { // another process may take a port before Jaeger does
		var j *Jaeger
		if j, err = start(tb, binary); err == nil {
			return j
		}
		if tb.Context().Err() != nil {
			break
		}
	}
	tb.Fatalf("jaegertest: start Jaeger: %v", err)
	return nil
}

func start(tb testing.TB, binary string) (*Jaeger, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	const local = "127.0.0.1:"
	cmd := exec.Command(binary, "--log-level=error",
		"--query.http-server.host-port="+local+ports[0],
		"--collector.otlp.http.host-port="+local+ports[1],
		"--collector.grpc-server.host-port="+local+ports[2],
		// The other listeners are not needed here, and must not use well-known ports.
		"--query.grpc-server.host-port="+local+"0",
		"--collector.http-server.host-port="+local+"0",
		"--collector.otlp.grpc.host-port="+local+"0",
		"--admin.http.host-port="+local+"0",
		"--http-server.host-port="+local+"0",
		"--processor.jaeger-binary.server-host-port="+local+"0",
		"--processor.jaeger-compact.server-host-port="+local+"0",
		"--processor.zipkin-compact.server-host-port="+local+"0",
	)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_SAMPLER=always_off") // Jaeger must not trace itself
	var log output
	cmd.Stdout, cmd.Stderr = &log, &log
	dieWithUs(cmd)
	ended, err := run(cmd)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{}
	j := &Jaeger{OTLP: "http://" + local + ports[1], Query: "http://" + local + ports[0],
		client: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
	stop := func() {
		transport.CloseIdleConnections()
		_ = cmd.Process.Kill() // it may have ended already
		<-ended
	}
	if err := j.ready(tb.Context(), ended); err != nil {
		stop()
		return nil, fmt.Errorf("%w; it said:\n%s", err, log.String())
	}
	tb.Cleanup(stop)
	return j, nil
}

// run starts the process and waits for it on a separate thread, which lives as long as the
// process. The kernel takes the end of that thread for the death of the parent.
func run(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the error is expected, because the process is killed in the end
		}
	}()
	return done, <-started
}

// ready waits until both services answer.
func (j *Jaeger) ready(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, probe := range []struct{ method, url string }{
		{http.MethodGet, j.Query + "/api/services"},
		{http.MethodPost, j.OTLP + "/v1/traces"},
	} {
		for {
			err := j.probe(ctx, probe.method, probe.url)
			if err == nil {
				break
			}
			select {
			case <-ended:
				return errors.New("Jaeger ended before it answered")
			case <-ctx.Done():
				return fmt.Errorf("Jaeger does not answer: %w", err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

func (j *Jaeger) probe(ctx context.Context, method, url string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte("{}")))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := j.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return nil
}

// TracerProvider returns a provider that samples every trace and sends each span to Jaeger when
// the span ends. It is shut down at the end of the test.
func (j *Jaeger) TracerProvider(tb testing.TB, service string) *sdktrace.TracerProvider {
	tb.Helper()
	exporter, err := otlptracehttp.New(tb.Context(), otlptracehttp.WithEndpointURL(j.OTLP+"/v1/traces"), otlptracehttp.WithTimeout(patience))
	if err != nil {
		tb.Fatalf("jaegertest: %v", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter),
		sdktrace.WithResource(resource.NewSchemaless(semconv.ServiceName(service))))
	tb.Cleanup(func() {
		if err := provider.Shutdown(context.WithoutCancel(tb.Context())); err != nil {
			tb.Errorf("jaegertest: shut the provider down: %v", err)
		}
	})
	return provider
}

// freePorts returns ports on which nobody listens at the moment.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // all ports are open at once, so that they differ
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// output collects the output of a process. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
