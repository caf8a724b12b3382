package svgplot

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// Width is the width of every plot, in the units of its view box.
const Width = 1000.0

// Canvas is one plot. It is not safe for concurrent use. The zero value is not usable.
type Canvas struct {
	b           strings.Builder
	left, right float64
	length      time.Duration
}

// New begins a plot of the given height. The x axis lies between the left and right margins and
// covers the given length of time, at least a millisecond. The label describes the plot for
// screen readers.
func New(height, left, right float64, length time.Duration, label string) *Canvas {
	c := &Canvas{left: left, right: right, length: max(length, time.Millisecond)}
	fmt.Fprintf(&c.b, `<svg class="plot" viewBox="0 0 %g %g" role="img" aria-label="%s">`, Width, height, template.HTMLEscapeString(label))
	return c
}

// HTML ends the plot and returns it.
func (c *Canvas) HTML() template.HTML {
	c.b.WriteString(`</svg>`)
	return template.HTML(c.b.String()) // every text and class in it was escaped
}

// Length returns the time that the x axis covers.
func (c *Canvas) Length() time.Duration { return c.length }

// X returns the x coordinate of a time. A time after the end of the axis is drawn at its end.
func (c *Canvas) X(at time.Duration) float64 {
	return c.left + (Width-c.left-c.right)*min(1, float64(at)/float64(c.length))
}

// Text draws a text. anchor is start, middle or end; class may be empty.
func (c *Canvas) Text(x, y float64, class, anchor, text string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f"%s text-anchor="%s">%s</text>`, x, y, ofClass(class), anchor, template.HTMLEscapeString(text))
}

// Rect draws a bar. The title is shown when the pointer is over the bar, unless it is empty.
func (c *Canvas) Rect(x, y, w, h float64, class, title string) {
	fmt.Fprintf(&c.b, `<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f"%s>`, x, y, max(w, 0), max(h, 0), ofClass(class))
	if title != "" {
		fmt.Fprintf(&c.b, `<title>%s</title>`, template.HTMLEscapeString(title))
	}
	c.b.WriteString(`</rect>`)
}

// Line draws a line through the points. It draws nothing if there are no points.
func (c *Canvas) Line(class string, points [][2]float64) {
	if len(points) == 0 {
		return
	}
	fmt.Fprintf(&c.b, `<polyline%s points="`, ofClass(class))
	for _, p := range points {
		fmt.Fprintf(&c.b, "%.1f,%.1f ", p[0], p[1])
	}
	c.b.WriteString(`"/>`)
}

// Segment draws a straight line.
func (c *Canvas) Segment(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&c.b, `<line%s x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, ofClass(class), x1, x2, y1, y2)
}

// Across draws a horizontal grid line with its value to the left.
func (c *Canvas) Across(y float64, class, value string) {
	c.Segment("grid", c.left, y, Width-c.right, y)
	c.Text(c.left-8, y+4, class, "end", value)
}

// Down draws a vertical grid line with its time below.
func (c *Canvas) Down(at time.Duration, top, bottom, below float64, class, text string) {
	c.Segment("grid", c.X(at), top, c.X(at), bottom)
	c.Text(c.X(at), bottom+below, class, "middle", text)
}

func ofClass(class string) string {
	if class == "" {
		return ""
	}
	return ` class="` + template.HTMLEscapeString(class) + `"`
}
