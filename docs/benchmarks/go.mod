module github.com/backstay-go/backstay/docs/benchmarks

go 1.26.0

replace github.com/backstay-go/backstay => ../..

require github.com/backstay-go/backstay v0.0.0

require (
	github.com/afex/hystrix-go v0.0.0-20180502004556-fa1af6a1f4f5 // indirect
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/cep21/circuit/v4 v4.0.0 // indirect
	github.com/failsafe-go/failsafe-go v0.9.8 // indirect
	github.com/platinummonkey/go-concurrency-limits v0.8.0 // indirect
	github.com/slok/goresilience v0.2.0 // indirect
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)
