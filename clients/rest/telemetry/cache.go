package telemetry

import (
	"context"
	"errors"

	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/internal/oteltext"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// The attributes of a cache's answers.
const (
	// DependencyKey is the name that was given to Cache; that of the guard, usually.
	DependencyKey = attribute.Key("backstay.dependency")
	// CacheResultKey says how an answer was come by: hit, stale, revalidated, miss, bypass,
	// error.
	CacheResultKey = attribute.Key("backstay.cache.result")
	// CacheReasonKey says why: of stale answers if-error, while-revalidate, max-stale; of
	// misses uri-miss, vary-miss, stale, request.
	CacheReasonKey = attribute.Key("backstay.cache.reason")
	// CacheCollapsedKey is true if another request's fetch brought the answer.
	CacheCollapsedKey = attribute.Key("backstay.cache.collapsed")
	// CacheAgeKey is how old an answer is that came from the cache, in seconds.
	CacheAgeKey = attribute.Key("backstay.age_s")
)

const (
	metricCacheAnswers = "backstay.cache.answers"
	metricCacheAge     = "backstay.cache.age"
	eventCache         = "backstay.cache"
)

// cacheMeters are the instruments of caches.
type cacheMeters struct {
	answers metric.Int64Counter
	age     metric.Float64Histogram
}

func newCacheMeters(m metric.Meter) (*cacheMeters, error) {
	answers, err := m.Int64Counter(metricCacheAnswers, metric.WithUnit("{answer}"),
		metric.WithDescription("Answers of the cache of HTTP answers, by how they were come by."))
	age, errAge := m.Float64Histogram(metricCacheAge, metric.WithUnit("s"),
		metric.WithDescription("Age of answers that came from the cache."),
		metric.WithExplicitBucketBoundaries(1, 5, 15, 60, 300, 900, 3600, 4*3600, 24*3600))
	return &cacheMeters{answers, age}, errors.Join(err, errAge)
}

// Cache returns a function for the field OnAnswer of cache.Config. It counts the answers of
// one cache, and adds an event to the span that is current, which is the caller's: an
// answer from the cache makes no call, and so no span. dependency names the cache in
// both; give it the name of the guard behind it.
func (t *Telemetry) Cache(dependency string) func(ctx context.Context, s cache.Status, err error) {
	name := DependencyKey.String(oteltext.Valid(dependency))
	return func(ctx context.Context, s cache.Status, err error) {
		result, reason := cacheResult(s, err)
		attributes := append(make([]attribute.KeyValue, 0, 5), name, CacheResultKey.String(result))
		if reason != "" {
			attributes = append(attributes, CacheReasonKey.String(reason))
		}
		fromCache := s.Hit || result == "revalidated"
		if t.cache != nil {
			set := metric.WithAttributeSet(attribute.NewSet(attributes...))
			t.cache.answers.Add(ctx, 1, set)
			if fromCache {
				t.cache.age.Record(ctx, s.Age.Seconds(), set)
			}
		}
		span := trace.SpanFromContext(ctx)
		if !span.IsRecording() {
			return
		}
		if fromCache {
			attributes = append(attributes, CacheAgeKey.Float64(s.Age.Seconds()))
		}
		if s.Collapsed {
			attributes = append(attributes, CacheCollapsedKey.Bool(true))
		}
		span.AddEvent(eventCache, trace.WithAttributes(attributes...))
	}
}

// cacheResult says how an answer was come by, and why, in few words.
func cacheResult(s cache.Status, err error) (result, reason string) {
	switch {
	case err != nil:
		return "error", ""
	case s.Hit && s.Stale:
		return "stale", s.Detail
	case s.Hit:
		return "hit", ""
	case s.Forward == "bypass", s.Forward == "method":
		return "bypass", s.Forward
	case s.ForwardStatus == 304:
		return "revalidated", s.Forward
	case s.Forward == "":
		return "miss", s.Detail // only-if-cached
	}
	return "miss", s.Forward
}
