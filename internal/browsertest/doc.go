// Package browsertest gives tests a real Chromium without a window. The browser ends with its
// test.
//
// It may import the standard library, internal/testenv and chromedp. Only tests import it.
package browsertest
