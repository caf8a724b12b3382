// Package observe sets up OpenTelemetry for the commands: spans by OTLP where the
// environment says, metrics on a Prometheus page.
//
// It may import the standard library, OpenTelemetry and the Prometheus client. Commands
// import it; nothing is global.
package observe
