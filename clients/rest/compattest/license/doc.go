// Package license is a client of the license service's API as oapi-codegen makes it from
// its OpenAPI text: the generated code that compattest shows to work unchanged over the
// guarded transport. It has one operation. TestTheGeneratedClientIsCurrent makes it again.
package license
