// Package schemacheck checks files that other programs read against those programs' own
// specifications: compose.yaml against that of Docker Compose, and the JSON Schema of policy
// files against that of editors. It is a separate module, so that Backstay does not depend on the
// libraries that it needs. It contains only tests.
package schemacheck
