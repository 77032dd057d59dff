// Panics in both places where tests can have one, among calls that must not notice.
import { createHoldfast } from 'holdfast'

const [url] = process.argv.slice(2)
const { cacheManager, connection, redisClient } = createHoldfast({ url, env: {}, testHooks: true })
const client = redisClient.getClient()
const code = (error) => error.code ?? String(error)
const said = []
for (let round = 0; round < 3; round++) {
  try {
    connection.inspect('panic', '', 'test')
    said.push('nothing')
  } catch (error) {
    said.push(code(error))
  }
  const answers = await Promise.all([
    cacheManager.set('beside', round),
    client.call('HOLDFAST.PANIC').then(() => 'nothing', code),
    cacheManager.get('beside'),
  ])
  said.push(...answers)
}
console.log(JSON.stringify(said))
