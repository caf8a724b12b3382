// Package svgplot draws plots over time as SVG for the pages of reports: one canvas with
// an x axis in time, and texts, bars and lines on it. Every text and class is escaped.
//
// It may import the standard library. chaos/report and resilience/simulate import it.
package svgplot
