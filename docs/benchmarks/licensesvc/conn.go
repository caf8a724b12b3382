package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// patience bounds one request. The service itself answers within 2 s.
const patience = 10 * time.Second

// conn is a kept connection with a client that costs little, so that the generator leaves the
// processors to the service.
type conn struct {
	net.Conn
	in  *bufio.Reader
	out []byte
}

func dial(address string) (*conn, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReaderSize(c, 4<<10)}, nil
}

// answer is what the service answered.
type answer struct {
	status int
	body   []byte // until the next call
}

// call sends one request and reads its answer. closed says that the connection can't be used
// again.
func (c *conn) call(method, path, key, body string) (a answer, closed bool, err error) {
	c.out = append(append(append(append(c.out[:0], method...), ' '), path...), " HTTP/1.1\r\nHost: localhost\r\n"...)
	if method == "POST" {
		c.out = append(append(append(c.out, "Idempotency-Key: "...), key...), "\r\n"...)
		c.out = append(c.out, "Content-Type: application/json\r\nContent-Length: "...)
		c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
		c.out = append(c.out, "\r\n"...)
	}
	c.out = append(append(c.out, "\r\n"...), body...)
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return a, true, err
	}
	if _, err := c.Write(c.out); err != nil {
		return a, true, err
	}
	return c.read()
}

func (c *conn) read() (a answer, closed bool, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return a, true, err
	}
	if len(line) < 12 {
		return a, true, fmt.Errorf("no status line: %q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, true, err
	}
	length := 0
	chunked := false
	for {
		line, err = c.in.ReadSlice('\n')
		if err != nil {
			return a, true, err
		}
		name, value, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(": "))
		if !ok {
			break
		}
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.Atoi(string(value))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("Connection")):
			closed = bytes.EqualFold(value, []byte("close"))
		}
		if err != nil {
			return a, true, err
		}
	}
	if chunked {
		a.body, err = c.chunks()
		return a, closed, err
	}
	if cap(c.out) < length {
		c.out = make([]byte, length)
	}
	a.body = c.out[:length]
	_, err = io.ReadFull(c.in, a.body)
	return a, closed, err
}

// chunks reads a chunked body.
func (c *conn) chunks() (body []byte, err error) {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return nil, err
		}
		at := len(body)
		body = append(body, make([]byte, n+2)...)
		if _, err := io.ReadFull(c.in, body[at:]); err != nil {
			return nil, err
		}
		body = body[:at+int(n)]
		if n == 0 {
			return body, nil
		}
	}
}

// conns are idle connections. It is safe for concurrent use.
type conns struct {
	mu  sync.Mutex
	all []*conn
}

// take returns the connection that was used last, or a new one.
func (c *conns) take(host string) (*conn, error) {
	c.mu.Lock()
	n := len(c.all)
	if n == 0 {
		c.mu.Unlock()
		return dial(host)
	}
	defer c.mu.Unlock()
	last := c.all[n-1]
	c.all = c.all[:n-1]
	return last, nil
}

func (c *conns) put(one *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, one)
}

// close closes the connections.
func (c *conns) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, one := range c.all {
		errs = append(errs, one.Close())
	}
	c.all = nil
	return errors.Join(errs...)
}
