package telemetry

// ErrorKinds are the values of error.type in metrics.
func ErrorKinds() (kinds []string) {
	for result := sources; result < callResults; result++ {
		kinds = append(kinds, errorKind(result))
	}
	return kinds
}
