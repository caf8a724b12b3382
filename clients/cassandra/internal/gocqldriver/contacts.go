package gocqldriver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// othersGrace is how long the other contact points may take to answer after the first.
const othersGrace = 20 * time.Millisecond

// contact is a contact point that has answered.
type contact struct {
	address string
	version byte // protocol version
}

// contacts asks all contact points at the same time, each within the dialer's timeout.
// It returns those that answer shortly after the first one does. A contact point that
// hangs, or whose name can't be resolved, delays nothing. The context ends the whole.
func (d *dialer) contacts(ctx context.Context, hosts []string, port int) ([]contact, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	type result struct {
		contact contact
		err     error
	}
	results := make(chan result)
	var asked sync.WaitGroup
	for _, host := range hosts {
		asked.Go(func() {
			addresses, err := lookUp(ctx, host, port)
			if err != nil {
				results <- result{err: err}
				return
			}
			var each sync.WaitGroup
			for _, address := range addresses {
				each.Go(func() {
					conn, err := d.dial(ctx, address)
					if err != nil {
						results <- result{err: err}
						return
					}
					found := contact{conn.tcp.RemoteAddr().String(), conn.version}
					_ = conn.Close() // it was opened only to see whether that works
					results <- result{contact: found}
				})
			}
			each.Wait()
		})
	}
	go func() {
		asked.Wait()
		close(results)
	}()
	var found []contact
	var errs []error
	var grace *time.Timer    // for the others, starting with the first answer
	for r := range results { // until all have ended
		if r.err != nil {
			errs = append(errs, r.err)
			continue
		}
		if grace == nil {
			grace = time.AfterFunc(othersGrace, cancel)
		}
		found = append(found, r.contact)
	}
	if grace != nil {
		grace.Stop()
		return found, nil
	}
	return nil, &driver.Failure{Cause: driver.NoConnections, Code: -1, Message: summed(errs), Err: errors.Join(errs...)}
}

// summed returns the texts of some errors, each once.
func summed(errs []error) string {
	var texts []string
	for _, err := range errs {
		if !slices.Contains(texts, err.Error()) {
			texts = append(texts, err.Error())
		}
	}
	return strings.Join(texts, "; ")
}

// lookUp returns the addresses of a contact point, which is an address or a name, with
// or without a port.
func lookUp(ctx context.Context, host string, port int) ([]string, error) {
	name, own, err := net.SplitHostPort(host)
	if err != nil {
		name, own = strings.Trim(host, "[]"), strconv.Itoa(port)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return []string{net.JoinHostPort(name, own)}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("the name %s is not resolved in time: %w", name, ctx.Err())
		}
		return nil, err
	}
	var all []string
	for _, ip := range ips {
		all = append(all, net.JoinHostPort(ip.Unmap().String(), own))
	}
	return all, nil
}

// Answers returns the address of a contact point that answers; "" if none does.
func Answers(ctx context.Context, c driver.Config, tlsConfig *tls.Config) (address string) {
	d := &dialer{tls: tlsConfig, timeout: c.ConnectTimeout}
	found, err := d.contacts(ctx, c.Hosts, c.Port)
	if err != nil {
		return ""
	}
	return found[0].address
}
