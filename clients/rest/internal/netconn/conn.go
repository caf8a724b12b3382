package netconn

import (
	"errors"
	"io"
	"net"
)

// Conn wraps another connection. It is safe for concurrent use if that connection is.
type Conn struct{ net.Conn }

// NetConn returns the wrapped connection.
func (c Conn) NetConn() net.Conn { return c.Conn }

// ReadFrom implements io.ReaderFrom, so that the system sends files directly.
func (c Conn) ReadFrom(src io.Reader) (int64, error) {
	if to, ok := c.Conn.(io.ReaderFrom); ok {
		return to.ReadFrom(src)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, src)
}

// CloseWrite closes the writing side. It returns errors.ErrUnsupported if the
// connection can't do that.
func (c Conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
