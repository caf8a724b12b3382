package gocqldriver

import (
	"net"
	"strconv"

	"github.com/gocql/gocql"
)

// addresses remembers how hosts' addresses are written, which is asked at each
// request. Safe for concurrent use.
type addresses struct {
	known copyOnWrite[*gocql.HostInfo, written]
}

// written is an address and its text. A host keeps its identity when it comes back
// under another address.
type written struct {
	ip   net.IP
	port int
	text string
}

// of returns host:port.
func (a *addresses) of(h *gocql.HostInfo) string {
	ip, port := h.ConnectAddress(), h.Port()
	if w, ok := a.known.get(h); ok && w.port == port && w.ip.Equal(ip) {
		return w.text
	}
	text := addressOf(h)
	a.known.put(h, written{append(net.IP(nil), ip...), port, text})
	return text
}

func addressOf(h *gocql.HostInfo) string {
	return net.JoinHostPort(h.ConnectAddress().String(), strconv.Itoa(h.Port()))
}
