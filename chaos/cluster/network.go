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

// network is a bridge with one network namespace per node. The machine itself has the address
// .254 on it. It is nil if the nodes use the machine's network.
type network struct {
	number int
	prefix string // of addresses, with its dot

	mu   sync.Mutex
	cuts map[way]int // how many want it
}

// The priorities of the routing rules in a node's network: the first that is looked at, and
// the one that finds the node's address.
const (
	cutRule   = "10"
	localRule = "20"
)

func (w *network) bridge() string        { return fmt.Sprintf("bstay%d", w.number) }
func (w *network) space(node int) string { return fmt.Sprintf("backstay-%d-%d", w.number, node+1) }

// address returns the address of one end.
func (w *network) address(end int) string {
	if end == machine {
		return w.prefix + "254"
	}
	return fmt.Sprintf("%s%d", w.prefix, end+1)
}

func networkOf(number int) *network {
	return &network{number: number, prefix: fmt.Sprintf("10.203.%d.", number), cuts: make(map[way]int)}
}

// make makes the network. It first removes what an earlier network left under the same names.
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
			// Leave room for a rule before the one for the node's address.
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

// remove removes whatever there is of the network.
func (w *network) remove() error {
	var errs []error
	for i := range maxNodes {
		if _, err := os.Stat("/run/netns/" + w.space(i)); err == nil {
			errs = append(errs, ip("netns", "del", w.space(i)))
		}
	}
	// Don't read /sys here: it may belong to another network namespace than the one that the
	// process is in.
	links, err := net.Interfaces()
	errs = append(errs, err)
	for _, link := range links {
		var leg int
		_, err := fmt.Sscanf(link.Name, fmt.Sprintf("bs%dn%%d", w.number), &leg)
		if err != nil && link.Name != w.bridge() {
			continue
		}
		// An interface disappears with its namespace, but only after the last process there
		// has ended.
		if err := ip("link", "del", link.Name); err != nil && !strings.Contains(err.Error(), "Cannot find") {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// command returns a command that runs in a node's network.
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

// route makes ip drop the packets of one direction, or let them pass again. What a node sends
// is dropped by a route; what the machine sends is dropped by a rule where it arrives.
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

// cut drops the packets of each direction. A direction may be cut several times, and stays cut
// until each cut is undone.
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

// restore undoes one cut of each direction. It is no error if there is none, for example after
// heal.
func (w *network) restore(ways ...way) error {
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
