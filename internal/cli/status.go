package cli

import (
	"errors"
	"fmt"
)

// The exit statuses of all commands.
const (
	OK          = 0
	No          = 1
	Usage       = 2
	Undecided   = 3
	Interrupted = 130
)

// An Error ends a command with an exit status. If Err is nil, the problem has been printed
// already. An error of any other type counts as wrong usage.
type Error struct {
	Status int
	Err    error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Failed wraps the error of a command that began and failed, or whose answer is no. Nil stays
// nil.
func Failed(err error) error { return with(No, err) }

// BadInput wraps the error of a file or another input that a command can't work with. In contrast
// to wrong usage, the message does not point to the help, which would not help here. Nil stays
// nil.
func BadInput(err error) error { return with(Usage, err) }

// Printed ends a command with an exit status after everything has been printed.
func Printed(status int) error { return &Error{Status: status} }

func with(status int, err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &Error{Status: status, Err: err}
}
