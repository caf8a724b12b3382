package netconn

import (
	"errors"
	"io"
	"net"
)

// Conn is a connection around another one. It is as safe for concurrent use as that.
type Conn struct{ net.Conn }

// NetConn returns the connection below.
func (c Conn) NetConn() net.Conn { return c.Conn }

// ReadFrom implements io.ReaderFrom, so that files are sent by the system.
func (c Conn) ReadFrom(src io.Reader) (int64, error) {
	if to, ok := c.Conn.(io.ReaderFrom); ok {
		return to.ReadFrom(src)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, src)
}

// CloseWrite ends the writing side; errors.ErrUnsupported where the connection can't.
func (c Conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
