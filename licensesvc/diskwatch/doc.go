// Package diskwatch says how long the disk will last, and when to refuse what makes
// it fuller.
//
// It may import the standard library only.
//
// It promises: a forecast is a function of the samples; nobody is told a number of
// days before there is enough to tell it from; a disk that can't be measured is an
// error that is seen, never a full or an empty disk.
package diskwatch
