// Package rest measures clients/rest against the bare transport that it is around.
package rest
