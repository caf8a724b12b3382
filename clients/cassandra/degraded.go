package cassandra

import (
	"context"
	"errors"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/resilience"
)

// responder says which request answered in place of the original one.
type responder uint8

const (
	primary  responder = iota
	atRemote           // the same request, in the remote data centre
	atLower            // a read at the profile's lower level
)

// again runs the execution's request, or a variant of it, once more.
type again[T any] func(ctx context.Context, r *driver.Request, call *driver.Call, as responder) (T, error)

// fallbacks returns what the execution falls back to, in order. Another data centre
// comes first, because it keeps the consistency level.
func fallbacks[T any](x *execution, run again[T]) []resilience.CallOption[T] {
	var opts []resilience.CallOption[T]
	if x.profile.remote != nil && !x.decision {
		opts = append(opts, resilience.Fallback(func(ctx context.Context, cause error) (v T, err error) {
			if !x.mayFailOver(cause) {
				return v, cause
			}
			there := &driver.Call{DC: x.session.config.Failover.DataCenter, Caller: x.call.Caller, Begun: time.Now(), Repeatable: x.profile.Idempotent}
			x.remote = there
			return stand(ctx, x, x.profile.remote, run, &x.request, there, atRemote)
		}))
	}
	if x.profile.degraded != nil && x.mayDegrade() {
		opts = append(opts, resilience.Fallback(func(ctx context.Context, cause error) (v T, err error) {
			// A request that was refused for lack of permits or time must not be
			// repeated at a lower level. If the breaker is open, the reason may be that
			// the level could not be reached.
			if errors.Is(cause, resilience.ErrRefused) && !errors.Is(cause, resilience.ErrOpen) {
				return v, cause
			}
			lower := x.request
			lower.Consistency = uint16(x.profile.Degraded)
			return stand(ctx, x, x.profile.degraded, run, &lower, &x.call, atLower)
		}))
	}
	return opts
}

// stand runs the request under the operation, and records that it answered in place of
// the original one.
func stand[T any](ctx context.Context, x *execution, on *resilience.Operation, run again[T], r *driver.Request, call *driver.Call, as responder) (T, error) {
	res, err := resilience.Do(ctx, on, func(ctx context.Context) (T, error) { return run(ctx, r, call, as) })
	if err == nil {
		x.answerer = as
	}
	return res.Value, err
}

// mayDegrade reports whether the request may be answered at the lower level. It must be
// a read on which nothing is decided, at a level above the lower one. A serial level is
// used in order to decide, so it never degrades.
func (x *execution) mayDegrade() bool {
	asked := Consistency(x.request.Consistency)
	return !x.st.write && !x.decision && !asked.IsSerial() && strength(x.profile.Degraded) < strength(asked)
}

// answeredBy records which request answered in place of the original one, and why.
func (i *Info) answeredBy(x *execution, cause error) {
	switch x.answerer {
	case atRemote:
		i.FailedOver, i.Cause = true, cause
	case atLower:
		i.Degraded, i.Cause, i.Consistency = true, cause, x.profile.Degraded
	}
}
