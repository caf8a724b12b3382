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

// The range of block numbers. The number decides a cluster's addresses, its ports and the
// names of its networks.
const firstBlock, lastBlock = 20, 249

// addressBlock is a cluster's entry in the list of its user's clusters. It reserves a range of
// addresses and ports, and lists what must be removed when the owner is gone. It is a locked
// file, because the system releases a lock when its owner ends, however it ends.
type addressBlock struct {
	number int
	file   *os.File
	left   leftovers
}

// folderName is the prefix of the names of temporary folders.
const folderName = "backstay-nodes-"

// leftovers lists what a cluster leaves behind if its owner is killed.
type leftovers struct {
	// Dir holds the nodes and the file systems that are mounted for them.
	Dir string
	// Own says that the folder belongs to the cluster alone and must be removed too.
	Own bool
	// Namespaces says that there may be networks with the block's number.
	Namespaces bool
}

// lease takes a free block. It records what may be left behind before any of that is made. First it
// removes the leftovers of owners that were killed.
func lease(left leftovers) (*addressBlock, error) {
	list, err := listFolder()
	if err != nil {
		return nil, err
	}
	sweep(list)
	for n := firstBlock; n <= lastBlock; n++ {
		f, err := tryLock(blockFile(list, n))
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		b := &addressBlock{number: n, file: f, left: left}
		// A block stays leased while the leftovers of its dead owner can't be removed.
		if info, err := f.Stat(); err != nil || info.Size() > 0 || !left.Namespaces && !b.free() {
			_ = f.Close()
			continue
		}
		text, err := json.Marshal(left)
		if err == nil {
			_, err = f.Write(text)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cluster: %w", err), f.Close())
		}
		return b, nil
	}
	return nil, fmt.Errorf("cluster: no free block of addresses from 127.0.%d to 127.0.%d: end some clusters, or remove what dead ones left, which %s lists", firstBlock, lastBlock, list)
}

// release gives the block back, once everything is removed.
func (b *addressBlock) release() error {
	return errors.Join(b.left.remove(b.number), b.file.Truncate(0), b.file.Close())
}

// prefix returns the first three parts of the nodes' loopback addresses, with the final dot.
func (b *addressBlock) prefix() string { return fmt.Sprintf("127.0.%d.", b.number) }

// jmx returns the port for Cassandra's management tool. It is below the range from which the
// system picks ports for other programs.
func (b *addressBlock) jmx(node int) int { return 10000 + 10*b.number + node }

// free reports whether the addresses are free: nobody else, for example another user, listens
// there.
func (b *addressBlock) free() bool {
	for node := range maxNodes {
		host := fmt.Sprintf("%s%d", b.prefix(), node+1)
		if busy(host, Port) || busy(host, storagePort) || busy("127.0.0.1", b.jmx(node)) {
			return false
		}
	}
	return true
}

func blockFile(list string, number int) string {
	return filepath.Join(list, fmt.Sprintf("block-%d", number))
}

// listFolder returns the folder in which all clusters of one user on this machine are listed.
// It does not depend on TMPDIR: clusters that don't know of each other would take the same
// addresses, and would not remove each other's leftovers.
func listFolder() (string, error) { return ourFolder("/tmp/backstay-" + user()) }

// ourFolder makes a folder in a place where anybody may make one, and refuses one that another
// user has made.
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

// user returns the number of the user, as seen from outside if the process is in a user
// namespace. Root inside a user namespace is not the machine's root.
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

// sweep removes the leftovers of owners that are gone. What can't be removed now, for example
// because a process is just ending, is left to the next sweep.
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
			// The owner records its leftovers before it makes them, so an incomplete file
			// means that it made nothing.
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

// mounts lists the mount points below a folder, the innermost first.
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

// unescape decodes a path as the kernel writes it in /proc.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}
