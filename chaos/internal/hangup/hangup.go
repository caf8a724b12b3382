package hangup

import "net"

// All closes connections. If reset is true, each peer gets a reset (RST). Nil connections are
// passed over, and closing one again does no harm.
func All(reset bool, conns ...*net.TCPConn) {
	for _, c := range conns {
		if c == nil {
			continue
		}
		// An error means that the connection is closed already, as intended.
		if reset {
			_ = c.SetLinger(0)
		}
		_ = c.Close()
	}
}
