package oteltext_test

import (
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"

	"github.com/backstay-go/backstay/internal/oteltext"
)

func FuzzAttributes(f *testing.F) {
	f.Add("caf\xe9")
	f.Add("café")
	f.Fuzz(func(t *testing.T, text string) {
		got := oteltext.Attributes([]attribute.KeyValue{attribute.String("a", text), attribute.Int("b", 1)})
		valid := got[0].Value.AsString()
		if !utf8.ValidString(valid) || utf8.ValidString(text) && valid != text || got[1].Value.AsInt64() != 1 {
			t.Errorf("%q becomes %q", text, valid)
		}
	})
}
