package cqlproxy

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// jsonField is a field of a JSON object whose value is a text or a number.
var jsonField = regexp.MustCompile(`"([^"\\]*)"(\s*:\s*)(?:"([^"\\]*)"|(\d+))`)

// columns lists the columns that hold addresses and ports of a node. A statement can turn
// each of them into a text, for example with toJson or CAST.
var (
	addressColumns = []string{"native_address", "rpc_address", "broadcast_address", "listen_address", "preferred_ip", "peer"}
	portColumns    = []string{"native_port", "rpc_port"}
)

// columnIn returns which of the columns an expression is made of, or an empty text if it is
// none of them.
func columnIn(expression string, columns []string) string {
	words := strings.FieldsFunc(expression, func(r rune) bool { return !wordByte(byte(min(r, 0x80))) })
	for _, word := range words {
		if slices.Contains(columns, word) {
			return word
		}
	}
	return ""
}

// field returns the column that a field of a JSON object stands for.
func (n *nodeRows) field(key string) string {
	if expression, is := n.aliases[key]; is {
		key = expression
	}
	return strings.ToLower(key)
}

// fields finds the addresses and ports in a text, which is a JSON object or one value.
func (n *nodeRows) fields(column string, value []byte, addresses map[string]netip.Addr, ports map[string]uint16) {
	text := string(value)
	take := func(name, value string) {
		if ip, err := netip.ParseAddr(value); err == nil && columnIn(name, addressColumns) != "" {
			addresses[columnIn(name, addressColumns)] = ip.Unmap()
		}
		if port, err := strconv.ParseUint(value, 10, 16); err == nil && columnIn(name, portColumns) != "" {
			ports[columnIn(name, portColumns)] = uint16(port)
		}
	}
	if !strings.HasPrefix(text, "{") {
		take(column, strings.Trim(text, `"`))
		return
	}
	for _, f := range jsonField.FindAllStringSubmatch(text, -1) {
		take(n.field(f[1]), f[3]+f[4])
	}
}

// text returns a text in which the addresses and ports of a node are replaced.
func (n *nodeRows) text(column string, value []byte, p pair) []byte {
	if value == nil {
		return nil
	}
	replace := func(name, value string) string {
		if ip, err := netip.ParseAddr(value); err == nil && ip.Unmap() == p.node.Addr() {
			if columnIn(name, addressColumns) != "" {
				return p.listen.Addr().String()
			}
		}
		if _, err := strconv.ParseUint(value, 10, 16); err == nil && columnIn(name, portColumns) != "" {
			return strconv.Itoa(int(p.listen.Port()))
		}
		return value
	}
	text := string(value)
	if !strings.HasPrefix(text, "{") {
		bare := strings.Trim(text, `"`)
		return []byte(strings.Replace(text, bare, replace(column, bare), 1))
	}
	return []byte(jsonField.ReplaceAllStringFunc(text, func(field string) string {
		f := jsonField.FindStringSubmatch(field)
		if f[4] != "" {
			return `"` + f[1] + `"` + f[2] + replace(n.field(f[1]), f[4])
		}
		return `"` + f[1] + `"` + f[2] + `"` + replace(n.field(f[1]), f[3]) + `"`
	}))
}
