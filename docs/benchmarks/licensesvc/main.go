package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// options are the command's flags.
type options struct {
	serve   string // the folder of the service; set in the process that serves
	clients int
	members int
	length  time.Duration
	profile string
	write   bool
	// overload also offers more than the peak.
	overload bool

	membership, catalog, keys string
}

func main() {
	var o options
	flag.IntVar(&o.clients, "clients", 32, "clients that ask at the same time")
	flag.IntVar(&o.members, "members", 20_000, "members")
	flag.DurationVar(&o.length, "length", 60*time.Second, "how long the load lasts")
	flag.StringVar(&o.profile, "profile", "", "write the service's CPU profile to a file")
	flag.BoolVar(&o.write, "write", false, "write README.md")
	flag.BoolVar(&o.overload, "overload", true, "then offer 1.8 and 3 times the peak, in an open loop")
	flag.StringVar(&o.serve, "serve", "", "run the service in a folder; used by this program itself")
	flag.StringVar(&o.membership, "membership", "", "address, for -serve")
	flag.StringVar(&o.catalog, "catalog", "", "address, for -serve")
	flag.StringVar(&o.keys, "keys", "", "address, for -serve")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := o.measure
	if o.serve != "" {
		run = o.service
	}
	if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "licensesvc benchmark:", err)
		os.Exit(1)
	}
}
