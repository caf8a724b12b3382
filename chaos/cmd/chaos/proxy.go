package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/accept"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
	"github.com/backstay-go/backstay/internal/cli"
)

// proxyFlags are the flags of the proxy, in addition to those that tcpproxy defines.
type proxyFlags struct {
	api, config, tokenFile string
	seed                   uint64
	page                   pageFlags
	cert, key, upstreamCA  string
	upstreamTLS            bool
}

// The flags that mean something with a plan, and with --api.
var (
	planFlags = []string{"listen", "upstream", "dependency", "name", "tls-cert", "tls-key", "upstream-tls", "upstream-ca"}
	apiFlags  = []string{"config", "token-file", "seed"}
)

// given returns which of the flags are on the command line.
func given(c *cobra.Command, flags []string) string {
	var set []string
	for _, name := range flags {
		if c.Flags().Changed(name) {
			set = append(set, "--"+name)
		}
	}
	return strings.Join(set, ", ")
}

func (t tool) proxy() *cobra.Command {
	var cfg tcpproxy.Config
	var flags proxyFlags
	c := &cobra.Command{
		Use: "proxy --upstream ADDR --dependency NAME PLAN", Short: "a TCP proxy that follows the plan, until interrupted", Args: cobra.MaximumNArgs(1),
		Long: "Listen, pass connections on, and do to them what the plan says of the dependency.\nThe plan begins with the start; every rule ends by itself.\n\nWith --api and without a plan: proxies and toxics by Toxiproxy's HTTP interface.",
		RunE: func(c *cobra.Command, files []string) error {
			if err := flags.page.check(flags.api != ""); err != nil {
				return err
			}
			if flags.api != "" && len(files) == 0 {
				if set := given(c, planFlags); set != "" {
					return fmt.Errorf("%s: for a PLAN, not for --api, whose proxies are made by --config and by requests", set)
				}
				return control(c.Context(), flags, t.Out)
			}
			if len(files) != 1 || flags.api != "" {
				return errors.New("give a PLAN, or --api without one")
			}
			if set := given(c, apiFlags); set != "" {
				return fmt.Errorf("%s: for --api, not for a PLAN", set)
			}
			if err := flags.secure(&cfg); err != nil {
				return err
			}
			if err := cfg.Check(); err != nil {
				return err
			}
			if !accept.Loopback(cfg.Listen) {
				return fmt.Errorf("--listen %q: give a port on loopback, such as 127.0.0.1:9000", cfg.Listen)
			}
			if cfg.Node == "" {
				cfg.Node = cfg.Upstream
			}
			plan, err := t.plan(files[0], namesAt(chaos.TCP, chaos.Known{Dependencies: []string{cfg.Dependency}, Nodes: []string{cfg.Node}}))
			if err != nil {
				return err
			}
			if err := here(plan, chaos.TCP, t.Err); err != nil {
				return err
			}
			return follow(c.Context(), plan, cfg, flags.page, t.Out, t.Err)
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "host:port on loopback; port 0 is a free one")
	f.StringVar(&cfg.Upstream, "upstream", "", "host:port that connections go to")
	f.StringVar(&cfg.Dependency, "dependency", "", "name of the upstream in the plan")
	f.StringVar(&cfg.Node, "name", "", "what rules call the upstream as a node; default: its address")
	f.StringVar(&flags.cert, "tls-cert", "", "PEM file with the certificate for TLS with clients")
	f.StringVar(&flags.key, "tls-key", "", "PEM file with its key")
	f.BoolVar(&flags.upstreamTLS, "upstream-tls", false, "speak TLS with the upstream")
	f.StringVar(&flags.upstreamCA, "upstream-ca", "", "PEM file with the authorities that the upstream's certificate is checked against; default: the system's")
	f.StringVar(&flags.api, "api", "", "host:port for Toxiproxy's HTTP interface; other than loopback needs --token-file")
	f.StringVar(&flags.config, "config", "", "with --api: JSON file of proxies to begin with")
	f.StringVar(&flags.tokenFile, "token-file", "", "with --api: file with the token that each request must bring, as Authorization: Bearer TOKEN")
	flags.page.add(f, ", or any request to --api")
	f.Uint64Var(&flags.seed, "seed", 0, "with --api: decides which connections a toxicity below 1 hits")
	return c
}

// secure reads the certificates that the flags name.
func (f proxyFlags) secure(cfg *tcpproxy.Config) error {
	if (f.cert == "") != (f.key == "") {
		return errors.New("--tls-cert and --tls-key go together")
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return fmt.Errorf("--tls-cert %s, --tls-key %s: %w", f.cert, f.key, err)
		}
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	if f.upstreamCA != "" && !f.upstreamTLS {
		return errors.New("--upstream-ca goes with --upstream-tls")
	}
	if !f.upstreamTLS {
		return nil
	}
	cfg.UpstreamTLS = &tls.Config{}
	if f.upstreamCA != "" {
		pem, err := os.ReadFile(f.upstreamCA)
		if err != nil {
			return fmt.Errorf("--upstream-ca: %w", err)
		}
		cfg.UpstreamTLS.RootCAs = x509.NewCertPool()
		if !cfg.UpstreamTLS.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("--upstream-ca %s: no certificate in it; give a PEM file", f.upstreamCA)
		}
	}
	return nil
}

// token reads the token. It is required if others can reach the address.
func (f proxyFlags) token() (string, error) {
	if f.tokenFile == "" {
		if !accept.Loopback(f.api) {
			return "", fmt.Errorf("--api %q: give a port on loopback, such as 127.0.0.1:8474, or a --token-file", f.api)
		}
		return "", nil
	}
	b, err := os.ReadFile(f.tokenFile)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < 16 {
		return "", fmt.Errorf("--token-file %s: the token has %d characters; give at least 16, hard to guess", f.tokenFile, len(token))
	}
	return token, nil
}

// follow proxies until the context ends, and prints each fault.
func follow(ctx context.Context, plan chaos.Plan, cfg tcpproxy.Config, flags pageFlags, out, errs io.Writer) (err error) {
	page, err := openPage(ctx, flags, out)
	if err != nil {
		return cli.Failed(err)
	}
	defer page.closed(ctx, &err)
	injector, err := chaos.New(plan, chaos.Config{DeadMan: flags.deadMan, Listeners: []chaos.Listener{page, chaos.ListenerFunc(func(_ context.Context, e chaos.Event) {
		fmt.Fprintf(out, "%8s  %s: %s\n", e.Elapsed.Round(1e6), e.Rule, e.Kind)
	})}})
	if err != nil {
		return cli.Failed(err)
	}
	page.keeps(injector.KeepAlive)
	cfg.Injector = injector
	cfg.OnError = func(err error) { fmt.Fprintln(errs, err) }
	proxy, err := tcpproxy.Start(ctx, cfg)
	if err != nil {
		return cli.Failed(err)
	}
	injector.Start() // before the address is printed, so that every connection meets the plan
	fmt.Fprintf(out, "%s at %s, to %s\n", cfg.Dependency, proxy.Addr(), cfg.Upstream)
	<-ctx.Done()
	injector.Stop()
	if err := end(cfg.Dependency, proxy.Close); err != nil {
		return cli.Failed(err)
	}
	s := proxy.Stats()
	fmt.Fprintf(out, "%d connections, %d bytes up, %d bytes down\n", s.Accepted, s.Up, s.Down)
	return nil
}
