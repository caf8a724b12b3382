package cqltest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/datastax/go-cassandra-native-protocol/datatype"
	"github.com/datastax/go-cassandra-native-protocol/message"
)

const releaseVersion = "4.1.0"

// localColumns are those of system.local and, but for the last two, of
// system.peers_v2.
var localColumns = []Column{
	{"host_id", datatype.Uuid}, {"data_center", Text}, {"rack", Text}, {"release_version", Text}, {"tokens", datatype.NewSet(Text)},
	{"schema_version", datatype.Uuid}, {"rpc_address", datatype.Inet}, {"broadcast_address", datatype.Inet}, {"partitioner", Text}, {"cluster_name", Text},
}

var peerColumns = []Column{
	{"host_id", datatype.Uuid}, {"data_center", Text}, {"rack", Text}, {"release_version", Text}, {"tokens", datatype.NewSet(Text)},
	{"schema_version", datatype.Uuid}, {"native_address", datatype.Inet}, {"peer", datatype.Inet}, {"native_port", Int},
}

func (n *Node) common() []any {
	return []any{n.ID(), n.dc, "r1", releaseVersion, []string{strconv.FormatInt(n.token, 10)}, [16]byte{15: byte(1 + n.schema.Load())}}
}

var (
	fromSystem = regexp.MustCompile(`(?is)\bFROM\s+(system[a-z_]*\.[a-z_0-9]+)`)
	useWords   = regexp.MustCompile(`(?i)^\s*USE\s+"?([A-Za-z0-9_]+)"?`)
)

// systemShape returns the columns and parameters of a statement on a system table.
func systemShape(cql string) (columns, params []Column, ok bool) {
	m := fromSystem.FindStringSubmatch(cql)
	if m == nil {
		return nil, nil, false
	}
	for i := range strings.Count(cql, "?") {
		params = append(params, Column{fmt.Sprintf("p%d", i), Text})
	}
	switch m[1] {
	case "system_schema.keyspaces":
		columns = []Column{{"durable_writes", Boolean}, {"replication", datatype.NewMap(Text, Text)}}
	case "system.local":
		columns = localColumns
	default:
		columns = peerColumns
	}
	return pick(cql, columns), params, true
}

// pick keeps the columns that the statement names, in its order; all for *.
func pick(cql string, all []Column) []Column {
	list, _, _ := strings.Cut(cql, "FROM")
	list = strings.TrimSpace(strings.Replace(strings.TrimSpace(list), "SELECT", "", 1))
	if list == "*" {
		return all
	}
	var cols []Column
	for name := range strings.SplitSeq(list, ",") {
		if i := slices.IndexFunc(all, func(c Column) bool { return c.Name == strings.TrimSpace(name) }); i >= 0 {
			cols = append(cols, all[i])
		}
	}
	if cols == nil {
		return all
	}
	return cols
}

// system answers what drivers ask about the cluster; false for anything else.
func (c *conn) system(stream int16, cql string) bool {
	cl := c.node.cluster
	if m := useWords.FindStringSubmatch(cql); m != nil {
		if _, ok := cl.config.Keyspaces[m[1]]; !ok {
			c.send(stream, &message.Invalid{ErrorMessage: "Keyspace '" + m[1] + "' does not exist"})
			return true
		}
		c.send(stream, &message.SetKeyspaceResult{Keyspace: m[1]})
		return true
	}
	m := fromSystem.FindStringSubmatch(cql)
	if m == nil || cl.statement(cql) != nil {
		return false
	}
	columns, _, _ := systemShape(cql)
	var all []Column
	var rows [][]any
	switch m[1] {
	case "system.local":
		n := c.node
		n.mu.Lock()
		rows = [][]any{append(n.common(), n.ip, n.ip, "org.apache.cassandra.dht.Murmur3Partitioner", "cqltest")}
		n.mu.Unlock()
		all = localColumns
	case "system.peers", "system.peers_v2":
		for _, n := range cl.Nodes() {
			if n == c.node {
				continue
			}
			n.mu.Lock()
			rows = append(rows, append(n.common(), n.ip, n.ip, cl.port))
			n.mu.Unlock()
		}
		all = peerColumns
	case "system_schema.keyspaces":
		all = []Column{{"durable_writes", Boolean}, {"replication", datatype.NewMap(Text, Text)}}
		for _, rf := range cl.config.Keyspaces {
			rows = [][]any{{true, map[string]string{"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": strconv.Itoa(rf)}}}
		}
	default:
		all = peerColumns
	}
	c.send(stream, rowsResult(columns, nil, project(all, columns, rows)))
	return true
}

// project keeps the values of some columns.
func project(all, some []Column, rows [][]any) [][]any {
	var out [][]any
	for _, row := range rows {
		var r []any
		for _, c := range some {
			r = append(r, row[slices.IndexFunc(all, func(a Column) bool { return a.Name == c.Name })])
		}
		out = append(out, r)
	}
	return out
}
