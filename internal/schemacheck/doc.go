// Package schemacheck holds files that other programs read against those
// programs' own specifications: compose.yaml as Docker Compose reads it, the JSON
// Schema of policy files as editors do. It is a separate module, so that the
// readers are no dependency of Backstay, and has tests only.
package schemacheck
