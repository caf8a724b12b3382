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

// The outcomes of a command that was carried out.
const (
	// Done: the command was decided and is in the store.
	Done Outcome = "done"
	// Promised: the command was decided on the data that was available and is in the journal.
	// It goes to the store later, where it may still be ended.
	Promised Outcome = "promised"
	// Accepted: a device's report is in the journal and goes to the store later.
	Accepted Outcome = "accepted"
)

// Answer is the result of a command.
type Answer struct {
	Outcome Outcome
	// License is the license after the command. Status is its status now.
	License license.License
	Status  license.Status
	// Version is the version of the member's stream. Zero: the store could not be reached.
	Version int64
	// Key is the content key of a license that was requested.
	Key *upstream.Key
	// Token is the signed promise of a provisional license.
	Token string
	// Warnings say what the member should expect.
	Warnings []license.Warning
	// DecidedOn lists the data on which the decision was based.
	DecidedOn []license.Basis
	// Repeated says that the same command was already answered before.
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

// Unavailable says that a command could not be decided, or that its outcome is not known. It
// matches ErrUnavailable.
type Unavailable struct {
	// Dependency is the dependency that failed.
	Dependency string
	// Detail says for people what happened and what to do.
	Detail string
	// Unknown says that the command may have been carried out. To find out, send it again with
	// the same key.
	Unknown bool
	// Retry is how long to wait before another try is worthwhile.
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

// InputError says that a field of a command is invalid. It matches ErrInput.
type InputError struct {
	// Field is the name of the field. Detail says what is wrong and what to give instead.
	Field, Detail string
}

func (e *InputError) Error() string { return "app: " + e.Field + " " + e.Detail }

// Is makes an InputError match ErrInput.
func (e *InputError) Is(target error) bool { return target == ErrInput }
