// Package cqlproxy measures what chaos/cqlproxy costs while no rule is open: the same
// driver on the same nodes, through it and without it, in one run, turn by turn.
package cqlproxy
