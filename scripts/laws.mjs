// `npm run laws [-- CASES]`: the laws with many cases (20,000 unless told otherwise); `npm test` runs 256.

import { root } from './lib/paths.mjs'
import { endOnSignals, must } from './lib/processes.mjs'
import { redisServer } from './lib/tools.mjs'

const minute = 60_000
const [given = '20000'] = process.argv.slice(2)
if (!/^[1-9][0-9]*$/.test(given)) throw new Error(`the number of cases is ${given}; allowed: a whole number above 0`)

endOnSignals()
process.env.HOLDFAST_REDIS_SERVER = await redisServer((line) => console.log(line))
process.env.HOLDFAST_LAW_CASES = given
const tests = ['changes', 'differential', 'laws', 'order', 'rates', 'sessions'].flatMap((name) => ['--test', name])
const line = (text) => console.log(text)
await must('cargo', ['test', '--locked', '--no-default-features', ...tests], { cwd: root, timeoutMs: 180 * minute, onLine: line })
console.log(`${given} cases of each law hold`)
