package app

import (
	"context"
	"errors"

	"github.com/backstay-go/backstay/licensesvc/decision"
)

// DecisionRecorder keeps records of decisions. *decision.Log implements it.
type DecisionRecorder interface {
	// Record keeps a record, or drops it. It does not wait, and is safe for concurrent use.
	Record(r decision.Record)
}

// record records how a command was decided. carriedOver says that it was answered before the
// store had it.
func (s *Service) record(c *command, a Answer, err error, carriedOver bool) {
	if s.recorder == nil || errors.Is(err, ErrInput) || err == nil && a.Outcome == "" {
		return
	}
	r := decision.Record{
		Member: c.Member, Command: c.Name, License: c.license, Key: c.Key, At: c.at, Input: c.input, Rules: s.Rules().VersionAt(c.at), Version: c.version,
		Repeated: a.Repeated, CarriedOver: carriedOver, DecidedOn: c.on, Trace: c.meta.Trace, Actor: c.meta.Actor,
	}
	var refused *Refused
	var unavailable *Unavailable
	switch {
	case err == nil:
		r.Outcome, r.Detail = string(a.Outcome), a.License.Reason
	case errors.As(err, &refused):
		r.Outcome, r.Reason, r.Detail = decision.Refused, string(refused.Code), refused.Detail
		r.DecidedOn, r.Version = refused.DecidedOn, refused.Version
		r.Repeated = c.input == nil // The refusal was remembered.
	case errors.As(err, &unavailable):
		r.Outcome, r.Reason, r.Detail = decision.Unavailable, unavailable.Dependency, unavailable.Detail
		if unavailable.Unknown {
			r.Outcome = decision.Unknown
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		r.Outcome = decision.Unknown
	default:
		r.Outcome, r.Detail = decision.Failed, err.Error()
	}
	s.recorder.Record(r)
}
