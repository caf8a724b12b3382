//go:build linux

package cluster_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/chaos/cluster"
)

// logs writes what a node has logged.
func logs(t *testing.T, n *cluster.Node, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(n.LogFile()), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(n.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

const sawUp, sawDown = "INFO  2026-11-26 03:00:00,000 Gossiper InetAddress /127.0.10.2:7000 is now UP\n", "INFO  2026-11-26 03:00:10,000 Gossiper InetAddress /127.0.10.2:7000 is now DOWN\n"

func TestANodeSeesWhatItLastLogged(t *testing.T) {
	c := cluster.Quiet(t.TempDir(), 3, 0)
	one, two, three := c.Node(1), c.Node(2), c.Node(3)
	for _, step := range []struct {
		log  string
		sees bool
	}{
		{"", false},
		{"INFO  2026-11-26 03:00:00,000 Gossiper Node /127.0.10.2:7000 is now part of the cluster\n", false},
		{sawUp, true},
		{strings.ReplaceAll(sawDown, "127.0.10.2", "127.0.10.20"), true},
		{sawDown[:60], true}, // half a line
		{sawDown[60:], false},
		{sawUp + sawDown + sawUp, true},
	} {
		logs(t, one, step.log)
		if got := one.Sees(two); got != step.sees {
			t.Errorf("after %q it sees it: %t", step.log, got)
		}
	}
	if one.Sees(three) || three.Sees(two) {
		t.Error("nodes of which nothing was logged are seen")
	}
}

func TestAWaitThatEndsSaysWhatWasSeenLast(t *testing.T) {
	c := cluster.Quiet(t.TempDir(), 3, 0)
	logs(t, c.Node(1), sawDown)
	logs(t, c.Node(3), sawUp)
	for want, wait := range map[string]func(context.Context) error{
		"cluster: wait for the others to see node2 up: context deadline exceeded; last: node1 last logged of it: InetAddress /127.0.10.2:7000 is now DOWN; node2 is running": func(ctx context.Context) error { return c.WaitSeen(ctx, c.Node(2), true) },
		"cluster: wait for the others to see node2 down: context deadline exceeded; last: node3 last logged of it: InetAddress /127.0.10.2:7000 is now UP; node2 is running": func(ctx context.Context) error { return c.WaitSeen(ctx, c.Node(2), false) },
		"cluster: wait for the others to see node1 up: context deadline exceeded; last: node2 has not logged that it saw it; node1 is running":                               func(ctx context.Context) error { return c.WaitSeen(ctx, c.Node(1), true) },
		"cluster: wait for answer of node1: context deadline exceeded; last: dial tcp 127.0.10.1:9042":                                                                       c.WaitUp,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := wait(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error is %v\nwant     %s", err, want)
		}
	}
	alone := cluster.Quiet(t.TempDir(), 1, 0)
	if err := alone.WaitSeen(t.Context(), alone.Node(1), true); err != nil {
		t.Errorf("a cluster of one: %v", err)
	}
	if err := alone.WaitSeen(t.Context(), alone.Node(1), false); !errors.Is(err, cluster.ErrState) {
		t.Errorf("nobody can see it down: %v", err)
	}
}

// TestAStartThatGetsOnGoesOn: a node on a busy machine is slow, and its log grows.
func TestAStartThatGetsOnGoesOn(t *testing.T) {
	const still = time.Minute
	started := func(t *testing.T, every time.Duration) (took time.Duration, err error) {
		c := cluster.Quiet(t.TempDir(), 2, still)
		begun := time.Now()
		ctx, end := c.Patience(t.Context())
		defer end()
		for n := 0; ctx.Err() == nil; n++ {
			select {
			case <-ctx.Done():
			case <-time.After(every):
				logs(t, c.Node(1+n%2), "it gets on\n")
			}
		}
		return time.Since(begun), context.Cause(ctx)
	}
	synctest.Test(t, func(t *testing.T) {
		took, err := started(t, 30*time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || took < 5*still || took > 5*still+time.Second {
			t.Errorf("one that gets on ended after %s: %v", took, err)
		}
		took, err = started(t, time.Hour)
		if !errors.Is(err, context.DeadlineExceeded) || took < still || took > still+time.Second || !strings.Contains(err.Error(), "no log of node1, node2 has grown for 1m0s (Config.StartTimeout)") {
			t.Errorf("one that stands still ended after %s: %v", took, err)
		}
	})
}
