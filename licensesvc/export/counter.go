package export

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// counter counts and hashes what is written through it.
type counter struct {
	to    io.Writer
	sum   hash.Hash
	bytes int64
}

func newCounter(to io.Writer) *counter { return &counter{to: to, sum: sha256.New()} }

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.sum.Write(b[:n]) // never fails
	c.bytes += int64(n)
	return n, err
}

func (c *counter) hash() string { return hex.EncodeToString(c.sum.Sum(nil)) }
