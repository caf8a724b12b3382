// Command backstay reads policy files.
//
//	backstay check FILE...      print what is wrong, as a linter does
//	backstay explain FILE       say what the policies do, with a worked worst case
//
// Exit status: 0 when all is well, 1 when a file has errors, 2 on wrong usage. It may
// import resilience and what lies below it, and cobra.
package main
