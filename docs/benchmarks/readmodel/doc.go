// Package readmodel measures how fast views are made from events, and what a rebuild costs those who
// append meanwhile.
package readmodel
