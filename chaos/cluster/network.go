//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// network is a bridge, and for each node a namespace with one leg on it. The machine
// itself has the address .254 there. Nil: nodes have no network of their own.
type network struct {
	number int
	prefix string // of addresses, with its dot

	mu   sync.Mutex
	cuts map[way]int // how many want it
}

// The places of rules in a node's network: what is looked at first, and what finds the
// node's own address.
const (
	cutRule   = "10"
	localRule = "20"
)

func (w *network) bridge() string        { return fmt.Sprintf("bstay%d", w.number) }
func (w *network) space(node int) string { return fmt.Sprintf("backstay-%d-%d", w.number, node+1) }

// address is that of an end.
func (w *network) address(end int) string {
	if end == machine {
		return w.prefix + "254"
	}
	return fmt.Sprintf("%s%d", w.prefix, end+1)
}

func networkOf(number int) *network {
	return &network{number: number, prefix: fmt.Sprintf("10.203.%d.", number), cuts: make(map[way]int)}
}

// make makes it. What somebody else left under its names is removed first.
func (w *network) make(nodes int) error {
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("%w: the command ip, for networks of the nodes' own: install iproute2, or leave Namespaces off", ErrMissing)
	}
	if err := w.remove(); err != nil {
		return err
	}
	if err := w.build(nodes); err != nil {
		err = errors.Join(err, w.remove())
		if os.Getuid() != 0 || strings.Contains(err.Error(), "not permitted") {
			return fmt.Errorf("%w: the right to make network namespaces: run as root, or leave Namespaces off: %w", ErrMissing, err)
		}
		return err
	}
	return nil
}

func (w *network) build(nodes int) error {
	br := w.bridge()
	steps := [][]string{
		{"link", "add", br, "type", "bridge"},
		{"addr", "add", w.address(machine) + "/24", "dev", br},
		{"link", "set", br, "up"},
	}
	for i := range nodes {
		ns, leg := w.space(i), fmt.Sprintf("bs%dn%d", w.number, i+1)
		steps = append(steps,
			[]string{"netns", "add", ns},
			[]string{"link", "add", leg, "type", "veth", "peer", "name", "eth0", "netns", ns},
			[]string{"link", "set", leg, "master", br, "up"},
			[]string{"-n", ns, "addr", "add", w.address(i) + "/24", "dev", "eth0"},
			// Room for a rule before that of the node's own address.
			[]string{"-n", ns, "rule", "add", "pref", localRule, "lookup", "local"},
			[]string{"-n", ns, "rule", "del", "pref", "0"},
			[]string{"-n", ns, "link", "set", "lo", "up"},
			[]string{"-n", ns, "link", "set", "eth0", "up"})
	}
	for _, s := range steps {
		if err := ip(s...); err != nil {
			return err
		}
	}
	return nil
}

// remove takes down whatever is there of it.
func (w *network) remove() error {
	var errs []error
	for i := range maxNodes {
		if _, err := os.Stat("/run/netns/" + w.space(i)); err == nil {
			errs = append(errs, ip("netns", "del", w.space(i)))
		}
	}
	// Not from /sys: it may be that of another network than the one we are in.
	links, err := net.Interfaces()
	errs = append(errs, err)
	for _, link := range links {
		var leg int
		_, err := fmt.Sscanf(link.Name, fmt.Sprintf("bs%dn%%d", w.number), &leg)
		if err != nil && link.Name != w.bridge() {
			continue
		}
		// Legs go with their namespaces, but only once the last process in them has.
		if err := ip("link", "del", link.Name); err != nil && !strings.Contains(err.Error(), "Cannot find") {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// command is a command that runs in a node's network.
func (w *network) command(node int, name string, args ...string) *exec.Cmd {
	if w == nil {
		return exec.Command(name, args...)
	}
	return exec.Command("ip", append([]string{"netns", "exec", w.space(node), name}, args...)...)
}

func ip(args ...string) error {
	cmd := exec.Command("ip", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cluster: ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// route is what ip does to one way: drop what goes there, or let it pass again. What a
// node sends is dropped by a route, what the machine sends by a rule where it arrives.
func (w *network) route(on way, drop bool) error {
	if on.from == machine {
		return ip("-n", w.space(on.to), "rule", word(drop, "add", "del"), "pref", cutRule, "from", w.address(machine), "blackhole")
	}
	return ip("-n", w.space(on.from), "route", word(drop, "add", "del"), "blackhole", w.address(on.to)+"/32")
}

func word(yes bool, this, that string) string {
	if yes {
		return this
	}
	return that
}

// cut drops what goes a way. Several may want it, each of whom mends it.
func (w *network) cut(ways ...way) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, on := range ways {
		if w.cuts[on] == 0 {
			if err := w.route(on, true); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		w.cuts[on]++
	}
	return errors.Join(errs...)
}

// mend undoes one cut of each way. One that is not there, after heal for example, is no
// error.
func (w *network) mend(ways ...way) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, on := range ways {
		if w.cuts[on] == 1 {
			if err := w.route(on, false); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		w.cuts[on] = max(0, w.cuts[on]-1)
	}
	return errors.Join(errs...)
}

// heal undoes every cut.
func (w *network) heal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for on, n := range w.cuts {
		if n > 0 {
			if err := w.route(on, false); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		delete(w.cuts, on)
	}
	return errors.Join(errs...)
}
