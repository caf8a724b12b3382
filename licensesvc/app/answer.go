package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
)

var (
	// ErrUnavailable matches every Unavailable.
	ErrUnavailable = errors.New("app: unavailable")
	// ErrInput matches every InputError.
	ErrInput = errors.New("app: invalid input")
	// ErrNotFound: there is no such license.
	ErrNotFound = errors.New("app: not found")
)

// Outcome is the result of a command, in one word.
type Outcome string

// The outcomes of a command that was answered.
const (
	// Done: it was decided and is in the store.
	Done Outcome = "done"
	// Promised: it was decided on what was at hand and is in the journal; the store
	// will have it, and may end it.
	Promised Outcome = "promised"
	// Accepted: a device's report is in the journal; the store will have it.
	Accepted Outcome = "accepted"
)

// Answer is the result of a command.
type Answer struct {
	Outcome Outcome
	// License is the license after the command, Status what it is now.
	License license.License
	Status  license.Status
	// Version is that of the member's stream. Zero: the store could not be asked.
	Version int64
	// Key is the content key of a license that was requested.
	Key *upstream.Key
	// Token is the signed promise of a provisional license.
	Token string
	// Warnings tell the member what to expect.
	Warnings []license.Warning
	// DecidedOn says what data the decision rests on.
	DecidedOn []license.Basis
	// Repeated says that the same command was answered before.
	Repeated bool
}

// Refused is a command that the rules do not allow. It unwraps to the refusal.
type Refused struct {
	*license.Refusal
	DecidedOn []license.Basis
	Version   int64
}

// Unwrap returns the refusal.
func (r *Refused) Unwrap() error { return r.Refusal }

// Unavailable is a command that could not be decided, or whose outcome is not
// known. It matches ErrUnavailable.
type Unavailable struct {
	// Dependency is what failed.
	Dependency string
	// Detail says what happened and what to do, for people.
	Detail string
	// Unknown says that the command may have been carried out. The same key finds out.
	Unknown bool
	// Retry is when the same command is worth trying again, from now.
	Retry     time.Duration
	DecidedOn []license.Basis
	// Cause is for logs, not for people.
	Cause error
}

func (u *Unavailable) Error() string {
	return fmt.Sprintf("app: %s: %s: %v", u.Dependency, u.Detail, u.Cause)
}

// Is makes an Unavailable match ErrUnavailable.
func (u *Unavailable) Is(target error) bool { return target == ErrUnavailable }

// Unwrap returns the cause.
func (u *Unavailable) Unwrap() error { return u.Cause }

// InputError is a field of a command that can't be taken. It matches ErrInput.
type InputError struct {
	// Field is its name, Detail what is wrong and what to give.
	Field, Detail string
}

func (e *InputError) Error() string { return "app: " + e.Field + " " + e.Detail }

// Is makes an InputError match ErrInput.
func (e *InputError) Is(target error) bool { return target == ErrInput }
