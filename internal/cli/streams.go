package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-isatty"
)

// Stdin is the file name that means standard input.
const Stdin = "-"

// maxInput bounds what is read from standard input, in bytes.
const maxInput = 64 << 20

// Streams are the streams and the environment of a command. Tests can replace them.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string // as os.Environ returns it
}

// Process returns the streams of this process.
func Process() *Streams {
	return &Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ()}
}

// Getenv returns the value of a variable, or "". If a name occurs more than once, the last one
// counts, as in a process.
func (s *Streams) Getenv(name string) string {
	for i := len(s.Environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(s.Environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// ReadFile reads a file, or standard input if the name is "-". It returns the name by which
// messages call the file. Errors have status 2.
func (s *Streams) ReadFile(file string) (shown string, text []byte, err error) {
	shown = file
	var from io.Reader
	if file == Stdin {
		shown, from = "standard input", s.In
	} else {
		f, err := os.Open(file)
		if err != nil {
			return shown, nil, BadInput(fmt.Errorf("%w; give a file that exists and can be read, or - for standard input", err))
		}
		defer f.Close()
		from = f
	}
	text, err = io.ReadAll(io.LimitReader(from, maxInput+1))
	switch {
	case err != nil:
		return shown, nil, BadInput(fmt.Errorf("read %s: %w", shown, err))
	case len(text) > maxInput:
		return shown, nil, BadInput(fmt.Errorf("%s is longer than %d MiB", shown, maxInput>>20))
	}
	return shown, text, nil
}

// WriteJSON writes a value as indented JSON, for programs.
func (s *Streams) WriteJSON(v any) error {
	encoder := json.NewEncoder(s.Out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return Failed(encoder.Encode(v))
}

// Conclude ends a command that has looked at several things. It writes what was found if the
// format is JSON. A status that is not OK becomes an error whose text was printed already.
func (s *Streams) Conclude(format Format, found any, status int) error {
	if format == JSON {
		if err := s.WriteJSON(found); err != nil {
			return err
		}
	}
	if status != OK {
		return Printed(status)
	}
	return nil
}

// Style returns the style for text on a stream. Text is emphasised only on a terminal, and only
// if the environment has neither NO_COLOR (see no-color.org) nor TERM=dumb.
func (s *Streams) Style(w io.Writer) Style {
	f, ok := w.(*os.File)
	return Style{on: ok && isatty.IsTerminal(f.Fd()) && s.Getenv("NO_COLOR") == "" && s.Getenv("TERM") != "dumb"}
}

// Style emphasises text. Its zero value leaves text as it is.
type Style struct{ on bool }

// Bold emphasises text.
func (s Style) Bold(text string) string {
	return s.colour("1", text)
}

// Good, Poor and Bad colour text by its tone: green, yellow and red.
func (s Style) Good(text string) string { return s.colour("32", text) }

// Poor colours text yellow.
func (s Style) Poor(text string) string { return s.colour("33", text) }

// Bad colours text red and emphasises it.
func (s Style) Bad(text string) string { return s.colour("1;31", text) }

func (s Style) colour(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Printable returns text without control characters, so that a name from a file or from another
// machine can't change the terminal.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, text)
}
