package backstay_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages returns the Markdown files that git would ship, by slash path.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "docs/*/*/*.md", "*/*/README.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f = filepath.ToSlash(f); !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	if len(all) < 10 {
		t.Fatalf("found only %q", all)
	}
	return all
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	code     = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	link     = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	decision = regexp.MustCompile(`^(\d{4})-[a-z0-9-]+\.md$`)
	status   = regexp.MustCompile(`\n\nStatus: (accepted|proposed|superseded by \[\d+\]\([^)]+\)), (\d{4}-\d\d-\d\d)\n`)
)

// linked returns the files and folders that a page links to, by slash path from the root.
func linked(t *testing.T, page string) []string {
	t.Helper()
	var all []string
	for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(readPage(t, page), ""), -1) {
		if !strings.Contains(m[1], "://") {
			all = append(all, filepath.ToSlash(filepath.Join(filepath.Dir(page), m[1])))
		}
	}
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, to := range linked(t, page) {
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", page, to, err)
			}
		}
	}
}

// TestEachPageIsInAnIndex finds pages that a reader of docs/README.md never meets.
func TestEachPageIsInAnIndex(t *testing.T) {
	var listed []string
	for _, index := range []string{"docs/README.md", "docs/decisions/README.md", "docs/benchmarks/README.md"} {
		listed = append(listed, linked(t, index)...)
	}
	for _, page := range pages(t) {
		if page == "docs/README.md" || !strings.HasPrefix(page, "docs/") || slices.Contains(listed, page) {
			continue
		}
		t.Errorf("%s is in no index", page)
	}
}

// TestEachDecisionHasStatusAndDate holds the form of decisions, and that the index agrees.
func TestEachDecisionHasStatusAndDate(t *testing.T) {
	index := readPage(t, "docs/decisions/README.md")
	entries, err := os.ReadDir("docs/decisions")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "README.md" {
			continue
		}
		text := readPage(t, "docs/decisions/"+e.Name())
		title, _, _ := strings.Cut(strings.TrimPrefix(text, "# "), "\n")
		number := decision.FindStringSubmatch(e.Name())
		if number == nil || !strings.HasPrefix(title, strings.TrimLeft(number[1], "0")+". ") {
			t.Errorf("%s: the file is called NNNN-words.md, and its title begins with the number; it is %q", e.Name(), title)
			continue
		}
		says := status.FindStringSubmatch(text)
		if says == nil {
			t.Errorf(`%s: write "Status: accepted, YYYY-MM-DD" below the title`, e.Name())
			continue
		}
		word, _, _ := strings.Cut(says[1], " ")
		if row := "| [" + title + "](" + e.Name() + ") | " + word + " | " + says[2] + " |"; !strings.Contains(index, row) {
			t.Errorf("docs/decisions/README.md lacks\n%s", row)
		}
	}
}

// TestTheGlossaryIsInOrder: each word once, with a meaning that is a sentence.
func TestTheGlossaryIsInOrder(t *testing.T) {
	seen := map[string]bool{}
	for row := range strings.Lines(readPage(t, "docs/glossary.md")) {
		cells := strings.Split(strings.TrimSpace(row), "|")
		if len(cells) != 4 || strings.HasPrefix(row, "|-") || strings.TrimSpace(cells[1]) == "word" {
			continue
		}
		word, meaning := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])
		if seen[word] {
			t.Errorf("%q has two meanings", word)
		}
		seen[word] = true
		if !strings.HasSuffix(meaning, ".") {
			t.Errorf("%q: the meaning is no sentence: %q", word, meaning)
		}
	}
	if len(seen) < 30 || len(seen) > 60 {
		t.Errorf("%d words: 30 to 60 can be kept in mind", len(seen))
	}
}

var (
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)\(`)
)

// TestDocsNameTestsThatExist holds the names of tests in the pages: a page that says which test
// shows something must not name one that was renamed.
func TestDocsNameTestsThatExist(t *testing.T) {
	there := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		for _, m := range testFunc.FindAllStringSubmatch(readPage(t, path), -1) {
			there[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, page := range pages(t) {
		for _, m := range testName.FindAllStringSubmatch(readPage(t, page), -1) {
			named++
			if !there[m[1]] {
				t.Errorf("%s: there is no test %s", page, m[1])
			}
		}
	}
	if named == 0 {
		t.Error("no page names a test")
	}
}
