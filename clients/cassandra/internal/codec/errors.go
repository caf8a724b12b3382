package codec

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/gocql/gocql"
)

// Error says which value can't be converted, and why. Its text holds no value.
type Error struct{ text string }

// Error implements error.
func (e *Error) Error() string { return e.text }

func errorf(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// within adds the place where an error happened, from the inside out.
func within(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return errorf("%s: %s", fmt.Sprintf(format, args...), err.Error())
}

func cannotWrite(v any, t gocql.TypeInfo) error {
	return errorf("a Go %T can't be written as the CQL type %s", v, Name(t))
}

func cannotRead(t gocql.TypeInfo, dest any) error {
	return errorf("the CQL type %s can't be read into a Go %s", Name(t), pointedTo(dest))
}

func pointedTo(dest any) string {
	name := fmt.Sprintf("%T", dest)
	return strings.TrimPrefix(name, "*")
}

var (
	cannot     = regexp.MustCompile(`^can ?not (?:un)?marshal `)
	outOfRange = regexp.MustCompile(`out of range|overflow`)
)

// translated returns the driver's error in words that contain no value, because the
// driver's own words and those of users' conversions may contain some.
func translated(err error, otherwise error) error {
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	text := err.Error()
	switch {
	case outOfRange.MatchString(text):
		return errorf("a value is out of the range of its type (%s)", otherwise)
	case cannot.MatchString(text):
		return otherwise
	}
	return errorf("%s (%T)", otherwise, err)
}
