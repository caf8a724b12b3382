package rest

import (
	"context"
	"net"
	"net/netip"
	"time"
)

const (
	// dialTimeout bounds a dial, including the lookup of the name.
	dialTimeout = 3 * time.Second
	// stagger is how long an address may take before the next one is tried in parallel
	// (RFC 8305).
	stagger = 250 * time.Millisecond
)

// dialer connects to names. If a name has several addresses, it tries the next one when
// one has failed, or has not answered for a while. net.Dialer does that only between
// the two address families, and gives the first address of a family at least 2 s, which
// is more than most attempts have. Safe for concurrent use.
type dialer struct {
	// one connects to an address. lookup returns the addresses of a name, the best
	// first.
	one    func(ctx context.Context, network, address string) (net.Conn, error)
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

func newDialer() *dialer {
	return &dialer{
		one: (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
	}
}

// dialed is the result of dialling one address.
type dialed struct {
	conn net.Conn
	err  error
}

// dial is for http.Transport.DialContext. Its error is that of the first address that
// failed. It returns as soon as there is a connection. Other dials in progress are
// cancelled, and a connection that arrives too late is closed.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return d.one(ctx, network, address)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return d.one(ctx, network, address)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addresses, err := d.lookup(ctx, host)
	if err == nil && len(addresses) == 0 {
		err = &net.DNSError{Err: "it has no address", Name: host, IsNotFound: true}
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return d.race(ctx, network, port, inTurn(addresses))
}

// race tries addresses in order. It starts with the next one when one has failed, or
// has not answered for a while. The caller must end the context once it has a
// connection.
func (d *dialer) race(ctx context.Context, network, port string, addresses []netip.Addr) (net.Conn, error) {
	wait := stagger
	if until, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(until)/time.Duration(len(addresses)+1))
	}
	results, over := make(chan dialed), make(chan struct{})
	defer close(over)
	next := time.NewTimer(0)
	defer next.Stop()
	var first error
	for begun, running := 0, 0; ; {
		select {
		case <-next.C:
			if begun == len(addresses) {
				continue
			}
			to := net.JoinHostPort(addresses[begun].Unmap().String(), port)
			begun++
			running++
			next.Reset(wait)
			go d.try(ctx, network, to, results, over)
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			if first == nil {
				first = r.err
			}
			running--
			if running == 0 && begun == len(addresses) {
				return nil, first
			}
			next.Reset(0)
		}
	}
}

// try connects to an address. A connection that arrives after the race is over is
// closed.
func (d *dialer) try(ctx context.Context, network, to string, results chan<- dialed, over <-chan struct{}) {
	conn, err := d.one(ctx, network, to)
	select {
	case results <- dialed{conn, err}:
	case <-over:
		if err == nil {
			_ = conn.Close() // nothing was sent on it
		}
	}
}

// inTurn orders addresses so that both families alternate, the best first.
func inTurn(all []netip.Addr) (mixed []netip.Addr) {
	var same, other []netip.Addr
	for _, a := range all {
		if a.Unmap().Is4() == all[0].Unmap().Is4() {
			same = append(same, a)
		} else {
			other = append(other, a)
		}
	}
	for i := range same {
		mixed = append(mixed, same[i])
		if i < len(other) {
			mixed = append(mixed, other[i])
		}
	}
	return append(mixed, other[min(len(same), len(other)):]...)
}
