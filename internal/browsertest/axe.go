package browsertest

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/backstay-go/backstay/internal/testenv"
)

// axePackage is the checker of accessibility, from npm.
const axePackage = "axe-core@4.10.3"

// Violations returns what axe-core finds against WCAG 2.2 A and AA in the page as it is, one line
// for each element. dark chooses the dark colours.
func (b *Browser) Violations(tb testing.TB, dark bool) []string {
	tb.Helper()
	axe := testenv.NPM(tb, axePackage, "axe.min.js")
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.Script(tb, `document.documentElement.style.colorScheme = "`+scheme+`"`)
	b.Script(tb, axe+";0")
	found, err := chromedp.Run(b.Context, chromedp.Evaluate[[]string](`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"]}).then(r =>
		r.violations.flatMap(v => v.nodes.map(n => v.id + " (" + v.impact + "): " + n.target.join(" ") + ": " + (n.any[0] || n.all[0] || n.none[0] || {}).message)))`, chromedp.EvalAwaitPromise))
	if err != nil {
		tb.Fatalf("axe: %v", err)
	}
	return found
}

// Resize sets the size of the window in CSS pixels.
func (b *Browser) Resize(tb testing.TB, width, height int64) {
	tb.Helper()
	if _, err := chromedp.Run(b.Context, chromedp.EmulateViewport(width, height)); err != nil {
		tb.Fatal(err)
	}
}
