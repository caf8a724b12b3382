// Package token signs the provisional licenses that a device holds while the event
// store could not take them, and checks them when a device brings one back.
//
// It may import the standard library only.
//
// It promises: a token that was changed, was signed by another key, or is of
// another kind is refused with a reason; a key file is made once, for its owner's
// eyes only, and is never half-written. Tokens are JWS in compact form with EdDSA
// (RFC 7515, RFC 8037), so that devices can check them with the public key.
package token
