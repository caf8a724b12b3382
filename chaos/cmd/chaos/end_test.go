package main

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

func TestAnEndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocked := make(chan struct{})
		defer close(blocked)
		if err := end("catalog", func() error { <-blocked; return nil }); err == nil || !strings.Contains(err.Error(), "did not end within 3s") {
			t.Error(err)
		}
		if err := end("catalog", func() error { return io.EOF }); err != io.EOF {
			t.Error(err)
		}
	})
}
