// Package schema brings the tables of a store to the state that this program needs, in steps.
//
// It imports the standard library.
//
// Steps are ordered and never change once they are released; a change of the tables is a further
// step. Apply takes the steps that a store lacks, under the store's lock. It records each
// statement that is done, so that after a crash between any two statements the next Apply goes
// on where the last one ended. Every statement can be repeated.
package schema
