// Package observe sets up OpenTelemetry for the commands. Spans are exported by OTLP to the
// address in the environment, and metrics are shown on a Prometheus page.
//
// It may import the standard library, OpenTelemetry and the Prometheus client. Only commands
// import it. It sets nothing global.
package observe
