package cqlproxy

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// asked replaces the addresses of proxies by the nodes' own addresses in a statement about
// nodes, because drivers ask for a node by the key that they have read. It replaces them in
// literals, and in values of the same length. If there are none, it returns the frame itself.
func (a addresses) asked(f frame, r *request, body []byte) (frame, []byte) {
	out := bytes.Clone(body)
	for _, p := range a {
		listen, node := p.listen.Addr().AsSlice(), p.node.Addr().AsSlice()
		if len(listen) == len(node) {
			// A value of an inet has its length before it.
			length := binary.BigEndian.AppendUint32(nil, uint32(len(node)))
			out = bytes.ReplaceAll(out, append(bytes.Clone(length), listen...), append(length, node...))
		}
	}
	if r.op == opQuery || r.op == opPrepare {
		out = a.inText(out, r.textAt)
	}
	if bytes.Equal(out, body) {
		return f, body
	}
	return newFrame(f[0], f.flags()&^flagCompressed, f.stream(), f.op(), out), out
}

// inText replaces the addresses in the literals of a [long string].
func (a addresses) inText(body []byte, at int) []byte {
	c := &cursor{b: body, at: at}
	text := c.longString()
	if c.short {
		return body
	}
	mapped := text
	for _, p := range a {
		mapped = strings.ReplaceAll(mapped, "'"+p.listen.Addr().String()+"'", "'"+p.node.Addr().String()+"'")
	}
	if mapped == text {
		return body
	}
	out := binary.BigEndian.AppendUint32(bytes.Clone(body[:at]), uint32(len(mapped)))
	return append(append(out, mapped...), body[c.at:]...)
}
