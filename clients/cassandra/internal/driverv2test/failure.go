package driverv2test

import (
	"context"
	"errors"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

var causes = map[int]driver.Cause{
	gocql.ErrCodeServer: driver.Server, gocql.ErrCodeUnavailable: driver.Unavailable, gocql.ErrCodeOverloaded: driver.Overloaded,
	gocql.ErrCodeWriteTimeout: driver.WriteTimeout, gocql.ErrCodeReadTimeout: driver.ReadTimeout, gocql.ErrCodeCASWriteUnknown: driver.CASUnknown,
	gocql.ErrCodeSyntax: driver.Syntax, gocql.ErrCodeInvalid: driver.Invalid, gocql.ErrCodeUnauthorized: driver.Unauthorized,
}

// failure translates the driver's error.
func failure(err error) *driver.Failure {
	f := &driver.Failure{Cause: driver.Client, Code: -1, Message: err.Error(), Err: err}
	var re gocql.RequestError
	switch {
	case errors.As(err, &re):
		f.Code, f.Message = re.Code(), re.Message()
		f.Cause = causes[f.Code]
		if e, ok := re.(*gocql.RequestErrUnavailable); ok {
			f.Consistency, f.Required, f.Alive = uint16(e.Consistency), e.Required, e.Alive
		}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, gocql.ErrTimeoutNoResponse):
		f.Cause = driver.TimedOut
	case errors.Is(err, context.Canceled):
		f.Cause = driver.Canceled
	case errors.Is(err, gocql.ErrNoConnections):
		f.Cause = driver.NoConnections
	case errors.Is(err, gocql.ErrSessionClosed):
		f.Cause = driver.Closed
	case errors.Is(err, gocql.ErrConnectionClosed):
		f.Cause = driver.Disconnected
	}
	return f
}
