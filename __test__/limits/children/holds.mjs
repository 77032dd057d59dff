// A process that holds what it reserved: it says the id, then blocks its event loop for so many ms and waits
// for a word in the list `go`, or waits to be killed.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, options, estimate, leaseMs, blockMs] = process.argv.slice(2)
const holdfast = createHoldfast({ url, keyPrefix, env: {} })
const limiter = holdfast.createRateLimiter(JSON.parse(options))
const reservation = await limiter.reserve('key', { estimate: Number(estimate), leaseMs: Number(leaseMs) })
console.log(`id ${reservation.id}`)
console.log(reservation.success ? 'held' : `refused: ${reservation.reason}`)
if (blockMs === undefined) {
  setInterval(() => {}, 1_000)
} else {
  const end = performance.now() + Number(blockMs)
  while (performance.now() < end);
  console.log('unblocked')
  await holdfast.redisClient.getClient().call('BLPOP', 'go', 0)
  console.log(`released ${await reservation.release()}, aborted ${reservation.signal.aborted}`)
  await holdfast.close()
}
