package gocqlv2test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/apache/cassandra-gocql-driver/v2/lz4"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cqlproxy"
	"github.com/backstay-go/backstay/internal/cassandratest"
)

// dialled notes the addresses that the driver dials.
type dialled struct {
	mu    sync.Mutex
	addrs map[string]bool
}

func (d *dialled) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	d.addrs[addr] = true
	d.mu.Unlock()
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

func TestGocqlV2WorksThroughTheProxyUnchanged(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	injector, err := chaos.New(chaos.Plan{}, chaos.Config{})
	if err != nil {
		t.Fatal(err)
	}
	injector.Start()
	defer injector.Stop()
	free, err := net.Listen("tcp", "127.2.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	cfg := cqlproxy.Config{Dependency: "cassandra", Injector: injector, OnError: func(err error) { t.Error(err) }}
	for i, host := range hosts {
		cfg.Nodes = append(cfg.Nodes, cqlproxy.Node{Listen: fmt.Sprintf("127.2.0.%d:%d", i+1, port), Upstream: host + ":9042"})
	}
	proxy, err := cqlproxy.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	}()
	for version := 4; version <= 5; version++ {
		for _, compressor := range []gocql.Compressor{nil, lz4.LZ4Compressor{}} {
			t.Run(fmt.Sprintf("v%d %T", version, compressor), func(t *testing.T) {
				dialled := dialled{addrs: map[string]bool{}}
				c := gocql.NewCluster("127.2.0.1")
				c.Port, c.ProtoVersion, c.Compressor, c.Dialer, c.Keyspace, c.NumConns = port, version, compressor, &dialled, keyspace, 1
				c.Timeout, c.ConnectTimeout = 20*time.Second, 20*time.Second
				session, err := c.CreateSession()
				if err != nil {
					t.Fatal(err)
				}
				defer session.Close()
				if err := session.Query("CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY, v text)").Exec(); err != nil {
					t.Fatal(err)
				}
				long := strings.Repeat("long ", 60_000)
				for i := range 20 {
					if err := session.Query("INSERT INTO t (id, v) VALUES (?, ?)", i, long[:1+i*15_000]).Exec(); err != nil {
						t.Fatal(err)
					}
				}
				rows := session.Query("SELECT id, v FROM t").PageSize(7).Iter()
				n, bytes, id, v := 0, 0, 0, ""
				for rows.Scan(&id, &v) {
					n, bytes = n+1, bytes+len(v)
				}
				if err := rows.Close(); err != nil || n != 20 || bytes != 20+15_000*19*10 {
					t.Errorf("%d rows, %d bytes, %v", n, bytes, err)
				}
				if err := session.Batch(gocql.LoggedBatch).Query("INSERT INTO t (id, v) VALUES (?, ?)", 1, "a").Query("INSERT INTO t (id, v) VALUES (?, ?)", 2, "b").Exec(); err != nil {
					t.Error(err)
				}
				dialled.mu.Lock()
				defer dialled.mu.Unlock()
				got := slices.Sorted(maps.Keys(dialled.addrs))
				if !slices.Equal(got, proxy.Addrs()) {
					t.Errorf("the driver dialled %v, want the proxy's %v", got, proxy.Addrs())
				}
			})
		}
	}
}
