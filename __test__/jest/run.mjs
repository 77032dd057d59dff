// Runs the jest project from the packed tarballs, in every way jest runs tests. Each run must end by itself.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { packed } from '../../scripts/pack.mjs'
import { consumer, installPacked } from '../../scripts/lib/packages.mjs'
import { endOnSignals, run } from '../../scripts/lib/processes.mjs'
import { startRedis } from '../../scripts/lib/redis-server.mjs'
import { redisServer } from '../../scripts/lib/tools.mjs'

const ways = [[], ['-i'], ['-w', '2'], ['--workerThreads', '-w', '2'], ['-i', '--detectOpenHandles']]
const complaints = /did not exit|failed to exit gracefully|open handle/i

endOnSignals()
const folder = await consumer('jest', dirname(fileURLToPath(import.meta.url)))
await installPacked(folder, packed())
const redis = await startRedis(await redisServer())
let failed = 0
for (const way of ways) {
  const begin = Date.now()
  const name = `jest ${way.join(' ')}`.trim()
  const { ok, output } = await run(process.execPath, [join('node_modules', 'jest', 'bin', 'jest.js'), '--ci', ...way], {
    cwd: folder,
    env: { HOLDFAST_TEST_REDIS_URL: redis.url },
    timeoutMs: 60_000,
  })
  const good = ok && !complaints.test(output)
  if (!good) failed++
  process.stdout.write(`${good ? 'ok  ' : 'FAIL'} ${name} (${Date.now() - begin} ms)\n${good ? '' : `${output}\n`}`)
}
await redis.stop()
process.stdout.write(`${ways.length - failed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 ? 0 : 1
