// Package browsertest gives tests a real Chromium, without a window.
//
// It may import the standard library, internal/testenv and chromedp. Only tests import
// it. The browser ends with its test.
package browsertest
