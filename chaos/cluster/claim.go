//go:build linux

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Blocks of addresses, and what is made with their numbers.
const firstBlock, lastBlock = 20, 249

// claim is a cluster's entry in the list of those of its user: it has a block of
// addresses and ports for itself, and says what is to be removed when its owner is gone.
// It is a locked file, and a lock ends with its owner, however that ends.
type claim struct {
	number int
	file   *os.File
	left   leftovers
}

// folderName begins the names of clusters' temporary folders.
const folderName = "backstay-nodes-"

// leftovers are what a cluster leaves behind if its owner is killed.
type leftovers struct {
	// Dir holds the nodes, and what is mounted for them.
	Dir string
	// Own says that the folder goes too: nobody else's things are in it.
	Own bool
	// Namespaces says that there may be networks of the claim's number.
	Namespaces bool
}

// take makes a claim, and writes down what will be left behind before any of it is made.
// First it removes what owners left who were killed.
func take(left leftovers) (*claim, error) {
	list, err := listFolder()
	if err != nil {
		return nil, err
	}
	sweep(list)
	for n := firstBlock; n <= lastBlock; n++ {
		f, err := tryLock(claimFile(list, n))
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		c := &claim{number: n, file: f, left: left}
		// A dead owner's leftovers that could not be removed stay on the list.
		if info, err := f.Stat(); err != nil || info.Size() > 0 || !left.Namespaces && !c.free() {
			_ = f.Close()
			continue
		}
		b, err := json.Marshal(left)
		if err == nil {
			_, err = f.Write(b)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cluster: %w", err), f.Close())
		}
		return c, nil
	}
	return nil, fmt.Errorf("cluster: no free block of addresses from 127.0.%d to 127.0.%d: end some clusters, or remove what dead ones left, which %s lists", firstBlock, lastBlock, list)
}

// release gives the claim back, when everything is removed.
func (c *claim) release() error {
	return errors.Join(c.left.remove(c.number), c.file.Truncate(0), c.file.Close())
}

// prefix is that of the nodes' addresses on loopback, with its dot.
func (c *claim) prefix() string { return fmt.Sprintf("127.0.%d.", c.number) }

// jmx is a node's port for Cassandra's own tool, below those that the system gives to
// whoever asks for any.
func (c *claim) jmx(node int) int { return 10000 + 10*c.number + node }

// free says whether nobody else, another user for example, listens where nodes will.
func (c *claim) free() bool {
	for node := range maxNodes {
		host := fmt.Sprintf("%s%d", c.prefix(), node+1)
		if busy(host, Port) || busy(host, storagePort) || busy("127.0.0.1", c.jmx(node)) {
			return false
		}
	}
	return true
}

func claimFile(list string, number int) string {
	return filepath.Join(list, fmt.Sprintf("block-%d", number))
}

// listFolder is where the clusters of a user of this machine know of each other. It is
// one place whatever TMPDIR says: clusters that don't see each other would take the same
// addresses, and leave what dead ones left.
func listFolder() (string, error) { return ourFolder("/tmp/backstay-" + user()) }

// ourFolder makes a folder where anybody may, unless somebody else has made it.
func ourFolder(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cluster: the list of this user's clusters: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("cluster: the list of this user's clusters: %w", err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(s.Uid) != os.Getuid() {
		return "", fmt.Errorf("cluster: %s is where the list of this user's clusters belongs, and it is somebody else's: have it removed", dir)
	}
	return dir, nil
}

// user is the number of the user, outside a user namespace if we are in one: whoever is
// root inside only is not the machine's root.
func user() string {
	id := fmt.Sprint(os.Getuid())
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return id
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == id && f[2] == "1" {
			return f[1]
		}
	}
	return id
}

// sweep removes what owners left who are gone. What can't be removed now (a process may be
// just ending) is left to the next sweep.
func sweep(list string) {
	files, _ := filepath.Glob(filepath.Join(list, "block-*"))
	for _, name := range files {
		var number int
		if _, err := fmt.Sscanf(filepath.Base(name), "block-%d", &number); err != nil {
			continue
		}
		f, err := tryLock(name)
		if err != nil || f == nil {
			continue
		}
		if b, err := os.ReadFile(name); err == nil && len(b) > 0 {
			var left leftovers
			// What an owner had no time to write down it had no time to make.
			if json.Unmarshal(b, &left) != nil || left.remove(number) == nil {
				_ = f.Truncate(0)
			}
		}
		_ = f.Close()
	}
}

// remove removes disks, networks and the folder.
func (l leftovers) remove(number int) error {
	var errs []error
	for _, at := range mounts(l.Dir) {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("cluster: unmount %s: %w", at, err))
		}
	}
	if l.Namespaces {
		errs = append(errs, networkOf(number).remove())
	}
	if err := errors.Join(errs...); err != nil || !l.Own || !strings.HasPrefix(filepath.Base(l.Dir), folderName) {
		return err
	}
	return os.RemoveAll(l.Dir)
}

// mounts lists what is mounted below a folder, the innermost first.
func mounts(dir string) []string {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil || dir == "" {
		return nil
	}
	var at []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(unescape(f[1]), dir+"/") {
			at = append([]string{unescape(f[1])}, at...)
		}
	}
	return at
}

// unescape reads a path as the kernel writes it.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}
