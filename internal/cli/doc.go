// Package cli is what the commands backstay, chaos and licensesvc share, so that they answer the
// same mistake in the same way: exit statuses, standard input as "-", output as text or JSON,
// colours, the printer for errors and problems, suggestions for misspelt names, --version, and
// signals.
//
// # Exit statuses
//
//	0    done, or the answer is yes
//	1    the answer is no: a check found problems, a scenario failed, something got worse;
//	     or the command began and could not finish
//	2    the command can't run as given: wrong usage, a missing or unreadable file, a file with
//	     problems where a good one is needed
//	3    undecided: the run ended, but proves nothing (a machine too busy for the load)
//	130  interrupted before the end
//
// A command that runs until it is interrupted (a proxy, the service) ends with 0 after an
// interrupt.
//
// # What it may import
//
// The standard library, cobra, isatty, and internal/suggest and internal/version.
package cli
