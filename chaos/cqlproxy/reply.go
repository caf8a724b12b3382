package cqlproxy

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/backstay-go/backstay/chaos"
)

// Codes of the errors that the code refers to by name. chaos.CQLErrorTable has all of them.
const (
	codeProtocolError   = 0x000A
	codeWriteTimeout    = 0x1100
	codeReadTimeout     = 0x1200
	codeReadFailure     = 0x1300
	codeFunctionFailure = 0x1400
	codeWriteFailure    = 0x1500
	codeCDCWriteFailure = 0x1600
	codeCASUnknown      = 0x1700
	codeInvalid         = 0x2200
	codeUnprepared      = 0x2500
)

// errorFrame makes an ERROR frame; fields are the bytes that follow the message.
func errorFrame(version byte, stream int16, code int32, text string, fields ...byte) frame {
	body := binary.BigEndian.AppendUint32(nil, uint32(code))
	body = appendString(body, text[:min(len(text), 1<<16-1)])
	return newFrame(version|0x80, 0, stream, opError, append(body, fields...))
}

// reply answers a request with an error.
func (l *relay) reply(f frame, code int32, text string, fields []byte) {
	l.deliver(errorFrame(f[0], f.stream(), code, text, fields...))
}

// newError makes the error, given by name, with which a fault answers a request.
func newError(r *request, f chaos.Fault, name string) frame {
	table := chaos.CQLErrorTable()
	info := table[max(0, slices.IndexFunc(table, func(e chaos.CQLErrorInfo) bool { return e.Name == name }))]
	text := f.What.Message
	if text == "" {
		text = fmt.Sprintf("%s (injected by chaos rule %q)", name, f.Rule)
	}
	code, fields := asVersion(info.Code, info.Fields, r.version())
	e := errorFields{request: r, set: f.What.Fields, meant: info.Code}
	var b []byte
	for _, field := range fields {
		b = e.append(b, field)
	}
	return errorFrame(r.direction, r.stream, code, text, b...)
}

// asVersion returns the error that a node sends to a client whose protocol version does not
// have the original one.
func asVersion(code int32, fields []string, version int) (int32, []string) {
	timeout := []string{"consistency", "received", "required", "write_type"}
	switch {
	case code == codeCASUnknown && version < 5:
		return codeWriteTimeout, timeout
	case code == codeWriteFailure && version < 4:
		return codeWriteTimeout, timeout
	case code == codeReadFailure && version < 4:
		return codeReadTimeout, []string{"consistency", "received", "required", "data_present"}
	case (code == codeFunctionFailure || code == codeCDCWriteFailure) && version < 4:
		return codeInvalid, nil
	}
	return code, fields
}

// errorFields writes an error's fields: the plan's values, or likely ones for fields that
// the plan leaves out.
type errorFields struct {
	request *request
	set     map[string]string
	meant   int32 // code that the plan names, whatever the client's version makes of it
}

func (e errorFields) append(b []byte, field string) []byte {
	value, set := e.set[field], e.set[field] != ""
	number := func(otherwise int) []byte {
		if n, err := strconv.ParseUint(value, 10, 31); err == nil {
			otherwise = int(n)
		}
		return binary.BigEndian.AppendUint32(b, uint32(otherwise))
	}
	switch field {
	case "consistency":
		return binary.BigEndian.AppendUint16(b, uint16(e.level()))
	case "required":
		return number(needs(e.level()))
	case "alive", "received":
		return number(needs(e.level()) - 1)
	case "data_present":
		return append(b, map[bool]byte{true: 1}[value == "true"])
	case "write_type":
		return appendString(b, e.writeType())
	case "contentions":
		if e.request.version() < 5 || e.writeType() != "CAS" {
			return b // the field is there for CAS only, from version 5
		}
		n, _ := strconv.ParseUint(value, 10, 16) // not a number: 0
		return binary.BigEndian.AppendUint16(b, uint16(n))
	case "reasons":
		return e.reasons(b, value)
	case "arg_types":
		var types []string
		if set {
			types = strings.Split(value, ";")
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(types)))
		for _, t := range types {
			b = appendString(b, strings.TrimSpace(t))
		}
		return b
	case "id":
		id := e.request.prepared
		if given, err := hex.DecodeString(value); err == nil && set {
			id = given
		}
		return appendShortBytes(b, id)
	}
	if !set && field == "keyspace" {
		value = e.request.statement.keyspace
	}
	if !set && field == "table" {
		value = e.request.statement.table
	}
	return appendString(b, value)
}

// level returns the consistency level that the plan names, or else that of the request.
func (e errorFields) level() int {
	if i := slices.Index(chaos.CQLConsistencies(), e.set["consistency"]); i >= 0 {
		return i
	}
	return max(0, e.request.consistency)
}

// needs returns how many of three replicas a consistency level waits for.
func needs(level int) int {
	switch levelName(level) {
	case "TWO", "QUORUM", "LOCAL_QUORUM", "EACH_QUORUM", "SERIAL", "LOCAL_SERIAL":
		return 2
	case "THREE", "ALL":
		return 3
	}
	return 1
}

func (e errorFields) writeType() string {
	s := e.request.statement
	switch {
	case e.set["write_type"] != "":
		return e.set["write_type"]
	case s.conditional || e.meant == codeCASUnknown:
		return "CAS"
	case s.operation == "BATCH" && s.counter:
		return "COUNTER"
	case s.operation == "BATCH" && s.unlogged:
		return "UNLOGGED_BATCH"
	case s.operation == "BATCH":
		return "BATCH"
	}
	return "SIMPLE"
}

// reasons writes the replicas that failed: with their codes in version 5, and only their
// number in earlier versions.
func (e errorFields) reasons(b []byte, value string) []byte {
	replicas, codes, ok := chaos.ParseCQLReasons(value)
	if e.request.version() < 5 {
		n := len(replicas)
		if !ok || n == 0 {
			n = 1
		}
		return binary.BigEndian.AppendUint32(b, uint32(n))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(replicas)))
	for i, replica := range replicas {
		b = append(b, byte(len(replica.AsSlice())))
		b = append(b, replica.AsSlice()...)
		b = binary.BigEndian.AppendUint16(b, codes[i])
	}
	return b
}

// appendShortBytes appends [short bytes].
func appendShortBytes(b, value []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(value))), value...)
}
