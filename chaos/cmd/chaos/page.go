package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"github.com/backstay-go/backstay/chaos/internal/accept"
	"github.com/backstay-go/backstay/chaos/telemetry"
	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/internal/observe"
)

// pageFlags are the flags of a proxy's page.
type pageFlags struct {
	addr    string
	deadMan time.Duration
}

func (f *pageFlags) add(flags *pflag.FlagSet, others string) {
	flags.StringVar(&f.addr, "page", "", "host:port on loopback for a page: GET /metrics for Prometheus, POST /alive as a sign of life")
	flags.DurationVar(&f.deadMan, "dead-man", 0, "end all faults when no sign of life has come for so long: POST /alive to --page"+others+"; default: faults end by themselves")
}

// check returns what is wrong with the flags; api says that signs of life can also reach the
// command through Toxiproxy's interface.
func (f *pageFlags) check(api bool) error {
	switch {
	case f.addr != "" && !accept.Loopback(f.addr):
		return fmt.Errorf("--page %q: give a port on loopback, such as 127.0.0.1:9464", f.addr)
	case f.deadMan < 0 || f.deadMan > 0 && f.deadMan < 10*time.Millisecond:
		return fmt.Errorf("--dead-man %s: give 10ms or more", f.deadMan)
	case f.deadMan > 0 && f.addr == "" && !api:
		return errors.New("--dead-man needs --page: signs of life are POST /alive to it")
	}
	return nil
}

// page publishes faults: as spans by OTLP if the environment asks for it, and as a metric if
// there is a page.
type page struct {
	*telemetry.Faults
	providers *observe.Providers
	server    *http.Server
	served    chan error
	alive     atomic.Pointer[func()]
}

// openPage opens a page. The caller must close it.
func openPage(ctx context.Context, f pageFlags, out io.Writer) (_ *page, err error) {
	p := &page{}
	if p.providers, err = observe.Start(ctx, "chaos", os.Getenv); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close(ctx))
		}
	}()
	if p.Faults, err = telemetry.New(p.providers.Meter, p.providers.Tracer); err != nil || f.addr == "" {
		return p, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", f.addr)
	if err != nil {
		return nil, fmt.Errorf("cannot serve the page: %w; give --page a free port", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", p.providers.Metrics)
	mux.HandleFunc("POST /alive", func(w http.ResponseWriter, _ *http.Request) {
		if keep := p.alive.Load(); keep != nil {
			(*keep)()
		}
		w.WriteHeader(http.StatusNoContent)
	})
	p.server, p.served = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, make(chan error, 1)
	go func() { p.served <- p.server.Serve(l) }()
	fmt.Fprintf(out, "metrics at http://%s/metrics, signs of life at /alive\n", l.Addr())
	return p, nil
}

// keeps sets the function that a sign of life calls.
func (p *page) keeps(keep func()) { p.alive.Store(&keep) }

// close sends the remaining spans, for a few seconds at most.
func (p *page) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var err error
	if p.server != nil {
		err = p.server.Close()
		if e := <-p.served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, p.providers.Shutdown(ctx))
}

// closed closes the page at the end of a command that returns err.
func (p *page) closed(ctx context.Context, err *error) {
	if e := p.close(ctx); e != nil && *err == nil {
		*err = cli.Failed(e)
	}
}
