package telemetry

import "go.opentelemetry.io/otel/attribute"

// The attributes that OpenTelemetry's conventions do not have.
const (
	// ProfileKey is the profile that a request ran under.
	ProfileKey = attribute.Key("backstay.cassandra.profile")
	// SerialConsistencyKey is the serial level of a conditional write.
	SerialConsistencyKey = attribute.Key("backstay.cassandra.serial_consistency")
	// DegradedKey is true on a read's second try at a lower level.
	DegradedKey = attribute.Key("backstay.cassandra.degraded")
	// OutcomeUnknownKey is true if a write may have been done: that is not a failure.
	OutcomeUnknownKey = attribute.Key("backstay.cassandra.outcome_unknown")
	// NodeKey is a node's address, on metrics of nodes.
	NodeKey = attribute.Key("backstay.cassandra.node")
	// PoolKey is one of a node's thread pools.
	PoolKey = attribute.Key("backstay.cassandra.thread_pool")
	// StateKey is a task's: active, pending, blocked.
	StateKey = attribute.Key("backstay.cassandra.state")
	// SettingKey is one of a node's guardrails.
	SettingKey = attribute.Key("backstay.cassandra.setting")
)
