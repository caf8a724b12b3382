package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// program is a small program with a command for each way to end.
func program(s *Streams) *cobra.Command {
	root := &cobra.Command{Use: "boat", Short: "A boat", Long: "A boat."}
	var format Format
	sail := &cobra.Command{Use: "sail HOW", Short: "sail", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		switch args[0] {
		case "well":
			if format == JSON {
				return s.WriteJSON(map[string]string{"wind": "<fair>"})
			}
			fmt.Fprintln(s.Out, "fair wind")
			return nil
		case "badly":
			return Failed(errors.New("boat: the mast fell\x1b[2J"))
		case "nowhere":
			return BadInput(errors.New("no chart"))
		case "silently":
			return Printed(Undecided)
		case "until stopped":
			<-c.Context().Done()
			return Failed(fmt.Errorf("sailing: %w", c.Context().Err()))
		}
		return errors.New("there is no such way")
	}}
	format.AddTo(sail)
	sail.Flags().Int("max-knots", 0, "speed")
	root.AddCommand(sail)
	return root
}

func TestRun(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		name     string
		ctx      context.Context
		args     []string
		status   int
		out, err string // what the streams contain; "" is nothing at all
	}{
		{"done", t.Context(), []string{"sail", "well"}, OK, "fair wind\n", ""},
		{"JSON", t.Context(), []string{"sail", "well", "-o", "json"}, OK, "{\n  \"wind\": \"<fair>\"\n}\n", ""},
		{"no such format", t.Context(), []string{"sail", "well", "-o", "jsn"}, Usage, "", `did you mean "json"?`},
		{"failed", t.Context(), []string{"sail", "badly"}, No, "", "boat: the mast fell\uFFFD[2J\n"},
		{"bad input", t.Context(), []string{"sail", "nowhere"}, Usage, "", "boat: no chart\n"},
		{"printed", t.Context(), []string{"sail", "silently"}, Undecided, "", ""},
		{"wrong argument", t.Context(), []string{"sail", "up"}, Usage, "", "boat: there is no such way\nSee boat sail --help.\n"},
		{"interrupted", stopped, []string{"sail", "until stopped"}, Interrupted, "", "boat: interrupted\n"},
		{"stopped, but well", stopped, []string{"sail", "well"}, OK, "fair wind\n", ""},
		{"no command", t.Context(), nil, Usage, "", "Usage:"},
		{"no such command", t.Context(), []string{"sial"}, Usage, "", `boat: there is no command "sial"; did you mean "sail"?`},
		{"no such flag", t.Context(), []string{"sail", "well", "--max-knot", "3"}, Usage, "", "did you mean --max-knots?"},
		{"no argument", t.Context(), []string{"sail"}, Usage, "", "See boat sail --help."},
		{"version", t.Context(), []string{"--version"}, OK, "boat devel", ""},
		{"help", t.Context(), []string{"--help"}, OK, "130 interrupted", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			s := &Streams{In: strings.NewReader(""), Out: &out, Err: &errs}
			if status := Run(c.ctx, program(s), s, c.args); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			for _, stream := range []struct{ name, have, want string }{{"output", out.String(), c.out}, {"errors", errs.String(), c.err}} {
				if stream.want == "" && stream.have != "" || !strings.Contains(stream.have, stream.want) {
					t.Errorf("%s: %q, want %q", stream.name, stream.have, stream.want)
				}
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Streams{In: strings.NewReader("typed")}
	for _, c := range []struct{ file, shown, text string }{{file, file, "text"}, {"-", "standard input", "typed"}} {
		shown, text, err := s.ReadFile(c.file)
		if err != nil || shown != c.shown || string(text) != c.text {
			t.Errorf("%s: %q, %q, %v", c.file, shown, text, err)
		}
	}
	var ended *Error
	if _, _, err := s.ReadFile(file + ".none"); !errors.As(err, &ended) || ended.Status != Usage || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	s.In = strings.NewReader(strings.Repeat("x", maxInput+1))
	if _, _, err := s.ReadFile("-"); err == nil {
		t.Error("endless input was read")
	}
}

func TestErrorsKeepTheirStatus(t *testing.T) {
	if Failed(nil) != nil || BadInput(nil) != nil {
		t.Error("no error became one")
	}
	var ended *Error
	if err := Failed(fmt.Errorf("wrapped: %w", BadInput(os.ErrNotExist))); !errors.As(err, &ended) || ended.Status != Usage {
		t.Errorf("%v", err)
	}
}

func TestStyleIsForTerminals(t *testing.T) {
	var buffer bytes.Buffer
	s := &Streams{Out: &buffer}
	if s.Style(s.Out).on {
		t.Error("a buffer is no terminal")
	}
	if got := (Style{on: true}).Bold("x"); got != "\x1b[1mx\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := (Style{}).Bold("x"); got != "x" {
		t.Errorf("%q", got)
	}
	s.Environ = []string{"A=1", "NO_COLOR=", "A=2"}
	if s.Getenv("A") != "2" || s.Getenv("NO_COLOR") != "" || s.Getenv("B") != "" {
		t.Error("the environment is read wrongly")
	}
}

// TestThePageHasEachStatus keeps docs/reference/commands.md and this package together.
func TestThePageHasEachStatus(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{OK, No, Usage, Undecided, Interrupted} {
		if row := fmt.Sprintf("\n| %d | ", status); !strings.Contains(string(page), row) {
			t.Errorf("no row for status %d", status)
		}
	}
}
