package cassandra_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
)

// clusterName is resolved by resolve.
const clusterName = "cassandra.test"

var resolved atomic.Pointer[[]net.IP]

// resolve says what every name resolves to from now on; nothing: DNS is gone.
func resolve(addresses ...string) {
	var ips []net.IP
	for _, a := range addresses {
		ips = append(ips, net.ParseIP(a).To4())
	}
	resolved.Store(&ips)
}

// resolveHere has names looked up in this process: each lookup is a connection to answerNames.
func resolveHere() {
	resolve()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answerNames(server)
		return client, nil
	}}
}

// answerNames serves DNS as it goes over TCP, until the client closes.
func answerNames(c net.Conn) {
	defer c.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, query); err != nil || len(query) < 12 {
			return
		}
		end := 12
		for end < len(query) && query[end] != 0 {
			end += int(query[end]) + 1
		}
		end += 5 // the end of the name, type and class
		if end > len(query) {
			return
		}
		ips := *resolved.Load()
		reply := append([]byte{}, query[:2]...)
		flags, asksA := uint16(0x8180), binary.BigEndian.Uint16(query[end-4:]) == 1
		if len(ips) == 0 {
			flags |= 3 // no such name
		}
		if !asksA {
			ips = nil
		}
		for _, v := range []uint16{flags, 1, uint16(len(ips)), 0, 0} {
			reply = binary.BigEndian.AppendUint16(reply, v)
		}
		reply = append(reply, query[12:end]...)
		for _, ip := range ips {
			reply = append(reply, 0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			reply = append(reply, ip...)
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}
