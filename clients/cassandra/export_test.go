package cassandra

import (
	"context"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// BreakDriver makes the session's driver fail each request with err.
func (s *Session) BreakDriver(err error) {
	l := *s.link.Load()
	l.driver = brokenDriver{l.driver, err}
	s.link.Store(&l)
}

type brokenDriver struct {
	driver.Session
	err error
}

func (d brokenDriver) Do(context.Context, *driver.Request, *driver.Call) (driver.Page, error) {
	return nil, d.err
}
