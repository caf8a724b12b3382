// Package token signs the provisional licenses that devices hold while the event store is not
// available, and checks a token when a device presents it.
//
// It may import the standard library only.
//
// It promises: a token that was changed, was signed by another key, or is of another kind is
// refused with a reason. A key file is made once, is readable by its owner only, and is never
// half-written. Tokens are JWS in compact form with EdDSA (RFC 7515, RFC 8037), so that devices
// can check them with the public key.
package token
