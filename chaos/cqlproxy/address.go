package cqlproxy

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
)

// addresses maps the nodes' own addresses to those that the proxy listens on. It does
// not change.
type addresses []pair

// pair is a node's own address and that of its proxy.
type pair struct{ node, listen netip.AddrPort }

// find returns where the proxy listens for the node. A port of 0 means that it is unknown.
func (a addresses) find(ip netip.Addr, port uint16) (pair, bool) {
	for _, p := range a {
		if p.node.Addr() == ip && (port == 0 || p.node.Port() == port) {
			return p, true
		}
	}
	return pair{}, false
}

// dialed lists the columns with the addresses that clients dial, in the order in which
// drivers look for them, each with the column of its port.
var dialed = [][2]string{{"native_address", "native_port"}, {"rpc_address", "rpc_port"}, {"broadcast_address", ""}, {"peer", ""}}

// rows rewrites the answer to a statement about nodes. Rows of nodes without a proxy are
// left out. own is the node that answers; system.local describes that node.
func (a addresses) rows(in answer, s *statement, own pair) (frame, error) {
	r, err := readRows(in)
	if err != nil {
		return nil, err
	}
	about := nodeRows{addresses: a, types: r.types, aliases: aliases(s.text)}
	if s.table == "local" {
		about.own = &own
	}
	for _, name := range r.columns {
		if expression, is := about.aliases[name]; is {
			name = expression
		}
		about.names = append(about.names, strings.ToLower(name))
	}
	r.data = slices.DeleteFunc(r.data, func(row [][]byte) bool { return !about.rewrite(row) })
	return in.with(r.encode()), nil
}

// nodeRows describes the columns of an answer about nodes.
type nodeRows struct {
	addresses
	own     *pair    // the node that every row is about; nil: the row says
	names   []string // what the columns are, whatever the statement calls them
	types   []int
	aliases map[string]string
}

// rewrite rewrites a node's row. It returns false if the node has no proxy.
func (n *nodeRows) rewrite(row [][]byte) bool {
	p, known, named := n.node(row)
	if named && !known {
		return false
	}
	if !known {
		if n.own == nil {
			return true // nothing in it can be dialed
		}
		p = *n.own
	}
	for i, value := range row {
		switch n.types[i] {
		case typeInet:
			ip, ok := netip.AddrFromSlice(value)
			if ok && ip.Unmap() == p.node.Addr() {
				row[i] = p.listen.Addr().AsSlice()
			}
		case typeInt:
			if len(value) == 4 && (n.names[i] == "native_port" || n.names[i] == "rpc_port") {
				row[i] = binary.BigEndian.AppendUint32(nil, uint32(p.listen.Port()))
			}
		case typeText, typeASCII:
			row[i] = n.text(n.names[i], value, p)
		}
	}
	return true
}

// node finds the node that a row is about. named reports that the row names a node, and
// known that this node has a proxy.
func (n *nodeRows) node(row [][]byte) (p pair, known, named bool) {
	fields := make(map[string]netip.Addr)
	ports := make(map[string]uint16)
	for i, value := range row {
		switch n.types[i] {
		case typeInet:
			if ip, ok := netip.AddrFromSlice(value); ok {
				fields[n.names[i]] = ip.Unmap()
			}
		case typeInt:
			if len(value) == 4 {
				ports[n.names[i]] = uint16(binary.BigEndian.Uint32(value))
			}
		case typeText, typeASCII:
			n.fields(n.names[i], value, fields, ports)
		}
	}
	for _, names := range dialed {
		ip, ok := fields[names[0]]
		if !ok || ip.IsUnspecified() {
			continue
		}
		p, known := n.find(ip, ports[names[1]])
		return p, known, true
	}
	return pair{}, false, false
}

// event rewrites an event about a node. It returns nil if the node has no proxy. Other
// events are not changed.
func (a addresses) event(in answer) frame {
	c := &cursor{b: in.message}
	kind := c.string()
	if kind != "TOPOLOGY_CHANGE" && kind != "STATUS_CHANGE" {
		return in.frame
	}
	change := c.string()
	ip, ok := netip.AddrFromSlice(c.take(int(c.byte())))
	port := c.int32()
	if !ok || c.short {
		return in.frame
	}
	p, ok := a.find(ip.Unmap(), uint16(port))
	if !ok {
		return nil
	}
	out := appendString(nil, kind)
	out = appendString(out, change)
	out = append(out, byte(len(p.listen.Addr().AsSlice())))
	out = append(out, p.listen.Addr().AsSlice()...)
	return in.with(binary.BigEndian.AppendUint32(out, uint32(p.listen.Port())))
}

// appendString appends a [string].
func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
