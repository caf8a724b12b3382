package rest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
)

func newBuffered(n int) *bufferedBody {
	w := new(bufferedBody)
	w.fill(n)
	return w
}

func TestBufferedBody(t *testing.T) {
	for _, n := range []int{1, pageBytes, pageBytes + 1} {
		want := bytes.Repeat([]byte("ab"), n)[:n]
		fill := func() *bufferedBody { w := newBuffered(n); copy(w.left, want); return w }
		w := fill()
		if got, err := io.ReadAll(io.LimitReader(struct{ io.Reader }{w}, int64(n)+1)); !bytes.Equal(got, want) || err != nil {
			t.Errorf("%d: read %d, %v", n, len(got), err)
		}
		w = fill()
		var to bytes.Buffer
		if got, err := io.Copy(&to, w); got != int64(n) || err != nil || !bytes.Equal(to.Bytes(), want) {
			t.Errorf("%d: copied %d, %v", n, got, err)
		}
		if got, err := w.Read(make([]byte, 1)); got != 0 || err != io.EOF {
			t.Errorf("%d: after the end %d, %v", n, got, err)
		}
		w = fill()
		full := errors.New("full")
		if got, err := io.Copy(half{full}, w); got != int64(n/2) || !errors.Is(err, full) {
			t.Errorf("%d: half of it: %d, %v", n, got, err)
		}
		if rest, _ := io.ReadAll(w); len(rest) != n-n/2 {
			t.Errorf("%d: %d are left after half", n, len(rest))
		}
		w = fill()
		w.Close()
		w.Close()
		if got, err := w.Read(make([]byte, 1)); got != 0 || err != http.ErrBodyReadAfterClose {
			t.Errorf("%d: after Close %d, %v", n, got, err)
		}
	}
}

// half takes half of each write.
type half struct{ err error }

func (h half) Write(p []byte) (int, error) { return len(p) / 2, h.err }

// TestBuffersAreNotShared: a body that was closed twice, or read to its end and closed,
// gives its buffer back once.
func TestBuffersAreNotShared(t *testing.T) {
	for range 100 {
		a := newBuffered(3)
		copy(a.left, "aaa")
		_, _ = io.ReadAll(a)
		a.Close()
		a.Close()
		b, c := newBuffered(3), newBuffered(3)
		copy(b.left, "bbb")
		copy(c.left, "ccc")
		if got, _ := io.ReadAll(b); string(got) != "bbb" {
			t.Fatalf("two bodies share a buffer: %q", got)
		}
		c.Close()
	}
}
