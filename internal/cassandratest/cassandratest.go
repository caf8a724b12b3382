//go:build linux

package cassandratest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/resilience"
)

// startTimeout limits building the keeper and starting the nodes, including the first fetch of
// the jars. A keeper whose nodes make no progress ends earlier, and says why.
const startTimeout = 16 * time.Minute

var shared = sync.OnceValues(join)

// use is the use of the nodes by one process. It holds the lock that marks the use, because
// the garbage collector closes a file without references.
type use struct {
	hosts []string
	lock  *os.File
}

// Hosts returns the addresses of the nodes. If the machine lacks what nodes need, the test is
// skipped, or fails with CI=true. With -short it is skipped.
func Hosts(tb testing.TB) []string {
	tb.Helper()
	testenv.NotShort(tb, "it needs real Cassandra nodes")
	cache, err := testenv.CacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cluster.Needs(cache); err != nil {
		testenv.Missing(tb, err.Error())
	}
	nodes, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return nodes.hosts
}

// join registers a use of the nodes of the test run, and starts them if necessary. The use
// ends with the process.
func join() (*use, error) {
	cache, err := testenv.CacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "cassandratest")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	starting, err := locked(filepath.Join(dir, "start"), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer starting.Close()
	nodes := &use{}
	if nodes.lock, err = locked(filepath.Join(dir, "users"), syscall.LOCK_SH); err != nil {
		return nil, err
	}
	keeper, err := os.OpenFile(filepath.Join(dir, "keeper"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(keeper.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	keeper.Close()
	if err == nil { // Nobody keeps nodes.
		if err := begin(dir, cache); err != nil {
			return nil, err
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "hosts.json"))
	if err != nil {
		return nil, err
	}
	return nodes, json.Unmarshal(b, &nodes.hosts)
}

// locked waits for the lock of a file. Close releases the lock, and so does the end of the
// process.
func locked(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// begin builds and starts the keeper, and waits for its nodes.
func begin(dir, cache string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	state := filepath.Join(dir, "hosts.json")
	if err := os.Remove(state); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	binary := filepath.Join(dir, "keeper-program")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/backstay-go/backstay/internal/cassandratest/keeper")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the keeper: %w\n%s", err, out)
	}
	logFile := filepath.Join(dir, "keeper.log")
	log, err := os.Create(logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(binary, dir, cache, fmt.Sprint(os.Getppid()))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(state); err == nil {
			return nil
		}
		// No goroutine waits for the keeper, because it outlives the tests.
		if pid, err := syscall.Wait4(cmd.Process.Pid, nil, syscall.WNOHANG, nil); err == nil && pid != 0 {
			said, _ := os.ReadFile(logFile)
			return fmt.Errorf("the keeper of the Cassandra nodes ended:\n%s", said)
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the Cassandra nodes are not there after %s; see %s", startTimeout, logFile), cmd.Process.Kill())
		case <-tick.C:
		}
	}
}

// Keyspace makes a keyspace that every node holds, and drops it after the test.
func Keyspace(tb testing.TB) (hosts []string, keyspace string) {
	tb.Helper()
	hosts = Hosts(tb)
	admin, err := cassandra.Connect(tb.Context(), cassandra.Config{Hosts: hosts, Profiles: map[string]cassandra.Profile{
		"admin": {OperationPolicy: resilience.OperationPolicy{Timeout: 60 * time.Second}, Consistency: cassandra.Quorum},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	keyspace = fmt.Sprintf("t_%d_%d", os.Getpid(), time.Now().UnixNano())
	if err := change(admin, "CREATE KEYSPACE IF NOT EXISTS "+keyspace+" WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}"); err != nil {
		tb.Fatal(errors.Join(err, admin.Close()))
	}
	tb.Cleanup(func() {
		err := change(admin, "DROP KEYSPACE IF EXISTS "+keyspace)
		if err := errors.Join(err, admin.Close()); err != nil {
			tb.Error(err)
		}
	})
	return hosts, keyspace
}

// change changes the schema. Busy nodes are slow at that, so a statement that was not answered
// is sent again.
func change(session *cassandra.Session, cql string) (err error) {
	for range 5 {
		if err = session.Query(cql).Exec(); !errors.Is(err, cassandra.ErrOutcomeUnknown) {
			return err
		}
	}
	return err
}
