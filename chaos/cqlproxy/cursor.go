package cqlproxy

import "encoding/binary"

// cursor reads the protocol's notations (native_protocol_v5.spec, section 3) from a
// body that can't be trusted. After a read past the end, short is true and every read
// returns zero.
type cursor struct {
	b     []byte
	at    int
	short bool
}

// take returns the next n bytes, without copying them.
func (c *cursor) take(n int) []byte {
	if c.short || n < 0 || n > len(c.b)-c.at {
		c.short = true
		return nil
	}
	c.at += n
	return c.b[c.at-n : c.at : c.at]
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() int {
	if b := c.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) int32() int {
	if b := c.take(4); b != nil {
		return int(int32(binary.BigEndian.Uint32(b)))
	}
	return 0
}

func (c *cursor) string() string     { return string(c.take(c.uint16())) }
func (c *cursor) longString() string { return string(c.take(c.int32())) }
func (c *cursor) shortBytes() []byte { return c.take(c.uint16()) }

// bytes reads a [bytes] or [value]. A negative length stands for null or not set.
func (c *cursor) bytes() []byte {
	n := c.int32()
	if n < 0 {
		return nil
	}
	return c.take(n)
}

// stringMap reads a [string map]. If a key comes twice, the last value counts.
func (c *cursor) stringMap() map[string]string {
	m := make(map[string]string)
	for range c.uint16() {
		if c.short {
			return nil
		}
		key := c.string()
		m[key] = c.string()
	}
	return m
}
