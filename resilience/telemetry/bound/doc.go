// Package bound makes the histograms of package telemetry cheap: their attributes
// are bound once, so that recording is a look for the bucket and two atomic
// additions, where OpenTelemetry's SDK looks at the attributes of each measurement
// (BenchmarkRecord compares). A reader collects them as it collects the SDK's own:
//
//	histograms := bound.New()
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(histograms))
//	meters := metric.NewMeterProvider(metric.WithReader(reader))
//	tel, err := telemetry.New(telemetry.Config{MeterProvider: meters, Histograms: histograms})
//
// What it lacks: views do not apply to them, they have no exemplars, and they are
// cumulative whatever the exporter prefers.
//
// # What this package may import
//
// The standard library, telemetry, and OpenTelemetry with its metric SDK.
//
// # What it promises
//
// It counts every value, and counts it once. No goroutine, nothing to close.
package bound
