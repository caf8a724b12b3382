package browsertest

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/backstay-go/backstay/internal/testenv"
)

// Browser is a page in a browser, with the errors that the page reported.
type Browser struct {
	// Context is for chromedp.Run.
	Context context.Context

	mu         sync.Mutex
	complaints []string
}

// Start opens a browser. If there is no browser on the machine, the test is skipped, or fails
// with CI=true.
func Start(tb testing.TB) *Browser {
	tb.Helper()
	testenv.NotShort(tb, "it starts a browser")
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		testenv.Missing(tb, "a browser: install chromium")
	}
	// The sandbox is off because tests may run as root. They open only pages of this project.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1280, 1600))
	ctx, end := chromedp.NewExecAllocator(tb.Context(), options...)
	tb.Cleanup(end)
	b := &Browser{}
	ctx, shut := chromedp.NewContext(ctx, chromedp.WithListener(func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.complain(fmt.Sprintf("%s (%s:%d)", e.ExceptionDetails.Text, e.ExceptionDetails.URL, e.ExceptionDetails.LineNumber))
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				b.complain(fmt.Sprintf("%s (%s)", e.Entry.Text, e.Entry.URL))
			}
		}
	}))
	tb.Cleanup(shut)
	b.Context = ctx
	b.Open(tb, "about:blank")
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{log.Enable, runtime.Enable} {
		if _, err := chromedp.Call(ctx, enable, cdp.Empty{}); err != nil {
			tb.Fatalf("listen to the page: %v", err)
		}
	}
	return b
}

// Open loads a page and waits until it has loaded.
func (b *Browser) Open(tb testing.TB, url string) {
	tb.Helper()
	if _, err := chromedp.Run(b.Context, chromedp.Navigate(url)); err != nil {
		tb.Fatalf("open %s: %v", url, err)
	}
}

// Script runs JavaScript in the page.
func (b *Browser) Script(tb testing.TB, script string) {
	tb.Helper()
	if _, err := chromedp.Run(b.Context, chromedp.Evaluate[chromedp.Void](script)); err != nil {
		tb.Fatalf("%s: %v", script, err)
	}
}

func (b *Browser) complain(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, text)
}

// Complaints returns the exceptions and errors that the page has reported so far.
func (b *Browser) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.complaints...)
}

// Holds waits until a JavaScript expression is true in the page.
func (b *Browser) Holds(tb testing.TB, what, expression string) {
	tb.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		ok, err := chromedp.Run(b.Context, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			text, _ := chromedp.Run(b.Context, chromedp.Evaluate[string]("document.body.innerText"))
			tb.Fatalf("%s: not within 20 s (%v); the page shows\n%s\nand complained: %q", what, err, text, b.Complaints())
		}
		timer := time.NewTimer(50 * time.Millisecond)
		select {
		case <-timer.C:
		case <-b.Context.Done():
			tb.Fatalf("%s: %v", what, b.Context.Err())
		}
	}
}
