package history_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos/history"
)

// FuzzRead: whatever the text, Read ends, and what it returned reads the same after it was
// written again.
func FuzzRead(f *testing.F) {
	f.Add(`{"client":1,"stream":"s","commit":"a","call_ns":1,"return_ns":2,"outcome":"applied","version":1}` + "\n{\n")
	f.Add(`{"client":1,"stream":"s","call_ns":1,"return_ns":2,"outcome":"applied","saw":[{"version":1,"commit":"a"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		h, _ := history.Read(strings.NewReader(text))
		var b bytes.Buffer
		if err := h.Write(&b); err != nil {
			t.Fatal(err)
		}
		if again, err := history.Read(&b); err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", h) {
			t.Errorf("%v\n%+v\n%+v", err, h, again)
		}
	})
}
