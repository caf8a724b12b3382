package cqlproxy_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"
	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/chaos/cqlproxy"
	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cassandratest"
	"github.com/backstay-go/backstay/resilience"
)

// before starts a proxy in front of real nodes. It listens on other addresses, at the same port.
func before(t *testing.T, hosts []string) *bench {
	t.Helper()
	for range 20 {
		free, err := net.Listen("tcp", "127.1.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(free.Addr().String())
		free.Close()
		cfg := cqlproxy.Config{Dependency: "cassandra"}
		for i, host := range hosts {
			cfg.Nodes = append(cfg.Nodes, cqlproxy.Node{Name: fmt.Sprint("node", i+1), Listen: fmt.Sprintf("127.1.0.%d:%s", i+1, port), Upstream: fmt.Sprint(host, ":", cluster.Port)})
		}
		if trial, err := cqlproxy.Start(t.Context(), cfg); err == nil {
			if err := trial.Close(); err != nil {
				t.Fatal(err)
			}
			return start(t, cfg)
		}
	}
	t.Fatal("no port is free on all addresses")
	return nil
}

// contact are the proxy's hosts and their port.
func (b *bench) contact() (hosts []string, port int) {
	b.t.Helper()
	for _, addr := range b.proxy.Addrs() {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			b.t.Fatal(err)
		}
		hosts, port = append(hosts, a.IP.String()), a.Port
	}
	return hosts, port
}

// dialled notes the addresses that a driver dials.
type dialled struct {
	mu    sync.Mutex
	addrs map[string]int
}

func (d *dialled) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	if d.addrs == nil {
		d.addrs = make(map[string]int)
	}
	d.addrs[addr]++
	d.mu.Unlock()
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// only fails unless exactly the proxy's addresses were dialled.
func (d *dialled) only(t *testing.T, want []string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	var got []string
	for addr := range d.addrs {
		got = append(got, addr)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the driver dialled %v, want the proxy's %v", got, want)
	}
}

func TestGocqlWorksThroughTheProxyUnchanged(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	for _, version := range []int{3, 4} {
		for _, compressor := range []gocql.Compressor{nil, gocql.SnappyCompressor{}} {
			t.Run(fmt.Sprintf("v%d %T", version, compressor), func(t *testing.T) {
				b := before(t, hosts)
				contact, port := b.contact()
				var dialled dialled
				cfg := gocql.NewCluster(contact[0])
				cfg.Port, cfg.ProtoVersion, cfg.Compressor, cfg.Dialer, cfg.Keyspace = port, version, compressor, &dialled, keyspace
				cfg.Timeout, cfg.ConnectTimeout, cfg.NumConns = 20*time.Second, 20*time.Second, 1
				cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
				session, err := cfg.CreateSession()
				if err != nil {
					t.Fatal(err, b.failed.list())
				}
				defer session.Close()
				table := fmt.Sprintf("g%d_%d", version, len(fmt.Sprint(compressor)))
				if err := session.Query("CREATE TABLE " + table + " (id int PRIMARY KEY, v text)").Exec(); err != nil {
					t.Fatal(err)
				}
				long := strings.Repeat("long ", 60_000)
				for i := range 30 {
					if err := session.Query("INSERT INTO "+table+" (id, v) VALUES (?, ?)", i, long[:1+i*10_000]).Exec(); err != nil {
						t.Fatal(err)
					}
				}
				rows := session.Query("SELECT id, v FROM " + table).PageSize(7).Iter()
				n, bytes, id, v := 0, 0, 0, ""
				for rows.Scan(&id, &v) {
					n, bytes = n+1, bytes+len(v)
				}
				if err := rows.Close(); err != nil || n != 30 || bytes != 30+10_000*29*15 {
					t.Errorf("%d rows, %d bytes, %v", n, bytes, err)
				}
				batch := session.NewBatch(gocql.LoggedBatch)
				batch.Query("INSERT INTO "+table+" (id, v) VALUES (?, ?)", 100, "a")
				batch.Query("INSERT INTO "+table+" (id, v) VALUES (101, 'b')", []any{}...)
				if err := session.ExecuteBatch(batch); err != nil {
					t.Error(err)
				}
				if applied, err := session.Query("INSERT INTO "+table+" (id, v) VALUES (?, ?) IF NOT EXISTS", 100, "x").MapScanCAS(map[string]any{}); err != nil || applied {
					t.Errorf("applied %v, %v", applied, err)
				}
				// The driver prepares again what a node has forgotten.
				b.rules(chaos.Rule{Name: "r", When: chaos.When{First: 1}, Where: chaos.Where{Table: table}, What: chaos.What{Kind: chaos.Unprepared}})
				if err := session.Query("INSERT INTO "+table+" (id, v) VALUES (?, ?)", 1, "again").Exec(); err != nil || len(b.reported.list()) != 1 {
					t.Errorf("%v, %d faults reported", err, len(b.reported.list()))
				}
				dialled.only(t, b.proxy.Addrs())
				if failed := b.failed.list(); len(failed) > 0 {
					t.Errorf("the proxy reported %q", failed)
				}
			})
		}
	}
}

func TestOurOwnClientWorksThroughTheProxyUnchanged(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	b := before(t, hosts)
	contact, port := b.contact()
	session, err := cassandra.Connect(t.Context(), cassandra.Config{Hosts: contact, Port: port, Keyspace: keyspace, Profiles: map[string]cassandra.Profile{
		"any": {OperationPolicy: resilience.OperationPolicy{Timeout: 20 * time.Second}, Consistency: cassandra.Quorum},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Query("CREATE TABLE o (id int PRIMARY KEY, v int)").Exec(); err != nil {
		t.Fatal(err)
	}
	var sum int
	for i := range 20 {
		if err := session.Query("INSERT INTO o (id, v) VALUES (?, ?)", i, i).Exec(); err != nil {
			t.Fatal(err)
		}
		var v int
		if err := session.Query("SELECT v FROM o WHERE id = ?", i).Scan(&v); err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	if sum != 190 {
		t.Errorf("sum %d", sum)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

func TestVersion5WithSegments(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	b := before(t, hosts)
	for _, compression := range []string{"", "lz4"} {
		t.Run("compression "+compression, func(t *testing.T) {
			c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion5, compression)
			table := keyspace + ".s" + compression
			if m := c.query("CREATE TABLE " + table + " (id int PRIMARY KEY, v blob)"); m.GetOpCode() != primitive.OpCodeResult {
				t.Fatal(m)
			}
			prepared, ok := c.ask(&message.Prepare{Query: "INSERT INTO " + table + " (id, v) VALUES (?, ?)"}).(*message.PreparedResult)
			if !ok {
				t.Fatal("not prepared")
			}
			// A frame that spans segments, both ways.
			value := make([]byte, 400<<10)
			for i := range value {
				value[i] = byte(i * i >> 7)
			}
			id := []byte{0, 0, 0, 7}
			insert := &message.Execute{QueryId: prepared.PreparedQueryId, ResultMetadataId: prepared.ResultMetadataId, Options: &message.QueryOptions{Consistency: primitive.ConsistencyLevelQuorum,
				PositionalValues: []*primitive.Value{primitive.NewValue(id), primitive.NewValue(value)}}}
			soon(t, "all nodes know the table", func() bool { return c.ask(insert).GetOpCode() == primitive.OpCodeResult })
			var rows *message.RowsResult
			soon(t, "the nodes agree on the schema", func() bool {
				rows, ok = c.ask(&message.Query{Query: "SELECT v FROM " + table + " WHERE id = 7", Options: &message.QueryOptions{Consistency: primitive.ConsistencyLevelQuorum}}).(*message.RowsResult)
				return ok
			})
			if len(rows.Data) != 1 || !slices.Equal(rows.Data[0][0], value) {
				t.Errorf("the value did not come back whole, but in %d rows", len(rows.Data))
			}
			peers, ok := c.query("SELECT peer, native_address, native_port FROM system.peers_v2").(*message.RowsResult)
			if !ok || len(peers.Data) != len(hosts)-1 {
				t.Fatalf("peers %v", peers)
			}
			for _, row := range peers.Data {
				if addr := fmt.Sprintf("%v:%d", net.IP(row[1]), int(row[2][2])<<8|int(row[2][3])); !slices.Contains(b.proxy.Addrs(), addr) {
					t.Errorf("a peer is at %s, want one of %v", addr, b.proxy.Addrs())
				}
			}
		})
	}
	if failed := b.failed.list(); len(failed) > 0 {
		t.Errorf("the proxy reported %q", failed)
	}
}
