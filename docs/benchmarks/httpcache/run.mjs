// Runs the suite in the current folder against $BASE, and writes the results as JSON: those
// of this run first, then those that the folder has of other caches.
import fs from 'fs'
import { runTests, getResults } from './test-engine/client/runner.mjs'
import { determineTestResult, resultTypes } from './test-engine/lib/results.mjs'
import tests from './tests/index.mjs'

const log = console.log
console.log = () => {}
await runTests(tests, false, process.env.BASE)

const nameOf = type => Object.keys(resultTypes).find(name => resultTypes[name] === type)

function judge (name, results) {
  const judged = []
  for (const suite of tests) {
    for (const test of suite.tests) {
      if (test.browser_only) continue
      const result = results[test.id]
      judged.push({
        id: test.id,
        suite: suite.id,
        kind: test.kind || 'required',
        outcome: nameOf(determineTestResult(tests, test.id, results)),
        detail: Array.isArray(result) ? String(result[1]) : ''
      })
    }
  }
  return { name, tests: judged }
}

const all = [judge('backstay', getResults())]
for (const file of fs.existsSync('results') ? fs.readdirSync('results').sort() : []) {
  if (file.endsWith('.json')) {
    all.push(judge(file.slice(0, -5) + ' (published)', JSON.parse(fs.readFileSync('results/' + file))))
  }
}
log(JSON.stringify(all))
