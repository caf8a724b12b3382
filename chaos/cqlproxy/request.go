package cqlproxy

import (
	"context"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/propagation"

	"github.com/backstay-go/backstay/chaos"
)

// Flags of a query's parameters.
const (
	queryValues       = 0x01
	querySkipMetadata = 0x02
	queryPageSize     = 0x04
	queryPagingState  = 0x08
	querySerial       = 0x10
	queryTimestamp    = 0x20
	queryNames        = 0x40
	queryKeyspace     = 0x80
)

// request holds what the proxy has read from a client's frame. It does not refer to the
// buffer that the frame is in.
type request struct {
	direction byte // the header's first byte: version and direction
	stream    int16
	op        byte
	statement *statement
	prepares  *statement // of PREPARE, whose own statement has that operation
	prepared  []byte     // id of the first prepared statement in it
	unknown   []byte     // id of a prepared statement whose text is not known
	batchType byte

	flagsAt     int // where in the body the byte of a query's low flags is; 0: unknown
	textAt      int // where a text stands in the body
	consistency int
	keyspace    string                 // that version 5 names in the request
	startup     map[string]string      // options of STARTUP
	carried     propagation.MapCarrier // W3C headers in the custom payload

	// same is equal for two requests that ask for the same answer: it contains statement,
	// values and page, but no timestamp. It is empty if that is not known.
	same string

	ctx   context.Context // of its faults
	asked chaos.Call      // what the injector was asked
}

// lookup finds a statement by its id. It returns nil if there is none.
type lookup func(id []byte) *statement

// readRequest reads a frame; body is the frame's body, decompressed. A field that can't be
// read is left empty; the node will then say what is wrong.
func readRequest(f frame, body []byte, find lookup) *request {
	r := &request{direction: f[0], stream: f.stream(), op: f.op(), consistency: -1, statement: &statement{operation: opName(f.op())}}
	c := &cursor{b: body}
	if f.flags()&flagPayload != 0 && f.version() >= 4 {
		for range c.uint16() {
			if c.short {
				return r
			}
			if key, value := c.string(), c.bytes(); key == "baggage" || key == "traceparent" || key == "tracestate" {
				if r.carried == nil {
					r.carried = propagation.MapCarrier{}
				}
				r.carried[key] = string(value)
			}
		}
	}
	switch r.op {
	case opStartup:
		r.startup = c.stringMap()
	case opPrepare:
		r.textAt = c.at
		r.prepares = parseStatement(c.longString())
		if f.version() >= 5 && c.int32()&0x01 != 0 {
			r.keyspace = c.string()
		}
	case opQuery:
		r.textAt = c.at
		begin := c.at
		r.statement = parseStatement(c.longString())
		r.parameters(c, begin, c.at)
	case opExecute:
		begin := c.at
		r.add(c.shortBytes(), find)
		if f.version() >= 5 {
			c.shortBytes() // id of the result's metadata
		}
		r.parameters(c, begin, c.at)
	case opBatch:
		r.batch(c, find)
	}
	return r
}

// opName returns the operation, for rules, of a request that runs no statement.
func opName(op byte) string {
	switch op {
	case opStartup:
		return "STARTUP"
	case opOptions:
		return "OPTIONS"
	case opRegister:
		return "REGISTER"
	case opAuthResponse:
		return "AUTH_RESPONSE"
	case opPrepare:
		return "PREPARE"
	case opBatch:
		return "BATCH"
	}
	return ""
}

// add takes in a prepared statement.
func (r *request) add(id []byte, find lookup) *statement {
	if r.prepared == nil {
		r.prepared = slices.Clone(id)
	}
	s := find(id)
	if s == nil {
		r.unknown = slices.Clone(id)
		return &statement{}
	}
	if r.op == opExecute {
		r.statement = s
	}
	return s
}

// parameters reads what follows a statement.
func (r *request) parameters(c *cursor, begin, end int) {
	r.consistency = c.uint16()
	flags := r.flags(c)
	if !c.short {
		r.flagsAt = c.at - 1
	}
	if flags&queryValues != 0 {
		for range c.uint16() {
			if c.short {
				return
			}
			if flags&queryNames != 0 {
				c.string()
			}
			c.bytes()
		}
	}
	if flags&queryPageSize != 0 {
		c.int32()
	}
	if flags&queryPagingState != 0 {
		c.bytes()
	}
	r.tail(c, flags)
	if !c.short {
		// Everything but the default timestamp and the time.
		r.same = string(c.b[begin:end]) + "\x00" + string(c.b[end:r.stable(c, flags)]) + "\x00" + r.keyspace
	}
}

// stable returns where the parameters end that are equal in two runs of a request.
func (r *request) stable(c *cursor, flags int) int {
	at := c.at
	if r.version() >= 5 && flags&queryKeyspace != 0 {
		at -= 2 + len(r.keyspace)
	}
	if r.version() >= 5 && flags&0x100 != 0 {
		at -= 4
	}
	if flags&queryTimestamp != 0 {
		at -= 8
	}
	return at
}

func (r *request) version() int { return int(r.direction & 0x7f) }

func (r *request) flags(c *cursor) int {
	if r.version() >= 5 {
		return c.int32()
	}
	return int(c.byte())
}

// tail reads the parameters that queries and batches share.
func (r *request) tail(c *cursor, flags int) {
	if flags&querySerial != 0 {
		c.uint16()
	}
	if flags&queryTimestamp != 0 {
		c.take(8)
	}
	if r.version() >= 5 && flags&queryKeyspace != 0 {
		r.keyspace = c.string()
	}
	if r.version() >= 5 && flags&0x100 != 0 {
		c.take(4) // now in seconds
	}
}

// batch reads a batch as one statement that consists of the parts.
func (r *request) batch(c *cursor, find lookup) {
	r.batchType = c.byte()
	all := &statement{operation: "BATCH", counter: r.batchType == 2, unlogged: r.batchType == 1}
	var texts []string
	for range c.uint16() {
		if c.short {
			break
		}
		var part *statement
		if c.byte() == 0 {
			part = parseStatement(c.longString())
		} else {
			part = r.add(c.shortBytes(), find)
		}
		for range c.uint16() {
			if c.short {
				break
			}
			c.bytes()
		}
		texts = append(texts, part.text)
		if part.keyspace != "" {
			all.keyspace = joined(all.keyspace, part.keyspace)
		}
		if part.table != "" {
			all.table = joined(all.table, part.table)
		}
		all.conditional = all.conditional || part.conditional
	}
	all.text = strings.Join(texts, "; ")
	r.statement = all
	r.consistency = c.uint16()
	r.tail(c, r.flags(c))
}

// resolve gives the statement the keyspace that it runs in.
func (r *request) resolve(current string) {
	if r.keyspace != "" {
		current = r.keyspace
	}
	if r.prepares == nil {
		r.statement = r.statement.in(current)
		return
	}
	r.prepares = r.prepares.in(current)
	s := *r.prepares
	s.operation = opName(opPrepare)
	r.statement = &s
}

// runs reports whether the request runs a statement. Drivers send other requests too.
func (r *request) runs() bool {
	return r.op == opQuery || r.op == opExecute || r.op == opBatch
}

// system reports whether the statement is about system tables only.
func (r *request) system() bool {
	return strings.HasPrefix(r.statement.keyspace, "system") && !strings.Contains(r.statement.keyspace, ",")
}

// addresses reports whether the answer contains nodes' addresses.
func (r *request) addresses() bool {
	s := r.statement
	return s.keyspace == "system" && (s.table == "local" || s.table == "peers" || s.table == "peers_v2")
}

// call returns the request in the form in which the injector decides about it.
func (r *request) call(c chaos.Call) chaos.Call {
	s := r.statement
	c.Protocol, c.Operation, c.Keyspace, c.Table, c.Statement, c.Conditional = chaos.CQL, s.operation, s.keyspace, s.table, s.text, s.conditional
	c.Consistency = levelName(r.consistency)
	return c
}

func levelName(level int) string {
	if names := chaos.CQLConsistencies(); level >= 0 && level < len(names) {
		return names[level]
	}
	return ""
}
