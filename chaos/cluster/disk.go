//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ballast is the file that fills a disk. It is in the data folder, because the disk guardrails
// count only what is there.
const ballast = "data/ballast"

// mount gives a node a file system of limited size.
func (c *Cluster) mount(n *Node) error {
	at := n.disk()
	if err := os.MkdirAll(at, 0o755); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, fmt.Sprintf("size=%dm", c.cfg.DiskMB)); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
			return fmt.Errorf("%w: the right to mount a disk of %d MiB (%w): run as root, or leave DiskMB at 0", ErrMissing, c.cfg.DiskMB, err)
		}
		return fmt.Errorf("cluster: mount the disk of %s: %w", n.name, err)
	}
	return nil
}

// DiskUsage returns the size of the node's disk and the free space, in bytes.
func (n *Node) DiskUsage() (size, free int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(n.disk(), &s); err != nil {
		return 0, 0, fmt.Errorf("cluster: disk of %s: %w", n.name, err)
	}
	block := int64(s.Bsize) // 32 bits wide on some machines
	return int64(s.Blocks) * block, int64(s.Bavail) * block, nil
}

// FillDisk fills the node's disk until only leave bytes are free. It needs Config.DiskMB, so
// that it never fills a real disk.
func (n *Node) FillDisk(leave int64) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	if len(mounts(n.dir)) == 0 {
		return fmt.Errorf("%w: fill the disk of %s: it is the machine's own; set Config.DiskMB", ErrState, n.name)
	}
	f, err := os.OpenFile(filepath.Join(n.disk(), ballast), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cluster: fill the disk of %s: %w", n.name, err)
	}
	piece := make([]byte, 1<<20)
	for {
		_, free, err := n.DiskUsage()
		if err != nil || free <= leave {
			return errors.Join(err, f.Close())
		}
		// The node writes as well, so the disk may be full before this loop ends.
		if _, err := f.Write(piece[:min(int64(len(piece)), free-leave)]); err != nil {
			if errors.Is(err, syscall.ENOSPC) {
				return f.Close()
			}
			return errors.Join(fmt.Errorf("cluster: fill the disk of %s: %w", n.name, err), f.Close())
		}
	}
}

// FreeDisk removes what FillDisk wrote. A node that met a full disk may have stopped serving;
// call Restart in that case.
func (n *Node) FreeDisk() error {
	n.changing.Lock()
	defer n.changing.Unlock()
	if err := os.Remove(filepath.Join(n.disk(), ballast)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cluster: free the disk of %s: %w", n.name, err)
	}
	return nil
}

// room is the free space that a node needs to continue writing: two segments of its commit
// log.
const room = 16 << 20

// serveAgain brings back a node whose disk was filled up to leave bytes. If that is less than
// room, the node has ended or is about to: the commit log is mapped into its memory, and a
// page that can't be stored on the disk ends the process.
func (n *Node) serveAgain(ctx context.Context, leave int64) error {
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if n.State() == Running && (leave < room || n.WaitReady(soon) != nil) {
		if err := n.Kill(ctx); err != nil && !errors.Is(err, ErrState) {
			return err
		}
	}
	if n.State() == Down {
		return n.Start(ctx)
	}
	return nil
}
