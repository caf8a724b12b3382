// Package diskwatch says how long the disk will last, and when to refuse what makes
// it fuller.
//
// It may import the standard library only.
//
// It promises: a forecast is a function of the samples; a number of days
// is given only once there are enough samples for it; a disk that can't be measured is an
// error that is seen, never a full or an empty disk.
package diskwatch
