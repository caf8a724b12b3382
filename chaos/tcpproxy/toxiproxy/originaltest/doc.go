// Package originaltest asks Toxiproxy 2.12.0 and chaos/tcpproxy/toxiproxy the same things
// and compares their answers. It is a separate module, so that Toxiproxy's server is no
// dependency of ours.
package originaltest
