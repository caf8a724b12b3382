// Package diskwatch forecasts how long the disk will last, and says when requests that use more
// of it should be refused.
//
// It may import the standard library only.
//
// It promises: a forecast is a pure function of the samples. A number of days is given only when
// there are enough samples for it. A disk that can't be measured is a visible error, and is never
// taken for a full or an empty disk.
package diskwatch
