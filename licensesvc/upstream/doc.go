// Package upstream calls the three services on which a license decision depends: membership,
// catalog and key service. Each client has the policy of its dependency, and data to fall back
// on when the dependency fails:
//
//   - membership: the last known plan, for 30 days if a license is renewed, for
//     15 minutes if one is new;
//   - catalog: the last known terms up to a day, then the strictest terms of the
//     title's studio;
//   - key service: nothing. It is hedged, and without a key there is no license.
//
// It may import resilience and clients/rest, but nothing of licensesvc. Package server below
// it holds the services themselves, which are small but real.
//
// It promises: every result says where it came from and how old it is. An answer such as "no
// such member" is an answer, and no fallback replaces it.
package upstream
