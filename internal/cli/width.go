package cli

import (
	"io"
	"os"

	"golang.org/x/term"
)

// DefaultWidth is the width of a terminal that does not say how wide it is.
const DefaultWidth = 80

// Width returns the number of columns of the terminal behind a stream, or DefaultWidth.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return DefaultWidth
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width
	}
	return DefaultWidth
}
