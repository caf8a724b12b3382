// Package quantile finds quantiles of durations: exactly with [Of], or within a tenth, in
// little memory, with a [Histogram].
//
// It imports the standard library only.
package quantile
