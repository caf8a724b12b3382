package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/rulefile"
)

// TestRulesCommands: what they print, and their exit statuses.
func TestRulesCommands(t *testing.T) {
	const example, own = "../../rulefile/example.yaml", "../../rulefile/default.yaml"
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("versions:\n  - {version: a, rules: [{name: r, device: 1}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   string
		status int
		says   string
	}{
		{"check " + example, cli.OK, "example.yaml: good; 2 versions"},
		{"check " + example + " " + bad, cli.No, `2:36: error: versions[0].rules[0].device: is not known; did you mean "devices"?`},
		{"check " + bad + " -o json", cli.No, `"suggestion": "did you mean \"devices\"?"`},
		{"check " + bad + ".gone", cli.Usage, "give a file that exists"},
		{"check", cli.Usage, "See licensesvc rules check --help"},
		{"explain " + example + " --plan basic --title meridian-002 --device-kind tv --at 2026-12-01", cli.OK, `No device may hold downloads. Rule "televisions take no downloads" answers`},
		{"explain " + example + " --plan standard --at 2027-01-01", cli.OK, `Version "2027-01" decides.`},
		{"explain " + example + " --at soon", cli.Usage, "give a date such as"},
		{"explain " + bad, cli.Usage, "is not known"},
		{"diff " + own + " " + example, cli.No, `Rule "every download" is new.`},
		{"diff " + own + " " + own, cli.OK, "The rules are the same."},
		{"diff " + own + " " + bad, cli.Usage, "is not known"},
		{"chek " + own, cli.Usage, `did you mean "check"?`},
	} {
		var out bytes.Buffer
		s := &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out}
		status := cli.Run(t.Context(), program(s), s, append([]string{"rules"}, strings.Fields(tt.args)...))
		if status != tt.status || !strings.Contains(out.String(), tt.says) {
			t.Errorf("rules %s: status %d, want %d with %q\n%s", tt.args, status, tt.status, tt.says, out.String())
		}
	}
	var out bytes.Buffer
	s := &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out}
	var e rulefile.Explanation
	if status := cli.Run(t.Context(), program(s), s, []string{"rules", "explain", example, "--plan", "ads", "-o", "json"}); status != cli.OK || json.Unmarshal(out.Bytes(), &e) != nil || len(e.Fields) != 14 {
		t.Errorf("status %d, %s", status, out.String())
	}
}
