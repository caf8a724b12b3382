package cqlproxy

import (
	"encoding/binary"
	"errors"
)

// Flags of a result's metadata.
const (
	rowsGlobalTable     = 0x01
	rowsMorePages       = 0x02
	rowsNoMetadata      = 0x04
	rowsMetadataChanged = 0x08
)

// Types of columns.
const (
	typeCustom = 0x00
	typeASCII  = 0x01
	typeText   = 0x0D
	typeInt    = 0x09
	typeInet   = 0x10
	typeList   = 0x20
	typeMap    = 0x21
	typeSet    = 0x22
	typeUDT    = 0x30
	typeTuple  = 0x31
)

// maxNesting bounds how deeply types may be nested.
const maxNesting = 64

// rows is a result of rows. Every row has as many values as there are columns; a value
// that is nil is null.
type rows struct {
	head    []byte // of the message, up to the number of rows
	columns []string
	types   []int // of the columns, without what they hold
	data    [][][]byte
}

// readRows reads a result of rows that has its metadata.
func readRows(a answer) (rows, error) {
	kind, c := a.result()
	if kind != resultRows {
		return rows{}, errors.New("the answer holds no rows")
	}
	flags, n := c.int32(), c.int32()
	if flags&rowsMorePages != 0 {
		c.bytes()
	}
	if flags&rowsMetadataChanged != 0 && a.frame.version() >= 5 {
		c.shortBytes()
	}
	if flags&rowsNoMetadata != 0 || n <= 0 {
		return rows{}, errors.New("the answer does not name its columns")
	}
	var r rows
	table := func() {
		c.string()
		c.string()
	}
	if flags&rowsGlobalTable != 0 {
		table()
	}
	for range n {
		if c.short {
			break
		}
		if flags&rowsGlobalTable == 0 {
			table()
		}
		r.columns = append(r.columns, c.string())
		r.types = append(r.types, c.skipType(0))
	}
	r.head = a.message[:c.at]
	for range c.int32() {
		if c.short {
			break
		}
		row := make([][]byte, n)
		for i := range row {
			row[i] = c.bytes()
		}
		r.data = append(r.data, row)
	}
	if c.short {
		return rows{}, errors.New("the answer is shorter than it says")
	}
	return r, nil
}

// skipType skips a column's type, and returns its outermost type.
func (c *cursor) skipType(nesting int) (of int) {
	if nesting > maxNesting {
		c.short = true
	}
	if c.short {
		return 0
	}
	of = c.uint16()
	switch of {
	case typeCustom:
		c.string()
	case typeList, typeSet:
		c.skipType(nesting + 1)
	case typeMap:
		c.skipType(nesting + 1)
		c.skipType(nesting + 1)
	case typeUDT:
		c.string()
		c.string()
		for range c.uint16() {
			if c.short {
				return of
			}
			c.string()
			c.skipType(nesting + 1)
		}
	case typeTuple:
		for range c.uint16() {
			if c.short {
				return of
			}
			c.skipType(nesting + 1)
		}
	}
	return of
}

// encode returns the result's message.
func (r rows) encode() []byte {
	b := append([]byte(nil), r.head...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.data)))
	for _, row := range r.data {
		for _, value := range row {
			if value == nil {
				b = binary.BigEndian.AppendUint32(b, 1<<32-1)
				continue
			}
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(value))), value...)
		}
	}
	return b
}
