package oteltext

import (
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
)

// Valid returns the text with the replacement character in place of invalid UTF-8.
func Valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// Attributes makes the string values valid UTF-8, in place, and returns its argument.
func Attributes(attributes []attribute.KeyValue) []attribute.KeyValue {
	for i, a := range attributes {
		if a.Value.Type() != attribute.STRING {
			continue
		}
		if text := a.Value.AsString(); !utf8.ValidString(text) {
			attributes[i].Value = attribute.StringValue(Valid(text))
		}
	}
	return attributes
}
