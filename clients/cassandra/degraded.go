package cassandra

import (
	"context"
	"errors"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/resilience"
)

// responder is what answered in place of the request as it was asked.
type responder uint8

const (
	primary  responder = iota
	atRemote           // the same request, in the remote data centre
	atLower            // a read at the profile's lower level
)

// again runs the execution's request, or a variant of it, once more.
type again[T any] func(ctx context.Context, r *driver.Request, call *driver.Call, as responder) (T, error)

// fallbacks are what the execution falls back to, in order: another data centre keeps
// the level, so it comes first.
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
			// What may not be asked for want of permits or of time may not be asked for less. The
			// breaker may be open for want of the level.
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

// stand runs the request under the operation, and notes that it answerer in.
func stand[T any](ctx context.Context, x *execution, on *resilience.Operation, run again[T], r *driver.Request, call *driver.Call, as responder) (T, error) {
	res, err := resilience.Do(ctx, on, func(ctx context.Context) (T, error) { return run(ctx, r, call, as) })
	if err == nil {
		x.answerer = as
	}
	return res.Value, err
}

// mayDegrade says whether the request may be answered at the lower level: it is a read
// on which nothing is decided, and asks for more than that level. A serial level is
// asked for in order to decide.
func (x *execution) mayDegrade() bool {
	asked := Consistency(x.request.Consistency)
	return !x.st.write && !x.decision && !asked.IsSerial() && strength(x.profile.Degraded) < strength(asked)
}

// answeredBy notes which request answered in place of the first, and why.
func (i *Info) answeredBy(x *execution, cause error) {
	switch x.answerer {
	case atRemote:
		i.FailedOver, i.Cause = true, cause
	case atLower:
		i.Degraded, i.Cause, i.Consistency = true, cause, x.profile.Degraded
	}
}
