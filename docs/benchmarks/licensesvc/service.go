package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"

	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// service serves until its standard input is closed. It prints its address first.
func (o options) service(ctx context.Context) (err error) {
	observed, err := observe.Start(ctx, "licensesvc", func(string) string { return "" })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, observed.Shutdown(context.WithoutCancel(ctx))) }()
	in, err := service.Start(ctx, service.Config{
		Listen: "127.0.0.1:0", Data: filepath.Join(o.serve, "data"), Store: service.SQLite{Path: filepath.Join(o.serve, "events.db")},
		Membership: o.membership, Catalog: o.catalog, Keys: o.keys, Observed: observed,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Shutdown(context.WithoutCancel(ctx))) }()
	if o.profile != "" {
		file, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	fmt.Println(in.URL())
	_, err = io.Copy(io.Discard, os.Stdin)
	if o.profile != "" {
		err = errors.Join(err, heap(o.profile+".heap"))
	}
	return err
}

// heap writes what the service's memory holds.
func heap(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(file), file.Close())
}
