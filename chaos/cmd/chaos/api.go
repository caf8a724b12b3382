package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/tcpproxy/toxiproxy"
	"github.com/backstay-go/backstay/internal/cli"
)

// control serves Toxiproxy's interface until the context ends.
func control(ctx context.Context, flags proxyFlags, out io.Writer) (err error) {
	token, err := flags.token()
	if err != nil {
		return err
	}
	page, err := openPage(ctx, flags.page, out)
	if err != nil {
		return cli.Failed(err)
	}
	defer page.closed(ctx, &err)
	api, err := toxiproxy.New(ctx, toxiproxy.Config{Seed: flags.seed, Token: token, DeadMan: flags.page.deadMan, Listeners: []chaos.Listener{page}})
	if err != nil {
		return cli.Failed(err)
	}
	defer func() {
		if e := end("proxies", api.Close); e != nil && err == nil {
			err = cli.Failed(e)
		}
	}()
	if flags.config != "" {
		switch err := populate(api, flags.config); {
		case errors.Is(err, toxiproxy.ErrConfig), errors.As(err, new(*os.PathError)):
			return fmt.Errorf("--config: %w", err)
		case err != nil:
			return cli.Failed(err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", flags.api)
	if err != nil {
		return cli.Failed(fmt.Errorf("cannot serve the interface: %w; give --api a free port", err))
	}
	fmt.Fprintf(out, "Toxiproxy's interface at %s, seed %d\n", l.Addr(), flags.seed)
	server := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return cli.Failed(err)
	}
	return nil
}

func populate(api *toxiproxy.API, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := api.Populate(f); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
