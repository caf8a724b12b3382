package chaos

import (
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A CQLErrorInfo describes an error of Cassandra's native protocol.
type CQLErrorInfo struct {
	Name string
	Code int32
	// Fields lists the names that What.Fields may have for this error, in the order in which
	// they are sent.
	Fields []string
}

// CQLErrorTable lists all errors of Cassandra's native protocol v5
// (native_protocol_v5.spec, section 8) in the order of their codes. Fields of What
// that a plan leaves out have the proxy's defaults. Each call returns a new slice.
//
// Values are texts: consistency is a level like QUORUM; required, alive, received
// and contentions are numbers; data_present is true or false; write_type is
// one of [CQLWriteTypes]; reasons are replicas with their failure codes, like
// "10.0.0.1=1 10.0.0.2=0"; arg_types are types separated by semicolons; id is
// hexadecimal.
func CQLErrorTable() []CQLErrorInfo {
	return []CQLErrorInfo{
		{"server_error", 0x0000, nil},
		{"protocol_error", 0x000A, nil},
		{"bad_credentials", 0x0100, nil},
		{"unavailable", 0x1000, []string{"consistency", "required", "alive"}},
		{"overloaded", 0x1001, nil},
		{"is_bootstrapping", 0x1002, nil},
		{"truncate_error", 0x1003, nil},
		{"write_timeout", 0x1100, []string{"consistency", "received", "required", "write_type", "contentions"}},
		{"read_timeout", 0x1200, []string{"consistency", "received", "required", "data_present"}},
		{"read_failure", 0x1300, []string{"consistency", "received", "required", "reasons", "data_present"}},
		{"function_failure", 0x1400, []string{"keyspace", "function", "arg_types"}},
		{"write_failure", 0x1500, []string{"consistency", "received", "required", "reasons", "write_type"}},
		{"cdc_write_failure", 0x1600, nil},
		{"cas_write_unknown", 0x1700, []string{"consistency", "received", "required"}},
		{"syntax_error", 0x2000, nil},
		{"unauthorized", 0x2100, nil},
		{"invalid", 0x2200, nil},
		{"config_error", 0x2300, nil},
		{"already_exists", 0x2400, []string{"keyspace", "table"}},
		{"unprepared", 0x2500, []string{"id"}},
	}
}

// CQLErrors lists the names that What.Code takes for the kind cql_error.
func CQLErrors() []string {
	var names []string
	for _, e := range CQLErrorTable() {
		names = append(names, e.Name)
	}
	return names
}

// CQLConsistencies are the protocol's consistency levels, at the index of their code.
func CQLConsistencies() []string {
	return []string{"ANY", "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "EACH_QUORUM", "SERIAL", "LOCAL_SERIAL", "LOCAL_ONE"}
}

// CQLWriteTypes are the values of the field write_type.
func CQLWriteTypes() []string {
	return []string{"SIMPLE", "BATCH", "UNLOGGED_BATCH", "COUNTER", "BATCH_LOG", "CAS", "VIEW", "CDC"}
}

// ParseCQLReasons reads the field reasons: replicas and their failure codes.
func ParseCQLReasons(text string) (replicas []netip.Addr, codes []uint16, ok bool) {
	for _, pair := range strings.Fields(text) {
		addr, code, _ := strings.Cut(pair, "=")
		replica, err := netip.ParseAddr(addr)
		n, bad := strconv.ParseUint(code, 0, 16)
		if err != nil || bad != nil || replica.Zone() != "" {
			return nil, nil, false
		}
		replicas, codes = append(replicas, replica), append(codes, uint16(n))
	}
	return replicas, codes, true
}

// cqlError checks code and fields of the kind cql_error.
func (c *checker) cqlError(w What) {
	c.oneOf("what.code", w.Code, CQLErrors()...)
	table := CQLErrorTable()
	i := slices.IndexFunc(table, func(e CQLErrorInfo) bool { return e.Name == w.Code })
	if i < 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(w.Fields)) {
		field := "what.fields." + name
		switch known := table[i].Fields; {
		case slices.Contains(known, name):
			c.cqlField(field, name, w.Fields[name])
		case len(known) == 0:
			c.add(field, "%s has no fields", w.Code)
		default:
			c.add(field, "%s has no such field%s; it has %s", w.Code, suggestion(name, known), strings.Join(known, ", "))
		}
	}
}

// cqlField checks the value of one field of an error.
func (c *checker) cqlField(field, name, value string) {
	switch name {
	case "consistency":
		c.oneOf(field, value, CQLConsistencies()...)
	case "write_type":
		c.oneOf(field, value, CQLWriteTypes()...)
	case "data_present":
		c.oneOf(field, value, "true", "false")
	case "required", "alive", "received":
		if _, err := strconv.ParseUint(value, 10, 31); err != nil {
			c.add(field, "is %q; it must be a number from 0 to 2147483647", value)
		}
	case "contentions":
		if _, err := strconv.ParseUint(value, 10, 16); err != nil {
			c.add(field, "is %q; it must be a number from 0 to 65535", value)
		}
	case "reasons":
		if _, _, ok := ParseCQLReasons(value); !ok {
			c.add(field, "is %q; give replicas and codes, like \"10.0.0.1=1 10.0.0.2=0\"", value)
		}
	case "id":
		if b, err := hex.DecodeString(value); err != nil || len(b) > 65535 {
			c.add(field, "is %q; it must be hexadecimal, at most 65535 bytes", value)
		}
	default: // keyspace, table, function, arg_types: any text that fits a [string]
		if len(value) > 65535 {
			c.add(field, "is longer than 65535 bytes")
		}
	}
}
