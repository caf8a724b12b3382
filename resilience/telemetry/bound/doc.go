// Package bound makes the histograms of package telemetry cheap. Their attributes are bound
// once, so that to record a value is to find its bucket and to make two atomic additions.
// OpenTelemetry's SDK looks at the attributes of every measurement instead (BenchmarkRecord
// compares the two). A reader collects these histograms in the same way as the SDK's:
//
//	histograms := bound.New()
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(histograms))
//	meters := metric.NewMeterProvider(metric.WithReader(reader))
//	tel, err := telemetry.New(telemetry.Config{MeterProvider: meters, Histograms: histograms})
//
// Limitations: views do not apply to these histograms, they have no exemplars, and they are
// cumulative whatever the exporter prefers.
//
// # What this package may import
//
// The standard library, telemetry, and OpenTelemetry with its metric SDK.
//
// # What it promises
//
// It counts every value exactly once. It starts no goroutine, and there is nothing to close.
package bound
