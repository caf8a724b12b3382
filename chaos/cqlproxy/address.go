package cqlproxy

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// addresses maps the nodes' own addresses to those that the proxy listens on. It does
// not change.
type addresses []struct{ node, listen netip.AddrPort }

// find is where the proxy listens for the node. A port of 0 is one that isn't known.
func (a addresses) find(ip netip.Addr, port uint16) (netip.AddrPort, bool) {
	for _, pair := range a {
		if pair.node.Addr() == ip && (port == 0 || pair.node.Port() == port) {
			return pair.listen, true
		}
	}
	return netip.AddrPort{}, false
}

// rows rewrites an answer about nodes. Rows of nodes that no proxy stands before are
// left out.
func (a addresses) rows(in answer) (frame, error) {
	r, err := readRows(in)
	if err != nil {
		return nil, err
	}
	column := make(map[string]int)
	for i, name := range r.columns {
		column[name] = i
	}
	r.data = slices.DeleteFunc(r.data, func(row [][]byte) bool { return !a.row(row, column) })
	return in.with(r.encode()), nil
}

// row rewrites a node's row; false if no proxy stands before the node.
func (a addresses) row(row [][]byte, column map[string]int) bool {
	// What clients dial, in the order in which drivers look for it. The others, such as
	// peer, are the node's names among nodes and keys of the table: they stay.
	for _, pair := range [][2]string{{"native_address", "native_port"}, {"rpc_address", "rpc_port"}, {"broadcast_address", ""}, {"peer", ""}} {
		i, ok := column[pair[0]]
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(row[i])
		if !ok || ip.IsUnspecified() {
			continue
		}
		port, hasPort := column[pair[1]]
		hasPort = hasPort && len(row[port]) == 4
		var known uint16
		if hasPort {
			known = uint16(binary.BigEndian.Uint32(row[port]))
		}
		listen, ok := a.find(ip.Unmap(), known)
		if !ok {
			return false
		}
		row[i] = listen.Addr().AsSlice()
		if hasPort {
			row[port] = binary.BigEndian.AppendUint32(nil, uint32(listen.Port()))
		}
		return true
	}
	return true // nothing in it can be dialled
}

// event rewrites an event about a node; nil if no proxy stands before the node. Other
// events stay as they are.
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
	listen, ok := a.find(ip.Unmap(), uint16(port))
	if !ok {
		return nil
	}
	out := appendString(nil, kind)
	out = appendString(out, change)
	out = append(out, byte(len(listen.Addr().AsSlice())))
	out = append(out, listen.Addr().AsSlice()...)
	return in.with(binary.BigEndian.AppendUint32(out, uint32(listen.Port())))
}

// appendString appends a [string].
func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
